"""Policy whose condition holds for every row.

Asks:    does a permissive policy that lets in API roles (elsewhere than on Supabase: everybody) have a condition that
         is always true, however it is written, without a restrictive policy that narrows it?
Source:  pg_policy, parsed; pg_attribute for the columns that cannot be NULL.
Blind:   policies of a table that is locked; expressions that do not parse.
Says:    {object} lets {roles} {commands} every row of {table}: its condition {condition} is always true.
Section: Supabase-Specific Optimizations
Leads:   replace_policy
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.exposure import NEEDS as EXPOSURE
from pgrunbook.journey.diagnose.exposure import is_supabase
from pgrunbook.journey.diagnose.policies import (
    NEEDS,
    ParsedPolicy,
    alter_roles,
    audience,
    create_policy,
    drop_policy,
    not_null_columns,
    parsed_policies,
)
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.tautology import is_always_true
from pgrunbook.journey.observe.columns import COLUMNS
from pgrunbook.journey.steps import advise
from pgrunbook.journey.steps.replace_policy import ReplacePolicy
from pgrunbook.journey.workload.conditions import disjuncts
from pgrunbook.model import Advice, Finding, Kind, Lock, Severity, Verdict
from pgrunbook.pg.parse import Tree

SERVER_SIDE = "service_role"


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding a policy: critical where it lets rows be written, a warning where it lets them be read."""
    policies, not_null = seen.derived(parsed_policies), seen.derived(not_null_columns)
    yield from policies.unseen
    by_table = policies.by_table
    for each in policies.parsed:
        policy = each.policy
        roles = audience(seen, policy.roles)
        if not policy.is_permissive or not roles:
            continue
        columns = not_null.get(policy.table_oid, frozenset())
        open_to = [
            command
            for command in each.commands
            if _is_open(each, command, columns) and not _is_narrowed(each, command, by_table[policy.table_oid], columns)
        ]
        if open_to:
            clause = "using" if each.using is not None and is_always_true(each.using, columns) else "check"
            yield Finding(
                severity=Severity.WARNING if open_to == ["select"] else Severity.CRITICAL,
                kind=Kind.POLICY,
                object=policy.qualified,
                related=(policy.table,),
                evidence={
                    "table": policy.table,
                    "commands": tuple(open_to),
                    "roles": roles,
                    "condition": each.text(clause),
                },
                advice=_advice(seen, each, columns),
            )


def _is_open(each: ParsedPolicy, command: str, not_null: frozenset[str]) -> bool:
    """Whether the policy alone lets this command at every row, or lets it write any row."""
    old = each.using is not None and is_always_true(each.using, not_null)
    check = each.effective_check
    new = check is not None and is_always_true(check, not_null)
    if command == "insert":
        return new
    return (old or new) if command == "update" else old


def _is_narrowed(each: ParsedPolicy, command: str, others: Sequence[ParsedPolicy], not_null: frozenset[str]) -> bool:
    """Whether a restrictive policy for the same roles holds the command back."""
    return any(
        not other.policy.is_permissive
        and command in other.commands
        and ("public" in other.policy.roles or set(each.policy.roles) <= set(other.policy.roles))
        and not _is_open(other, command, not_null)
        for other in others
    )


def _advice(seen: Seen, each: ParsedPolicy, not_null: frozenset[str]) -> tuple[Advice, ...]:
    """Leave out the part that is always true where another stands beside it; else keep the policy from the API."""
    narrowed = _narrowed(seen, each, not_null)
    return (narrowed,) if narrowed is not None else (_closed(seen, each),)


def _narrowed(seen: Seen, each: ParsedPolicy, not_null: frozenset[str]) -> Advice | None:
    texts: dict[str, str] = {}
    for clause, tree in each.trees.items():
        if is_always_true(tree, not_null):
            rest = _without_truths(tree, not_null)
            if rest is None:
                return None
            texts[clause] = seen.parser.text(rest)
    policy = each.policy
    step = ReplacePolicy(
        schema=policy.schema,
        table=policy.table_name,
        name=policy.name,
        using=texts.get("using"),
        check=texts.get("check"),
        old_using=policy.using_expression,
        old_check=policy.check_expression,
    )
    return advise(step, title=f"Leave out the part of {policy.qualified} that is always true")


def _without_truths(tree: Tree, not_null: frozenset[str]) -> Tree | None:
    """The branches of an OR that are real conditions."""
    branches = disjuncts(tree)
    rest = [branch for branch in branches if not is_always_true(branch, not_null)]
    if not rest or len(rest) == len(branches):
        return None
    return rest[0] if len(rest) == 1 else {"bool_expr": {"boolop": "OR_EXPR", "args": rest}}


def _closed(seen: Seen, each: ParsedPolicy) -> Advice:
    policy = each.policy
    risk = "What only this policy allowed fails until one with a condition takes its place."
    if is_supabase(seen):
        return Advice(
            title=f"Keep {policy.qualified} from the API until it has a condition",
            sql=f"{alter_roles(policy, [SERVER_SIDE])};",
            undo_sql=f"{alter_roles(policy, policy.roles)};",
            lock=Lock.ACCESS_EXCLUSIVE,
            risk=risk,
        )
    return Advice(
        title=f"Drop {policy.qualified} until there is a condition for it",
        sql=f"{drop_policy(policy)};",
        undo_sql=f"{create_policy(policy)};",
        lock=Lock.ACCESS_EXCLUSIVE,
        risk=risk,
    )


CHECK = Check(needs=(COLUMNS, *NEEDS, *EXPOSURE), judge=judge, limits=NoLimits())
