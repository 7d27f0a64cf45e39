"""N+1: a statement that is sent once for each row of another one → one statement for all of its keys.

LATERAL runs the statement as it is for each key of an array, so that whatever it says (ORDER BY, LIMIT, aggregates)
holds for each key by itself, as it did in a call of its own; the planner joins it where it can.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pgrunbook.journey.advise.queries.context import Context
from pgrunbook.journey.advise.queries.proposal import Proposal
from pgrunbook.journey.advise.queries.relational import is_steady, scopes
from pgrunbook.journey.advise.queries.trial import MakePair, Pair, Trial
from pgrunbook.model import quote
from pgrunbook.pg.parse import Tree
from pgrunbook.pg.trees import names, nodes

CALLS_MIN = 100
ROWS_MAX = 1000.0
MAX_PARAMETERS = 3
SAMPLE = 20  # keys that are compared on real data
_PARAMETER = re.compile(r"\$(\d+)")


def propose(context: Context, trial: Trial) -> Iterator[Proposal]:
    """One proposal for a look-up by parameters that is counted often, or that nobody has counted."""
    asked, select = context.query.asked, context.query.select
    if select is None or not context.query.is_read or not 1 <= asked.parameters <= MAX_PARAMETERS:
        return
    if asked.calls is not None and (asked.calls < CALLS_MIN or (asked.rows_per_call or 0.0) > ROWS_MAX):
        return
    if not is_steady(select, context) or not _looks_up(context):
        return
    types = trial.parameter_types()
    if len(types) != asked.parameters or any(kind.endswith("[]") for kind in types):
        return
    body, alias = _with_keys(context)
    if not body or _repeats_names(select):
        return
    arrays = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(types, 1))
    listed = ", ".join(f"key_{number}" for number in range(1, len(types) + 1))
    sql = (
        f"SELECT {alias}.place, {', '.join(f'{alias}.key_{n}' for n in range(1, len(types) + 1))}, q.*"
        f" FROM unnest({arrays}) WITH ORDINALITY AS {alias} ({listed}, place)"
        f" CROSS JOIN LATERAL ({body}) AS q"
    )
    yield Proposal(
        name="batch_for_lookup",
        title="One statement for all keys, if it is sent once for each row of another",
        sql=sql,
        same="The rows of all single statements, each with its key and its place",
        why="LATERAL runs the statement for each element of the arrays; the planner may join instead",
        facts=(
            f"the server takes the parameters for {', '.join(types)}",
            "no function in it is volatile, so that running them together changes nothing",
        ),
        caveat="one such statement stands for as many calls as there are keys; sort its rows by their place again.",
        parameters=asked.parameters,
        is_alike=False,
        unalike="it stands for many calls: compare it with their sum",
        pair=_pair(context, types, body, alias),
    )


def _looks_up(context: Context) -> bool:
    """Whether a parameter is compared with a column for equality."""
    for kind, node in nodes([context.query.tree]):
        if kind != "a_expr" or node.get("kind") != "AEXPR_OP" or names(node.get("name")) != ("=",):
            continue
        sides = [node.get("lexpr", {}), node.get("rexpr", {})]
        bare = [side.get("type_cast", {}).get("arg", side) for side in sides]
        if any("param_ref" in side for side in bare) and any("column_ref" in side for side in bare):
            return True
    return False


def _with_keys(context: Context) -> tuple[str, str]:
    """The statement with the keys' names in the places of its parameters, and the alias that they have."""
    used = {node.get("relname", "") for kind, node in nodes([context.query.tree]) if kind == "range_var"}
    used |= {
        node["alias"].get("aliasname", "")
        for _, node in nodes([context.query.tree])
        if isinstance(node.get("alias"), dict)
    }
    alias = next(name for name in ("k", "keys", "batch_keys", "pgrunbook_keys") if name not in used)
    text = context.parser.sql(context.query.tree)
    return _PARAMETER.sub(lambda m: f"{alias}.key_{m[1]}", _outside_strings(text)), alias


def _outside_strings(text: str) -> str:
    """The deparsed text; a `$1` inside of a string would be taken for a parameter, so that such a text is left."""
    inside = re.findall(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"", text)
    return text if not any(_PARAMETER.search(part) for part in inside) else ""


def _repeats_names(select: Tree) -> bool:
    """Whether two columns of the result have one name: in a subquery nobody could tell them apart."""
    shown = []
    for target in select.get("target_list", ()):
        value = target.get("res_target", {})
        parts = names(value.get("val", {}).get("column_ref", {}).get("fields"))
        shown.append(value.get("name") or (parts[-1] if parts else ""))
    plain = [name for name in shown if name and name != "*"]
    return len(plain) != len(set(plain))


def _pair(context: Context, types: tuple[str, ...], body: str, alias: str) -> MakePair:
    """For keys that the table holds (and one that it does not): the single statements put together, and the batch."""

    def make(trial: Trial) -> Pair | None:
        source = _source_of_keys(context)
        if source is None or len(types) != 1 or not body:
            return None
        column, table = source
        row = trial.first_row(
            f"SELECT array_agg(v)::text, count(*)::int"
            f" FROM (SELECT DISTINCT {column}::text AS v FROM {table} LIMIT {SAMPLE}) AS sample"
        )
        if row is None or row[0] is None:
            return None
        values = "'" + str(row[0]).replace("'", "''") + f"'::{types[0]}[]"
        array = f"({values} || ARRAY[NULL]::{types[0]}[])"
        keys = f"unnest({array}) WITH ORDINALITY AS {alias} (key_1, place)"
        singles = " UNION ALL ".join(
            f"SELECT {place}::bigint AS place, q.* FROM ({body.replace(f'{alias}.key_1', f'{array}[{place}]')}) AS q"
            for place in range(1, int(str(row[1])) + 2)
        )
        return Pair(
            before=singles,
            after=f"SELECT {alias}.place, q.* FROM {keys} CROSS JOIN LATERAL ({body}) AS q",
            note=f"the single statements for {row[1]} keys and for NULL, and the batch",
        )

    return make


def _source_of_keys(context: Context) -> tuple[str, str] | None:
    """The column that the parameter is compared with, and its table."""
    _, found = scopes(context)
    for scope in found:
        for condition in scope.conditions:
            node = condition.get("a_expr", {})
            for side, other in (("lexpr", "rexpr"), ("rexpr", "lexpr")):
                named = scope.column(node.get(side, {}))
                value = node.get(other, {})
                if named is not None and "param_ref" in value.get("type_cast", {}).get("arg", value):
                    return quote(named.column.name), named.column.table
    return None
