"""What a judge says: a Finding, or Blind when it could not look.  "I could not look" is never "all is well"."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

Scalar: TypeAlias = str | int | float | bool | None
Value: TypeAlias = Scalar | tuple[Scalar, ...]


class Severity(StrEnum):
    """How much it matters.  A value, never guessed from a text."""

    CRITICAL = "critical"
    WARNING = "warning"
    NOTICE = "notice"

    @property
    def rank(self) -> int:
        """0 is the worst."""
        return list(Severity).index(self)


class Kind(StrEnum):
    """The kind of object that a finding is about."""

    TABLE = "table"
    INDEX = "index"
    COLUMN = "column"
    CONSTRAINT = "constraint"
    POLICY = "policy"
    TRIGGER = "trigger"
    FUNCTION = "function"
    VIEW = "view"
    SCHEMA = "schema"
    ROLE = "role"
    DATABASE = "database"
    SETTING = "setting"
    EXTENSION = "extension"
    SLOT = "slot"
    SESSION = "session"
    TRANSACTION = "transaction"
    QUERY = "query"
    SERVER = "server"


class Basis(StrEnum):
    """Whether a figure was measured or reckoned.  The two are never mixed."""

    ESTIMATED = "estimated"
    MEASURED = "measured"


class Lock(StrEnum):
    """The strongest lock that a change takes on a table, weakest first; NONE takes no table lock."""

    NONE = "NONE"
    ACCESS_SHARE = "ACCESS SHARE"
    ROW_EXCLUSIVE = "ROW EXCLUSIVE"
    SHARE_UPDATE_EXCLUSIVE = "SHARE UPDATE EXCLUSIVE"
    SHARE = "SHARE"
    SHARE_ROW_EXCLUSIVE = "SHARE ROW EXCLUSIVE"
    ACCESS_EXCLUSIVE = "ACCESS EXCLUSIVE"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSpec:
    """A step as data: its kind names the module in journey/steps/, its parameters make the step again elsewhere."""

    kind: str
    params: Mapping[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One way to mend a finding.  `step` is None where we do not do it by ourselves."""

    title: str
    sql: str
    undo_sql: str | None = None
    lock: Lock = Lock.NONE
    risk: str = ""
    step: StepSpec | None = None

    @property
    def reversible(self) -> bool:
        """Whether an undo exists."""
        return self.undo_sql is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What mending would bring, in numbers with units in their names."""

    basis: Basis
    figures: Mapping[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One defect.  `object` is quoted as PostgreSQL would; `check` is filled in by the engine."""

    severity: Severity
    kind: Kind
    object: str
    evidence: Mapping[str, Value] = field(default_factory=dict)
    related: tuple[str, ...] = ()
    effect: Effect | None = None
    advice: tuple[Advice, ...] = ()
    check: str = ""
    title: str = ""
    detail: str = ""
    section: str = ""

    @property
    def fingerprint(self) -> str:
        """A name that outlives restarts: a hash of check, kind, object and columns; no OIDs, no figures.

        A table may lack two indexes on the same columns: one that is no B-tree is told apart by its method.
        """
        columns = self.evidence.get("columns")
        identity = [
            self.check,
            self.kind.value,
            self.object,
            list(columns) if isinstance(columns, tuple) else columns,
        ]
        method = self.evidence.get("method")
        if self.kind is Kind.TABLE and isinstance(columns, tuple) and method not in {None, "btree"}:
            identity.append(str(method))
        return hashlib.sha256(json.dumps(identity, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()[
            :16
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Blind:
    """A check, or one object of it, that could not be judged: why, and the GRANT or command that cures it."""

    reason: str
    cure: str = ""
    object: str | None = None
    check: str = ""


Verdict: TypeAlias = Finding | Blind
