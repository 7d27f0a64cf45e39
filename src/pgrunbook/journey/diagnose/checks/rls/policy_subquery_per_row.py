"""Policy with a sub-select that runs once for every row.

Asks:    does a policy hold a sub-select that reads a table and depends on the row that is judged?
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
from pgrunbook.journey.diagnose.policies import NEEDS, ParsedPolicy, parsed_policies
from pgrunbook.journey.diagnose.row_subqueries import asked_once, row_subselects, tables_read
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.steps import advise
from pgrunbook.journey.steps.replace_policy import ReplacePolicy
from pgrunbook.model import Advice, Finding, Kind, Severity, Verdict


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding a policy.  A check of rows that are written runs once a row anyway, and only for those."""
    policies = seen.derived(parsed_policies)
    yield from policies.unseen
    for each in policies.parsed:
        found = list(row_subselects(each.using)) if each.using is not None else []
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
                advice=_advice(seen, each),
            )


def _advice(seen: Seen, each: ParsedPolicy) -> tuple[Advice, ...]:
    turned = asked_once(each.using) if each.using is not None else None
    if turned is None:
        return ()
    policy = each.policy
    step = ReplacePolicy(
        schema=policy.schema,
        table=policy.table_name,
        name=policy.name,
        using=seen.parser.text(turned),
        old_using=policy.using_expression,
    )
    return (advise(step, title=f"Ask the sub-select of {policy.qualified} once a statement"),)


CHECK = Check(needs=NEEDS, judge=judge, limits=NoLimits())
