"""Which pg_dump can read a database, and how it is told where that is, without a password on its command line."""

from __future__ import annotations

import functools
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from psycopg.conninfo import make_conninfo

from pgrunbook.errors import Unsupported
from pgrunbook.lab.binaries import DEBIAN_ROOT, available_binaries
from pgrunbook.lab.schema.tunnel import Tunnel
from pgrunbook.pg.connect import Session

# What another libpq, maybe an older one, understands.  No secret is among them: sslpassword stays out.
_PARAMETERS = (
    "host hostaddr port user dbname options"
    " sslmode sslcert sslkey sslrootcert sslcrl channel_binding gssencmode krbsrvname"
).split()


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A database as client programs reach it.  The password travels in the environment only."""

    parameters: Mapping[str, str]
    password: str = field(repr=False)
    major: int
    uses_tls: bool

    @property
    def conninfo(self) -> str:
        """What a client program is told on its command line."""
        return make_conninfo(**self.parameters)

    def through(self, tunnel: Tunnel) -> Source:
        """The same database by way of a tunnel, which encrypts."""
        kept = {name: self.parameters[name] for name in ("user", "dbname", "options") if name in self.parameters}
        place = {"host": tunnel.folder, "port": str(tunnel.port), "sslmode": "disable", "gssencmode": "disable"}
        return replace(self, parameters={**kept, **place}, uses_tls=False)

    def environment(self, application: str) -> dict[str, str]:
        """Our environment without libpq's variables, and with the password."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        secret = {"PGPASSWORD": self.password} if self.password else {}
        return {**kept, **secret, "PGAPPNAME": application, "LC_ALL": "C.UTF-8"}


def source_of(conn: Session) -> Source:
    """The very server and database that a connection has reached (of several hosts in a DSN it is one)."""
    given = conn.info.get_parameters()
    chosen = {name: given[name] for name in _PARAMETERS if name in given}
    if "," in chosen.get("hostaddr", ""):
        del chosen["hostaddr"]
    chosen |= {"host": conn.info.host, "port": str(conn.info.port)}
    chosen |= {"user": conn.info.user, "dbname": conn.info.dbname}
    return Source(
        parameters=chosen,
        password=conn.info.password,
        major=conn.info.server_version // 10_000,
        uses_tls=bool(conn.pgconn.ssl_in_use),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A client program; one without TLS needs a tunnel where the connection is encrypted."""

    path: Path
    needs_tunnel: bool = False


def pg_dump_for(source: Source) -> Program:
    """The oldest pg_dump that is not older than the server, rather one that can encrypt where that is needed."""
    seen: list[str] = []
    fit: list[tuple[bool, int, Path]] = []
    for program in dict.fromkeys(_programs("pg_dump")):
        major = _major(program)
        if major >= source.major:
            fit.append((source.uses_tls and not _can_encrypt(program), major, program))
        elif major:
            seen.append(f"{program} (version {major})")
    if fit:
        needs_tunnel, _, path = min(fit, key=lambda found: found[:2])
        return Program(path=path, needs_tunnel=needs_tunnel)
    raise Unsupported(
        f"reading the schema needs pg_dump {source.major} or newer; found {', '.join(seen) or 'none'}",
        hint=f"apt-get install postgresql-client-{source.major}   # from Debian or apt.postgresql.org",
    )


def _programs(name: str) -> Iterator[Path]:
    for binaries in available_binaries():
        yield binaries.bin / name
    if DEBIAN_ROOT.is_dir():  # the client packages come without a server
        for home in sorted(DEBIAN_ROOT.iterdir()):
            yield home / "bin" / name
    for folder in os.get_exec_path():
        yield Path(folder) / name


@functools.lru_cache(maxsize=32)
def _major(program: Path) -> int:
    """The major version, 0 where the program is missing or does not run."""
    if not os.access(program, os.X_OK):
        return 0
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
    except OSError:
        return 0
    match = re.search(r"\(PostgreSQL\) (\d+)", said)
    return int(match[1]) if match else 0


@functools.lru_cache(maxsize=32)
def _can_encrypt(program: Path) -> bool:
    """Ask libpq before it connects anywhere: without TLS it does not even accept the word."""
    asked = subprocess.run(
        [program, "--dbname=host=/nonexistent sslmode=require"],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={"LC_ALL": "C"},
    )
    return "not compiled in" not in asked.stderr
