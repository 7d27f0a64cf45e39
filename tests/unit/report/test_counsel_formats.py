"""Advice in all its forms: complete, and not to be broken by what stands in a database."""

from __future__ import annotations

import io
import json
from html.parser import HTMLParser
from typing import Any

import pytest
from rich.console import Console
from tests.fix.diagnoses import HOSTILE, TAKEN_AT, server

from pgrunbook.model import Advice, Blind, Kind, Lock, StepSpec
from pgrunbook.model.counsel import Counsel, Fragment, Ground, Input, Kept, Proposal, Takes
from pgrunbook.report import counsel as forms
from pgrunbook.report import counsel_html, counsel_terminal

STEP = StepSpec(kind="set_role_setting", params={"role": "report", "settings": ("work_mem=64MB",)})


def advice(**changes: Any) -> Advice:
    base: dict[str, Any] = {
        "title": "Set work_mem",
        "sql": "ALTER ROLE report SET work_mem TO '64MB';",
        "undo_sql": "ALTER ROLE report RESET work_mem;",
        "lock": Lock.NONE,
        "risk": "Each sort may take as much.",
        "step": STEP,
    }
    return Advice(**{**base, **changes})


def proposal(**changes: Any) -> Proposal:
    base: dict[str, Any] = {
        "area": "Memory",
        "kind": Kind.ROLE,
        "object": "report",
        "title": "Set work_mem to 64MB for role report",
        "current": "4 MB",
        "proposed": "64MB",
        "reason": "2 statements wrote 2.4 GB of temporary files.",
        "effect": "none of them",
        "takes": Takes.NEW_SESSIONS,
        "ground": Ground.EVIDENCE,
        "evidence": {"temp_bytes": 2_576_980_378, "queryids": (1, 2), "nothing": None},
        "advice": (advice(),),
    }
    return Proposal(**{**base, **changes})


def counsel(*proposals: Proposal, **changes: Any) -> Counsel:
    base: dict[str, Any] = {
        "topic": "settings",
        "server": server(),
        "taken_at": TAKEN_AT,
        "duration_s": 1.5,
        "period": "watched for 10 s",
        "inputs": (Input(name="memory", value="16.0 GB", source="--memory"),),
        "proposals": proposals,
        "kept": (Kept(area="Memory", object="shared_buffers", value="4.0 GB", reason="a quarter"),),
        "blind": (Blind(reason="the cores are not known", cure="Ask again with --cores."),),
        "notes": ("A note.",),
        "fragments": (Fragment(name="pgbouncer.ini", text="; words\n[databases]\nshop = host=db\n"),),
    }
    return Counsel(**{**base, **changes})


def everything_hostile() -> Counsel:
    bad = proposal(
        object=HOSTILE,
        title=HOSTILE,
        current=HOSTILE,
        proposed=HOSTILE,
        reason=HOSTILE,
        effect=HOSTILE,
        evidence={"text": HOSTILE},
        advice=(advice(sql=f"select '{HOSTILE}';", undo_sql=f"-- {HOSTILE}", risk=HOSTILE), advice(title=HOSTILE)),
    )
    return counsel(
        bad,
        proposal(title=HOSTILE, advice=()),
        server=server(HOSTILE),
        inputs=(Input(name="memory", value=HOSTILE, source=HOSTILE),),
        kept=(Kept(area=HOSTILE, object=HOSTILE, value=HOSTILE, reason=HOSTILE),),
        blind=(Blind(reason=HOSTILE, cure=HOSTILE),),
        notes=(HOSTILE,),
        fragments=(Fragment(name=HOSTILE, text=HOSTILE[:20]),),
    )


def terminal(found: Counsel, width: int = 80) -> str:
    drawn = io.StringIO()
    counsel_terminal.render(found, Console(file=drawn, width=width, highlight=False, emoji=False, markup=False))
    return drawn.getvalue()


class Tags(HTMLParser):
    """Which elements a page has, and whether they are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - its signature
        self.seen.append(tag)
        if tag not in {"meta", "link", "br", "hr", "input", "col"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_every_form_has_all_there_is_to_say() -> None:
    found = counsel(proposal())
    for text in (terminal(found), forms.render_markdown(found), counsel_html.render(found)):
        flat = " ".join(text.split()).replace("\\", "")
        for part in (
            "Set work_mem to 64MB for role report",
            "2.4 GB of temporary files",
            "estimated",
            "for new sessions",
            "ALTER ROLE report SET work_mem TO",
            "ALTER ROLE report RESET work_mem;",
            "Each sort may take as much.",
            "16.0 GB",
            "a quarter",
            "the cores are not known",
            "A note." if "footer" not in text else "pgrunbook",
            "shop = host=db",
            "1 proposal (1 step of ours), 1 kept, 1 cannot be told",
        ):
            assert part in flat, part


def test_json_holds_figures_and_whether_there_is_a_step() -> None:
    found = json.loads(forms.render_json(counsel(proposal())))
    (one,) = found["proposals"]
    assert one["evidence"] == {"temp_bytes": 2_576_980_378, "queryids": [1, 2], "nothing": None}
    assert one["effect"] == {"basis": "estimated", "words": "none of them"}
    assert one["advice"][0]["step"] == "set_role_setting"
    assert one["takes_effect"] == "for new sessions"


def test_the_script_runs_what_is_advised_and_quotes_all_else() -> None:
    text = forms.render_sql(counsel(proposal(advice=(advice(), advice(title="Other", sql="DROP TABLE t;")))))
    runs = [line for line in text.splitlines() if line and not line.startswith("--")]
    assert runs == ["ALTER ROLE report SET work_mem TO '64MB';"]
    assert "--   ALTER ROLE report RESET work_mem;" in text
    assert "--   DROP TABLE t;" in text
    assert "Nothing to change" in forms.render_sql(counsel())


def test_words_of_a_database_cannot_leave_a_comment_of_the_script() -> None:
    found = counsel(proposal(title="a\nDROP TABLE t;", reason="b\r\nDROP TABLE t;", advice=(advice(undo_sql="x\ny"),)))
    runs = [line for line in forms.render_sql(found).splitlines() if line and not line.startswith("--")]
    assert runs == ["ALTER ROLE report SET work_mem TO '64MB';"]


@pytest.mark.parametrize("width", [40, 80, 110])
def test_hostile_texts_stay_what_they_are(width: int) -> None:
    found = everything_hostile()
    shown = terminal(found, width)
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert max(len(line) for line in shown.splitlines()) <= width + 1  # a wide sign may hang over
    assert not any(line != line.rstrip() for line in shown.splitlines())
    page = counsel_html.render(found)
    tags = Tags()
    tags.feed(page)
    assert not tags.open
    assert "<script>alert" not in page
    json.loads(forms.render_json(found))
    assert "<script>" not in forms.render_markdown(found).replace("\\<script\\>", "").replace("`", "")[:200]


def test_nothing_to_change_is_said() -> None:
    found = counsel(kept=(), blind=(), notes=(), fragments=(), inputs=())
    assert "Nothing to change" in terminal(found)
    assert "0 proposals" in counsel_html.render(found)
    assert forms.render_ini(found) == ""


def test_what_needs_a_restart_is_seen_at_a_glance() -> None:
    found = counsel(*(proposal(takes=Takes.RESTART, title=f"Set {n}") for n in range(5)))
    page = counsel_html.render(found)
    assert "Need a restart" in page
    assert "At a glance" in page
    assert 'href="#p5"' in page
    assert 'id="p5"' in page
