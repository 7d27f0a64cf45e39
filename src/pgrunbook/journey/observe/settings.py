"""The server's settings: what holds, where it comes from, what roles and databases override, what the files say.

Values that may hold a password or a key (primary_conninfo, an application's own settings) never leave the server: they
read `(hidden)`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pgrunbook.model import Question

_QUANTITY = re.compile(r"\s*(-?\d+(?:\.\d*)?(?:e[+-]?\d+)?)\s*([A-Za-z]*)\s*\Z", re.IGNORECASE)
_BYTES = {"B": 1, "kB": 1024, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4}
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def quantity(value: str, unit: str | None) -> float | None:
    """A setting's text as bytes, seconds or a plain number; `unit` is what a bare number counts in (8kB, ms …).

    >>> quantity("16384", "8kB"), quantity("5s", "ms"), quantity("30000", "ms"), quantity("0.2", None)
    (134217728.0, 5.0, 30.0, 0.2)
    """
    match = _QUANTITY.match(value)
    if match is None:
        return None
    number = float(match[1])
    named = match[2] or (unit or "")
    multiple = re.match(r"\d+", named)
    if multiple is not None:
        number, named = number * int(multiple[0]), named[multiple.end() :]
    if named == "":
        return number
    factor = _BYTES.get(named, _SECONDS.get(named))
    return number * factor if factor is not None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting as our session sees it; `value` and `reset_value` are in `unit`.

    Settings that this role may not see (pg_read_all_settings) have no row at all.  `reset_value` is what a new session
    of our role in this database would get; `source_file` is shown to pg_read_all_settings; our own session changes only
    time limits, time zone and search path.
    """

    name: str
    value: str
    unit: str | None
    type: str
    context: str
    source: str
    source_file: str | None
    boot_value: str | None
    reset_value: str | None
    pending_restart: bool

    @property
    def is_on(self) -> bool:
        """Whether a boolean setting is on."""
        return self.value == "on"

    @property
    def number(self) -> float:
        """Its value in bytes, seconds or plain; 0 if it is no number."""
        found = quantity(self.value, self.unit)
        return found if found is not None else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleSetting:
    """A setting given to a role (None: all roles), in a database (None: all databases)."""

    role: str | None
    database: str | None
    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSetting:
    """One line of a configuration file; a later line of the same name wins, and `is_applied` says which did."""

    place: int
    file: str
    line: int
    name: str | None
    value: str | None
    is_applied: bool
    error: str | None


def by_name(rows: Sequence[Setting]) -> Mapping[str, Setting]:
    """Settings by their names."""
    return {row.name: row for row in rows}


_HERE = Path(__file__).parent
SETTINGS = Question(name="settings", row=Setting, folder=_HERE)
ROLE_SETTINGS = Question(name="role_settings", row=RoleSetting, folder=_HERE)
FILE_SETTINGS = Question(name="file_settings", row=FileSetting, folder=_HERE)
