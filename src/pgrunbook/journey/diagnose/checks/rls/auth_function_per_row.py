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

from pgrunbook.journey.diagnose.auth_calls import AuthFunctions, auth_functions, bare_calls, wrap
from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.functions import FUNCTIONS
from pgrunbook.journey.observe.policies import POLICIES, Policy
from pgrunbook.journey.observe.relations import RELATIONS, Relation
from pgrunbook.journey.steps import advise
from pgrunbook.journey.steps.replace_policy import ReplacePolicy
from pgrunbook.model import Advice, Blind, Finding, Kind, Severity, Verdict
from pgrunbook.pg.parse import ParseFailed, Parser, Tree


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
            yield from _judge_policy(seen.parser, policy, table, functions)


def _judge_policy(parser: Parser, policy: Policy, table: Relation, functions: AuthFunctions) -> Iterator[Verdict]:
    trees: dict[str, Tree] = {}
    for clause, text in (("using", policy.using_expression), ("check", policy.check_expression)):
        if text is None:
            continue
        try:
            trees[clause] = parser.expression(text)
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
            advice=_advice(parser, policy, trees, functions),
        )


def _advice(parser: Parser, policy: Policy, trees: dict[str, Tree], functions: AuthFunctions) -> tuple[Advice, ...]:
    """The same policy with each call wrapped; nothing where a helper depends on the row: that needs a person."""
    texts: dict[str, str] = {}
    for clause, tree in trees.items():
        wrapped = wrap(tree, functions)
        if wrapped is None:
            return ()
        texts[clause] = parser.text(wrapped)
    step = ReplacePolicy(
        schema=policy.schema,
        table=policy.table_name,
        name=policy.name,
        using=texts.get("using"),
        check=texts.get("check"),
        old_using=policy.using_expression,
        old_check=policy.check_expression,
    )
    return (advise(step, title=f"Evaluate it once a statement in {policy.qualified}"),)


CHECK = Check(needs=(POLICIES, RELATIONS), likes=(FUNCTIONS,), judge=judge, limits=NoLimits())
