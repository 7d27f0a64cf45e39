"""What could not be seen when indexes were chosen for the workload, and what would cure it."""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import table_trees
from pgrunbook.journey.workload.reading import Reckoned
from pgrunbook.model import Blind, dotted, quote


def blind_spots(seen: Seen, reckoned: Reckoned) -> Iterator[Blind]:
    """Tables that dear statements read whole and that could not be judged; statements that could not be parsed."""
    yield from _locked(seen, reckoned)
    facts, user = reckoned.facts, quote(seen.server.user)
    for oid, columns in reckoned.choice.hidden.items():
        relation = facts.catalog.tables[oid].relation
        cure = f"GRANT SELECT ON {relation.qualified} TO {user};"
        if relation.readable and relation.row_security:
            cure = f"ALTER ROLE {user} BYPASSRLS;"
        names = ", ".join(dotted(column) for column in columns)
        yield Blind(object=relation.qualified, reason=f"the statistics of {names} are hidden from {user}", cure=cure)
    for oid, columns in reckoned.choice.unanalyzed.items():
        if oid in reckoned.choice.hidden:
            continue
        table = facts.catalog.tables[oid].relation.qualified
        names = ", ".join(dotted(column) for column in columns)
        yield Blind(object=table, reason=f"{names}: never analysed", cure=f"ANALYZE {table};")
    for oid, expressions in reckoned.choice.veiled.items():
        yield Blind(
            object=facts.catalog.tables[oid].relation.qualified,
            reason=f"statements search by {', '.join(expressions)}; pg_stat_statements hides the name that stands at …",
            cure="Look again while a session that has just run such a statement is connected.",
        )
    if reckoned.workload.unparsed:
        yield Blind(reason=f"{reckoned.workload.unparsed} statements could not be parsed")
    if reckoned.workload.ambiguous:
        names = ", ".join(quote(name) for name in reckoned.workload.ambiguous[:5])
        yield Blind(
            reason=f"statements name {names} without a schema: several have such a table, none of them on the search"
            " path that the role starts with",
            cure="ALTER ROLE … SET search_path = …; or name the schema in the statements.",
        )


def _locked(seen: Seen, reckoned: Reckoned) -> Iterator[Blind]:
    trees = table_trees(seen)
    for oid in dict.fromkeys(chosen.candidate.table_oid for chosen in reckoned.choice.chosen):
        if reckoned.facts.locked & {member.oid for member in trees[oid].members}:
            yield Blind(
                object=trees[oid].qualified,
                reason="its index definitions are locked, so that an index may be there already",
                cure="Try again when the lock is gone.",
            )
