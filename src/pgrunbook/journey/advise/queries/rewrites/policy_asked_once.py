"""Row security of the statement's tables: policies that ask who is calling once a row, or by an operator without index.

The statement stays as it is; the policy is said otherwise, and shows everybody the same rows.  The change is the same
step that `diagnose` advises.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.advise.queries.context import Context
from pgrunbook.journey.advise.queries.proposal import Proposal
from pgrunbook.journey.advise.queries.trial import Trial
from pgrunbook.journey.diagnose.auth_calls import auth_functions, bare_calls
from pgrunbook.journey.diagnose.policies import ParsedPolicy, parsed_policies
from pgrunbook.journey.diagnose.policy_columns import has_gin
from pgrunbook.journey.diagnose.policy_rewrites import rewrite
from pgrunbook.journey.diagnose.row_subqueries import row_subselects
from pgrunbook.journey.steps import advise
from pgrunbook.journey.workload.candidate import Candidate, IndexKey
from pgrunbook.journey.workload.expressions import column_key
from pgrunbook.model import Advice, NotRead
from pgrunbook.pg.trees import names, nodes


def propose(context: Context, trial: Trial) -> Iterator[Proposal]:  # noqa: ARG001 - the signature of all of them
    """One proposal a policy that can be said for less."""
    try:
        policies = context.seen.derived(parsed_policies)
    except NotRead:
        return
    oids = {access.table_oid for access in context.accesses.accesses if access.is_secured}
    for each in policies.parsed:
        if each.policy.table_oid not in oids or "select" not in each.commands:
            continue
        column = _unindexed_array(context, each)
        step = rewrite(context.seen, each, lambda _: True, indexed=column)
        if step is None:
            continue
        advice = advise(step)
        yield Proposal(
            name="policy_asked_once",
            title=f"Say policy {each.policy.qualified} for less",
            sql=advice.sql,
            same="The same rows for everybody",
            why="who is calling is the same for the whole statement, a sub-select that is turned round keeps its rows,"
            " and @> is true for the same arrays as = ANY",
            facts=tuple(_facts(context, each, column)),
            caveat=f"it changes the policy for every statement; undo: {advice.undo_sql}" if advice.undo_sql else "",
            is_planned=False,
            unalike="a policy must be changed before it can be planned; pgrunbook rehearse tries it on a copy",
            is_read=False,
            incomparable="it changes a policy",
            needs=_gin(context, each, column),
        )


def _facts(context: Context, each: ParsedPolicy, column: str | None) -> Iterator[str]:
    functions = context.seen.derived(auth_functions)
    using = each.using
    if using is None:
        return
    called = sorted(bare_calls(using, functions))
    if called:
        yield f"{', '.join(called)}: not volatile, and takes no column"
    if any(True for _ in row_subselects(using)):
        yield "its sub-select depends on the row by an equality only, and counts only where it is true"
    if column is not None:
        yield f"{each.table.qualified}.{column} is an array, and counts only where it is found in it"


def _unindexed_array(context: Context, each: ParsedPolicy) -> str | None:
    """An array column that is searched by = ANY and has no GIN index."""
    table = context.facts.of(each.policy.table_oid)
    for kind, node in nodes([each.using or {}]):
        if kind != "a_expr" or node.get("kind") != "AEXPR_OP_ANY":
            continue
        name = names(node.get("rexpr", {}).get("column_ref", {}).get("fields"))[-1:]
        column = table.table.columns.get(name[0]) if name else None
        if column is not None and column.type_category == "A" and not has_gin(column.name, table):
            return column.name
    return None


def _gin(context: Context, each: ParsedPolicy, column: str | None) -> tuple[Advice, ...]:
    if column is None:
        return ()
    key = IndexKey(key=column_key(column))
    advice = context.advice_to_make(Candidate(table_oid=each.policy.table_oid, method="gin", equal=(key,)))
    return (advice,) if advice is not None else ()
