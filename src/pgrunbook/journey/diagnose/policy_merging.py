"""Several permissive policies for one command and the same roles, said as one: their conditions joined by OR.

PostgreSQL joins them so itself: rows to be read by OR of the USING clauses, new rows by OR of the WITH CHECK clauses
(of a policy without one its USING clause).  So one policy with both ORs means exactly the same, command by command.
"""

from __future__ import annotations

from collections.abc import Sequence

from pgrunbook.journey.diagnose.policies import create_policy, drop_policy
from pgrunbook.journey.observe.policies import Policy
from pgrunbook.journey.observe.relations import Relation
from pgrunbook.model import Advice, Lock


def merge(table: Relation, groups: Sequence[Sequence[Policy]]) -> Advice:
    """One policy a group, under the name of its first, in one transaction."""
    forth, back = ["BEGIN;"], ["BEGIN;"]
    for group in groups:
        first = group[0]
        using = _either([policy.using_expression for policy in group])
        checks = [policy.check_expression or policy.using_expression for policy in group]
        check = _either(checks) if any(policy.check_expression is not None for policy in group) else None
        forth += [f"{drop_policy(policy)};" for policy in group]
        forth.append(f"{create_policy(first, using=using, check=check)};")
        back.append(f"{drop_policy(first)};")
        back += [f"{create_policy(policy)};" for policy in group]
    return Advice(
        title=f"Merge the policies of {table.qualified} that hold for the same command and roles",
        sql="\n".join((*forth, "COMMIT;")),
        undo_sql="\n".join((*back, "COMMIT;")),
        lock=Lock.ACCESS_EXCLUSIVE,
        risk="It decides who sees which rows: compare before you agree; comments on the policies are lost.",
    )


def _either(conditions: Sequence[str | None]) -> str | None:
    distinct = list(dict.fromkeys(condition for condition in conditions if condition is not None))
    if not distinct:
        return None
    return distinct[0] if len(distinct) == 1 else " OR ".join(f"({condition})" for condition in distinct)
