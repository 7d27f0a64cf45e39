"""Give a database settings for its new sessions; the undo restores exactly what it had.

It holds for maintenance sessions too, which are then cut short by it; prefer set_role_setting for timeouts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pgrunbook.journey.steps.step import Stage
from pgrunbook.journey.steps.stored_settings import StoredSettings
from pgrunbook.model import Kind, quote


@dataclass(frozen=True, slots=True, kw_only=True)
class SetDatabaseSetting(StoredSettings):
    """`settings` are texts such as `statement_timeout=30s`; `reset` are names to take away."""

    kind: ClassVar[str] = "set_database_setting"
    stage: ClassVar[Stage] = Stage.SETTING

    database: str
    settings: tuple[str, ...] = ()
    reset: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        changes = [*(f"set {setting}" for setting in self.settings), *(f"reset {name}" for name in self.reset)]
        return f"For database {quote(self.database)}: {', '.join(changes)}"

    @property
    def object(self) -> tuple[Kind, str]:
        return Kind.DATABASE, quote(self.database)

    @property
    def risk(self) -> str:
        return (
            "Holds for new sessions, also for vacuumdb, migrations and reports; a role's own setting comes before it."
        )

    @property
    def _wanted(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return self.settings, self.reset

    @property
    def _owner(self) -> tuple[str | None, str | None]:
        return None, self.database


STEP = SetDatabaseSetting
