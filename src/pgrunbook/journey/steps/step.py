"""What every change has: a plan to show, a check before, the prior state, do, undo, and a question to the catalog."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar, Protocol, TypeAlias

from pgrunbook.model import Kind, Lock, Server, StepSpec, Value
from pgrunbook.pg.connect import Session

Before: TypeAlias = Mapping[str, Value]


class Step(Protocol):
    """One change, as data: a frozen dataclass whose fields are plain values.

    `do` may be called again after a crash and must then be harmless.  All of it works over an autocommit connection.
    """

    kind: ClassVar[str]  # the module's name; StepSpec.kind

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

    def undo(self, conn: Session, before: Before) -> None:
        """Restore the prior state, in another process, next week; Refused if someone changed the object since."""
        ...

    def done(self, conn: Session) -> bool:
        """Whether the catalog, not our memory, says that it is done."""
        ...


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
