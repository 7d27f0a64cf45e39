"""Install an extension that is known to be harmless, or that the server itself trusts; the undo drops it.

Never with CASCADE, in neither direction: what it would need, or what stands on it by now, is named instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pgrunbook.errors import Refused
from pgrunbook.journey.steps.step import Before, Change, Stage
from pgrunbook.model import Kind, Server, quote
from pgrunbook.pg.connect import Session, into

# They come with PostgreSQL or are in every packager's list, keep no data of their own, and start nothing.
KNOWN = frozenset(
    """
    amcheck btree_gin btree_gist citext cube earthdistance fuzzystrmatch hstore hypopg intarray isn lo ltree
    pageinspect pg_buffercache pg_freespacemap pg_prewarm pg_stat_statements pg_trgm pg_visibility pg_walinspect
    pgcrypto pgrowlocks pgstattuple seg tablefunc tsm_system_rows tsm_system_time unaccent uuid-ossp vector
    """.split()
)
NEEDS_LIBRARY = frozenset({"pg_stat_statements"})  # its view fails where the library was not loaded at the start

_SEEN = """/* pgrunbook: create_extension */
select a.default_version as default_version, coalesce(v.trusted, false) as is_trusted,
       array(select r::text from pg_catalog.unnest(v.requires) as r
             where not exists (select from pg_catalog.pg_extension as x where x.extname = r)
             order by r) as missing,
       v.schema::text as fixed_schema,
       e.extversion as version, n.nspname::text as schema
from pg_catalog.pg_available_extensions as a
left join pg_catalog.pg_available_extension_versions as v on v.name = a.name and v.version = a.default_version
left join pg_catalog.pg_extension as e on e.extname = a.name
left join pg_catalog.pg_namespace as n on n.oid = e.extnamespace
where a.name = %(name)s"""

_SCHEMA = "select exists (select from pg_catalog.pg_namespace as n where n.nspname = %(schema)s)"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What the server has of it, and whether it is installed (`version`, `schema`)."""

    default_version: str | None
    is_trusted: bool
    missing: tuple[str, ...]
    fixed_schema: str | None
    version: str | None
    schema: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateExtension(Change):
    """Its objects come into `into_schema`, which must be there."""

    kind: ClassVar[str] = "create_extension"
    stage: ClassVar[Stage] = Stage.RULE

    name: str
    into_schema: str = "public"

    @property
    def title(self) -> str:
        return f"Install extension {self.object[1]}"

    @property
    def object(self) -> tuple[Kind, str]:
        return Kind.EXTENSION, quote(self.name)

    @property
    def risk(self) -> str:
        return "Its functions become callable for everybody who may use its schema."

    def statements(self) -> tuple[str, ...]:
        return (f"CREATE EXTENSION {self.object[1]} WITH SCHEMA {quote(self.into_schema)}",)

    def undo_statements(self, before: Before | None = None) -> tuple[str, ...]:
        return (f"DROP EXTENSION {self.object[1]}",)

    def precheck(self, conn: Session, server: Server) -> None:
        """Refuse what nobody vouches for, what is not there, and what needs something else first."""
        seen = self._seen(conn)
        if seen is None or seen.default_version is None:
            raise Refused(
                f"the server has no files of extension {self.object[1]}",
                hint="Install its package on the server's machine, or choose it in the service's console.",
            )
        if self.name not in KNOWN and not seen.is_trusted:
            raise Refused(
                f"extension {self.object[1]} is neither trusted by the server nor known to be harmless",
                hint="Install it by hand when you know it.",
            )
        if seen.missing:
            needed = ", ".join(quote(name) for name in seen.missing)
            raise Refused(f"extension {self.object[1]} needs {needed}, not installed here", hint="Install it first.")
        if self.name in NEEDS_LIBRARY and not _is_loaded(conn, self.name):
            raise Refused(
                f"the server has not loaded the library of {self.object[1]}",
                hint=f"Name {self.name} in shared_preload_libraries and restart the server first.",
            )
        if not _holds(conn, _SCHEMA, schema=self.into_schema):
            raise Refused(f"there is no schema {quote(self.into_schema)}", hint=f"CREATE SCHEMA {self.into_schema};")

    def capture(self, conn: Session) -> Before:
        """Whether it was there, and the version that will be."""
        seen = self._seen(conn)
        return {
            "existed": seen is not None and seen.version is not None,
            "version": seen.default_version if seen is not None else None,
        }

    def do(self, conn: Session) -> None:
        if not self.done(conn):
            conn.execute(self.statements()[0].encode("utf-8", "surrogateescape"))

    def undo(self, conn: Session, before: Before) -> None:
        """Drop it, unless it was updated or moved since; the server refuses when something stands on it."""
        seen = self._seen(conn)
        if before["existed"] or seen is None or seen.version is None:
            return
        if seen.version != before["version"] or seen.schema != (seen.fixed_schema or self.into_schema):
            raise Refused(
                f"extension {self.object[1]} is at version {seen.version} in schema {quote(seen.schema or '')} by now;"
                " someone changed it since"
            )
        conn.execute(self.undo_statements()[0].encode("utf-8", "surrogateescape"))

    def done(self, conn: Session, before: Before | None = None) -> bool:
        seen = self._seen(conn)
        return seen is not None and seen.version is not None

    def _seen(self, conn: Session) -> _Seen | None:
        with conn.cursor(row_factory=into(_Seen)) as cursor:
            return cursor.execute(_SEEN, {"name": self.name}).fetchone()


def _is_loaded(conn: Session, name: str) -> bool:
    """Its settings are there only where its library is."""
    return _holds(
        conn, "select exists (select from pg_catalog.pg_settings as s where s.name = %(name)s)", name=f"{name}.max"
    )


def _holds(conn: Session, query: str, **params: str) -> bool:
    row = conn.execute(query.encode(), params).fetchone()
    return row is not None and bool(row[0])


STEP = CreateExtension
