"""Give a role settings for its new sessions, in every database or in one; the undo restores exactly what it had."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pgrunbook.journey.steps.step import Stage
from pgrunbook.journey.steps.stored_settings import StoredSettings
from pgrunbook.model import Kind, quote


@dataclass(frozen=True, slots=True, kw_only=True)
class SetRoleSetting(StoredSettings):
    """`settings` are texts such as `statement_timeout=30s`; `reset` are names to take away."""

    kind: ClassVar[str] = "set_role_setting"
    stage: ClassVar[Stage] = Stage.SETTING

    role: str
    settings: tuple[str, ...] = ()
    reset: tuple[str, ...] = ()
    database: str | None = None

    @property
    def title(self) -> str:
        where = f" in database {quote(self.database)}" if self.database is not None else ""
        changes = [*(f"set {setting}" for setting in self.settings), *(f"reset {name}" for name in self.reset)]
        return f"For role {quote(self.role)}{where}: {', '.join(changes)}"

    @property
    def object(self) -> tuple[Kind, str]:
        return Kind.ROLE, quote(self.role)

    @property
    def _wanted(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return self.settings, self.reset

    @property
    def _owner(self) -> tuple[str | None, str | None]:
        return self.role, self.database


STEP = SetRoleSetting
