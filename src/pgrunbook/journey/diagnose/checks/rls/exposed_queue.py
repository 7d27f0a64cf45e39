"""Message queue that the API reaches without row security.

Asks:    does an API role hold a privilege on a pgmq queue (q_*) whose row security is off?
Source:  pg_class, pg_attribute and access lists.
Says:    {roles} may {privileges} the messages of {object}, and row security is off: whoever has the address of the API
         can read, forge or delete them.  Exposed are {exposed_schemas} ({exposed_by}).
Section: Supabase-Specific Optimizations
Leads:   enable_row_security
"""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.exposure import NEEDS, exposure, is_supabase
from pgrunbook.journey.diagnose.queues import is_queue, queue_tables
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import table_trees
from pgrunbook.journey.observe.columns import COLUMNS
from pgrunbook.journey.observe.relations import RELATIONS
from pgrunbook.journey.steps import advise
from pgrunbook.journey.steps.enable_row_security import EnableRowSecurity
from pgrunbook.model import Finding, Kind, Severity, Verdict


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding a queue.  Its schema need not be exposed: functions that are, pgmq_public's above all, lead to it."""
    if not is_supabase(seen):
        return
    reach, queues = seen.derived(exposure), seen.derived(queue_tables)
    for tree in {tree.root.oid: tree for tree in seen.derived(table_trees).values()}.values():
        bare = [m for m in tree.members if is_queue(m, queues) and not m.row_security and reach.privileges(m)]
        if not bare:
            continue
        first, *others = sorted(bare, key=lambda m: (m.oid != tree.root.oid, m.qualified))
        held = reach.privileges(first)
        step = EnableRowSecurity(schema=first.schema, table=first.name, partitions=tuple(m.qualified for m in others))
        yield Finding(
            severity=Severity.CRITICAL,
            kind=Kind.TABLE,
            object=tree.qualified,
            evidence={
                "privileges": tuple(sorted({p for privileges in held.values() for p in privileges})),
                "roles": tuple(held),
                **reach.evidence,
            },
            advice=(advise(step),),
        )


CHECK = Check(needs=(RELATIONS, COLUMNS, *NEEDS), judge=judge, limits=NoLimits())
