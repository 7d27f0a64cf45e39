"""One rewrite of a policy for all that is slow in it: several findings on one policy advise the same step.

Each part means the same for everybody: who is calling is asked once a statement, a sub-select that depends on the row
is turned round, and an array is searched by the operator that its index answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pgrunbook.journey.diagnose.auth_calls import auth_functions, bare_calls, wrap
from pgrunbook.journey.diagnose.policies import ParsedPolicy
from pgrunbook.journey.diagnose.policy_columns import contains_instead, facts_of, has_gin
from pgrunbook.journey.diagnose.row_subqueries import asked_once, is_planners_choice, row_subselects
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.steps import advise
from pgrunbook.journey.steps.replace_policy import ReplacePolicy
from pgrunbook.model import Advice, NotRead
from pgrunbook.pg.parse import Tree

Trees = Mapping[str, Tree]


def rewrite(
    seen: Seen, each: ParsedPolicy, mends: Callable[[Trees], bool], *, indexed: str | None = None
) -> ReplacePolicy | None:
    """The step, if it mends what was found.  `indexed` is an array column that is going to get its index."""
    trees = {name: _better(seen, each, name, tree, indexed) for name, tree in each.trees.items()}
    changed = {name: tree for name, tree in trees.items() if tree != each.trees[name]}
    if not changed or not mends(trees):
        return None
    policy = each.policy
    texts = {name: seen.parser.text(tree) for name, tree in changed.items()}
    return ReplacePolicy(
        schema=policy.schema,
        table=policy.table_name,
        name=policy.name,
        using=texts.get("using"),
        check=texts.get("check"),
        old_using=policy.using_expression,
        old_check=policy.check_expression,
    )


def rewrite_advice(seen: Seen, each: ParsedPolicy, mends: Callable[[Trees], bool], *, title: str) -> tuple[Advice, ...]:
    """Advice to rewrite it; nothing where a person must."""
    step = rewrite(seen, each, mends)
    return (advise(step, title=title),) if step is not None else ()


def asks_once(seen: Seen, trees: Trees) -> bool:
    """Whether no part asks who is calling once a row."""
    functions = seen.derived(auth_functions)
    return not any(bare_calls(tree, functions) for tree in trees.values())


def reads_once(trees: Trees) -> bool:
    """Whether no sub-select runs once a row that is read."""
    using = trees.get("using")
    return using is None or all(is_planners_choice(sub_link) for sub_link in row_subselects(using))


def _better(seen: Seen, each: ParsedPolicy, clause: str, tree: Tree, indexed: str | None) -> Tree:
    """What PostgreSQL would print of it is not known here; the step compares by meaning."""
    wrapped = wrap(tree, seen.derived(auth_functions))
    better = wrapped if wrapped is not None else tree
    if clause == "using":
        turned = asked_once(better)
        better = turned if turned is not None else better
        for column, array_type in _searchable(seen, each, indexed).items():
            better = contains_instead(better, column, array_type, seen.parser)
    return better


def _searchable(seen: Seen, each: ParsedPolicy, indexed: str | None) -> Mapping[str, str]:
    """The array columns with an index of their elements, and their types."""
    try:
        facts = seen.derived(facts_of)
    except NotRead:
        return {}
    if each.policy.table_oid not in facts.catalog.tables:
        return {}
    table = facts.of(each.policy.table_oid)
    return {
        name: column.declared_type
        for name, column in table.table.columns.items()
        if column.type_category == "A" and (name == indexed or has_gin(name, table))
    }
