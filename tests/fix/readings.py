"""Whether the rows of a reading have the types that their dataclass promises (names alone are not enough)."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any

from pgrunbook.model import Question


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of exactly this type; an int is no float."""
    origin = typing.get_origin(hint)
    if origin in {types.UnionType, typing.Union}:
        return any(fits(value, part) for part in typing.get_args(hint))
    if origin is tuple:
        return isinstance(value, tuple) and all(fits(item, typing.get_args(hint)[0]) for item in value)
    return type(value) is hint


def check_types(question: Question[Any], rows: tuple[Any, ...]) -> None:
    """Compare every field of every row."""
    hints = typing.get_type_hints(question.row)
    for row in rows:
        for field in dataclasses.fields(row):
            value = getattr(row, field.name)
            assert fits(value, hints[field.name]), f"{question.name}.{field.name}: {value!r} is no {hints[field.name]}"
