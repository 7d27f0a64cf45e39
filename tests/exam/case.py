"""What a case of the exam is.  Cases stand in tests/exam/cases/, a module a family, in a list named CASES."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from tests.fix.server import FreshDatabase

Stage = Callable[[FreshDatabase], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A planted fault: found only with this check, this object and one of these severities.

    `sql` runs as superuser in an empty database; `stage` holds what lives in sessions, slots or other servers while the
    database is diagnosed.  `object` may be "?" where it is known only at run time: `stage` then yields it.
    `blindfold` is a role's options (such as "login") for which the check must answer Blind; None: rights do not matter.
    """

    name: str
    check: str
    object: str
    severity: tuple[str, ...] = ("warning",)
    sql: tuple[str, ...] = ()
    stage: Stage | None = None
    columns: tuple[str, ...] | None = None
    majors: str = ">= 14"
    blindfold: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoy:
    """Something healthy that looks like a fault: any finding at warning or above is a false alarm."""

    name: str
    sql: tuple[str, ...] = ()
    stage: Stage | None = None
    majors: str = ">= 14"
