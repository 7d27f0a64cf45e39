"""Advice that several checks give: vacuum, analyze, table and role settings, ending a session, dropping a slot."""

from __future__ import annotations

from dataclasses import replace

from pgrunbook.journey.observe.relations import Relation
from pgrunbook.journey.observe.replication_slots import ReplicationSlot
from pgrunbook.journey.observe.sessions import Backend
from pgrunbook.journey.observe.settings import Setting
from pgrunbook.journey.steps import advise
from pgrunbook.journey.steps.analyze import Analyze
from pgrunbook.journey.steps.drop_slot import DropSlot
from pgrunbook.journey.steps.end_session import EndSession
from pgrunbook.journey.steps.set_autovacuum import SetAutovacuum
from pgrunbook.journey.steps.set_database_setting import SetDatabaseSetting
from pgrunbook.journey.steps.set_role_setting import SetRoleSetting
from pgrunbook.journey.steps.set_system_setting import STRONGER, SetSystemSetting
from pgrunbook.journey.steps.vacuum import Vacuum
from pgrunbook.model import Advice, Lock, literal, quote


def vacuum(relation: Relation) -> Advice:
    """Vacuum and analyze one table (a partitioned one with all its partitions)."""
    return advise(Vacuum(schema=relation.schema, table=relation.name))


def analyze(relation: Relation) -> Advice:
    """Gather a table's statistics."""
    return advise(Analyze(schema=relation.schema, table=relation.name))


def rewrite(relation: Relation) -> Advice:
    """Rewrite a bloated table.  Stops everybody for as long as it takes, so it is never done by ourselves."""
    return Advice(
        title=f"Rewrite {relation.qualified} in a maintenance window",
        sql=f"VACUUM (FULL, ANALYZE) {relation.qualified};",
        lock=Lock.ACCESS_EXCLUSIVE,
        risk="Nobody can read or write the table meanwhile, and it needs room for a second copy;"
        " pg_repack does the same while the application works.",
    )


def set_table_options(relation: Relation, options: dict[str, str]) -> Advice:
    """Set storage parameters; the undo restores what was there."""
    pairs = tuple(f"{name}={value}" for name, value in options.items())
    return _with_undo(SetAutovacuum(schema=relation.schema, table=relation.name, options=pairs), relation)


def reset_table_options(relation: Relation, names: tuple[str, ...]) -> Advice:
    """Take storage parameters away; the undo sets them again.  TOAST options are named `toast.…`."""
    return _with_undo(SetAutovacuum(schema=relation.schema, table=relation.name, reset=names), relation)


def end_session(backend: Backend) -> Advice:
    """End one session, only if it is still the same one in the same transaction."""
    return advise(EndSession.of(backend), title=f"End session {backend.pid}")


def cancel_query(backend: Backend) -> Advice:
    """Cancel what one session runs, only if it is still the same statement."""
    same = [f"pid = {backend.pid}", "state = 'active'"]
    if backend.query_started_at is not None:
        same.append(f"query_start = '{backend.query_started_at.isoformat()}'")
    return Advice(
        title=f"Cancel the query of session {backend.pid}",
        sql=f"SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE {' AND '.join(same)};",
        risk="The statement fails, and with it its transaction.",
    )


def roll_back(gid: str) -> Advice:
    """Roll a prepared transaction back (in its own database)."""
    return Advice(
        title=f"Roll prepared transaction {gid} back",
        sql=f"ROLLBACK PREPARED {literal(gid)};",
        risk="No way back: its work is lost.  If its coordinator decided to commit, run COMMIT PREPARED instead.",
    )


def drop_slot(slot: ReplicationSlot) -> Advice:
    """Drop a replication slot, only if it still stands where it was seen."""
    return advise(DropSlot(name=slot.name, restart_lsn=slot.restart_lsn, confirmed_flush_lsn=slot.confirmed_flush_lsn))


def set_role_settings(role: str, values: dict[str, str], before: dict[str, str | None]) -> Advice:
    """Give a role settings for its new sessions; the undo restores what it had."""
    step = SetRoleSetting(role=role, settings=tuple(f"{name}={value}" for name, value in values.items()))
    undo = step.undo_statements({"settings": _held(before)})
    return replace(advise(step, title=f"Set {', '.join(values)} of role {quote(role)}"), undo_sql=_script(undo))


def set_database_settings(database: str, values: dict[str, str], before: dict[str, str | None]) -> Advice:
    """Give a database settings for its new sessions; the undo restores what it had."""
    step = SetDatabaseSetting(database=database, settings=tuple(f"{name}={value}" for name, value in values.items()))
    undo = step.undo_statements({"settings": _held(before)})
    return replace(advise(step, title=f"Set {', '.join(values)} of database {quote(database)}"), undo_sql=_script(undo))


def set_system(setting: Setting, value: str) -> Advice:
    """Change a setting of the whole server by ALTER SYSTEM; the undo gives back what ALTER SYSTEM said before."""
    was_ours = (setting.source_file or "").endswith("postgresql.auto.conf")
    if setting.context != "postmaster":
        step = SetSystemSetting(name=setting.name, value=value)
        undo = step.undo_statements({"file_value": setting.value if was_ours else None})
        made = replace(advise(step, title=f"Set {setting.name} = {value}"), undo_sql=_script(undo))
        if setting.source not in STRONGER:
            return made
        where = f"The server's {setting.source} sets it, which comes before ALTER SYSTEM: change it there."
        return replace(made, step=None, risk=where)
    back = f"SET {setting.name} = {literal(setting.value)}" if was_ours else f"RESET {setting.name}"
    load = "-- then restart the server"
    return Advice(
        title=f"Set {setting.name} = {value}",
        sql=f"ALTER SYSTEM SET {setting.name} = {literal(value)};\n{load}",
        undo_sql=f"ALTER SYSTEM {back};\n{load}",
        risk="Takes effect only after a restart, which ends every session.",
    )


def reset_system(setting: str, held: str) -> Advice:
    """Take back what ALTER SYSTEM said, so that the files decide; the undo says it again."""
    step = SetSystemSetting(name=setting)
    undo = step.undo_statements({"file_value": held})
    return replace(advise(step, title=f"Let the file decide on {setting}"), undo_sql=_script(undo))


def _with_undo(step: SetAutovacuum, relation: Relation) -> Advice:
    options = (*relation.options, *(f"toast.{option}" for option in relation.toast_options))
    return replace(advise(step), undo_sql=_script(step.undo_statements({"options": options})))


def _held(before: dict[str, str | None]) -> tuple[str, ...]:
    return tuple(f"{name}={value}" for name, value in before.items() if value is not None)


def _script(statements: tuple[str, ...]) -> str:
    return "\n".join(f"{statement};" for statement in statements)
