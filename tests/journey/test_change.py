"""From finding to cure and back, as a user types it: plan, rehearse, apply, journal, undo, and how each ends."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import psutil
from psycopg.conninfo import make_conninfo
from tests.fix.server import FreshDatabase
from tests.journey.conftest import CommandLine, Ended

PASSWORD = "s3cret-Passw0rd"
ONLY = ("--only", "duplicate_index")
INDEXES = (
    "select coalesce(string_agg(indexname, ' ' order by indexname), '') from pg_indexes where schemaname = 'public'"
)


def copies(pg: FreshDatabase) -> None:
    pg.execute(
        "create table t (a int primary key, b int)",
        "create index kept on t (b)",
        "create index copy on t (b)",
        'create index "Second Copy" on t (b)',
    )


def indexes(pg: FreshDatabase) -> str:
    row = pg.connect().execute(INDEXES).fetchone()
    assert row is not None
    return str(row[0])


def fingerprints(cli: CommandLine, pg: FreshDatabase) -> dict[str, str]:
    answer = json.loads(cli("diagnose", pg.dsn, *ONLY, "--format", "json").out)
    return {one["object"]: one["fingerprint"] for one in answer["findings"]}


def states(ended: Ended) -> list[str]:
    return [step["state"] for step in json.loads(ended.out)["steps"]]


def apply(cli: CommandLine, *words: str | Path) -> Ended:
    return cli("apply", *words, "--yes", "--no-rehearse", "--format", "json")


def test_the_whole_road_and_back(pg: FreshDatabase, cli: CommandLine) -> None:
    copies(pg)
    planned = cli("plan", pg.dsn, *ONLY, "-o", "plan.json")
    assert planned.code == 0
    assert "DROP INDEX CONCURRENTLY public.copy;" in planned.out
    assert 'CREATE INDEX CONCURRENTLY "Second Copy" ON public.t' in planned.out
    rehearsed = cli("rehearse", "plan.json", pg.dsn)
    assert rehearsed.code == 0
    assert "2 of 2 passed" in rehearsed.out
    assert indexes(pg) == "Second Copy copy kept t_pkey"
    applied = cli("apply", "plan.json", pg.dsn, "--yes", "--format", "json")
    assert applied.code == 0
    assert states(applied) == ["kept", "kept"]
    assert "2 of 2 passed" in applied.err
    assert indexes(pg) == "kept t_pkey"
    assert "every hash fits" in cli("journal", "verify", pg.dsn).out
    exported = cli("journal", "export", pg.dsn, "-o", "changes.md")
    assert exported.code == 0
    assert "DROP INDEX CONCURRENTLY public.copy;" in (cli.folder / "changes.md").read_text(encoding="utf-8")
    undone = cli("undo", "--all", pg.dsn, "--yes", "--format", "json")
    assert undone.code == 0
    assert states(undone) == ["undone", "undone"]
    assert indexes(pg) == "Second Copy copy kept t_pkey"
    shown = cli("journal", pg.dsn)
    assert "0 standing" in shown.out


def test_one_finding_is_mended_by_the_beginning_of_its_fingerprint(pg: FreshDatabase, cli: CommandLine) -> None:
    copies(pg)
    wanted = fingerprints(cli, pg)["public.copy"]
    ended = apply(cli, wanted[:8], pg.dsn)
    assert (ended.code, states(ended)) == (0, ["kept"])
    assert indexes(pg) == "Second Copy kept t_pkey"
    step = json.loads(ended.out)["steps"][0]
    assert step["finding"] == wanted
    again = apply(cli, wanted, pg.dsn)
    assert (again.code, again.out) == (0, "")
    assert "dealt with by an earlier run" in again.err
    undone = cli("undo", step["step"], pg.dsn, "--yes", "--format", "json")
    assert states(undone) == ["undone"]
    assert indexes(pg) == "Second Copy copy kept t_pkey"


def test_a_step_that_two_findings_call_for_is_planned_once(pg: FreshDatabase, cli: CommandLine) -> None:
    pg.execute(
        "create extension pg_stat_statements",
        "create table parent (id int primary key)",
        "create table child (id int primary key, parent_id int references parent, note text)",
        "insert into parent select generate_series(1, 1000)",
        "insert into child select g, 1 + g % 1000, repeat('x', 100) from generate_series(1, 100000) g",
        "vacuum analyze",
        *["select count(*) from child where parent_id = 1"] * 60,
    )
    only = ("--only", "missing_index,unindexed_foreign_key")
    found = json.loads(cli("diagnose", pg.dsn, *only, "--format", "json").out)["findings"]
    assert {one["check"] for one in found} == {"missing_index", "unindexed_foreign_key"}
    planned = cli("plan", pg.dsn, *only, "-o", "plan.json")
    assert planned.out.count("CREATE INDEX CONCURRENTLY child_parent_id_idx") == 1
    assert "1 step for database" in planned.out
    assert len(json.loads((cli.folder / "plan.json").read_text(encoding="utf-8"))["steps"]) == 1


def test_nothing_is_changed_when_nobody_agrees(pg: FreshDatabase, cli: CommandLine) -> None:
    copies(pg)
    for words in (("apply", pg.dsn, *ONLY, "--no-rehearse"), ("--quiet", "apply", pg.dsn, *ONLY, "--no-rehearse")):
        ended = cli(*words)
        assert ended.code == 4
        assert "DROP INDEX CONCURRENTLY public.copy;" in ended.err
        assert "nothing was changed" in ended.err
        assert "--yes" in ended.err
    assert indexes(pg) == "Second Copy copy kept t_pkey"
    assert not (cli.folder / "state").exists()


def typed(cli: CommandLine, pg: FreshDatabase, answer: str) -> tuple[int, str]:
    """Run apply on a terminal of its own and type an answer."""
    script = f"pgrunbook_python -m pgrunbook.surfaces.cli.main apply '{pg.dsn}' --only duplicate_index --no-rehearse"
    import sys  # noqa: PLC0415

    command = script.replace("pgrunbook_python", sys.executable)
    ended = subprocess.run(
        ["script", "--quiet", "--return", "--command", command, "/dev/null"],
        cwd=cli.folder,
        env={**cli.env, "TERM": "xterm", "COLUMNS": "100"},
        input=answer,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return ended.returncode, ended.stdout


def test_on_a_terminal_the_database_must_be_named(pg: FreshDatabase, cli: CommandLine) -> None:
    copies(pg)
    code, said = typed(cli, pg, "y\n")
    assert code == 4
    assert f"Type the name of the database, {pg.name}, to go on" in said
    assert indexes(pg) == "Second Copy copy kept t_pkey"
    code, said = typed(cli, pg, f"{pg.name}\n")
    assert code == 0, said
    assert indexes(pg) == "kept t_pkey"


def test_a_plan_for_another_database_is_refused(pg: FreshDatabase, cli: CommandLine) -> None:
    copies(pg)
    cli("plan", pg.dsn, *ONLY, "-o", "plan.json")
    ended = apply(cli, "plan.json", pg.cluster.dsn("postgres"))
    assert ended.code == 4
    assert "made for another target" in ended.err


def edited(cli: CommandLine, change: Any) -> None:
    path = cli.folder / "plan.json"
    plan = json.loads(path.read_text(encoding="utf-8"))
    change(plan)
    path.write_text(json.dumps(plan), encoding="utf-8")


def test_a_plan_whose_sql_was_edited_is_refused(pg: FreshDatabase, cli: CommandLine) -> None:
    copies(pg)
    cli("plan", pg.dsn, *ONLY, "-o", "plan.json")
    edited(cli, lambda plan: plan["steps"][0]["step"]["params"].update(name="kept"))
    ended = apply(cli, "plan.json", pg.dsn)
    assert ended.code == 4
    assert "other SQL than it would run" in ended.err
    assert indexes(pg) == "Second Copy copy kept t_pkey"


def test_whole_steps_may_be_left_out_of_a_plan(pg: FreshDatabase, cli: CommandLine) -> None:
    copies(pg)
    cli("plan", pg.dsn, *ONLY, "-o", "plan.json")
    edited(cli, lambda plan: plan["steps"].pop(0))
    assert states(apply(cli, "plan.json", pg.dsn)) == ["kept"]


def test_a_plan_that_is_none_is_said_to_be_none(pg: FreshDatabase, cli: CommandLine) -> None:
    for content in ("{}", "[]", "x", '{"pgrunbook_plan": 1}', '{"pgrunbook_plan": 99, "version": "9"}'):
        (cli.folder / "plan.json").write_text(content, encoding="utf-8")
        assert apply(cli, "plan.json", pg.dsn).code == 64


def test_an_id_that_nobody_knows_is_an_error(pg: FreshDatabase, cli: CommandLine) -> None:
    for words in (("0123456789abcdef",), ("0123",), ("nowhere.json",), ("plan.json", "0123456789abcdef")):
        assert apply(cli, *words, pg.dsn).code == 64
    assert cli("undo", "20200101-000000-abcd", pg.dsn, "--yes").code == 64


def test_a_lock_that_does_not_come_is_given_up_with_nothing_changed(pg: FreshDatabase, cli: CommandLine) -> None:
    copies(pg)
    cli("plan", pg.dsn, *ONLY, "-o", "plan.json")
    with pg.connect(autocommit=False) as holder:
        holder.execute("lock table t in access exclusive mode")
        ended = apply(cli, "plan.json", pg.dsn)
        holder.rollback()
    assert ended.code == 4
    assert set(states(ended)) == {"refused"}
    assert indexes(pg) == "Second Copy copy kept t_pkey"


def test_without_findings_there_is_nothing_to_do(pg: FreshDatabase, cli: CommandLine) -> None:
    ended = cli("apply", pg.dsn, *ONLY, "--yes")
    assert (ended.code, ended.out) == (0, "")
    assert "Nothing to do" in ended.err


def test_a_password_is_in_no_argument_of_any_child_and_in_no_output(pg: FreshDatabase, cli: CommandLine) -> None:
    copies(pg)
    env = {"PGRUNBOOK_DSN": make_conninfo(pg.dsn, password=PASSWORD)}
    process = cli.start("apply", *ONLY, "--yes", env=env)
    seen: set[str] = set()
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            for child in [watched, *watched.children(recursive=True)]:
                seen.add(" ".join(child.cmdline()))
        except psutil.Error:
            continue
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert len(seen) > 2
    assert not [line for line in seen if PASSWORD in line]
    assert PASSWORD not in out + err
    for path in cli.folder.rglob("*"):
        assert path.is_dir() or PASSWORD.encode() not in path.read_bytes()
