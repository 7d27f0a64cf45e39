"""The journal: append-only JSON lines, each chained to the one before by its hash, on disk before anything is changed.

A record that cannot be written blocks the action (Refused).  A line that was torn by a crash is cut off, with a note:
its action had not begun.  Edited, removed or reordered records break the chain; a cut tail disagrees with the head
file, which names the last record.  Somebody who can rewrite both files can rewrite the history: print or ship the head.

Two may write at the same time, one in each role (`Hold`): an emergency does not wait until a plan is through.  Each
record is written in a turn of its own, after what the other has written.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

from pgrunbook.errors import Refused, RunbookError
from pgrunbook.model.plan import TargetPrint

Record: TypeAlias = Mapping[str, Any]
GENESIS = "0" * 64  # the `prev` of the first record
FILE, HEAD = "journal.jsonl", "journal.head"
UNIDENTIFIED = "unidentified"  # for servers that do not tell their system identifier
TURN_S = 5.0  # one record is written in milliseconds; who takes longer hangs
POLL_S = 0.01


class Hold(StrEnum):
    """The role in which a process writes, by its lock file; one process in each at a time."""

    EXECUTOR = "journal.lock"
    EMERGENCY = "emergency.lock"

    @property
    def wait_s(self) -> float:
        """How long its lock is waited for: an executor may look for a moment after what an emergency left open."""
        return 3.0 if self is Hold.EMERGENCY else 0.0


def state_home() -> Path:
    """The folder of our state: $XDG_STATE_HOME/pgrunbook, by default ~/.local/state/pgrunbook."""
    configured = os.environ.get("XDG_STATE_HOME", "")
    base = Path(configured) if Path(configured).is_absolute() else Path.home() / ".local" / "state"
    return base / "pgrunbook"


def folder_for(target: TargetPrint, home: Path | None = None) -> Path:
    """The folder of one database of one server; any name makes one safe path component, and no two the same."""
    system = target.system_identifier if target.system_identifier is not None else UNIDENTIFIED
    return (home if home is not None else state_home()) / _component(system) / _component(target.database)


def _component(name: str) -> str:
    """Escape all but letters, digits, `-` and `_`.

    >>> _component("shop"), _component("../a b"), _component(".")
    ('shop', '%2E%2E%2Fa%20b', '%2E')
    """
    return re.sub(
        rb"[^A-Za-z0-9_-]", lambda m: b"%%%02X" % m.group()[0], name.encode("utf-8", "surrogateescape")
    ).decode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A journal whose chain holds: how many records, and the hash of the last one."""

    records: int
    head: str
    torn: bool


class Journal:
    """One writer's hold on the journal of one database.  Use it as a context manager."""

    def __init__(self, folder: Path, hold: Hold = Hold.EXECUTOR) -> None:
        self.folder = folder
        self.hold = hold
        self.path = folder / FILE
        self._fd = -1
        self._lock_fd = -1
        self._size = 0
        self._seq = 0
        self._head = GENESIS

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def is_open(self) -> bool:
        """Whether records can be appended."""
        return self._fd >= 0

    @property
    def head(self) -> str:
        """The hash of the last record."""
        return self._head

    def open(self) -> None:
        """Take the writer's lock and read the whole chain.  Raises Refused."""
        with _refusing(self.path, "opened"):
            _make_folder(self.folder)
            self._lock_fd = self._open_lock(self.hold)
        try:
            if not _is_locked(self._lock_fd, self.hold.wait_s):
                raise Refused(  # noqa: TRY301 - what was opened must be closed
                    f"another pgrunbook is writing the journal {self.path}", hint="Wait until it has finished."
                )
            with _refusing(self.path, "opened"):
                is_new = not self.path.exists()
                self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
                if is_new:
                    _sync_folder(self.folder)
                with self._turn():
                    self._load()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the file and the lock."""
        for fd in (self._fd, self._lock_fd):
            if fd >= 0:
                os.close(fd)
        self._fd = self._lock_fd = -1

    def append(self, kind: str, /, **fields: Any) -> Record:
        """Write one record and wait until it is on disk.  Raises Refused; then the record is not in the journal."""
        if not self.is_open:
            raise RunbookError("the journal is not open")
        with _refusing(self.path, "written"), self._turn():
            if os.fstat(self._fd).st_size != self._size:  # the other wrote, or an interrupt kept us from noting it
                self._load()
            return self._append(kind, fields)

    @contextlib.contextmanager
    def also(self, hold: Hold) -> Iterator[bool]:
        """Keep whoever else would write in that role away for a while; False when there is somebody already."""
        with _refusing(self.path, "opened"):
            fd = self._open_lock(hold)
        try:
            yield _is_locked(fd, 0.0)
        finally:
            os.close(fd)

    def records(self) -> tuple[Record, ...]:
        """Everything that is written, oldest first."""
        return read(self.folder)

    def _open_lock(self, hold: Hold) -> int:
        return os.open(self.folder / hold.value, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Be the only writer of this moment."""
        if not _is_locked(self._fd, TURN_S):
            raise Refused(
                f"another pgrunbook has been writing one record of the journal {self.path} for {TURN_S:g} s",
                hint="It hangs: look whether it is stopped, or its disk is.",
            )
        try:
            yield
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def _append(self, kind: str, fields: Mapping[str, Any]) -> Record:
        body = {
            "seq": self._seq + 1,
            "prev": self._head,
            "at": datetime.now(UTC).isoformat(timespec="microseconds"),
            "type": kind,
            **fields,
        }
        record = {**body, "sha256": _digest(body)}
        self._write(_line(record), _line({"seq": record["seq"], "sha256": record["sha256"]}))
        self._seq, self._head = record["seq"], record["sha256"]
        return record

    def _load(self) -> None:
        raw = _content(self.path)
        whole = raw[: raw.rfind(b"\n") + 1]
        records = _chain(whole, self.path)
        _compare_with_head(records, _content(self.folder / HEAD), self.folder)
        if len(whole) < len(raw):
            os.ftruncate(self._fd, len(whole))
            os.fsync(self._fd)
        self._size = len(whole)
        self._seq = len(records)
        self._head = records[-1]["sha256"] if records else GENESIS
        if len(whole) < len(raw):
            torn = len(raw) - len(whole)
            self._append("note", {"text": f"cut off a record of {torn} bytes that was torn while being written"})

    def _write(self, line: bytes, head: bytes) -> None:
        """The record, then the file that names it; when either fails, neither is there."""
        try:
            view = memoryview(line)
            while view:
                view = view[os.write(self._fd, view) :]
            os.fsync(self._fd)
            _replace(self.folder / HEAD, head)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self._size)
                os.fsync(self._fd)
            raise
        self._size += len(line)


