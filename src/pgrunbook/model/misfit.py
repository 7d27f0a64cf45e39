"""Whether values that came from a file are what a dataclass says its fields are.

Dataclasses do not look; a plan that somebody edited would fail far from where it was read.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from typing import Any, Union, get_args, get_origin, get_type_hints


def misfit(row: type[Any], values: Mapping[str, Any]) -> str:
    """What keeps these from being the fields of `row`, in words; "" when nothing does.

    >>> @dataclasses.dataclass(kw_only=True)
    ... class Point:
    ...     name: str
    ...     at: tuple[int, ...] = ()
    >>> misfit(Point, {"name": "a"}), misfit(Point, {"name": 5}), misfit(Point, {"name": "a", "at": (1, "b")})
    ('', 'name cannot be 5', "at cannot be (1, 'b')")
    >>> misfit(Point, {}), misfit(Point, {"name": "a", "color": "red"})
    ('name is missing', 'color is unknown')
    """
    fields = {field.name: field for field in dataclasses.fields(row)}
    hints = get_type_hints(row)
    for name, value in values.items():
        if name not in fields:
            return f"{name} is unknown"
        if not _fits(value, hints[name]):
            return f"{name} cannot be {value!r}"
    for name, field in fields.items():
        is_needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if is_needed and name not in values:
            return f"{name} is missing"
    return ""


def _fits(value: Any, hint: Any) -> bool:
    origin = get_origin(hint)
    if origin in {Union, types.UnionType}:
        return any(_fits(value, one) for one in get_args(hint))
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(item, get_args(hint)[0]) for item in value)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)
