"""`pgrunbook diagnose` on a real server: what it prints, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from psycopg.conninfo import make_conninfo
from tests.fix.server import FreshDatabase
from tests.journey.conftest import CommandLine

PASSWORD = "s3cret-Passw0rd"
OURS = (
    "select count(*) from pg_stat_activity where application_name like 'pgrunbook/%' and datname = current_database()"
)


def copies(pg: FreshDatabase) -> None:
    """Make two indexes that are the same."""
    pg.execute("create table t (a int primary key, b int)", "create index kept on t (b)", "create index copy on t (b)")


def with_password(dsn: str) -> str:
    """Make a DSN hold a password (these servers trust everybody, but take it)."""
    return make_conninfo(dsn, password=PASSWORD)


def until(condition: Callable[[], bool], *, at_most_s: float = 30.0) -> None:
    deadline = time.monotonic() + at_most_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def findings(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(text)["findings"]
    return found


def test_json_on_stdout_keeps_the_schema_and_nothing_else_is_printed(pg: FreshDatabase, cli: CommandLine) -> None:
    copies(pg)
    ended = cli("diagnose", pg.dsn, "--format", "json")
    schema = json.loads(files("pgrunbook.report").joinpath("diagnosis.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(json.loads(ended.out), schema, cls=jsonschema.Draft202012Validator)
    assert ended.err == ""
    assert {"object": "public.copy", "check": "duplicate_index"}.items() <= next(
        one for one in findings(ended.out) if one["check"] == "duplicate_index"
    ).items()


def test_warnings_end_with_one_only_when_asked(pg: FreshDatabase, cli: CommandLine) -> None:
    copies(pg)
    only = ("--only", "duplicate_index")
    assert cli("diagnose", pg.dsn, *only).code == 0
    assert cli("diagnose", pg.dsn, *only, "--fail-on", "warning").code == 1
    assert cli("diagnose", pg.dsn, *only, env={"PGRUNBOOK_FAIL_ON": "warning"}).code == 1
    assert cli("diagnose", pg.dsn, *only, "--fail-on", "never", env={"PGRUNBOOK_FAIL_ON": "warning"}).code == 0


def test_critical_findings_end_with_two(pg: FreshDatabase, cli: CommandLine) -> None:
    pg.cluster.shutdown()
    pg.cluster.settings = {**pg.cluster.settings, "autovacuum": "off"}
    pg.cluster.start()
    for flags in ((), ("--fail-on", "warning"), ("--fail-on", "critical")):
        assert cli("diagnose", pg.dsn, "--only", "autovacuum_disabled", *flags).code == 2
    assert cli("diagnose", pg.dsn, "--only", "autovacuum_disabled", "--fail-on", "never").code == 0


@pytest.mark.parametrize("form", ["text", "json", "markdown", "html", "sarif", "junit", "github"])
def test_every_format_tells_the_finding(pg: FreshDatabase, cli: CommandLine, form: str) -> None:
    copies(pg)
    ended = cli("diagnose", pg.dsn, "--only", "duplicate_index", "--format", form)
    assert ended.code == 0
    assert "public.copy" in ended.out
    assert ended.err == ""


def test_the_format_follows_the_name_of_the_file(pg: FreshDatabase, cli: CommandLine) -> None:
    for name, begins in (
        ("a.json", "{"),
        ("a.html", "<!doctype html>"),
        ("a.md", "# "),
        ("a.sarif", "{"),
        ("a.xml", "<?xml"),
    ):
        ended = cli("diagnose", pg.dsn, "--only", "duplicate_index", "-o", name)
        assert (ended.code, ended.out) == (0, "")
        assert (cli.folder / name).read_text(encoding="utf-8").startswith(begins)


def test_a_wrong_dsn_ends_with_three_and_one_message(pg: FreshDatabase, cli: CommandLine) -> None:
    nobody = make_conninfo(pg.dsn, dbname="nowhere", password=PASSWORD)
    for dsn in (nobody, "host=/nowhere dbname=x", f"postgresql://a:{PASSWORD}@127.0.0.1:1/x"):
        ended = cli("diagnose", dsn)
        assert ended.code == 3
        assert ended.out == ""
        lines = ended.err.splitlines()
        assert lines[0].startswith("error: cannot connect to database")
        assert lines[-1].startswith("hint: ")
        assert len(lines) == 2
        assert PASSWORD not in ended.err


def test_a_dsn_that_cannot_be_read_ends_with_sixty_four_and_does_not_repeat_it(cli: CommandLine) -> None:
    ended = cli("diagnose", f"postgresql://u:{PASSWORD}@h:notaport/x?nosuch={PASSWORD}")
    assert ended.code == 64
    assert PASSWORD not in ended.out + ended.err


@pytest.mark.parametrize(
    "words",
    [
        ("diagnos",),
        ("diagnose", "--nosuch"),
        ("diagnose", "--format", "xml"),
        ("diagnose", "--window", "soon"),
        ("diagnose", "--fail-on", "notice"),
        ("diagnose", "a=b", "c=d"),
        ("diagnose", "--only", "nosuch_check", "host=/nowhere"),
        ("diagnose", "--snapshot", "nowhere.json"),
        ("diagnose", "--snapshot", "x.json", "--window", "3"),
        ("diagnose", "--since", "x.json", "--window", "3"),
        ("--config", "nowhere.toml", "diagnose"),
        ("checks", "show", "nosuch_check"),
        ("snapshot", "save"),
        ("mute", "duplicate_index"),
        ("journal", "burn"),
        ("undo",),
    ],
    ids=" ".join,
)
def test_wrong_words_end_with_sixty_four_and_one_message(cli: CommandLine, words: tuple[str, ...]) -> None:
    ended = cli(*words)
    assert ended.code == 64, ended.err
    assert ended.out == ""
    assert ended.err.count("error: ") == 1


def test_an_unwritable_file_is_said_to_be_one(pg: FreshDatabase, cli: CommandLine) -> None:
    ended = cli("diagnose", pg.dsn, "--only", "duplicate_index", "-o", "nowhere/a.json")
    assert ended.code == 64
    assert "cannot write nowhere/a.json" in ended.err


def test_without_rights_it_is_blind_with_the_grant_and_not_silent(pg: FreshDatabase, cli: CommandLine) -> None:
    copies(pg)
    role = pg.role("nobody special")
    ended = cli("diagnose", pg.dsn_as(role), "--format", "json", "--fail-on", "never")
    answer = json.loads(ended.out)
    assert (ended.code, ended.err) == (0, "")
    assert any("GRANT" in one["cure"] and '"nobody special"' in one["cure"] for one in answer["blind"])
    assert not {one["check"] for one in answer["blind"] if one["object"] is None} & set(answer["ok"])
    assert "duplicate_index" in {one["check"] for one in answer["findings"]}


def test_when_nothing_can_be_observed_it_ends_with_three(pg: FreshDatabase, cli: CommandLine) -> None:
    pg.execute("drop extension if exists pg_stat_statements")
    ended = cli("diagnose", pg.dsn, "--only", "missing_index")
    assert ended.code == 3
    assert "pg_stat_statements" in ended.out
    assert "every check is blind" in ended.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_ends_with_a_hundred_and_thirty_and_leaves_nothing(
    pg: FreshDatabase, cli: CommandLine, number: signal.Signals
) -> None:
    conn = pg.connect()
    until(lambda: conn.execute(OURS).fetchone() == (0,))  # an earlier one may still be leaving
    process = cli.start("diagnose", pg.dsn, "--window", "600", "-o", "a.json")
    until(lambda: conn.execute(OURS).fetchone() == (1,))
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out == ""
    assert err.strip() == "error: interrupted"
    until(lambda: conn.execute(OURS).fetchone() == (0,))
    assert [path.name for path in cli.folder.iterdir()] == []


def test_an_interrupt_while_connecting_ends_at_once(cli: CommandLine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = cli.start("diagnose", f"host=127.0.0.1 port={silent.getsockname()[1]} dbname=x user=x")
        peer, _ = silent.accept()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=5)
        peer.close()
    assert process.returncode == 130
    assert err.strip() == "error: interrupted"


def test_nobody_who_reads_is_no_error(pg: FreshDatabase, cli: CommandLine) -> None:
    copies(pg)
    process = cli.start("diagnose", pg.dsn, "--only", "duplicate_index", "--fail-on", "warning")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    assert (process.wait(timeout=60), err) == (1, "")


def test_colours_only_where_they_are_wanted(pg: FreshDatabase, cli: CommandLine) -> None:
    copies(pg)
    words = ("diagnose", pg.dsn, "--only", "duplicate_index")
    assert "\x1b[" not in cli(*words).out
    assert "\x1b[" in cli("--color", "always", *words).out
    assert "\x1b[" not in cli("--color", "never", *words).out


def test_a_snapshot_gives_the_same_verdicts_without_the_database(pg: FreshDatabase, cli: CommandLine) -> None:
    copies(pg)
    for name in ("s.json", "s.json.gz"):
        assert cli("snapshot", "save", name, pg.dsn).code == 0
        assert (cli.folder / name).stat().st_mode & 0o077 == 0
        saved = json.loads(cli("diagnose", "--snapshot", name, "--format", "json").out)
        live = json.loads(cli("diagnose", pg.dsn, "--format", "json").out)
        for answer in (saved, live):
            for volatile in ("taken_at", "duration_s", "blind", "ok"):
                del answer[volatile]
        assert [one["fingerprint"] for one in saved["findings"]] == [one["fingerprint"] for one in live["findings"]]
        assert saved["server"] == live["server"]


def test_a_snapshot_can_be_judged_by_other_checks_and_schemas_later(pg: FreshDatabase, cli: CommandLine) -> None:
    copies(pg)
    pg.execute("create schema other")
    cli("snapshot", "save", "s.json", pg.dsn)
    only = ("diagnose", "--snapshot", "s.json", "--only", "duplicate_index", "--format", "json")
    assert [one["object"] for one in findings(cli(*only, "--schema", "public").out)] == ["public.copy"]
    other = json.loads(cli(*only, "--schema", "other").out)
    assert (other["findings"], other["ok"]) == ([], ["duplicate_index"])


def test_rates_come_from_a_window_or_from_an_older_snapshot(pg: FreshDatabase, cli: CommandLine) -> None:
    assert cli("diagnose", pg.dsn, "--window", "0.2", "--only", "vacuum").code == 0
    cli("snapshot", "save", "s.json", pg.dsn)
    assert cli("diagnose", pg.dsn, "--since", "s.json", "--only", "vacuum").code == 0
    other = cli("diagnose", pg.cluster.dsn("postgres"), "--since", "s.json")
    assert other.code == 64
    assert "of database" in other.err


def test_what_does_not_move_is_told_alike_at_once_in_a_window_and_since_a_snapshot(
    pg: FreshDatabase, cli: CommandLine
) -> None:
    copies(pg)
    pg.execute("create table u (x timestamp)", "create sequence s as smallint", "insert into u values (now())")
    only = ("--only", "index", "--only", "schema", "--only", "rls", "--format", "json")
    cli("snapshot", "save", "s.json", pg.dsn)
    told = [
        [(one["fingerprint"], one["severity"], one["object"]) for one in findings(cli("diagnose", *words, *only).out)]
        for words in ((pg.dsn,), (pg.dsn, "--window", "0.3"), (pg.dsn, "--since", "s.json"), ("--snapshot", "s.json"))
    ]
    assert len(told[0]) >= 3
    assert told[1:] == [told[0]] * 3


def test_a_schema_that_does_not_exist_is_an_error_and_no_empty_answer(pg: FreshDatabase, cli: CommandLine) -> None:
    ended = cli("diagnose", pg.dsn, "--schema", "publik")
    assert ended.code == 64
    assert "has no schema publik" in ended.err
    assert "public" in ended.err


def test_muted_findings_are_counted_and_come_back_when_their_day_has_passed(
    pg: FreshDatabase, cli: CommandLine
) -> None:
    copies(pg)
    only = ("diagnose", pg.dsn, "--only", "duplicate_index", "--fail-on", "warning", "--format", "json")
    fingerprint = findings(cli(*only).out)[0]["fingerprint"]
    file = cli.folder / "pgrunbook.toml"
    file.write_text("# ours\nfail_on = 'never'  # for now", encoding="utf-8")
    assert cli("mute", fingerprint[:8], "--reason", 'the "release" \\ waits', "--until", "2999-12-31").code == 0
    assert file.read_text(encoding="utf-8").startswith("# ours\nfail_on = 'never'  # for now\n\n[[mute]]\n")
    ended = cli(*only)
    answer = json.loads(ended.out)
    assert ended.code == 0
    assert answer["findings"] == []
    assert answer["muted"][0]["reason"] == 'the "release" \\ waits'
    assert cli("mute", fingerprint[:8], "--reason", "again").code == 64
    file.write_text(file.read_text(encoding="utf-8").replace("2999", "2001"), encoding="utf-8")
    assert cli(*only).code == 1


def test_a_threshold_in_the_project_file_changes_the_verdict(pg: FreshDatabase, cli: CommandLine) -> None:
    (cli.folder / "pgrunbook.toml").write_text("[checks.unused_index]\ntable_scans = 12345\n", encoding="utf-8")
    shown = cli("config", "show", "--origin")
    assert "table_scans = 12345  # " + str(cli.folder / "pgrunbook.toml") in shown.out
    page = json.loads(cli("checks", "show", "unused_index", "--format", "json").out)
    assert page["thresholds"]["table_scans"] == {"value": 12345, "origin": str(cli.folder / "pgrunbook.toml")}


def test_an_unknown_key_names_file_and_key(cli: CommandLine) -> None:
    (cli.folder / "pgrunbook.toml").write_text("[checks.unused_index]\ntable_scan = 1\n", encoding="utf-8")
    for words in (("checks",), ("config", "show"), ("diagnose", "host=/nowhere")):
        ended = cli(*words, "--format", "json") if words[0] == "checks" else cli(*words)
        assert ended.code == 64
        assert str(cli.folder / "pgrunbook.toml") in ended.err
        assert "table_scan" in ended.err


def test_a_password_is_in_no_output(pg: FreshDatabase, cli: CommandLine) -> None:
    copies(pg)
    dsn = with_password(pg.dsn)
    for form in ("text", "json", "html", "markdown", "sarif", "junit", "github"):
        ended = cli("diagnose", dsn, "--format", form, "--all")
        assert ended.code in {0, 2}
        assert PASSWORD not in ended.out + ended.err
    cli("snapshot", "save", "s.json", dsn)
    assert PASSWORD not in (cli.folder / "s.json").read_text(encoding="utf-8")


def test_a_bug_of_ours_ends_with_seventy_and_shows_no_password(cli: CommandLine) -> None:
    code = (
        "import sys; from pgrunbook.surfaces.cli import diagnosing, main\n"
        f"def bug(*_, **__): raise KeyError('postgresql://u:{PASSWORD}@h/d')\n"
        "diagnosing.run = bug\n"
        "sys.exit(main.run(['diagnose', 'host=x']))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=cli.folder, env=cli.env, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 70
    assert "Traceback" in ended.stderr
    assert "this is a bug of pgrunbook" in ended.stderr
    assert PASSWORD not in ended.stderr + ended.stdout


def test_help_and_version_import_nothing_heavy(cli: CommandLine) -> None:
    code = (
        "import sys; from pgrunbook.surfaces.cli import main\n"
        "assert main.run(sys.argv[1:]) == 0\n"
        "heavy = {'psycopg', 'rich', 'postgast', 'psutil'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    for words in (["--help"], ["--version"], ["diagnose", "--help"], ["apply", "--help"]):
        ended = subprocess.run(
            [sys.executable, "-c", code, *words], env=cli.env, capture_output=True, text=True, check=False
        )
        assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr


def test_the_help_of_every_command_lists_its_exit_codes(cli: CommandLine) -> None:
    from pgrunbook.surfaces.cli.command import summaries  # noqa: PLC0415

    assert summaries()
    for name, summary in summaries().items():
        assert 0 < len(summary) <= 70
        ended = cli(name, "--help")
        assert ended.code == 0
        codes = {line.split()[0] for line in ended.out.partition("Exit codes:")[2].splitlines() if line.strip()}
        assert {"0", "64", "70", "130"} <= codes


def test_hostile_names_reach_no_terminal(pg: FreshDatabase, cli: CommandLine) -> None:
    evil = 'a\x1b[31m\x07"b\n::error::x<script>'
    quoted = '"' + evil.replace('"', '""') + '"'
    pg.execute(
        f"create schema {quoted}",
        f"create table {quoted}.{quoted} (a int primary key, b int)",
        f"create index on {quoted}.{quoted} (b)",
        f"create index on {quoted}.{quoted} (b)",
    )
    words = ("diagnose", pg.dsn, "--only", "duplicate_index", "--format")
    for form in ("text", "markdown", "html", "github", "junit"):
        out = cli(*words, form).out
        assert "\x1b" not in out
        assert "\x07" not in out
    assert "<script>" not in cli(*words, "html").out.partition("<main>")[2].partition("</main>")[0]
    assert not [line for line in cli(*words, "github").out.splitlines() if line.startswith("::error::")]
    exact = findings(cli(*words, "json").out)[0]["object"]
    assert exact.startswith(quoted + ".")


def test_the_command_runs_where_the_locale_knows_no_unicode(pg: FreshDatabase, cli: CommandLine) -> None:
    copies(pg)
    env = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii:strict"}
    process = subprocess.run(
        [sys.executable, "-m", "pgrunbook.surfaces.cli.main", "diagnose", pg.dsn, "--only", "duplicate_index"],
        cwd=cli.folder,
        env={**cli.env, **env},
        capture_output=True,
        check=False,
    )
    assert (process.returncode, process.stderr) == (0, b"")
    assert b"public.copy" in process.stdout


def test_the_dsn_is_taken_in_the_promised_order(pg: FreshDatabase, cli: CommandLine) -> None:
    def database(*words: str, **env: str) -> str:
        ended = cli("diagnose", *words, "--only", "duplicate_index", "--format", "json", env=env)
        assert ended.code == 0, ended.err
        name: str = json.loads(ended.out)["server"]["database"]
        return name

    wrong, right = "host=/nowhere", pg.dsn
    assert database(right, "--dsn", wrong, PGRUNBOOK_DSN=wrong) == pg.name
    assert database("--dsn", right, PGRUNBOOK_DSN=wrong) == pg.name
    assert database(PGRUNBOOK_DSN=right, DATABASE_URL=wrong) == pg.name
    assert database(DATABASE_URL=right, PGHOST="/nowhere") == pg.name
    libpq = {"PGHOST": str(pg.cluster.socket_dir), "PGPORT": str(pg.cluster.port), "PGUSER": "postgres"}
    assert database(**libpq, PGDATABASE=pg.name) == pg.name


def test_it_leaves_the_working_folder_as_it_was(pg: FreshDatabase, cli: CommandLine) -> None:
    cli("diagnose", pg.dsn)
    assert os.listdir(cli.folder) == []  # noqa: PTH208 - names are all we want


def test_a_file_is_replaced_whole_and_keeps_its_mode(pg: FreshDatabase, cli: CommandLine) -> None:
    path = Path(cli.folder / "a.json")
    path.write_text("old", encoding="utf-8")
    path.chmod(0o640)
    cli("diagnose", pg.dsn, "--only", "duplicate_index", "-o", "a.json")
    assert json.loads(path.read_text(encoding="utf-8"))["tool"] == "pgrunbook"
    assert path.stat().st_mode & 0o777 == 0o640