def read(folder: Path) -> tuple[Record, ...]:
    """Every whole record, oldest first, without taking the lock.  Raises Refused when the chain is broken."""
    path = folder / FILE
    raw = _content(path)
    return _chain(raw[: raw.rfind(b"\n") + 1], path)


def verify(folder: Path) -> Verified:
    """Check every hash, the chain, and the head file.  Raises Refused, which says where."""
    head = _content(folder / HEAD)  # before the records: somebody may be writing more
    raw = _content(folder / FILE)
    whole = raw[: raw.rfind(b"\n") + 1]
    records = _chain(whole, folder / FILE)
    _compare_with_head(records, head, folder)
    return Verified(
        records=len(records), head=records[-1]["sha256"] if records else GENESIS, torn=len(whole) < len(raw)
    )


def _chain(raw: bytes, path: Path) -> tuple[Record, ...]:
    """The records of these lines, each checked against the one before."""
    records: list[Record] = []
    prev = GENESIS
    for number, line in enumerate(raw.splitlines(keepends=True), start=1):
        try:
            record = json.loads(line)
            body = {name: value for name, value in record.items() if name != "sha256"}
            is_sound = line == _line(record) and record["sha256"] == _digest(body)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            is_sound = False
            record = {}
        if not is_sound:
            raise _damaged(path, f"record {number} was edited: its hash does not fit")
        if record["seq"] != number or record["prev"] != prev:
            raise _damaged(path, f"record {number} does not follow the one before: one was removed or moved")
        prev = record["sha256"]
        records.append(record)
    return tuple(records)


def _compare_with_head(records: tuple[Record, ...], raw: bytes, folder: Path) -> None:
    if not raw:
        return
    try:
        head = json.loads(raw)
        seq, sha256 = int(head["seq"]), str(head["sha256"])
    except (ValueError, TypeError, KeyError, RecursionError) as exc:
        raise _damaged(folder / FILE, f"its head file {HEAD} cannot be read") from exc
    if seq > len(records):
        raise _damaged(folder / FILE, f"it ends at record {len(records)}, but record {seq} was written")
    if seq and records[seq - 1]["sha256"] != sha256:
        raise _damaged(folder / FILE, f"record {seq} is not the one that was written")


def _damaged(path: Path, what: str) -> Refused:
    return Refused(
        f"the journal {path} is damaged: {what}",
        hint=f"Compare it with a copy.  Without it (move {path.parent} away) its steps can no longer be undone.",
    )


def _digest(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(_line(body)).hexdigest()


def _line(record: Mapping[str, Any]) -> bytes:
    """One canonical line: the same values give the same bytes."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii") + b"\n"


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as exc:
        raise Refused(f"{path} cannot be read: {exc.strerror}", hint="Check its permissions.") from exc


def _is_locked(fd: int, wait_s: float) -> bool:
    """Whether the lock could be had within this time."""
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_S)
        else:
            return True


def _make_folder(folder: Path) -> None:
    """Make the folder and its parents, for us alone, and have their names on disk."""
    missing = [part for part in (folder, *folder.parents) if not part.exists()]
    for part in reversed(missing):
        part.mkdir(mode=0o700, exist_ok=True)
        _sync_folder(part.parent)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _replace(path: Path, content: bytes) -> None:
    """Put a whole file in place of the old one, so that a crash leaves one of the two."""
    partial = path.with_name(f"{path.name}.partial")
    fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, content)
        os.fsync(fd)
    finally:
        os.close(fd)
    partial.replace(path)


@contextlib.contextmanager
def _refusing(path: Path, what: str) -> Iterator[None]:
    """No journal, no action: what the system refuses, we refuse."""
    try:
        yield
    except OSError as exc:
        raise Refused(
            f"the journal {path} cannot be {what}: {exc.strerror}; without it nothing is changed",
            hint="Make room or give write permission there, or set XDG_STATE_HOME to another folder.",
        ) from exc
