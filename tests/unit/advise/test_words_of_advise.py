"""Flags of `advise` that make no sense together are refused before any server is asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pgrunbook.model.advice import IndexAdvice
from pgrunbook.report.index_advice import render_text
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
        ("advise indexes --budget -5MB", "is no size"),
        ("advise indexes --budget much", "is no size"),
        ("advise weather", "there is no topic 'weather'"),
        ("advise vacuum --since nothing.json", "cannot read the snapshot"),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_is_asked(
    words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*words.split(), "postgresql://nobody@127.0.0.1:1/none"]) == 64
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "content,said",
    [
        (b"", "holds no statement"),
        (b"-- a comment only\n;;\n", "holds no statement"),
        (bytes(range(128, 256)), "cannot read the workload"),
        (b"select 1\0 from t;", "is no text"),
    ],
)
def test_a_file_that_is_no_workload_is_said_before_anything_is_asked(
    content: bytes, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "app.sql").write_bytes(content)
    words = ["advise", "indexes", "--workload", str(tmp_path / "app.sql"), "postgresql://nobody@127.0.0.1:1/none"]
    assert run(words) == 64
    assert said in capsys.readouterr().err


def test_a_budget_of_nothing_is_named_as_the_reason() -> None:
    nothing = IndexAdvice(proposed=(), declined=(), blind=(), workload_ms=10.0, engine="twin", budget_bytes=0)
    assert render_text(nothing).startswith("A budget of 0 bytes has room for no index.")
    assert "Nothing is worth it" in render_text(replace(nothing, budget_bytes=1 << 20))
