"""Schemas: which there are, so that a mistyped --schema is an error and no empty answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pgrunbook.model import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """One schema that is not the server's own."""

    oid: int
    name: str
    owner: str | None
    of_extension: bool


SCHEMAS = Question(name="schemas", row=Schema, folder=Path(__file__).parent)
