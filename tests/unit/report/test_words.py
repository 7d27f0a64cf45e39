"""What a check says, where figures are missing."""

from __future__ import annotations

import pytest

from pgrunbook.report.words import sentences


@pytest.mark.parametrize(
    "template, said",
    [
        ("{seen} wait.  Its state is: {hidden}.  It runs.", "3 wait. It runs."),
        ("It ran for {seen}: {hidden}.", "It ran for 3."),
        ("It ran for {seen}: {hidden}", "It ran for 3."),
        ("Each write keeps both; the copy takes {hidden}.", "Each write keeps both."),
        ("{seen} rows; {hidden} dead; {hidden} frozen.", "3 rows."),
        ("It says: {text}.", "It says: select 1: 2. x; y."),
        ("{hidden} calls: {text}", "select 1: 2. x; y"),
        ("Nothing is known: {hidden}.", ""),
    ],
)
def test_what_is_hidden_leaves_no_sentence_open(template: str, said: str) -> None:
    assert sentences(template, {"seen": 3, "text": "select 1: 2. x; y", "hidden": None}) == said
