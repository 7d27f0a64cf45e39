"""Policy that is evaluated for anonymous visitors although it can let none of them through.

Asks:    does a permissive policy without TO ask who is calling, in each of its branches?
Source:  pg_policy, parsed.
Blind:   policies of a table that is locked; expressions that do not parse.
Says:    {object} names no role, so it is evaluated for everybody, anon included; its condition asks who is calling, and
         for anon that is nobody.
Section: Supabase-Specific Optimizations
"""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.diagnose.auth_calls import AuthFunctions, auth_functions
from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.exposure import NEEDS as EXPOSURE
from pgrunbook.journey.diagnose.exposure import is_supabase, touching_grantees
from pgrunbook.journey.diagnose.policies import NEEDS, ParsedPolicy, alter_roles, parsed_policies
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.functions import FUNCTIONS
from pgrunbook.journey.observe.roles import ROLES
from pgrunbook.journey.workload.conditions import conjuncts, disjuncts
from pgrunbook.model import Advice, Finding, Kind, Lock, Severity, Verdict
from pgrunbook.pg.parse import Tree
from pgrunbook.pg.trees import function_calls

SIGNED_IN = "authenticated"
_NOT_STRICT = frozenset({"AEXPR_DISTINCT", "AEXPR_NOT_DISTINCT"})


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding a policy.  A restrictive one is for everybody: narrower, it would let more through."""
    if not is_supabase(seen):
        return
    policies, functions = seen.derived(parsed_policies), seen.derived(auth_functions)
    yield from policies.unseen
    for each in policies.parsed:
        if (
            each.policy.roles == ("public",)
            and each.policy.is_permissive
            and each.trees
            and all(_asks_who(tree, functions) for tree in each.trees.values())
        ):
            yield Finding(
                severity=Severity.NOTICE,
                kind=Kind.POLICY,
                object=each.policy.qualified,
                related=(each.policy.table,),
                evidence={"command": each.policy.command},
                advice=(_advice(seen, each),),
            )


def _asks_who(tree: Tree, functions: AuthFunctions) -> bool:
    """Whether no row can pass unless somebody is known: each branch compares with who is calling."""
    branches = disjuncts(tree)
    if len(branches) > 1:
        return all(_asks_who(branch, functions) for branch in branches)
    parts = conjuncts(tree)
    if len(parts) > 1:
        return any(_asks_who(part, functions) for part in parts)
    kind, node = next(iter(tree.items()))
    asks = any(functions.name_of(call) for call in function_calls(tree))
    if kind == "null_test":
        return asks and node.get("nulltesttype") == "IS_NOT_NULL"
    if kind == "a_expr":
        return asks and node.get("kind", "AEXPR_OP") not in _NOT_STRICT
    return asks and kind in {"sub_link", "func_call"}


def _advice(seen: Seen, each: ParsedPolicy) -> Advice:
    """Name those who are signed in, and every other role that may use the table and that policies hold for."""
    exempt = {role.name for role in seen.rows(ROLES) if role.bypasses_rls or role.is_superuser}
    exempt |= {"public", "anon", SIGNED_IN, each.table.owner or ""}
    others = [name for name in seen.derived(touching_grantees).get(each.table.oid, ()) if name not in exempt]
    return Advice(
        title=f"Evaluate {each.policy.qualified} only for those who are signed in",
        sql=f"{alter_roles(each.policy, (SIGNED_IN, *others))};",
        undo_sql=f"{alter_roles(each.policy, each.policy.roles)};",
        lock=Lock.ACCESS_EXCLUSIVE,
        risk="A role that has its rights from elsewhere than a grant on the table no longer passes.",
    )


CHECK = Check(needs=(ROLES, *NEEDS, *EXPOSURE), likes=(FUNCTIONS,), judge=judge, limits=NoLimits())
