"""Settings that the server keeps for a role or a database and gives to new sessions: pg_db_role_setting."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from pgrunbook.errors import Refused, UsageError
from pgrunbook.journey.steps.step import Before, Change
from pgrunbook.model import Server, literal, quote
from pgrunbook.pg.connect import Session

# Lists of names: the server stores each element quoted as a name, so each must be given by itself.
NAME_LISTS = frozenset(
    {
        "local_preload_libraries",
        "search_path",
        "session_preload_libraries",
        "shared_preload_libraries",
        "temp_tablespaces",
        "unix_socket_directories",
    }
)
_NAME = re.compile(r"[a-z_][a-z0-9_$]*(\.[a-z_][a-z0-9_$]*)*\Z", re.IGNORECASE)
_ELEMENT = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^",\s]+))\s*(?:,|\Z)')

_STORED = """/* pgrunbook: stored_settings */
select s.setconfig
from pg_catalog.pg_db_role_setting as s
where s.setrole = coalesce((select r.oid from pg_catalog.pg_roles as r where r.rolname = %(role)s), 0)
  and s.setdatabase = coalesce((select d.oid from pg_catalog.pg_database as d where d.datname = %(database)s), 0)"""

_EXISTS = """/* pgrunbook: stored_settings owners */
select %(role)s::text is null or exists (select from pg_catalog.pg_roles as r where r.rolname = %(role)s),
       %(database)s::text is null or exists (select from pg_catalog.pg_database as d where d.datname = %(database)s)"""


class StoredSettings(Change, ABC):
    """What both owners share.  `settings` are texts as the catalog has them: `statement_timeout=30s`."""

    __slots__ = ()

    @property
    @abstractmethod
    def _wanted(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Settings to set, names to reset."""

    @property
    @abstractmethod
    def _owner(self) -> tuple[str | None, str | None]:
        """The role and the database whose settings these are."""

    @property
    def risk(self) -> str:
        return "Holds for new sessions only; a statement that needs more on purpose must raise the limit itself."

    def statements(self) -> tuple[str, ...]:
        settings, reset = self._wanted
        return (*(self._set(name, value) for name, value in pairs(settings).items()), *map(self._reset, reset))

    def undo_statements(self, before: Before | None = None) -> tuple[str, ...]:
        if before is None:
            return ()
        held = pairs(_texts(before))
        return tuple(self._set(name, held[name]) if name in held else self._reset(name) for name in self._touched)

    def precheck(self, conn: Session, server: Server) -> None:
        for name in self._touched:
            if not _NAME.match(name):
                raise UsageError(f"{name!r} is not the name of a setting")
        role, database = self._owner
        row = conn.execute(_EXISTS, {"role": role, "database": database}).fetchone() or (False, False)
        if not row[0]:
            raise Refused(f"there is no role {quote(role or '')}")
        if not row[1]:
            raise Refused(f"there is no database {quote(database or '')}")

    def capture(self, conn: Session) -> Before:
        return {"settings": self._read(conn)}

    def do(self, conn: Session) -> None:
        with conn.transaction():
            self._run(conn, self.statements())

    def undo(self, conn: Session, before: Before) -> None:
        """Restore what was touched, and the old order when nobody changed anything else since."""
        was = _texts(before)
        left, held = pairs(self._wanted[0]), pairs(was)
        with conn.transaction():
            now = self._read(conn)
            here = pairs(now)
            for name in self._touched:
                allowed = {_stored(name, left[name]) if name in left else None, held.get(name)}
                if here.get(name) not in allowed:
                    raise Refused(f"{name} is {here.get(name, 'not set')} by now; someone changed it since")
            if now == was:
                return
            self._run(conn, self.undo_statements(before))
            restored = self._read(conn)
            if restored != was and sorted(restored) == sorted(was):
                self._run(conn, [self._reset(name) for name in pairs(was)])
                self._run(conn, [self._set(name, value) for name, value in held.items()])

    def done(self, conn: Session, before: Before | None = None) -> bool:
        settings, reset = self._wanted
        here = pairs(self._read(conn))
        is_set = all(here.get(name) == _stored(name, value) for name, value in pairs(settings).items())
        return is_set and not any(name in here for name in reset)

    @property
    def _touched(self) -> tuple[str, ...]:
        settings, reset = self._wanted
        return (*pairs(settings), *reset)

    @property
    def _alter(self) -> str:
        role, database = self._owner
        if role is None:
            return f"ALTER DATABASE {quote(database or '')}"
        return f"ALTER ROLE {quote(role)}" + (f" IN DATABASE {quote(database)}" if database is not None else "")

    def _set(self, name: str, value: str) -> str:
        values = elements(value) if name.lower() in NAME_LISTS else (value,)
        return f"{self._alter} SET {name} TO {', '.join(map(literal, values)) or literal('')}"

    def _reset(self, name: str) -> str:
        return f"{self._alter} RESET {name}"

    def _run(self, conn: Session, statements: Sequence[str]) -> None:
        for statement in statements:
            conn.execute(statement.encode("utf-8", "surrogateescape"))

    def _read(self, conn: Session) -> tuple[str, ...]:
        role, database = self._owner
        row = conn.execute(_STORED, {"role": role, "database": database}).fetchone()
        return tuple(row[0]) if row else ()


def pairs(settings: Sequence[str]) -> Mapping[str, str]:
    """Settings as the catalog writes them, by name."""
    return {name: value for name, _, value in (setting.partition("=") for setting in settings)}


def elements(value: str) -> tuple[str, ...]:
    """The names in a stored list.

    >>> elements('"$user", public')
    ('$user', 'public')
    """
    return tuple(
        match[1].replace('""', '"') if match[1] is not None else match[2].lower() for match in _ELEMENT.finditer(value)
    )


def _stored(name: str, value: str) -> str:
    """How the server writes this value down."""
    return ", ".join(map(quote, elements(value))) if name.lower() in NAME_LISTS else value


def _texts(before: Before) -> tuple[str, ...]:
    held = before["settings"]
    return tuple(str(setting) for setting in held) if isinstance(held, tuple) else ()
