"""Advice that several checks give: vacuum, analyze, table and role settings, ending a session, dropping a slot."""

from __future__ import annotations

from pgrunbook.journey.observe.relations import Relation
from pgrunbook.journey.observe.sessions import Backend
from pgrunbook.journey.observe.settings import Setting
from pgrunbook.journey.steps import advise
from pgrunbook.journey.steps.analyze import Analyze
from pgrunbook.model import Advice, Lock, literal, quote


def vacuum(relation: Relation) -> Advice:
    """Vacuum and analyze one table (a partitioned one with all its partitions)."""
    return Advice(
        title=f"Vacuum {relation.qualified}",
        sql=f"VACUUM (ANALYZE) {relation.qualified};",
        lock=Lock.SHARE_UPDATE_EXCLUSIVE,
        risk="Costs reads and WAL; an empty end of the file is given back under a short ACCESS EXCLUSIVE lock.",
    )


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
    wanted = ", ".join(f"{name} = {value}" for name, value in options.items())
    before = {name: relation.option(name) for name in options}
    back = ", ".join(f"{name} = {value}" for name, value in before.items() if value is not None)
    gone = ", ".join(name for name, value in before.items() if value is None)
    table = f"ALTER {_word(relation)} {relation.qualified}"
    undo = [f"{table} SET ({back});"] if back else []
    undo += [f"{table} RESET ({gone});"] if gone else []
    return Advice(
        title=f"Set {', '.join(options)} of {relation.qualified}",
        sql=f"{table} SET ({wanted});",
        undo_sql="\n".join(undo),
        lock=Lock.SHARE_UPDATE_EXCLUSIVE,
    )


def reset_table_options(relation: Relation, names: tuple[str, ...]) -> Advice:
    """Take storage parameters away; the undo sets them again.  TOAST options are named `toast.…`."""
    table = f"ALTER {_word(relation)} {relation.qualified}"
    held = {name: _option(relation, name) for name in names}
    back = ", ".join(f"{name} = {value}" for name, value in held.items() if value is not None)
    return Advice(
        title=f"Reset {', '.join(names)} of {relation.qualified}",
        sql=f"{table} RESET ({', '.join(names)});",
        undo_sql=f"{table} SET ({back});" if back else None,
        lock=Lock.SHARE_UPDATE_EXCLUSIVE,
    )


def end_session(backend: Backend) -> Advice:
    """End one session, only if it is still the same one in the same transaction."""
    same = [f"pid = {backend.pid}"]
    if backend.backend_started_at is not None:
        same.append(f"backend_start = '{backend.backend_started_at.isoformat()}'")
    if backend.transaction_started_at is not None:
        same.append(f"xact_start = '{backend.transaction_started_at.isoformat()}'")
    return Advice(
        title=f"End session {backend.pid}",
        sql=f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {' AND '.join(same)};",
        risk="Its open transaction is rolled back, and its client gets an error.",
    )


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


def drop_slot(name: str) -> Advice:
    """Drop a replication slot."""
    return Advice(
        title=f"Drop replication slot {name}",
        sql=f"SELECT pg_drop_replication_slot({literal(name)});",
        risk="Its reader, if it ever comes back, must be built again: nothing can continue from a dropped slot.",
    )


def set_role_settings(role: str, values: dict[str, str], before: dict[str, str | None]) -> Advice:
    """Give a role settings for its new sessions; the undo restores what it had."""
    undo = [
        f"ALTER ROLE {quote(role)} RESET {name};"
        if before.get(name) is None
        else f"ALTER ROLE {quote(role)} SET {name} = {literal(str(before[name]))};"
        for name in values
    ]
    return Advice(
        title=f"Set {', '.join(values)} of role {quote(role)}",
        sql="\n".join(f"ALTER ROLE {quote(role)} SET {name} = {literal(value)};" for name, value in values.items()),
        undo_sql="\n".join(undo),
        risk="Holds for new sessions only; a statement that needs longer on purpose must raise the limit itself.",
    )


def set_database_settings(database: str, values: dict[str, str], before: dict[str, str | None]) -> Advice:
    """Give a database settings for its new sessions; the undo restores what it had."""
    where = f"ALTER DATABASE {quote(database)}"
    undo = [
        f"{where} RESET {name};" if before.get(name) is None else f"{where} SET {name} = {literal(str(before[name]))};"
        for name in values
    ]
    return Advice(
        title=f"Set {', '.join(values)} of database {quote(database)}",
        sql="\n".join(f"{where} SET {name} = {literal(value)};" for name, value in values.items()),
        undo_sql="\n".join(undo),
        risk="Holds for new sessions only, of maintenance too; a role's own setting comes before it.",
    )


def set_system(setting: Setting, value: str) -> Advice:
    """Change a setting of the whole server by ALTER SYSTEM; the undo gives back what ALTER SYSTEM said before."""
    needs_restart = setting.context == "postmaster"
    load = "-- then restart the server" if needs_restart else "SELECT pg_reload_conf();"
    was_ours = (setting.source_file or "").endswith("postgresql.auto.conf")
    back = f"SET {setting.name} = {literal(setting.value)}" if was_ours else f"RESET {setting.name}"
    return Advice(
        title=f"Set {setting.name} = {value}",
        sql=f"ALTER SYSTEM SET {setting.name} = {literal(value)};\n{load}",
        undo_sql=f"ALTER SYSTEM {back};\n{load}",
        risk="Takes effect only after a restart, which ends every session." if needs_restart else "",
    )


def _word(relation: Relation) -> str:
    return "MATERIALIZED VIEW" if relation.kind == "m" else "TABLE"


def _option(relation: Relation, name: str) -> str | None:
    if not name.startswith("toast."):
        return relation.option(name)
    prefix = name.removeprefix("toast.") + "="
    return next((o[len(prefix) :] for o in relation.toast_options if o.startswith(prefix)), None)
