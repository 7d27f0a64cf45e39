"""Policy asks who is calling once for every row.

Asks:    does a policy call auth.uid(), auth.jwt(), auth.role(), auth.email(), current_setting() or a helper that hides
         such a call, outside of a sub-select that is evaluated once a statement?
Source:  pg_policy, parsed; helpers by pg_proc, parsed.
Blind:   policies of a table that is locked; expressions that do not parse.
Says:    {functions} runs once a row in {object}, for {table_rows} rows of {table}.  In a sub-select of its own it runs
         once a statement.
Section: Supabase-Specific Optimizations
Leads:   replace_policy
"""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.diagnose.auth_calls import AuthFunctions, auth_functions, bare_calls
from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.policies import ParsedPolicy
from pgrunbook.journey.diagnose.policy_rewrites import asks_once, rewrite_advice
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.functions import FUNCTIONS
from pgrunbook.journey.observe.policies import POLICIES, Policy
from pgrunbook.journey.observe.relations import RELATIONS, Relation
from pgrunbook.journey.workload.facts import LIKES
from pgrunbook.journey.workload.facts import NEEDS as FACTS
from pgrunbook.model import Blind, Finding, Kind, Severity, Verdict
from pgrunbook.pg.parse import ParseFailed, Tree


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """Judge each policy of a table whose row security is on."""
    functions = seen.derived(auth_functions)
    tables = {relation.oid: relation for relation in seen.rows(RELATIONS)}
    reading = seen.reading(POLICIES)
    for oid in reading.skipped:
        if oid in tables and tables[oid].row_security:
            yield Blind(object=tables[oid].qualified, reason="the table is locked", cure="Try again without the lock.")
    for policy in reading.rows:
        table = tables.get(policy.table_oid)
        if table is not None and table.row_security:
            yield from _judge_policy(seen, policy, table, functions)


def _judge_policy(seen: Seen, policy: Policy, table: Relation, functions: AuthFunctions) -> Iterator[Verdict]:
    trees: dict[str, Tree] = {}
    for clause, text in (("using", policy.using_expression), ("check", policy.check_expression)):
        if text is None:
            continue
        try:
            trees[clause] = seen.parser.expression(text)
        except ParseFailed as exc:
            yield Blind(object=policy.qualified, reason=f"its {clause} expression cannot be parsed: {exc}")
            return
    called = frozenset[str]().union(*(bare_calls(tree, functions) for tree in trees.values()))
    if called:
        yield Finding(
            severity=Severity.WARNING,
            kind=Kind.POLICY,
            object=policy.qualified,
            evidence={
                "functions": tuple(sorted(f"{name}()" for name in called)),
                "table": table.qualified,
                "command": policy.command,
                "roles": policy.roles,
                "table_rows": max(round(table.estimated_rows), 0) if table.estimated_rows >= 0 else None,
            },
            advice=rewrite_advice(
                seen,
                ParsedPolicy(policy=policy, table=table, using=trees.get("using"), check=trees.get("check")),
                lambda better: asks_once(seen, better),
                title=f"Evaluate it once a statement in {policy.qualified}",
            ),
        )


CHECK = Check(needs=(POLICIES, RELATIONS), likes=(FUNCTIONS, *FACTS, *LIKES), judge=judge, limits=NoLimits())
