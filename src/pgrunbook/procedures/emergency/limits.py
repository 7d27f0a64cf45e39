"""The thresholds of emergencies: the runbook's by default, the configuration's [emergency], then the command line's."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pgrunbook.errors import UsageError

SECTION = "emergency"
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|h|d)\Z")
_UNITS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%\Z")


class Procedure(StrEnum):
    """What kind of emergency it is."""

    OVERLOAD = "overload"
    RUNAWAY = "runaway"
    EXHAUSTION = "exhaustion"
    IDLE = "idle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """When a session is touched, and how many at most.

    `older_than_s`: the runbook's five minutes of one statement, or of a transaction that idles.  `idle_for_s`: its ten
    minutes.  `blocking_for_s`: ten times deadlock_timeout; healthy waits for a lock are shorter.  `top`: how many of
    the longest, 0 for all.  `saturation_ratio`: the runbook's pool utilization; below it nobody gains when an idle
    session goes.  `max_sessions` and `max_share_ratio` (of the connections) cap one run: all who are ended come
    back at once.  `cool_down_s`: until the next run, so that what came back can be seen first.  `cancel_wait_s` and
    `settle_s`: how long a statement may take to obey, and one whose blocker has gone to free others.  `connect_wait_s`:
    how long a connection is waited for where they have run out.
    """

    older_than_s: float = 300.0
    idle_for_s: float = 600.0
    blocking_for_s: float = 10.0
    top: int = 0
    saturation_ratio: float = 0.8
    max_sessions: int = 20
    max_share_ratio: float = 0.5
    cancel_wait_s: float = 5.0
    settle_s: float = 20.0
    cool_down_s: float = 60.0
    connect_wait_s: float = 10.0
    vacuum_tables: int = 3
    statement_timeout: str = "30s"
    idle_timeout: str = "60s"
    spared_roles: tuple[str, ...] = ()
    spared_applications: tuple[str, ...] = ()


# What the runbook says differently of one procedure: two minutes and the five longest of runaway queries.
OWN: Mapping[Procedure, Mapping[str, Any]] = {
    Procedure.OVERLOAD: {},
    Procedure.RUNAWAY: {"older_than_s": 120.0, "top": 5},
    Procedure.EXHAUSTION: {},
    Procedure.IDLE: {"older_than_s": 600.0},
}


def limits_for(procedure: Procedure, section: Mapping[str, Any], flags: Mapping[str, Any], *, origin: str) -> Limits:
    """Defaults, then [emergency], then [emergency.<procedure>], then what the command line gave (None and (): nothing).

    Keys are named without their unit: `older_than = "5min"`, `max_share = "50 %"`.  Raises UsageError.
    """
    limits = dataclasses.replace(Limits(), **OWN[procedure])
    tables = {name: value for name, value in section.items() if isinstance(value, Mapping)}
    for name in tables:
        if name not in set(Procedure):
            raise UsageError(
                f"{origin}: there is no procedure [{SECTION}.{name}]", hint=f"Known: {', '.join(Procedure)}."
            )
    for name, table in tables.items():  # another procedure's table must be right, too
        _with(limits, table, f"{origin}: {SECTION}.{name}.")
    plain = {name: value for name, value in section.items() if name not in tables}
    limits = _with(limits, plain, f"{origin}: {SECTION}.")
    limits = _with(limits, tables.get(procedure.value, {}), f"{origin}: {SECTION}.{procedure}.")
    told = _with(limits, {name: value for name, value in flags.items() if value not in (None, ())}, "--")
    return dataclasses.replace(  # who is protected by the file stays so
        told,
        spared_roles=tuple(dict.fromkeys((*limits.spared_roles, *told.spared_roles))),
        spared_applications=tuple(dict.fromkeys((*limits.spared_applications, *told.spared_applications))),
    )


def keys() -> Mapping[str, str]:
    """Every key as it is written, with its field."""
    return {re.sub(r"_(s|ratio)\Z", "", field.name): field.name for field in dataclasses.fields(Limits)}


def _with(limits: Limits, given: Mapping[str, Any], where: str) -> Limits:
    known = keys()
    read: dict[str, Any] = {}
    for key, value in given.items():
        name = known.get(key)
        if name is None:
            raise UsageError(f"{where}{key}: there is no such threshold", hint=f"Known: {', '.join(known)}.")
        shown = key.replace("_", "-") if where == "--" else key
        read[name] = _read(name, value, getattr(limits, name), f"{where}{shown}")
    return dataclasses.replace(limits, **read)


def _read(name: str, value: Any, default: Any, what: str) -> Any:
    if name.endswith("_s"):
        return seconds(value, what)
    if name.endswith("_ratio"):
        return _ratio(value, what)
    if isinstance(default, int):
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise UsageError(f"{what} must be a whole number, not {value!r}")
        return value
    if isinstance(default, tuple):
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list | tuple) or not all(isinstance(text, str) and text for text in texts):
            raise UsageError(f"{what} must be a list of names, not {value!r}")
        return tuple(texts)
    seconds(value, what)
    return str(value)


def seconds(value: Any, what: str) -> float:
    """A length of time: `5min`, `90s`, `1.5h`, or a number of seconds.  Raises UsageError.

    >>> seconds("5min", "x"), seconds("250 ms", "x"), seconds(90, "x")
    (300.0, 0.25, 90.0)
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf"):
        return float(value)
    match = _DURATION.match(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise UsageError(f"{what} must be a length of time such as 5min or 90s, not {value!r}")
    return float(match[1]) * _UNITS[match[2]]


def _ratio(value: Any, what: str) -> float:
    match = _SHARE.match(value.strip()) if isinstance(value, str) else None
    if match is not None:
        number = float(match[1]) / 100
    else:
        try:
            number = float("nan") if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = float("nan")
    if not 0 <= number <= 1:
        raise UsageError(f"{what} must be a share such as 50% or 0.5, not {value!r}")
    return number
