"""A throw-away PgBouncer in front of a throw-away server, on a socket of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlencode

from pgrunbook.errors import ServerError, Unsupported
from pgrunbook.lab.cluster import NO_SETTINGS, Cluster, free_port
from pgrunbook.lab.home import Home
from pgrunbook.lab.sweep import sweep
from pgrunbook.lab.template import SUPERUSER

START_LIMIT_S = 30.0
STOP_LIMIT_S = 10.0
POLL_S = 0.01
ADMIN_DATABASE = "pgbouncer"
# 1200 clients need more open files than the usual soft limit of 1024; pgbouncer does not raise it by itself.
WITH_ALL_FILES = ("sh", "-c", 'ulimit -n "$(ulimit -H -n)"; exec "$@"', "sh")
SBIN_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/sbin")  # not in every user's PATH


def _listens(path: Path) -> bool:
    """Whether somebody answers there; a socket is in its place a moment before it listens."""
    with socket.socket(socket.AF_UNIX) as probe:
        return path.is_socket() and probe.connect_ex(str(path)) == 0


class Pgbouncer:
    """A running pooler.  `stop` ends it and removes its directory; so does leaving the `with` block."""

    def __init__(self, *, home: Home, program: Path, cluster: Cluster, settings: Mapping[str, str]) -> None:
        self.home = home
        self.cluster = cluster
        self.socket_dir = home.run_dir
        self.port = free_port()
        self.log_path = home.path / "pooler.log"
        self.settings = dict(settings)
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The pooler's process id while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def dsn(self, database: str = "postgres", user: str = SUPERUSER, **params: str | int) -> str:
        """Return a connection URI through the pooler; any role of the server may use it without a password."""
        query = urlencode(params, quote_via=quote, safe="/")
        place = f"{quote(user, safe='')}@{quote(str(self.socket_dir), safe='')}:{self.port}/{quote(database, safe='')}"
        return f"postgresql://{place}{'?' if query else ''}{query}"

    def admin_dsn(self) -> str:
        """Return the URI of the admin console, which speaks only the simple query protocol."""
        return self.dsn(ADMIN_DATABASE)

    def start(self) -> None:
        """Start the pooler and wait until its socket accepts connections."""
        ini = self._write_files()
        with os.fdopen(
            os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600), "ab"
        ) as log:
            self._process = self.home.account.popen(
                [*WITH_ALL_FILES, self._program, ini], cwd=self.home.run_dir, log=log
            )
        socket_path = self.socket_dir / f".s.PGSQL.{self.port}"
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            if _listens(socket_path):
                return
            time.sleep(POLL_S)
        said = self.log_path.read_text(errors="replace")[-4000:].strip()
        raise ServerError(f"PgBouncer did not start:\n{said}", hint=f"its configuration is {ini}")

    def stop(self) -> None:
        """End the pooler and remove its directory.  May be called again."""
        process = self._process
        if process is not None:
            for number in (signal.SIGTERM, signal.SIGKILL):  # TERM ends at once; INT would wait for clients
                if process.poll() is None:
                    process.send_signal(number)
                    try:
                        process.wait(STOP_LIMIT_S)
                    except subprocess.TimeoutExpired:
                        continue
        self._process = None
        self.home.end()

    def _write_files(self) -> Path:
        users = self.home.run_dir / "users.txt"
        self._owned_file(users, f'"{SUPERUSER}" ""\n')
        options = {
            "listen_addr": "",
            "listen_port": str(self.port),
            "unix_socket_dir": str(self.socket_dir),
            "auth_type": "trust",  # only who passes the 0700 directory reaches the socket
            "auth_file": str(users),
            "auth_user": SUPERUSER,
            "auth_query": "select rolname::text, ''::text from pg_catalog.pg_roles where rolname = $1",
            "admin_users": SUPERUSER,
            "stats_users": SUPERUSER,
            "ignore_startup_parameters": "extra_float_digits",
            **self.settings,
        }
        server = f"host={self.cluster.socket_dir} port={self.cluster.port}"
        lines = ["[databases]", f"* = {server}", "", "[pgbouncer]", *(f"{k} = {v}" for k, v in options.items())]
        return self._owned_file(self.home.run_dir / "pgbouncer.ini", "\n".join(lines) + "\n")

    def _owned_file(self, path: Path, text: str) -> Path:
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(0o600)
        self.home.account.give(path)
        return path


def pgbouncer_path() -> Path | None:
    """Return the pgbouncer program of this machine, if there is one."""
    found = shutil.which("pgbouncer") or shutil.which("pgbouncer", path=":".join(SBIN_FOLDERS))
    return Path(found) if found is not None else None


def start_pgbouncer(
    cluster: Cluster,
    *,
    pool_mode: str = "transaction",
    default_pool_size: int = 20,
    max_client_conn: int = 1200,
    settings: Mapping[str, str] = NO_SETTINGS,
) -> Pgbouncer:
    """Start a pooler in front of `cluster`; `settings` are further lines of its [pgbouncer] section."""
    program = pgbouncer_path()
    if program is None:
        raise Unsupported("the program pgbouncer was not found in PATH", hint="apt-get install pgbouncer")
    sweep()
    home = Home.create(prefix="pgrb", account=cluster.home.account, program=program)
    sizes = {
        "pool_mode": pool_mode,
        "default_pool_size": str(default_pool_size),
        "max_client_conn": str(max_client_conn),
    }
    try:
        pooler = Pgbouncer(home=home, program=program, cluster=cluster, settings={**sizes, **settings})
        pooler.start()
    except BaseException:
        home.end()
        raise
    return pooler
