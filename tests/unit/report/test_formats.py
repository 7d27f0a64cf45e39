from __future__ import annotations

import base64
import dataclasses
import gzip
import io
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from html.parser import HTMLParser
from importlib.resources import files

import jsonschema
import pytest
from rich.console import Console
from tests.fix import demonstrations, diagnoses

from pgrunbook.model import Finding
from pgrunbook.model.diagnosis import Diagnosis
from pgrunbook.report import demonstration, github, html, junit, markdown, sarif, terminal
from pgrunbook.report import json as as_json

ALL: dict[str, Callable[[], Diagnosis]] = {
    "sick": diagnoses.sick,
    "clean": diagnoses.clean,
    "hostile": diagnoses.hostile,
}
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
PAGE_MAX_BYTES = 300_000


@pytest.fixture(params=sorted(ALL))
def diagnosis(request: pytest.FixtureRequest) -> Diagnosis:
    return ALL[request.param]()


def drawn(diagnosis: Diagnosis, *, width: int = 80, **options: object) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, color_system=None, highlight=False, markup=False, emoji=False)
    terminal.render(diagnosis, console, **options)  # type: ignore[arg-type]
    return out.getvalue()


class Tags(HTMLParser):
    """Counts elements and checks that each is closed where it was opened."""

    VOID = frozenset({"meta", "link", "br", "hr"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.links: list[str] = []
        self.scripts: dict[str, str] = {}
        self._script: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        given = dict(attrs)
        self.links += [value for key, value in attrs if key in {"href", "src", "action"} and value]
        assert not [key for key, _ in attrs if key.startswith("on")]
        if tag == "script":
            self._script = given.get("id") or "code"
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self._script = None

    def handle_data(self, data: str) -> None:
        if self._script is not None:
            self.scripts[self._script] = self.scripts.get(self._script, "") + data


def parsed(page: str) -> Tags:
    tags = Tags()
    tags.feed(page)
    tags.close()
    assert tags.open == []
    return tags


def test_json_keeps_the_contract(diagnosis: Diagnosis) -> None:
    schema = json.loads(files("pgrunbook.report").joinpath("diagnosis.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    text = as_json.render(diagnosis)
    jsonschema.validate(json.loads(text), schema, cls=jsonschema.Draft202012Validator)
    assert text.encode("utf-8")


def test_json_has_nan_and_infinity_as_null() -> None:
    (finding,) = json.loads(as_json.render(diagnoses.hostile()))["findings"]
    assert finding["evidence"]["nan"] is None
    assert finding["evidence"]["columns"] == [diagnoses.HOSTILE, None, 3]


def test_json_tells_estimated_from_measured() -> None:
    by_check = {f["check"]: f for f in json.loads(as_json.render(diagnoses.sick()))["findings"]}
    assert by_check["missing_index"]["effect"]["kind"] == "measured"
    assert by_check["auth_function_per_row"]["effect"]["kind"] == "estimated"
    assert by_check["duplicate_index"]["effect"] is None


def test_terminal_fits_into_eighty_columns(diagnosis: Diagnosis) -> None:
    from rich.cells import cell_len  # noqa: PLC0415

    for show_all in (False, True):
        text = drawn(diagnosis, show_all=show_all)
        assert max(cell_len(line) for line in text.splitlines()) <= 80
        assert not [line for line in text.splitlines() if line != line.rstrip()]


def test_no_text_format_holds_control_characters(diagnosis: Diagnosis) -> None:
    for text in (drawn(diagnosis), drawn(diagnosis, show_all=True), github.render(diagnosis), html.render(diagnosis)):
        assert not CONTROL.search(text)
    for text in (markdown.render(diagnosis), junit.render(diagnosis), sarif.render(diagnosis)):
        assert not CONTROL.search(text)


def test_terminal_shows_worst_first_and_ends_with_counts_and_the_next_command() -> None:
    text = drawn(diagnoses.sick(), exit_code=2, target="postgresql://app@db-1/shop")
    severities = [line[:4] for line in text.splitlines() if re.match(r"(CRIT|WARN|NOTE)\b", line)]
    assert severities == ["CRIT", "CRIT", "WARN", "WARN", "NOTE"]
    last = " ".join(text.splitlines()[-2:])
    assert "4 ok  1 notice  2 warnings  2 critical  3 blind  1 muted  exit 2" in last
    assert last.endswith("next: pgrunbook apply 431cf1c9 postgresql://app@db-1/shop")


def test_terminal_says_measured_and_estimated_and_the_lock() -> None:
    text = drawn(diagnoses.sick())
    assert "P95 812 ms → 9 ms · build 41 s · size 212 MB (measured)" in text
    assert "mean 211 ms → 5 ms (estimated)" in text
    assert "pgrunbook apply 431cf1c9  # share update exclusive; undo recorded" in text


def test_terminal_tells_a_missing_right_once_with_its_grant() -> None:
    text = drawn(diagnoses.sick())
    assert text.count("GRANT pg_read_all_stats TO app;") == 1
    assert "slow_queries, blocked_sessions" in text


def test_terminal_hides_what_is_too_much_and_says_how_to_see_it() -> None:
    sick = dataclasses.replace(diagnoses.sick(), findings=tuple(_renamed(n) for n in range(30)))
    text = drawn(sick)
    assert text.count("WARN") == terminal.SHOWN_IN_FULL
    assert "22 warnings: check_" in text
    assert "--all shows them" in text
    assert drawn(sick, show_all=True).count("WARN") == 30


def _renamed(number: int) -> Finding:
    return dataclasses.replace(diagnoses.many(1).findings[0], check=f"check_{number}")


def test_terminal_tells_many_findings_of_one_check_together() -> None:
    text = drawn(diagnoses.many(30))
    assert text.count("WARN") == 1
    assert "29 more: IDX-2 public.orders_customer_id_idx_1, IDX-3" in " ".join(text.split())
    assert "pgrunbook apply --only duplicate_index  # 30 steps" in text
    assert drawn(diagnoses.many(2)).count("WARN") == 2
    assert drawn(diagnoses.many(30), show_all=True).count("WARN") == 30


def test_terminal_shows_muted_findings_only_with_all() -> None:
    assert "a cache, may be lost" not in drawn(diagnoses.sick())
    told = drawn(diagnoses.sick(), show_all=True, width=100)
    assert "unlogged_table on public.page_cache: a cache, may be lost (until 2027-01-31)" in told


def test_terminal_does_not_call_a_database_well_that_it_could_not_see() -> None:
    assert "Nothing to mend." in drawn(diagnoses.clean())
    unseen = diagnoses.clean()
    blind = Diagnosis(
        server=unseen.server,
        taken_at=unseen.taken_at,
        duration_s=1.0,
        findings=(),
        blind=diagnoses.sick().blind,
        ok=unseen.ok,
    )
    assert "Nothing to mend in what could be looked at." in drawn(blind)


def test_page_is_self_contained_and_small(diagnosis: Diagnosis) -> None:
    page = html.render(diagnosis)
    tags = parsed(page)
    assert len(page.encode("utf-8")) < PAGE_MAX_BYTES
    assert not [link for link in tags.links if not link.startswith(("#", "data:"))]
    assert "@import" not in page
    assert "url(" not in page


def test_page_stays_small_with_a_thousand_findings() -> None:
    page = html.render(diagnoses.many(1000))
    tags = parsed(page)
    assert len(page.encode("utf-8")) < PAGE_MAX_BYTES
    packed = tags.scripts["diagnosis"]
    data = json.loads(gzip.decompress(base64.b64decode(packed)))
    assert len(data["findings"]) == 1000


def test_page_holds_the_whole_answer_as_data() -> None:
    tags = parsed(html.render(diagnoses.sick()))
    assert json.loads(tags.scripts["diagnosis"]) == as_json.as_dict(diagnoses.sick())


def test_page_lets_no_name_become_markup() -> None:
    page = html.render(diagnoses.hostile())
    assert parsed(page).seen.count("script") == 2
    assert "<script>alert(1)</script>" not in page
    assert page.count("<td>") == page.count("</td>") - page.count('<td class="')


def test_page_links_lead_to_cards_that_exist() -> None:
    page = html.render(diagnoses.sick())
    for finding in diagnoses.sick().findings:
        assert f'href="#{finding.fingerprint}"' in page
        assert f'id="{finding.fingerprint}"' in page


def test_markdown_tables_keep_their_columns() -> None:
    text = markdown.render(diagnoses.hostile())
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert rows
    for row in rows:
        assert len(re.findall(r"(?<!\\)\|", row)) == 5


def test_markdown_closes_every_fence_with_its_own_length() -> None:
    lines = markdown.render(diagnoses.hostile()).splitlines()
    open_fence = ""
    for line in lines:
        fence = re.match(r"`{3,}", line)
        if not open_fence and fence:
            open_fence = fence[0]
        elif open_fence and line == open_fence:
            open_fence = ""
    assert open_fence == ""


def test_markdown_carries_sql_and_undo_as_they_are() -> None:
    text = markdown.render(diagnoses.sick())
    assert "```sql\nDROP INDEX CONCURRENTLY public.orders_customer_idx2;\n```" in text
    assert "USING (owner_id = (select auth.uid()));" in text


def test_sarif_has_a_rule_for_every_result_and_a_fingerprint() -> None:
    log = json.loads(sarif.render(diagnoses.sick()))
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert log["version"] == "2.1.0"
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert re.fullmatch("[0-9a-f]{16}", result["partialFingerprints"]["pgrunbook/v1"])
        assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].startswith("database/shop/")
    assert [r["level"] for r in run["results"]] == ["error", "error", "warning", "warning", "note", "warning"]
    assert run["results"][-1]["suppressions"][0]["justification"] == "a cache, may be lost"
    assert len(run["invocations"][0]["toolExecutionNotifications"]) == 3


def test_junit_is_xml_whose_counts_agree(diagnosis: Diagnosis) -> None:
    (suite,) = ET.fromstring(junit.render(diagnosis))  # noqa: S314 - our own text
    assert int(suite.attrib["tests"]) == len(suite.findall("testcase"))
    assert int(suite.attrib["failures"]) == len(suite.findall("testcase/failure"))
    assert int(suite.attrib["skipped"]) == len(suite.findall("testcase/skipped"))


def test_junit_fails_on_warnings_and_passes_notices() -> None:
    (suite,) = ET.fromstring(junit.render(diagnoses.sick()))  # noqa: S314 - our own text
    assert suite.attrib["failures"] == "4"
    assert suite.attrib["skipped"] == "4"
    assert suite.attrib["tests"] == "13"


def test_github_gets_one_command_a_line_and_none_from_a_name() -> None:
    lines = github.render(diagnoses.hostile()).splitlines()
    assert len(lines) == 3
    assert [line.split(" ")[0] for line in lines[:2]] == ["::warning", "::notice"]
    assert not lines[-1].startswith("::")


def test_demonstration_page_is_self_contained_and_tells_the_gain() -> None:
    page = demonstration.html(demonstrations.result())
    tags = parsed(page)
    assert len(page.encode("utf-8")) < PAGE_MAX_BYTES
    assert not [link for link in tags.links if not link.startswith(("#", "data:"))]
    assert "4.21 s sick, 212 ms cured (20× faster)" in page
    assert page.count("<details>") == 8
    assert page.count('class="badge undone"') == 1
    data = json.loads(tags.scripts["demonstration"])
    assert data["p95_ms"] == {"sick": 4210.0, "cured": 212.0, "healthy": 11.3, "thousand": 38.0}
    assert data["users"]["sick"] == data["users"]["cured"] == data["users"]["healthy"]


def test_demonstration_fits_a_terminal() -> None:
    out = io.StringIO()
    console = Console(file=out, width=80, color_system=None, highlight=False, markup=False, emoji=False)
    demonstration.terminal(demonstrations.result(), console)
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert not [line for line in lines[:5] if "…" in line]
    assert "P95 at 100 users: 4.21 s sick" in out.getvalue()
