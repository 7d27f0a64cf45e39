"""What the engine can be trusted with: whose eyes it plans with, what is not known, and the confidence after that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from pgrunbook.journey.advise.weighed import Weighed
from pgrunbook.journey.planner.engine import CannotPlan, Engine, nodes
from pgrunbook.journey.planner.twin.agreement import Agreement
from pgrunbook.journey.planner.twin.disarm import OWNER
from pgrunbook.journey.planner.twin.engine import Twin
from pgrunbook.journey.workload.catalog import Catalog
from pgrunbook.model import Blind

CONFIDENCE_OF_HYPOPG: Final = "fair"
REASON_OF_HYPOPG: Final = "the database's own planner was asked; HypoPG's indexes differ from real ones"


def past_row_security(
    engine: Engine, statements: Sequence[Weighed], catalog: Catalog, user: str
) -> tuple[list[Weighed], tuple[Blind, ...]]:
    """The statements as a role sees them that sees rows.

    No policy may be for whoever asks: then the planner knows that there are no rows, and every index is useless.  The
    twin can plan such statements as its tables' owner does.
    """
    seen, tables = [], dict[str, None]()
    with engine.trying() as trial:
        for statement in statements:
            oids = {access.table_oid for access in statement.asked.accesses.accesses}
            secured = [t.relation.qualified for t in (catalog.tables[o] for o in oids) if t.relation.row_security]
            if statement.role is None and secured:
                try:
                    plan = trial.explain(statement.text, settings=statement.settings).plan
                except CannotPlan:
                    plan = {}
                if any(node.get("One-Time Filter") == "false" for node in nodes(plan)):
                    tables.update(dict.fromkeys(secured))
                    seen.append(replace(statement, role=OWNER) if isinstance(engine, Twin) else statement)
                    continue
            seen.append(statement)
    how = "planned without policies" if isinstance(engine, Twin) else "no index can help there"
    return seen, tuple(
        Blind(
            object=name,
            reason=f"row security lets {user} see no rows: {how}",
            cure="Advise as a role whom its policies are for, or one with BYPASSRLS.",
        )
        for name in tables
    )


def unread_of(engine: Engine, already: Sequence[Blind]) -> Iterator[Blind]:
    """What the twin could not read of its source, but for what was said of the same object's statistics already."""
    said = {blind.object for blind in already if "statistics" in blind.reason}
    for blind in engine.blind if isinstance(engine, Twin) else ():
        if blind.object not in said or "statistics" not in blind.reason:
            yield blind


def confidence(engine: Engine, agreed: Agreement | None, unknown: Sequence[Blind]) -> tuple[str, str]:
    """How far the costs are to be trusted, and why; what could not be read lowers it."""
    if agreed is None and isinstance(engine, Twin):
        return "unknown", "the twin was not compared with the database"
    if agreed is None:
        return CONFIDENCE_OF_HYPOPG, REASON_OF_HYPOPG
    reason = agreed.in_words().partition(": confidence")[0]
    unread = sum(1 for blind in unknown if blind.cure)
    if agreed.confidence != "good" or not unread:
        return agreed.confidence, reason
    things = "one thing" if unread == 1 else f"{unread} things"
    return "fair", f"{reason}; but {things} could not be read, see below"
