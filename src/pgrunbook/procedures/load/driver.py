"""One pgbench process, started so that its log can be read line by line while it runs.

pgbench writes its log through a buffer of 4 kB: at ten requests a second a line would come out ten seconds late, and
never if pgbench is ended.  A terminal is written line by line; so the log file is a link to a pseudo-terminal, whose
other end we read.  The terminal is also what ends pgbench when we die: its hang-up kills the process.
"""

from __future__ import annotations

import contextlib
import os
import resource
import secrets
import signal
import subprocess
import sys
import tempfile
import tty
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgrunbook.errors import Refused, UsageError
from pgrunbook.lab import Binaries
from pgrunbook.procedures.load.pacing import Pacing
from pgrunbook.procedures.load.spec import LoadSpec

SCRIPTS_MAX = 128  # pgbench's own limit
SPARE_FILES = 64  # files that pgbench has open beside a socket for each user
LIFE_LIMIT_S = 86_400  # pgbench wants an end; ours comes sooner
STOP_LIMIT_S = 10.0
SECRET = {"password", "sslpassword"}
# The log's name ends in the process id, which exec keeps; one log for each thread, the first without a number.
# A leader of a session that opens a terminal to read it (<>) gets it as its own, and is hung up on when we end.
START = """
ulimit -S -n "$1" || exit 126
: <> "$2"
ln -s "$2" "$3.$$"
thread=1
while [ "$thread" -lt "$4" ]; do ln -s "$2" "$3.$$.$thread"; thread=$((thread + 1)); done
shift 4
exec "$@"
"""
# Who runs under nohup ignores the hang-up, and so would all that he starts; a shell cannot take that back.
HEED = """
import os, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])
"""


class Driver:
    """pgbench at work; `log_fd` gives its log, `stderr_fd` its complaints."""

    def __init__(self, spec: LoadSpec, dsn: str, binaries: Binaries, pacing: Pacing) -> None:
        _refuse_too_big(spec)
        self.application_name = f"load-{secrets.token_hex(4)}"
        self._folder = tempfile.TemporaryDirectory(prefix="pgrunbook-load-")
        self.log_fd, self._terminal_fd = os.openpty()
        try:
            tty.setraw(self._terminal_fd)
            self._process = self._start(spec, dsn, binaries, pacing)
        except BaseException:
            self._release()
            raise
        if self._process.stderr is None:
            raise AssertionError("pgbench was started with a pipe for its complaints")
        self.stderr_fd = self._process.stderr.fileno()

    @property
    def alive(self) -> bool:
        """Whether pgbench is still running."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id of pgbench."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """What pgbench ended with; None while it runs."""
        return self._process.poll()

    def stop(self) -> None:
        """End pgbench; its sessions go on with what they are doing until somebody cancels it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(STOP_LIMIT_S)

    def forget_folder(self) -> None:
        """Remove scripts and log links; pgbench has them open once its first request has ended."""
        self._folder.cleanup()

    def close(self) -> None:
        """Give up the log and the folder; call it when nobody reads any more."""
        if self._process.stderr is not None:
            self._process.stderr.close()
        self._release()

    def _start(self, spec: LoadSpec, dsn: str, binaries: Binaries, pacing: Pacing) -> subprocess.Popen[bytes]:
        folder = Path(self._folder.name)
        files: list[str] = []
        for number, script in enumerate(spec.scripts):
            path = folder / f"{number:03d}.sql"
            path.write_text(pacing.paced(script.text), encoding="utf-8")
            files += ["-f", f"{path}@{script.weight}"]
        environment, rest = _connection(dsn)
        pgbench = [str(binaries.tool("pgbench")), "-n", "-M", "simple", "-T", str(LIFE_LIMIT_S)]
        size = ["-c", str(spec.users), "-j", str(spec.threads), "-D", "pgrb_turn=0"]
        size.append(f"--random-seed={spec.seed}")
        log = folder / "log"
        wrapper = [
            str(spec.users + SPARE_FILES),
            os.ttyname(self._terminal_fd),
            str(log),
            str(spec.threads),
        ]
        is_deaf = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        heeding = [sys.executable, "-I", "-c", HEED] if is_deaf else []
        return subprocess.Popen(
            [*heeding, "sh", "-c", START, "sh", *wrapper, *pgbench, *size, "-l", f"--log-prefix={log}", *files, *rest],
            env={**os.environ, **environment, "PGAPPNAME": self.application_name, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def _release(self) -> None:
        os.close(self.log_fd)
        os.close(self._terminal_fd)
        self._folder.cleanup()


def _refuse_too_big(spec: LoadSpec) -> None:
    if len(spec.scripts) > SCRIPTS_MAX:
        raise UsageError(
            f"this load has {len(spec.scripts)} scripts, pgbench takes {SCRIPTS_MAX}",
            hint="Leave out the scripts that come least often.",
        )
    needed = spec.users + SPARE_FILES
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard not in (resource.RLIM_INFINITY, -1) and hard < needed:
        raise Refused(
            f"{spec.users} users need {needed} open files, and this system allows a process {hard}",
            hint=f"Raise the limit (ulimit -H -n {needed}, as root) or ask for fewer users.",
        )


def _connection(dsn: str) -> tuple[dict[str, str], list[str]]:
    """The DSN as environment, where no other user sees it; what has no variable, as an argument (never a secret)."""
    variables = {
        option.keyword.decode(): option.envvar.decode()
        for option in psycopg.pq.Conninfo.get_defaults()
        if option.envvar is not None
    }
    given = {key: str(value) for key, value in conninfo_to_dict(dsn).items() if value is not None}
    environment = {variables[key]: value for key, value in given.items() if key in variables}
    rest = {key: value for key, value in given.items() if key not in variables and key not in SECRET}
    return environment, [make_conninfo("", **rest)] if rest else []
