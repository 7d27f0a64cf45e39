"""QuizMentor's "Essential Indexes": the advisor finds the useful ones by itself, and says why not the others.

Once from what pg_stat_statements counted while its operations ran, once from a file of statements.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from tests.fix.server import Servers, clean, installed, unavailable
from tests.journey.conftest import CommandLine

from pgrunbook.demo.operations import Form, scripts
from pgrunbook.demo.quizmentor import Size, load
from pgrunbook.lab import embedded_binaries
from pgrunbook.procedures.load import LoadSpec, run_load

USERS = 2000
ACTIVE = "select count(*) from users where active = true"
ESSENTIAL = f"""\
-- weight: 20
select id, display_name from users where email = 'learner7@quizmentor.example';
-- weight: 10
{ACTIVE};
-- weight: 50
select id, title from quizzes where user_id = '0190a000-0000-7000-8000-100000000007' order by created_at desc limit 5;
-- weight: 20
select id, title from quizzes order by created_at desc limit 20;
-- weight: 100
select id, question_text from questions where quiz_id = 77 order by position;
-- weight: 5
select id from questions where difficulty = 3;
-- weight: 20
select value from answers where user_id = '0190a000-0000-7000-8000-100000000007' and question_id = 17;
-- weight: 30
select score from user_performance where user_id = '0190a000-0000-7000-8000-100000000007' and topic = 'history'
order by created_at desc limit 10;
-- weight: 10
select id from questions where to_tsvector('english', question_text) @@ to_tsquery('english', 'k1234');
-- weight: 20
select id, title from quizzes where metadata @> '{{"course": "c12"}}';
-- weight: 30
select id, title from quizzes where status = 'active' order by created_at desc limit 20;
"""


@pytest.fixture(scope="module")
def quizmentor(servers: Servers) -> Iterator[str]:
    """A sick QuizMentor after some seconds of its operations."""
    if 18 not in installed():
        unavailable("PostgreSQL 18 is not installed")
    cluster = servers.cluster(18)
    with psycopg.connect(cluster.dsn(), autocommit=True) as admin:
        admin.execute("create database quizmentor_advised")
    dsn = cluster.dsn("quizmentor_advised")
    load(dsn, users=USERS, sick=True)
    application = cluster.dsn("quizmentor_advised", user="quizmentor_app")
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute("create extension if not exists pg_stat_statements")
        admin.execute("select pg_stat_statements_reset()")
    spec = LoadSpec(
        users=4, think_s=0.0, duration_s=10.0, warmup_s=0.0, scripts=scripts(Form.BAD, Size(users=USERS)), threads=1
    )
    run_load(spec, application, embedded_binaries(), samples_min=1)
    with psycopg.connect(application, autocommit=True, prepare_threshold=None) as conn:
        for _ in range(200):
            conn.execute(ACTIVE)
    yield dsn
    clean(cluster)


def advised(cli: CommandLine, dsn: str, *words: str) -> dict[str, Any]:
    ended = cli("advise", "indexes", dsn, "--format", "json", "--engine", "twin", *words)
    assert ended.code == 0, ended.err
    found: dict[str, Any] = json.loads(ended.out)
    assert found["planner"]["confidence"] == "good"
    return found


def begins(found: dict[str, Any]) -> set[tuple[str, str, str]]:
    """Table, method and first key of what is proposed."""
    return {(i["table"].removeprefix("public."), i["method"], i["columns"][0]) for i in found["proposed"]}


def why_not(found: dict[str, Any], table: str, begin: str) -> list[str]:
    return [
        one["reason"]
        for one in found["declined"]
        if one["table"] == f"public.{table}" and begin in " ".join(one["columns"])
    ]


def test_what_the_operations_need_is_found_from_what_was_counted(cli: CommandLine, quizmentor: str) -> None:
    found = advised(cli, quizmentor, "--plan", "plan.json")
    assert {
        ("questions", "btree", "quiz_id"),
        ("quizzes", "btree", "user_id"),
        ("events", "btree", "user_id"),
        ("answers", "btree", "user_id"),
        ("user_sessions", "btree", "token"),
        ("questions", "gin", "question_text"),
        ("questions", "gin", "question_words"),
    } <= begins(found)
    assert found["planner"]["total_after"] < found["planner"]["total_before"] / 4
    assert not [i for i in found["proposed"] if i["columns"][0] == "active"]
    assert why_not(found, "users", "active")
    gone = {one["name"]: one for one in found["dropped"]}
    assert gone["public.events_id_idx"]["why"] == "duplicate"
    assert gone["public.answers_question_user_idx"]["because_of"] == "public.answers_question_id_user_id_key"
    for one in gone.values():
        assert one["step"]["kind"] == "drop_index"
        assert one["undo_sql"].startswith("CREATE INDEX CONCURRENTLY")
        assert one["reason"]
    steps = [planned["step"] for planned in json.loads((cli.folder / "plan.json").read_text())["steps"]]
    kinds = [step["kind"] for step in steps]
    assert kinds == ["create_index"] * len(found["proposed"]) + ["drop_index"] * len(gone)


def test_plan_takes_what_the_advisor_says_with_what_can_go_last(cli: CommandLine, quizmentor: str) -> None:
    shown = cli("plan", "--from", "advise", quizmentor)
    assert shown.code == 0, shown.err
    assert "questions_quiz_id" in shown.out
    assert shown.out.rindex("CREATE INDEX CONCURRENTLY questions_quiz_id") < shown.out.index(
        "DROP INDEX CONCURRENTLY public.events_id_idx"
    )


def test_the_essential_indexes_are_found_from_a_file_but_for_the_useless(cli: CommandLine, quizmentor: str) -> None:
    (cli.folder / "app.sql").write_text(ESSENTIAL)
    found = advised(cli, quizmentor, "--workload", "app.sql")
    assert {
        ("users", "btree", "email"),
        ("quizzes", "btree", "user_id"),
        ("quizzes", "btree", "created_at"),
        ("questions", "btree", "quiz_id"),
        ("user_performance", "btree", "user_id"),
        ("quizzes", "gin", "metadata"),
    } <= begins(found)
    assert [i for i in found["proposed"] if i["method"] == "gin" and "to_tsvector" in i["columns"][0]]
    elsewhere = [i for i in found["proposed"] if i["table"] in {"public.users", "public.answers"}]
    assert [i["columns"][0] for i in elsewhere] == ["email"]
    assert "too many rows" in why_not(found, "users", "active")[0]  # users(active) where active
    assert why_not(found, "answers", "user_id")  # its unique key on both columns serves
    assert why_not(found, "quizzes", "status")  # created_at alone finds the newest active ones
