"""Conditions that are always true, and conditions that only look like it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pgrunbook.journey.diagnose.tautology import is_always_true
from pgrunbook.pg.parse import Parser

NOT_NULL = frozenset({"id", "name", "flag"})
ALWAYS = (
    "true",
    "(true)",
    "NOT false",
    "1 = 1",
    "(2 > 1)",
    "1 <> 2",
    "1.5 <= 1.50",
    "'a'::text = 'a'::text",
    "'x'::public.mood = 'x'::public.mood",
    "'true'::boolean",
    "id = id",
    "id >= id",
    "(id)::bigint = (id)::bigint",
    "id IS NOT NULL",
    "id IS NOT DISTINCT FROM id",
    "gap IS NOT DISTINCT FROM gap",
    "NOT (gap IS DISTINCT FROM gap)",
    "(gap IS NULL) OR (gap IS NOT NULL)",
    "(gap = 3) OR true",
    "(gap = 3) OR (id IS NOT NULL) OR (name = 'x'::text)",
    "(1 = 1) AND (id = id)",
    "1 = ANY (ARRAY[1, 2])",
    "1 IN (1, 2)",
    "id = ANY (ARRAY[id, 7])",
    "name ~~ '%'::text",
    "EXISTS ( SELECT 1)",
    "EXISTS ( SELECT 1 WHERE true)",
    "( SELECT true AS bool)",
    "COALESCE(true, gap)",
    "(true IS TRUE)",
    "(false IS NOT TRUE)",
    "flag IS NOT UNKNOWN",
)
SOMETIMES = (
    "false",
    "1 = 2",
    "gap = gap",
    "gap IS NOT NULL",
    "id = 1",
    "flag",
    "id <> id",
    "name ~~ 'a%'::text",
    "(id = id) AND (gap = 3)",
    "(gap IS NULL) OR (id = 3)",
    "NOT true",
    "NULL::boolean",
    "random() = random()",
    "auth.uid() IS NOT NULL",
    "'2024-01-01'::date = '2024-1-1'::date",
    "'a'::text < 'b'::text",
    "id = ANY (ARRAY[1, 2])",
    "EXISTS ( SELECT 1 FROM other)",
    "EXISTS ( SELECT 1 WHERE false)",
    "( SELECT auth.uid() AS uid) = id",
    "COALESCE(gap, true)",
    "other.id = other.id",
    "(true IS FALSE)",
    "name ~~ name",
    "tags @> tags",
)


@pytest.fixture(scope="module")
def parser() -> Iterator[Parser]:
    with Parser() as made:
        yield made


@pytest.mark.parametrize("condition", ALWAYS)
def test_it_is_always_true(parser: Parser, condition: str) -> None:
    assert is_always_true(parser.expression(condition), NOT_NULL)


@pytest.mark.parametrize("condition", SOMETIMES)
def test_it_is_not_always_true(parser: Parser, condition: str) -> None:
    assert not is_always_true(parser.expression(condition), NOT_NULL)
