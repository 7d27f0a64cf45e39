"""Paragraphs on a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from pgrunbook.report.lines import Lines


@pytest.mark.parametrize("width", range(20, 40))
def test_a_figure_is_never_parted_from_its_unit(width: int) -> None:
    drawn = io.StringIO()
    words = "took 1.22 s, 17 ms and 4.0 MB of it, 52 % in 3 h"
    Lines(Console(file=drawn, width=width)).paragraph(words)
    lines = drawn.getvalue().splitlines()
    assert " ".join(line.strip() for line in lines) == words
    assert not [line for line in lines if line[-1].isdigit()]
    assert max(map(len, lines)) <= width
