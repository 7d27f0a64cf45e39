"""Time limits for the roles that got out of hand, so that the same does not happen again tonight.

By role and for this database only: ALTER DATABASE would cut maintenance and backups short, too, and a role's own value
hides it.  New sessions only; the undo restores exactly what was there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pgrunbook.journey.observe.sessions import Backend
from pgrunbook.journey.observe.settings import RoleSetting, quantity
from pgrunbook.journey.steps.set_role_setting import SetRoleSetting
from pgrunbook.procedures.emergency.limits import Limits

STATEMENT = "statement_timeout"
IDLE = "idle_in_transaction_session_timeout"


def prevention(
    touched: Iterable[Backend], given: Sequence[RoleSetting], limits: Limits, database: str
) -> tuple[SetRoleSetting, ...]:
    """One step a role: statement_timeout where statements were stopped, the other where transactions idled.

    A limit that a role has already and that is as strict is left as it is.
    """
    wanted: dict[str, dict[str, str]] = {}
    for backend in touched:
        if backend.role is None or backend.database != database:
            continue
        if backend.state == "active":
            wanted.setdefault(backend.role, {})[STATEMENT] = limits.statement_timeout
        elif backend.is_in_transaction:
            wanted.setdefault(backend.role, {})[IDLE] = limits.idle_timeout
    steps = []
    for role, values in sorted(wanted.items()):
        settings = tuple(
            f"{name}={value}"
            for name, value in sorted(values.items())
            if not _is_as_strict(_given(given, role, database).get(name), value)
        )
        if settings:
            steps.append(SetRoleSetting(role=role, database=database, settings=settings))
    return tuple(steps)


def _given(given: Sequence[RoleSetting], role: str, database: str) -> Mapping[str, str]:
    """What a new session of this role would get from pg_db_role_setting, in the server's own order."""
    found: dict[str, str] = {}
    for place in ((None, None), (None, database), (role, None), (role, database)):
        found |= {row.name: row.value for row in given if (row.role, row.database) == place}
    return found


def _is_as_strict(here: str | None, wanted: str) -> bool:
    has, wants = (quantity(value, "ms") if value is not None else None for value in (here, wanted))
    return bool(has) and wants is not None and (has or 0.0) <= wants
