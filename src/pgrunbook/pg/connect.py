"""Connections, and the translation of the driver's errors into ours (once, here)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar

import psycopg
from psycopg import Connection
from psycopg.adapt import Buffer, Loader
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow
from psycopg.types.string import StrDumper

from pgrunbook.errors import ServerError, Unreachable, Unsupported, UsageError
from pgrunbook.pg.secrets import has_stray_at

CONNECT_TIMEOUT_S = 10
Session: TypeAlias = Connection[TupleRow]
Row = TypeVar("Row")


class _AnyBytesLoader(Loader):
    """Text of an SQL_ASCII database: any bytes.  What is not UTF-8 survives as surrogates and can be sent back."""

    def load(self, data: Buffer) -> str:
        return bytes(data).decode("utf-8", "surrogateescape")


class _AnyBytesDumper(StrDumper):
    def dump(self, obj: str) -> bytes:
        return obj.encode("utf-8", "surrogateescape")


def resolve_dsn(positional: str | None, flag: str | None = None) -> str:
    """The DSN to use: argument, flag, PGRUNBOOK_DSN, DATABASE_URL, else libpq's own environment ("")."""
    for candidate in (positional, flag, os.environ.get("PGRUNBOOK_DSN"), os.environ.get("DATABASE_URL")):
        if candidate:
            return candidate
    return ""


def describe(dsn: str) -> str:
    """The target in words, without any secret: `database shop on db-1:5432 as app`."""
    if has_stray_at(dsn):
        return "the given DSN"
    try:
        parts = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        return "the given DSN"
    where = parts.get("host") or parts.get("hostaddr") or os.environ.get("PGHOST") or "the default host"
    port = parts.get("port") or os.environ.get("PGPORT") or "5432"
    database = parts.get("dbname") or os.environ.get("PGDATABASE")
    user = parts.get("user") or os.environ.get("PGUSER")
    named = f"database {database}" if database else "the default database"
    return f"{named} on {where}:{port}" + (f" as {user}" if user else "")


def connect(dsn: str, *, station: str, timeout_s: int = CONNECT_TIMEOUT_S) -> Session:
    """Open an autocommit connection that announces itself as `pgrunbook/<station>`.

    Nothing is prepared, so that it works behind a transaction pooler.  Raises Unreachable or UsageError.
    """
    if has_stray_at(dsn):  # the driver's message would show what it took for a host
        raise UsageError(
            "the DSN cannot be read: it holds an @ where no user and password can end",
            hint="In a URI, write @ as %40 and / as %2F, or give the password in PGPASSWORD or ~/.pgpass.",
        )
    try:
        conn = psycopg.connect(
            dsn,
            autocommit=True,
            prepare_threshold=None,
            connect_timeout=timeout_s,
            application_name=f"pgrunbook/{station}",
            client_encoding="utf8",
        )
    except psycopg.ProgrammingError as exc:  # the DSN itself cannot be read; its text may hold a password
        raise UsageError(
            "the DSN cannot be read: it is neither a postgresql:// URI nor key=value pairs",
            hint="Example: postgresql://user@host:5432/database (the password in PGPASSWORD or ~/.pgpass).",
        ) from exc
    except psycopg.OperationalError as exc:
        raise _unreachable(dsn, exc) from exc
    if conn.info.parameter_status("server_encoding") == "SQL_ASCII":
        conn.execute("set client_encoding to 'SQL_ASCII'")  # asked for UTF-8, the server refuses to send other bytes
        for type_name in ("text", "varchar", "name", "bpchar"):
            conn.adapters.register_loader(type_name, _AnyBytesLoader)
        conn.adapters.register_dumper(str, _AnyBytesDumper)
    return conn


def _unreachable(dsn: str, exc: psycopg.OperationalError) -> ServerError:
    text = " ".join(str(exc).split())
    hints = (
        ("password authentication failed", "Check the user and its password (PGPASSWORD, ~/.pgpass)."),
        ("no password supplied", "Give the password in PGPASSWORD or ~/.pgpass."),
        ("does not exist", "Check the names of database and role."),
        ("too many clients", "The server has no connection left: connect as a superuser, who has some in reserve."),
        (
            "remaining connection slots",
            "Only reserved connections are left: connect as a role that may use them.",
        ),
        ("the database system is", "Wait until the server has started, then try again."),
        ("no pg_hba.conf entry", "The server refuses this host, role or missing TLS: see its pg_hba.conf."),
        ("Connection refused", "Is the server running there, and is host and port right?"),
        (
            "No such file or directory",
            "No server listens on that socket: check the host (its folder) and the port.",
        ),
        ("timeout", "The host does not answer: check name, port and firewall."),
    )
    hint = next((hint for part, hint in hints if part in text), "Check host, port, database and user.")
    return Unreachable(f"cannot connect to {describe(dsn)}: {text}", hint=hint)


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn the driver's errors into ours.  `doing` completes the sentence "while …"."""
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as exc:
        raise Unsupported(
            f"not allowed while {doing}: {first_line(exc)}", hint="Use a role that has the right."
        ) from exc
    except (psycopg.OperationalError, psycopg.InterfaceError) as exc:
        raise Unreachable(f"the connection or the server failed while {doing}: {first_line(exc)}") from exc
    except psycopg.Error as exc:
        raise ServerError(f"the server refused while {doing}: {first_line(exc)}") from exc


def first_line(exc: BaseException) -> str:
    """The first line of an error's message (the rest may quote statement texts)."""
    lines = str(exc).strip().splitlines()
    return lines[0] if lines else type(exc).__name__


def into(row: type[Row]) -> Callable[[psycopg.Cursor[Any]], Callable[[Sequence[Any]], Row]]:
    """Make a row factory that fills a dataclass by column names; arrays become tuples."""

    def factory(cursor: psycopg.Cursor[Any]) -> Callable[[Sequence[Any]], Row]:
        names = [column.name for column in cursor.description or ()]

        def make(values: Sequence[Any]) -> Row:
            # some 50,000 rows of 30 columns: this line is what reading a large catalog costs on our side
            return row(**dict(zip(names, [_frozen(v) if v.__class__ is list else v for v in values], strict=True)))

        return make

    return factory


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
