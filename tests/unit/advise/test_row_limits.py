"""A hidden LIMIT is planned with the rows that the statement really gave."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pgrunbook.journey.advise.row_limits import ways
from pgrunbook.journey.workload.access import Accesses
from pgrunbook.journey.workload.demand import Asked
from pgrunbook.pg.parse import Parser

NEWEST = "select id from q where a = $1 order by b limit $2 offset $3"


@pytest.fixture(scope="module")
def parser() -> Iterator[Parser]:
    with Parser() as made:
        yield made


def asked(calls: int, rows: int) -> Asked:
    return Asked(
        queryids=(1,),
        role=None,
        query="",
        calls=calls,
        total_ms=1.0,
        rows=rows,
        blocks=0,
        accesses=Accesses(accesses=(), unknown=()),
    )


def test_the_same_number_of_rows_each_time_is_the_limit(parser: Parser) -> None:
    (text,) = ways(NEWEST, asked(10, 200), parser)
    assert text.lower() == "select id from q where a = $1 order by b limit 20 offset $2"


def test_a_limit_that_is_met_at_times_only_is_planned_both_ways(parser: Parser) -> None:
    limited, unlimited = (text.lower() for text in ways(NEWEST, asked(10, 203), parser))
    assert limited == "select id from q where a = $1 order by b limit 21 offset $2"
    assert unlimited == "select id from q where a = $1 order by b offset $2"


@pytest.mark.parametrize(
    "text",
    [
        "select id from q where a = $1 order by b limit 3",
        "select id from q where a = $1 order by b fetch first $2 rows with ties",
        "select id from (select id from q order by b limit $1) as newest",
        "select id from q where a = $1 limit $1",
        "update q set a = $1",
        "select from where",
    ],
)
def test_a_statement_without_a_hidden_limit_stays_as_it_is(parser: Parser, text: str) -> None:
    assert ways(text, asked(10, 203), parser) == (text,)


def test_a_few_calls_say_nothing(parser: Parser) -> None:
    assert ways(NEWEST, asked(4, 80), parser) == (NEWEST,)
