"""WITH … AS MATERIALIZED → without: conditions from outside reach into the CTE, and its indexes can be used.

Since PostgreSQL 12 a CTE that is read once and has no side effects is part of the statement, unless MATERIALIZED
fences it off.  What it gives is the same either way.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.advise.queries.context import Context
from pgrunbook.journey.advise.queries.proposal import Proposal, whole
from pgrunbook.journey.advise.queries.relational import is_steady, scopes
from pgrunbook.journey.advise.queries.trial import Trial
from pgrunbook.journey.workload.scope import count_references
from pgrunbook.pg.trees import nodes


def propose(context: Context, trial: Trial) -> Iterator[Proposal]:  # noqa: ARG001 - the signature of all of them
    """One proposal for all fences that can fall."""
    tree, _ = scopes(context)
    freed = []
    for kind, node in nodes([tree]):
        if kind != "with_clause" or node.get("recursive"):
            continue
        for item in node.get("ctes", ()):
            cte = item["common_table_expr"]
            query = cte.get("ctequery", {})
            is_read = "select_stmt" in query and not any(
                inner.get("locking_clause") for _, inner in nodes([query]) if isinstance(inner, dict)
            )
            if cte.get("ctematerialized") != "CTEMaterializeAlways" or not is_read or not is_steady(query, context):
                continue
            if count_references(tree, cte["ctename"]) == 1:
                cte["ctematerialized"] = "CTEMaterializeDefault"
                freed.append(str(cte["ctename"]))
    if not freed:
        return
    sql, parameters = context.sql(tree), context.query.asked.parameters
    yield Proposal(
        name="unfenced_cte",
        title="Let conditions reach into the CTE",
        sql=sql,
        why="it is read once and has no side effects, so that it gives the same rows wherever it is evaluated",
        facts=(
            f"{', '.join(freed)}: a SELECT without locks, read once",
            "no function in it is volatile",
        ),
        parameters=parameters,
        pair=whole(context.query.text, sql, parameters=parameters),
    )
