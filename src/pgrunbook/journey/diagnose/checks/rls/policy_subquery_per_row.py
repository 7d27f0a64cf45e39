"""Policy with a sub-select that runs once for every row.

Asks:    does a policy hold a sub-select that reads a table and depends on the row that is judged?  An EXISTS that only
         compares columns for equality is none: the planner makes a hash of it where that is cheaper.
Source:  pg_policy, parsed.
Blind:   policies of a table that is locked; expressions that do not parse.
Says:    {object} reads {reads} anew for each of the {table_rows} rows of {table} that it judges.  Turned round, the
         sub-select is asked once a statement.
Section: Supabase-Specific Optimizations
Leads:   replace_policy
"""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.policies import NEEDS, parsed_policies
from pgrunbook.journey.diagnose.policy_rewrites import reads_once, rewrite_advice
from pgrunbook.journey.diagnose.row_subqueries import is_planners_choice, row_subselects, tables_read
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.functions import FUNCTIONS
from pgrunbook.journey.workload.facts import LIKES
from pgrunbook.journey.workload.facts import NEEDS as FACTS
from pgrunbook.model import Finding, Kind, Severity, Verdict


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding a policy.  A check of rows that are written runs once a row anyway, and only for those."""
    policies = seen.derived(parsed_policies)
    yield from policies.unseen
    for each in policies.parsed:
        inner = row_subselects(each.using) if each.using is not None else ()
        found = [sub_link for sub_link in inner if not is_planners_choice(sub_link)]
        if found:
            rows = each.table.estimated_rows
            yield Finding(
                severity=Severity.WARNING,
                kind=Kind.POLICY,
                object=each.policy.qualified,
                related=(each.policy.table,),
                evidence={
                    "reads": tuple(dict.fromkeys(name for sub_link in found for name in tables_read(sub_link))),
                    "table": each.policy.table,
                    "table_rows": round(rows) if rows >= 0 else None,
                },
                advice=rewrite_advice(
                    seen, each, reads_once, title=f"Ask the sub-select of {each.policy.qualified} once a statement"
                ),
            )


CHECK = Check(needs=NEEDS, likes=(FUNCTIONS, *FACTS, *LIKES), judge=judge, limits=NoLimits())
