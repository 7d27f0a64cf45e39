"""The child process that parses: taken over by the next parser, and never with an answer that was not read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pgrunbook.pg import parse
from pgrunbook.pg.parse import ParseFailed, Parser


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    parse._end_the_resting()
    yield
    parse._end_the_resting()


def child_of(parser: Parser) -> int:
    assert parser._child is not None
    return parser._child.pid


def test_the_next_parser_takes_the_child_over() -> None:
    with Parser() as first:
        assert first.normalized("select 1") == "select $1"
        pid = child_of(first)
    with Parser() as second:
        assert second.normalized("select 'a'") == "select $1"
        assert child_of(second) == pid


def test_two_at_once_have_a_child_each_and_one_rests() -> None:
    with Parser() as first, Parser() as second:
        assert first.fingerprint("select 1") == second.fingerprint("select 2")
        assert child_of(first) != child_of(second)
        ended = first._child, second._child
    assert [child.poll() is None for child in ended if child is not None].count(True) == 1


def test_an_interrupt_between_question_and_answer_ends_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    with Parser() as first:
        first.normalized("select 1")
        child = first._child
        assert child is not None
        assert child.stdout is not None

        def interrupted() -> str:
            raise KeyboardInterrupt

        monkeypatch.setattr(child.stdout, "readline", interrupted)
        with pytest.raises(KeyboardInterrupt):
            first.normalized("select 'lost'")
    assert child.poll() is not None
    with Parser() as second:
        assert second.normalized("select 2, 'kept'") == "select $1, $2"


def test_a_child_that_died_at_rest_is_replaced() -> None:
    with Parser() as first:
        first.normalized("select 1")
        child = first._child
    assert child is not None
    child.kill()
    child.wait()
    with Parser() as second:
        assert second.normalized("select 1") == "select $1"
        with pytest.raises(ParseFailed):
            second.normalized("selec 1 from")
