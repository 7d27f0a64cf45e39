"""What every change has: a plan to show, a check before, the prior state, do, undo, and a question to the catalog."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from enum import IntEnum
from typing import Any, ClassVar, Protocol, TypeAlias

from pgrunbook.errors import Refused
from pgrunbook.model import Kind, Lock, Server, StepSpec, Value
from pgrunbook.pg.connect import Session

Before: TypeAlias = Mapping[str, Value]


class Stage(IntEnum):
    """When a step's turn is within a plan: who holds old snapshots hinders all that follows, and drops come last.

    Policies come before indexes: they take a moment, and an index that made the same queries fast first would hide
    what a policy costs wherever many rows are read.
    """

    RELEASE = 1
    UPKEEP = 2
    RULE = 3
    BUILD = 4
    SETTING = 5
    REMOVE = 6


class Step(Protocol):
    """One change, as data: a frozen dataclass whose fields are plain values.

    `do` may be called again after a crash and must then be harmless.  All of it works over an autocommit connection.
    """

    kind: ClassVar[str]  # the module's name; StepSpec.kind
    stage: ClassVar[Stage]

    @property
    def title(self) -> str:
        """What it does, in words: Create index public.orders_customer_id_idx."""
        ...

    @property
    def object(self) -> tuple[Kind, str]:
        """What it changes, quoted as PostgreSQL would."""
        ...

    @property
    def lock(self) -> Lock:
        """The strongest table lock it takes."""
        ...

    @property
    def lock_budget_s(self) -> float:
        """The lock_timeout of one try; when it is spent, give up and try later."""
        ...

    @property
    def reversible(self) -> bool:
        """Whether there is an undo; said before anyone agrees."""
        ...

    @property
    def risk(self) -> str:
        """What may go wrong, in one sentence; "" when there is nothing to say."""
        ...

    def statements(self) -> tuple[str, ...]:
        """What `do` runs, as a person would type it."""
        ...

    def undo_statements(self, before: Before | None = None) -> tuple[str, ...]:
        """What `undo` runs; () when there is none, or none is known yet."""
        ...

    def precheck(self, conn: Session, server: Server) -> None:
        """Look whether it may be done; raises Refused, changes nothing."""
        ...

    def capture(self, conn: Session) -> Before:
        """The prior state, which is journalled with the intent."""
        ...

    def do(self, conn: Session) -> None:
        """Make the change; may be called again after a crash and must then be harmless."""
        ...

    def mend(self, conn: Session, before: Before) -> None:
        """Take away what a `do` that was cut short left behind; nothing when it left nothing or was done."""
        ...

    def undo(self, conn: Session, before: Before) -> None:
        """Restore the prior state, in another process, next week; Refused if someone changed the object since."""
        ...

    def done(self, conn: Session, before: Before | None = None) -> bool:
        """Whether the catalog, not our memory, says that it is done.

        Without `before` an event such as a vacuum is never done: nobody knows since when to look.
        """
        ...


class Change:
    """What most steps have in common: one atomic statement leaves nothing to mend, and can be taken back."""

    __slots__ = ()

    @property
    def lock(self) -> Lock:
        """No lock on any table."""
        return Lock.NONE

    @property
    def lock_budget_s(self) -> float:
        """Others queue behind a waiting lock no longer than this."""
        return 1.0

    @property
    def reversible(self) -> bool:
        """It can be undone."""
        return True

    @property
    def risk(self) -> str:
        """Nothing to say."""
        return ""

    def mend(self, conn: Session, before: Before) -> None:
        """Nothing is left behind."""


class Irreversible(Change):
    """For steps without an undo, which say so beforehand."""

    __slots__ = ()

    @property
    def reversible(self) -> bool:
        """There is no way back."""
        return False

    def undo_statements(self, before: Before | None = None) -> tuple[str, ...]:
        """There are none."""
        return ()

    def undo(self, conn: Session, before: Before) -> None:
        """Say that there is none."""
        raise Refused("this step has no undo")


def spec_of(step: Step) -> StepSpec:
    """The step as data, to be journalled or sent; `load` makes the step again."""
    return StepSpec(
        kind=step.kind,
        params={field.name: getattr(step, field.name) for field in fields(step)},  # type: ignore[arg-type]  # steps are dataclasses
    )


def params_of(spec: StepSpec) -> dict[str, Any]:
    """Parameters as the dataclass wants them: JSON's lists become tuples again."""
    return {name: _tuples(value) for name, value in spec.params.items()}


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list | tuple) else value
