"""Nobody counts what queries cost.

Asks:    is pg_stat_statements loaded, installed in this database and switched on, where there is data to query?
Source:  pg_extension, shared_preload_libraries, pg_stat_statements.track; rows of the tables.
Blind:   whether the library is loaded, without pg_read_all_settings, where the extension is installed.
Says:    {object} is {state}: slow queries cannot be told from fast ones.
Section: Query Optimization
Leads:   CREATE EXTENSION pg_stat_statements
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.diagnose import mending
from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import table_trees
from pgrunbook.journey.observe.relations import RELATIONS
from pgrunbook.journey.observe.settings import SETTINGS, by_name
from pgrunbook.journey.observe.table_activity import TABLE_ACTIVITY
from pgrunbook.journey.steps import advise
from pgrunbook.journey.steps.create_extension import CreateExtension
from pgrunbook.model import Advice, Blind, Finding, Kind, Service, Severity, Verdict, literal, quote

NAME = "pg_stat_statements"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """A database without `rows` rows in all its tables has no queries that are worth to be counted."""

    rows: int = 1000


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding about the extension."""
    trees = {tree.root.oid: tree for tree in seen.derived(table_trees).values()}
    if sum(tree.rows for tree in trees.values()) < limits.rows:
        return
    settings = by_name(seen.rows(SETTINGS))
    libraries = settings.get("shared_preload_libraries")
    is_loaded = f"{NAME}.max" in settings if libraries is None else NAME in libraries.value
    installed = seen.server.extensions.get(NAME)
    track = settings.get(f"{NAME}.track")
    if installed is None:
        create = f"CREATE EXTENSION {NAME};"
        advice = (
            advise(CreateExtension(name=NAME, into_schema=_schema(seen)), title=f"Install {NAME}")
            if is_loaded
            else _load(libraries.value if libraries is not None else "", then=create)
        )
        yield _finding("not installed in this database" if is_loaded else "neither loaded nor installed", advice)
    elif libraries is None and track is None:
        yield Blind(
            reason=f"whether the server loads {NAME} is hidden from {seen.server.user}",
            cure=f"GRANT pg_read_all_settings TO {quote(seen.server.user)};",
        )
    elif libraries is not None and not is_loaded:
        yield _finding("installed, but the server does not load its library", _load(libraries.value))
    elif track is not None and track.value == "none":
        yield _finding("switched off (track = none)", mending.set_system(track, "top"))


def _schema(seen: Seen) -> str:
    """Supabase has a schema of its own for extensions; its API does not show what is in there."""
    return "extensions" if seen.server.service is Service.SUPABASE else "public"


def _load(libraries: str, then: str = "") -> Advice:
    wanted = f"{libraries},{NAME}" if libraries.strip() else NAME
    after = f"\n-- restart the server, then\n{then}" if then else "\n-- then restart the server"
    return Advice(
        title=f"Load {NAME}",
        sql=f"ALTER SYSTEM SET shared_preload_libraries = {', '.join(map(literal, _split(wanted)))};{after}",
        undo_sql="ALTER SYSTEM RESET shared_preload_libraries;\n-- then restart the server",
        risk="Takes effect only after a restart, which ends every session.",
    )


def _split(libraries: str) -> list[str]:
    return [part.strip().strip('"') for part in libraries.split(",") if part.strip()]


def _finding(state: str, advice: Advice) -> Finding:
    return Finding(
        severity=Severity.WARNING,
        kind=Kind.EXTENSION,
        object=NAME,
        evidence={"state": state},
        advice=(advice,),
    )


CHECK = Check(needs=(RELATIONS, SETTINGS), likes=(TABLE_ACTIVITY,), judge=judge, limits=Limits())
