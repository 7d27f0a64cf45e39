"""A load that is going on: start it, ask for its figures, stop it."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import threading
import time
from collections import deque
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from pgrunbook.errors import ServerError
from pgrunbook.lab import Binaries
from pgrunbook.pg.connect import connect, describe, translated
from pgrunbook.procedures.load.cpu import CpuWatch
from pgrunbook.procedures.load.driver import Driver
from pgrunbook.procedures.load.figures import LoadResult, Lost, Requests, parse_line, summarise
from pgrunbook.procedures.load.pacing import Pacing
from pgrunbook.procedures.load.spec import LoadSpec

SAMPLES_MIN = 20  # fewer have no 95th percentile: it would be the worst of all
CPU_EVERY_S = 2.0
POLL_S = 0.1
FIRST_ANSWER_LIMIT_S = 60.0  # beyond the longest time to think: connecting a thousand users takes seconds
LAST_WORDS = 20
CALL_OFF_LIMIT_S = 10.0
CALL_OFF = """
    select pg_catalog.pg_cancel_backend(pid)
    from pg_catalog.pg_stat_activity
    where application_name = %(name)s and state = 'active' and usename = current_user
"""
PROMPT = b"Password"
GIVEN_UP = re.compile(r"client (\d+) (?:script (\d+) )?aborted")


class RunningLoad:
    """Users at work on a database until `stop`, in the background; also a context manager that stops."""

    def __init__(self, spec: LoadSpec, dsn: str, binaries: Binaries, *, server_pids: Iterable[int] = ()) -> None:
        self.spec = spec
        self._dsn = dsn
        self._where = describe(dsn)
        pacing = Pacing(mean_us=round(spec.think_s * 1e6))
        self._requests = Requests(users=spec.users, pacing=pacing)
        self._words: deque[str] = deque(maxlen=LAST_WORDS)
        self._lock = threading.Lock()
        self._cpu = CpuWatch(server_pids)
        self._stopping = threading.Event()
        self._result: LoadResult | None = None
        self._driver = Driver(spec, dsn, binaries, pacing)
        self._reader = threading.Thread(target=self._read, name="load-log", daemon=True)
        self._reader.start()

    @classmethod
    def start(cls, spec: LoadSpec, dsn: str, binaries: Binaries, *, server_pids: Iterable[int] = ()) -> RunningLoad:
        """Let the users begin.  `server_pids` are servers and poolers whose processor time is not "others'"."""
        return cls(spec, dsn, binaries, server_pids=server_pids)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        """Whether the users are still at work."""
        return not self._stopping.is_set() and self._driver.alive

    @property
    def pid(self) -> int:
        """The process id of pgbench."""
        return self._driver.pid

    @property
    def started_at_s(self) -> float | None:
        """When the first user began (seconds since 1970); None until the first request has ended."""
        with self._lock:
            return self._requests.started_at_s

    def window(self, seconds: float, *, samples_min: int = 1) -> LoadResult:
        """Figures of the last `seconds`, without any of the warm-up; unfinished requests count with their age.

        Raises ServerError when pgbench has died or too little has ended.
        """
        self._raise_if_dead()
        until_s = time.time()
        return self._figures(until_s - seconds, until_s, samples_min)

    def wait(self, seconds: float) -> None:
        """Let the load go on until it is `seconds` old; raises ServerError when it dies before."""
        patience_s = FIRST_ANSWER_LIMIT_S + 2 * self.spec.think_s + seconds
        deadline = time.monotonic() + patience_s
        while (started_at_s := self.started_at_s) is None or time.time() < started_at_s + seconds:
            self._raise_if_dead()
            if started_at_s is None and time.monotonic() > deadline:
                raise ServerError(
                    f"{self.spec.users} users asked {self._where} for {patience_s:.0f} s and got no answer",
                    hint="Look for locks (pg_stat_activity, wait_event_type = 'Lock') or ask for fewer users.",
                )
            time.sleep(POLL_S)

    def stop(self, *, samples_min: int = SAMPLES_MIN) -> LoadResult:
        """End the load and return the figures from the end of the warm-up to now.

        Raises ServerError when pgbench had died or there are fewer than `samples_min` ended requests.
        """
        if self._result is None:
            try:
                self._raise_if_dead()
                until_s = time.time()
            finally:
                self.close()
            self._result = self._figures(0.0, until_s, samples_min)
        return self._result

    def close(self) -> None:
        """End the load without figures; may be called again."""
        if not self._stopping.is_set():
            self._stopping.set()
            self._driver.stop()
            self._reader.join()
            self._driver.close()
            with contextlib.suppress(ServerError):  # a server that is gone has nothing to cancel
                self._call_off()

    def _call_off(self) -> None:
        """Cancel what the users' sessions are still doing: a server notices only at its next answer that they left."""
        deadline = time.monotonic() + CALL_OFF_LIMIT_S
        with connect(self._dsn, station="load") as conn, translated("cancelling the load's last requests"):
            while conn.execute(CALL_OFF, {"name": self._driver.application_name}).fetchall():
                if time.monotonic() > deadline:
                    return
                time.sleep(POLL_S)

    def _figures(self, from_s: float, until_s: float, samples_min: int) -> LoadResult:
        with self._lock:
            started_at_s = self._requests.started_at_s
            from_s = until_s if started_at_s is None else max(from_s, started_at_s + self.spec.warmup_s)
            result = None
            if until_s > from_s:
                result = summarise(
                    self._requests,
                    [script.name for script in self.spec.scripts],
                    from_s=from_s,
                    until_s=until_s,
                    other_cpu_ratio=self._cpu.other_ratio(from_s, until_s),
                )
        samples = result.samples if result is not None else 0
        if result is None or samples < samples_min:
            raise ServerError(
                f"{self.spec.users} users on {self._where} got {samples} answers in "
                f"{max(0.0, until_s - from_s):.0f} s after the warm-up, and figures need {max(1, samples_min)}",
                hint="Measure longer, or find out what keeps the server from answering.",
            )
        return result

    def _raise_if_dead(self) -> None:
        if self._stopping.is_set() or self._driver.alive:
            return
        self._reader.join(POLL_S * 20)
        with self._lock:
            words = "\n".join(self._words)
        raise ServerError(
            f"pgbench ended (exit {self._driver.exit_code}) in the middle of a load on {self._where}:\n{words}",
            hint="Can the role connect so many times (max_connections, the pooler's max_client_conn)?",
        )

    def _read(self) -> None:
        """The background thread: log lines, complaints, processor samples, until pgbench has ended."""
        rests = {self._driver.log_fd: b"", self._driver.stderr_fd: b""}
        sampled_at = -CPU_EVERY_S
        with selectors.DefaultSelector() as waiting:
            for fd in rests:
                os.set_blocking(fd, False)
                waiting.register(fd, selectors.EVENT_READ)
            ended = False
            while not ended:
                ended = self._stopping.is_set() or not self._driver.alive
                if time.monotonic() >= sampled_at + CPU_EVERY_S or ended:
                    self._cpu.sample()
                    sampled_at = time.monotonic()
                for key, _ in waiting.select(0 if ended else POLL_S):
                    if not self._take(key.fd, rests):
                        waiting.unregister(key.fd)

    def _take(self, fd: int, rests: dict[int, bytes]) -> bool:
        """Read all that is there; False at the end of the stream."""
        chunks = []
        with contextlib.suppress(BlockingIOError, OSError):  # EIO: the other end of the terminal is gone
            while chunk := os.read(fd, 65536):
                chunks.append(chunk)
        if not chunks:
            return False
        *lines, rests[fd] = (rests[fd] + b"".join(chunks)).split(b"\n")
        if rests[fd].startswith(PROMPT):  # there is nobody to ask: let it fail, with the server's reason
            os.write(fd, b"\n")
        with self._lock:
            for line in lines:
                text = line.decode("utf-8", "replace")
                if fd == self._driver.log_fd:
                    self._note_record(text)
                else:
                    self._note_words(text)
        return True

    def _note_record(self, text: str) -> None:
        record = parse_line(text)
        if record is not None and record.client < self.spec.users:
            if not self._requests.ended:
                self._driver.forget_folder()
            self._requests.add(record)

    def _note_words(self, text: str) -> None:
        self._words.append(text)
        if (found := GIVEN_UP.search(text)) is not None:
            script = int(found[2]) if found[2] is not None else None
            self._requests.lost.append(Lost(client=int(found[1]), script=script, lost_at_s=time.time()))


def run_load(
    spec: LoadSpec,
    dsn: str,
    binaries: Binaries,
    *,
    server_pids: Iterable[int] = (),
    samples_min: int = SAMPLES_MIN,
) -> LoadResult:
    """Run one load from start to end and return its figures without the warm-up."""
    with RunningLoad.start(spec, dsn, binaries, server_pids=server_pids) as load:
        load.wait(spec.warmup_s + spec.duration_s)
        return load.stop(samples_min=samples_min)
