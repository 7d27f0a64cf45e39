"""Extension whose objects lie in the schema that the API serves.

Asks:    which extensions are installed in schema public while it is exposed?
Source:  pg_extension.
Says:    The functions of {object} {version} lie in schema public: the API offers them all.
         Exposed are {exposed_schemas} ({exposed_by}).
Section: Supabase-Specific Optimizations
"""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.exposure import NEEDS, exposure, is_supabase
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.installed_extensions import INSTALLED_EXTENSIONS, InstalledExtension
from pgrunbook.journey.observe.schemas import SCHEMAS
from pgrunbook.model import Advice, Finding, Kind, Lock, Severity, Verdict, quote

PUBLIC = "public"
TARGET = "extensions"  # the schema that each Supabase project has for them, and has in its search_path


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding an extension; elsewhere than on Supabase public is where extensions belong."""
    if not is_supabase(seen):
        return
    reach = seen.derived(exposure)
    if PUBLIC not in reach.schemas:
        return
    has_target = any(schema.name == TARGET for schema in seen.rows(SCHEMAS))
    for extension in seen.rows(INSTALLED_EXTENSIONS):
        if extension.schema == PUBLIC:
            yield Finding(
                severity=Severity.WARNING,
                kind=Kind.EXTENSION,
                object=quote(extension.name),
                evidence={
                    "version": extension.version,
                    "is_relocatable": extension.is_relocatable,
                    **reach.evidence,
                },
                advice=(_advice(extension, has_target=has_target),) if extension.is_relocatable else (),
            )


def _advice(extension: InstalledExtension, *, has_target: bool) -> Advice:
    move = f"ALTER EXTENSION {quote(extension.name)} SET SCHEMA"
    make = (
        ()
        if has_target
        else (
            f"CREATE SCHEMA {TARGET};",
            f"GRANT USAGE ON SCHEMA {TARGET} TO anon, authenticated, service_role;",
        )
    )
    return Advice(
        title=f"Move extension {quote(extension.name)} to schema {TARGET}",
        sql="\n".join((*make, f"{move} {TARGET};")),
        undo_sql="\n".join((f"{move} {PUBLIC};", *(() if has_target else (f"DROP SCHEMA {TARGET};",)))),
        lock=Lock.ACCESS_EXCLUSIVE,
        risk=f"Whatever names its objects without schema needs {TARGET} in its search_path.",
    )


CHECK = Check(needs=(INSTALLED_EXTENSIONS, *NEEDS), judge=judge, limits=NoLimits())
