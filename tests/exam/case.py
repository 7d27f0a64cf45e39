"""What a case of the exam is.  Cases stand in tests/exam/cases/, a module a family, in a list named CASES."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from tests.fix.server import FreshDatabase

from pgrunbook.model import Snapshot

Stage = Callable[[FreshDatabase], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """What a stage yields when more than the object's name is known only at run time: another way in."""

    object: str = ""
    dsn: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A planted fault: found only with this check, this object and one of these severities.

    `sql` runs as superuser in an empty database; `stage` holds what lives in sessions, slots or other servers while the
    database is diagnosed.  `object` may be "?" where it is known only at run time: `stage` then yields it.
    `blindfold` is a role's options (such as "login") for which the check must answer Blind; None: rights do not matter.
    `expect` is the configuration's [expect]; `limits` are thresholds by check, for what takes hours to come about;
    `altered` changes what was read, for what cannot be planted on these servers (another machine, another release).
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
    expect: Mapping[str, int] = field(default_factory=dict)
    limits: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    altered: Callable[[Snapshot], Snapshot] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoy:
    """Something healthy that looks like a fault: any finding at warning or above is a false alarm."""

    name: str
    sql: tuple[str, ...] = ()
    stage: Stage | None = None
    majors: str = ">= 14"
    expect: Mapping[str, int] = field(default_factory=dict)
    limits: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blindfold:
    """A place from which these checks cannot see: each must answer Blind, with what would cure it, and find nothing.

    `role` is the options of a role of ours to ask as; `member_of` what it is a member of; None: as superuser.
    `about` is an object that cannot be seen while the rest can; then `seen` names findings (check, object) that stay.
    """

    name: str
    checks: tuple[str, ...]
    sql: tuple[str, ...] = ()
    stage: Stage | None = None
    role: str | None = None
    member_of: str = ""
    about: str | None = None
    seen: tuple[tuple[str, str], ...] = ()
    majors: str = ">= 14"
