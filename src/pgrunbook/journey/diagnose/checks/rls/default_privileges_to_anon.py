"""New objects that anonymous visitors may use from the start.

Asks:    do default privileges give role anon rights on tables, sequences or functions that will be made in an exposed
         schema?
Source:  pg_default_acl; what the service's own roles make is left out.
Says:    Whatever {owners} will make in schema {object} is open to anon at once: {gifts}.  A table without row security
         is then public.  Exposed are {exposed_schemas} ({exposed_by}).
Section: Supabase-Specific Optimizations
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.exposure import NEEDS, exposure, is_supabase
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.grants import DEFAULT_PRIVILEGES, DefaultPrivilege
from pgrunbook.model import Advice, Finding, Kind, Severity, Verdict, quote

ANONYMOUS = "anon"
OBJECTS = {"r": "TABLES", "S": "SEQUENCES", "f": "FUNCTIONS"}


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding a schema; defaults that hold in every schema are the database's."""
    if not is_supabase(seen):
        return
    reach = seen.derived(exposure)
    groups: dict[str | None, list[DefaultPrivilege]] = defaultdict(list)
    for gift in seen.rows(DEFAULT_PRIVILEGES):
        if (
            gift.grantee == ANONYMOUS
            and gift.object_type in OBJECTS
            and not gift.owner.startswith("supabase_")
            and (gift.schema is None or gift.schema in reach.schemas)
        ):
            groups[gift.schema].append(gift)
    for schema, gifts in groups.items():
        yield Finding(
            severity=Severity.WARNING,
            kind=Kind.SCHEMA if schema is not None else Kind.DATABASE,
            object=quote(schema if schema is not None else seen.server.database),
            evidence={
                "owners": tuple(sorted({gift.owner for gift in gifts})),
                "gifts": tuple(
                    f"{', '.join(gift.privileges)} on {OBJECTS[gift.object_type].lower()}" for gift in gifts
                ),
                **reach.evidence,
            },
            advice=(_advice(schema, gifts),),
        )


def _advice(schema: str | None, gifts: Sequence[DefaultPrivilege]) -> Advice:
    where = f" IN SCHEMA {quote(schema)}" if schema is not None else ""
    forth, back = [], []
    for gift in gifts:
        alter = f"ALTER DEFAULT PRIVILEGES FOR ROLE {quote(gift.owner)}{where}"
        what = f"{', '.join(gift.privileges)} ON {OBJECTS[gift.object_type]}"
        forth.append(f"{alter} REVOKE {what} FROM {ANONYMOUS};")
        back.append(f"{alter} GRANT {what} TO {ANONYMOUS};")
    return Advice(
        title="Give anonymous visitors nothing by default",
        sql="\n".join(forth),
        undo_sql="\n".join(back),
        risk="What anonymous visitors shall use must be granted by name; objects that exist keep their grants.",
    )


CHECK = Check(needs=(DEFAULT_PRIVILEGES, *NEEDS), judge=judge, limits=NoLimits())
