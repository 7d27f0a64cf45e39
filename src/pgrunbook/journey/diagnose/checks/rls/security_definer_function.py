"""Function that the API may call and that runs with its owner's rights.

Asks:    may an API role execute a SECURITY DEFINER function of an exposed schema?
Source:  pg_proc and access lists (everybody may execute a new function).  Functions that only triggers call are
         left out.
Says:    {roles} may call {object} by way of the API, and it does what {owner} may do.
         Policies of {policies_on} call it.  Exposed are {exposed_schemas} ({exposed_by}).
Section: Supabase-Specific Optimizations
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.exposure import NEEDS, exposure, is_supabase
from pgrunbook.journey.diagnose.revoking import revoke_function
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.functions import FUNCTIONS, Function
from pgrunbook.journey.observe.policy_outlines import POLICY_OUTLINES
from pgrunbook.journey.observe.schemas import SCHEMAS
from pgrunbook.model import Advice, Finding, Kind, Severity, Verdict, dotted, quote

PRIVATE = "private"  # the name that Supabase's own guides give to a schema that is not exposed


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding a name.  Where policies call it, its caller's rights would not do; such a helper is a notice."""
    if not is_supabase(seen):
        return
    reach = seen.derived(exposure)
    called_by: dict[int, set[str]] = defaultdict(set)
    for outline in seen.rows(POLICY_OUTLINES):
        for oid in outline.function_oids:
            called_by[oid].add(outline.table)
    groups: dict[str, list[Function]] = defaultdict(list)
    for function in seen.rows(FUNCTIONS):
        if function.security_definer and not function.of_extension and reach.callers(function):
            groups[function.qualified].append(function)
    for name, functions in groups.items():
        tables = sorted({table for function in functions for table in called_by[function.oid]})
        is_helper = all(called_by[function.oid] for function in functions)
        yield Finding(
            severity=Severity.NOTICE if is_helper else Severity.WARNING,
            kind=Kind.FUNCTION,
            object=name,
            related=tuple(tables),
            evidence={
                "roles": tuple(sorted({role for function in functions for role in reach.callers(function)})),
                "owner": functions[0].owner,
                "arguments": tuple(function.arguments for function in functions),
                "policies_on": tuple(tables) or None,
                **reach.evidence,
            },
            advice=(_move(seen, functions) if tables else _revoke(seen, functions),),
        )


def signature(function: Function) -> str:
    """`schema.name(types)` as ALTER ROUTINE wants it."""
    return f"{function.qualified}({function.arguments})"


def _revoke(seen: Seen, functions: Sequence[Function]) -> Advice:
    """Take EXECUTE from the API; service_role, which had it as everybody, is given its own."""
    reach = seen.derived(exposure)
    forth: list[str] = []
    back: list[str] = []
    for function in functions:
        taken, given, grants = revoke_function(reach, function.oid, signature(function))
        if any(grant.grantee == "public" for grant in grants):
            taken.append(f"GRANT EXECUTE ON ROUTINE {signature(function)} TO service_role;")
            given.append(f"REVOKE EXECUTE ON ROUTINE {signature(function)} FROM service_role;")
        forth += taken
        back += given
    return Advice(
        title=f"Take {functions[0].qualified} from the API",
        sql="\n".join(forth),
        undo_sql="\n".join(back),
        risk="Clients that call it by way of the API fail, and so do other roles that had the right only as everybody.",
    )


def _move(seen: Seen, functions: Sequence[Function]) -> Advice:
    """Move it where the API does not look; policies and views go on calling it."""
    schemas = {schema.name for schema in seen.rows(SCHEMAS)}
    names = (PRIVATE, *(f"{PRIVATE}_{number}" for number in range(2, 99)))
    target = next(name for name in names if name not in seen.derived(exposure).schemas)
    forth = [] if target in schemas else [f"CREATE SCHEMA {quote(target)};"]
    back = [] if target in schemas else [f"DROP SCHEMA {quote(target)};"]
    moved = []
    for function in functions:
        forth.append(f"ALTER ROUTINE {signature(function)} SET SCHEMA {quote(target)};")
        there = f"{dotted(target, function.name)}({function.arguments})"
        moved.append(f"ALTER ROUTINE {there} SET SCHEMA {quote(function.schema)};")
    return Advice(
        title=f"Move {functions[0].qualified} to schema {quote(target)}, which is not exposed",
        sql="\n".join(forth),
        undo_sql="\n".join(moved + back),
        risk="Policies and views follow it; what calls it by name, other functions and clients, does not.",
    )


CHECK = Check(needs=(FUNCTIONS, POLICY_OUTLINES, *NEEDS), judge=judge, limits=NoLimits())
