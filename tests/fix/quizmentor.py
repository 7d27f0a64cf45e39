"""Small QuizMentors to compare: databases beside a test's own, made when first asked for and dropped with it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
import pytest
from psycopg import sql
from tests.fix.server import Servers, clean, installed, unavailable

from pgrunbook.demo.operations import OPERATIONS, Form, script_text
from pgrunbook.demo.quizmentor import Names, Size, load
from pgrunbook.lab import Cluster

USERS = 500
SIZE = Size(users=USERS)
TABLES = (
    "users",
    "quizzes",
    "questions",
    "answers",
    "user_performance",
    "user_sessions",
    "events",
    "audit_logs",
)
VARIABLE = re.compile(r"(?<!:):([a-z_][a-z0-9_]*)")


class Shared:
    """QuizMentors that the tests of one module share; each is made when a test first asks for it."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._dsns: dict[str, str] = {}

    def get(self, name: str, *, sick: bool, **options: Any) -> str:
        if name not in self._dsns:
            self._dsns[name] = make(self.cluster, name, sick=sick, **options)
        return self._dsns[name]

    @property
    def sick(self) -> str:
        return self.get("sick", sick=True)

    @property
    def healthy(self) -> str:
        return self.get("healthy", sick=False)


@pytest.fixture(scope="module")
def quizmentors(servers: Servers) -> Iterator[Shared]:
    """On PostgreSQL 18; a module that uses it has no test with a database of its own, for that one cleans up."""
    if 18 not in installed():
        unavailable("PostgreSQL 18 is not installed")
    yield Shared(servers.cluster(18))
    clean(servers.cluster(18))


def make(cluster: Cluster, name: str, *, sick: bool, **options: Any) -> str:
    with psycopg.connect(cluster.dsn(), autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    dsn = cluster.dsn(name)
    load(dsn, users=USERS, sick=sick, **options)
    return dsn


def application(dsn: str) -> psycopg.Connection[Any]:
    return psycopg.connect(dsn, user="quizmentor_app", autocommit=True, prepare_threshold=None)


def rows(dsn: str, text: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn, autocommit=True) as conn:
        return conn.execute(text).fetchall()  # type: ignore[no-any-return]


def checksums(dsn: str, names: Names | None = None) -> dict[str, tuple[int, int]]:
    """Count and sum of row hashes of every table; equal only if all rows are."""
    called = names if names is not None else Names()
    return {
        table: rows(dsn, called.render(f"select count(*), sum(hashtextextended(t::text, 0)) from {{{table}}} as t"))[0]
        for table in TABLES
    }


def statements(name: str, form: Form, drawn: Mapping[str, object]) -> list[str]:
    """An operation's statements with given values in place of drawn ones; `\\gset` stays at the end of its own."""
    operation = next(each for each in OPERATIONS if each.name == name)
    text = script_text(operation, form, SIZE, Names())
    body = "\n".join(line for line in text.splitlines() if not line.startswith(("\\set ", "--")))
    parts = re.split(r";\n|(?<=\\gset)\n", body + "\n")
    return [fill(part.strip(), drawn) for part in parts if part.strip()]


def fill(text: str, drawn: Mapping[str, object]) -> str:
    return VARIABLE.sub(lambda found: str(drawn[found[1]]) if found[1] in drawn else found[0], text)


def perform(conn: psycopg.Connection[Any], name: str, form: Form, **drawn: object) -> list[list[tuple[Any, ...]]]:
    """Run an operation and return the rows of each statement that gives any to the application."""
    known = dict(drawn)
    results = []
    for text in statements(name, form, known):
        statement = fill(text, known)
        cursor = conn.execute(statement.removesuffix("\\gset").encode())
        if cursor.description is None:
            continue
        found = cursor.fetchall()
        if statement.endswith("\\gset"):
            (row,) = found
            known |= {column.name: value for column, value in zip(cursor.description, row, strict=True)}
        elif "set_config" not in statement:
            results.append(found)
    return results
