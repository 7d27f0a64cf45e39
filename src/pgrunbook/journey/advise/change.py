"""How a setting is changed on this server: by ALTER SYSTEM, for the database, or through the managed service.

On a managed service nobody may ALTER SYSTEM: what sessions may set goes to the database, the rest is done with the
service's own tool, whose command is given as a comment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pgrunbook.journey.diagnose import mending
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.settings import ROLE_SETTINGS, SETTINGS, Setting, by_name, quantity
from pgrunbook.model import Advice, Service, quote
from pgrunbook.model.counsel import Takes
from pgrunbook.report.words import number, size

MB = 1024**2
_OURS = frozenset({"jit"})  # what observing sets for its own session
_TOOLS: Mapping[Service, str] = {
    Service.SUPABASE: "supabase --experimental postgres-config update --config {name}={value}",
    Service.RDS: 'aws rds modify-db-parameter-group --db-parameter-group-name GROUP --parameters "ParameterName={name},'
    'ParameterValue={raw},ApplyMethod={apply}"',
    Service.AURORA: "aws rds modify-db-cluster-parameter-group --db-cluster-parameter-group-name GROUP --parameters"
    ' "ParameterName={name},ParameterValue={raw},ApplyMethod={apply}"',
    Service.CLOUD_SQL: "gcloud sql instances patch INSTANCE --database-flags={name}={raw}  # with all other flags, too",
    Service.AZURE: "az postgres flexible-server parameter set --name {name} --value {raw} -g GROUP -s SERVER",
    Service.NEON: "# Neon sets {name} by the size of the compute; a session setting can be given to a role",
}


def settings_of(seen: Seen) -> Mapping[str, Setting]:
    """Settings by their names (through `seen.derived`), as other sessions have them."""
    rows = (
        replace(row, value=row.reset_value) if row.name in _OURS and row.reset_value is not None else row
        for row in seen.rows(SETTINGS)
    )
    return by_name(tuple(rows))


def change(seen: Seen, setting: Setting, value: str) -> tuple[Takes, Advice]:
    """The change that gives the server this value, with its undo, and when it counts."""
    is_plain, is_superuser = seen.server.service is Service.PLAIN, seen.server.is_superuser
    if setting.context == "user" and not (is_plain and is_superuser):
        advice = for_database(seen, setting, value)
        return Takes.NEW_SESSIONS, advice if is_superuser else _with_risk(advice, "Needs the owner of the database.")
    if not is_plain:
        return _takes(setting), _by_tool(seen.server.service, setting, value)
    advice = mending.set_system(setting, value)
    return _takes(setting), advice if is_superuser else _with_risk(advice, "Needs a superuser.")


def overridden(seen: Seen, setting: Setting) -> str:
    """Who keeps a value of their own whatever the server's is: `role report, database shop`; "" when nobody does."""
    owners = [
        " in ".join(
            part
            for part in (
                f"role {quote(row.role)}" if row.role is not None else "",
                f"database {quote(row.database)}" if row.database is not None else "",
            )
            if part
        )
        for row in seen.rows_or_none(ROLE_SETTINGS) or ()
        if row.name == setting.name and (row.role or row.database)
    ]
    return ", ".join(owners[:5]) + (" …" if len(owners) > 5 else "")


def _with_risk(advice: Advice, words: str) -> Advice:
    return replace(advice, risk=" ".join(part for part in (words, advice.risk) if part))


def for_database(seen: Seen, setting: Setting, value: str) -> Advice:
    """The value for new sessions of this database."""
    database = seen.server.database
    held = {
        row.name: row.value
        for row in seen.rows_or_none(ROLE_SETTINGS) or ()
        if row.role is None and row.database == database
    }
    return mending.set_database_settings(database, {setting.name: value}, {setting.name: held.get(setting.name)})


def for_role(seen: Seen, role: str, setting: Setting, value: str) -> Advice:
    """The value for new sessions of one role."""
    held = {
        row.name: row.value
        for row in seen.rows_or_none(ROLE_SETTINGS) or ()
        if row.role == role and row.database is None
    }
    return mending.set_role_settings(role, {setting.name: value}, {setting.name: held.get(setting.name)})


def shown(setting: Setting) -> str:
    """The setting's value as people read it."""
    unit = (setting.unit or "").lstrip("0123456789")
    if setting.number < 0:
        return f"{setting.value} (automatic)" if setting.value == "-1" else setting.value
    if unit in {"B", "kB", "MB", "GB"}:
        return size(setting.number)
    if unit in {"us", "ms", "s", "min", "h", "d"}:
        return seconds_value(setting.number)
    return setting.value


def bytes_value(amount: float) -> str:
    """Bytes as a setting's value, in whole units that PostgreSQL reads.

    >>> bytes_value(4 * 1024**3), bytes_value(1.5 * 1024**3), bytes_value(64 * 1024)
    ('4GB', '1536MB', '64kB')
    """
    whole = round(amount)
    for unit, factor in (("GB", 1024 * MB), ("MB", MB)):
        if whole >= factor and whole % factor == 0:
            return f"{whole // factor}{unit}"
    return f"{max(1, round(whole / MB))}MB" if whole >= MB else f"{max(64, whole // 1024)}kB"


def seconds_value(amount: float) -> str:
    """Seconds as a setting's value.

    >>> seconds_value(900), seconds_value(90), seconds_value(0.002)
    ('15min', '90s', '2ms')
    """
    if amount >= 60 and amount % 60 == 0:
        return f"{amount / 60:.0f}min"
    return f"{number(amount)}s" if amount >= 1 else f"{number(amount * 1000)}ms"


def _takes(setting: Setting) -> Takes:
    return Takes.RESTART if setting.context == "postmaster" else Takes.RELOAD


def _by_tool(service: Service, setting: Setting, value: str) -> Advice:
    """A comment with the service's own command; there is no SQL for it."""
    apply = "pending-reboot" if setting.context == "postmaster" else "immediate"

    def told(text: str, raw: str) -> str:
        return f"-- {_TOOLS[service].format(name=setting.name, value=text, raw=raw, apply=apply)}"

    return Advice(
        title=f"Set {setting.name} = {value} with the service's own tool",
        sql=told(value, _raw(setting, value)),
        undo_sql=told(f"{setting.value}{_unit_of_one(setting)}", setting.value),
        risk="Takes effect only after a restart, which ends every session." if apply == "pending-reboot" else "",
    )


def _raw(setting: Setting, value: str) -> str:
    """The value in the setting's own unit, as parameter groups want it."""
    wanted, one = quantity(value, setting.unit), quantity("1", setting.unit)
    if not setting.unit or wanted is None or not one:
        return value
    return f"{wanted / one:.0f}"


def _unit_of_one(setting: Setting) -> str:
    """The unit to write behind a bare number; none where it counts in pages."""
    return setting.unit if setting.unit and not setting.unit[0].isdigit() else ""
