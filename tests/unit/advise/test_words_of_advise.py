"""Flags of `advise` that make no sense together are refused before any server is asked."""

from __future__ import annotations

import pytest

from pgrunbook.surfaces.cli.main import run


@pytest.mark.parametrize(
    "words,said",
    [
        ("advise settings --instances 3 --pool-size 3", "--instances says nothing about settings"),
        ("advise vacuum --memory 4GB", "--memory says nothing about vacuum"),
        ("advise pool --instances 3", "belong together"),
        ("advise settings --format ini", "--format ini is for pools"),
        ("advise settings --memory lots", "is no size of memory"),
        ("advise pool --pooler-version new", "is no version of PgBouncer"),
        ("advise index --memory 4GB", "--memory is for the topics"),
        ("advise weather", "there is no topic 'weather'"),
        ("advise vacuum --since nothing.json", "cannot read the snapshot"),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_is_asked(
    words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*words.split(), "postgresql://nobody@127.0.0.1:1/none"]) == 64
    assert said in capsys.readouterr().err
