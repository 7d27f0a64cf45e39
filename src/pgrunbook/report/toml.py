"""Values as TOML, for what we write into pgrunbook.toml or show of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+\Z")


def value_text(value: Any) -> str:
    r"""A value as it stands right of the equals sign.

    >>> value_text("a\n\x7f\"b"), value_text((1, True)), value_text(date(2026, 12, 31)), value_text([{"b": 1e9}])
    ('"a\\n\\u007f\\"b"', '[1, true]', '2026-12-31', '[{b = 1000000000.0}]')
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, tuple | list):
        return "[" + ", ".join(value_text(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{table_key(str(key))} = {value_text(item)}" for key, item in value.items()) + "}"
    return value.isoformat() if isinstance(value, date) else str(value)


def table_key(name: str) -> str:
    """A key, quoted if it must be.

    >>> table_key("dead_rows"), table_key("a b")
    ('dead_rows', '"a b"')
    """
    return name if _BARE.match(name) else value_text(name)
