"""Function whose names mean what the caller's search_path says.

Asks:    which functions written in SQL or a procedural language have no search_path of their own?  Outside of Supabase
         only those count that run with their owner's rights.
Source:  pg_proc.proconfig.  Aggregates, C functions, SQL bodies that were parsed when they were made, and what belongs
         to extensions are left out.
Says:    Whoever calls {object} chooses what its names mean: a schema of theirs in front of search_path, and it calls
         their functions.  It does that with the rights of {owner}.
Section: Supabase-Specific Optimizations
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.exposure import MANAGED_SCHEMAS, is_supabase
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.functions import FUNCTIONS, Function
from pgrunbook.journey.observe.settings import SETTINGS, by_name
from pgrunbook.journey.steps.stored_settings import elements
from pgrunbook.model import Advice, Finding, Kind, Severity, Verdict, literal, quote

_BINARY = frozenset({"c", "internal"})


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding a name, however many functions share it."""
    supabase = is_supabase(seen)
    groups: dict[str, list[Function]] = defaultdict(list)
    for function in seen.rows(FUNCTIONS):
        if (
            function.kind in {"f", "p"}
            and function.language not in _BINARY
            and not function.of_extension
            and not function.has_parsed_body
            and not any(setting.startswith("search_path=") for setting in function.settings)
            and (function.schema not in MANAGED_SCHEMAS if supabase else function.security_definer)
        ):
            groups[function.qualified].append(function)
    path = _path(seen)
    for name, functions in groups.items():
        definers = [function for function in functions if function.security_definer]
        yield Finding(
            severity=Severity.WARNING,
            kind=Kind.FUNCTION,
            object=name,
            evidence={
                "arguments": tuple(function.arguments for function in functions),
                "language": functions[0].language,
                "owner": definers[0].owner if definers else None,
                "security_definer": bool(definers),
            },
            advice=(_advice(functions, path),),
        )


def _path(seen: Seen) -> tuple[str, ...]:
    """What new sessions have now, without what differs from caller to caller, and temporary objects last."""
    setting = by_name(seen.rows_or_none(SETTINGS) or ()).get("search_path")
    held = elements(setting.reset_value) if setting is not None and setting.reset_value else ("public",)
    return (*(name for name in held if name not in {"$user", "pg_temp"}), "pg_temp")


def _advice(functions: Sequence[Function], path: Sequence[str]) -> Advice:
    written = ", ".join(quote(name) if name else literal(name) for name in path)
    targets = [f"ALTER ROUTINE {function.qualified}({function.arguments})" for function in functions]
    return Advice(
        title=f"Pin the search_path of {functions[0].qualified}",
        sql="\n".join(f"{target} SET search_path TO {written};" for target in targets),
        undo_sql="\n".join(f"{target} RESET search_path;" for target in targets),
        risk="A caller that relied on another search_path gets other objects; an SQL function is no longer inlined.",
    )


CHECK = Check(needs=(FUNCTIONS,), likes=(SETTINGS,), judge=judge, limits=NoLimits())
