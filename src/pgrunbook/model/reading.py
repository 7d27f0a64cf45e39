"""Questions, the typed answers they got, and the snapshot that holds all answers of one observation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

from pgrunbook.model.server import Server

Row = TypeVar("Row")
# (connection, server, readings by name) → Reading or Unread; model knows no driver
Probe: TypeAlias = Callable[[Any, Server, Mapping[str, Any]], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question(Generic[Row]):
    """One thing to ask a server.  Its SQL files stand beside the module that defines it.

    `row` is a frozen dataclass whose fields are the columns of the SQL, by name and type.
    `extension` must be installed, not older than `extension_version`; the SQL then names its schema as
    `{extension_schema}`.
    `reads_definitions` marks SQL that opens relations (pg_get_indexdef and its kin): it takes `%(skip)s`,
    an array of relation OIDs to leave out because a lock on them is held or awaited.
    `probe` marks a reading that is taken on request only, by more than one SQL statement: it gets the connection, the
    server and the readings taken before it.
    `needs` is a predefined role without which the answer would be incomplete, `cure` the command that helps.
    """

    name: str
    row: type[Row]
    folder: Path
    extension: str | None = None
    extension_version: str = "0"
    reads_definitions: bool = False
    primary_only: bool = False
    counters: bool = False
    needs: str | None = None
    cure: str = ""
    probe: Probe | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading(Generic[Row]):
    """The rows of one question at one time.  `skipped` are OIDs of relations that were locked."""

    rows: tuple[Row, ...]
    taken_at: datetime
    duration_s: float = 0.0
    skipped: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A question that got no answer: the reason, and what would cure it."""

    reason: str
    cure: str = ""


class NotRead(Exception):
    """Raised inside a judge that asks for a reading which could not be had; the engine turns it into Blind."""

    def __init__(self, unread: Unread) -> None:
        super().__init__(unread.reason)
        self.unread = unread


@dataclass(frozen=True, slots=True, kw_only=True)
class Window(Generic[Row]):
    """Two readings of one question; rates come only from it."""

    before: tuple[Row, ...]
    after: tuple[Row, ...]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All readings of one observation.  It holds no password and can be diagnosed elsewhere, later."""

    server: Server
    taken_at: datetime
    duration_s: float
    readings: Mapping[str, Reading[object] | Unread] = field(default_factory=dict)
    earlier: Snapshot | None = None

    def reading(self, question: Question[Row]) -> Reading[Row]:
        """The reading of this question, or NotRead with the reason why there is none."""
        found = self.readings.get(question.name, Unread(reason=f"{question.name} was not asked"))
        if isinstance(found, Unread):
            raise NotRead(found)
        return found  # type: ignore[return-value]  # readings are stored under their question's name

    def rows(self, question: Question[Row]) -> tuple[Row, ...]:
        """The rows of this question's reading."""
        return self.reading(question).rows

    def window(self, question: Question[Row]) -> Window[Row] | None:
        """The two readings of this question, or None when there is only one."""
        if self.earlier is None:
            return None
        before, after = self.earlier.reading(question), self.reading(question)
        return Window(before=before.rows, after=after.rows, seconds=(after.taken_at - before.taken_at).total_seconds())

    def unread(self) -> Iterator[tuple[str, Unread]]:
        """Every question that got no answer."""
        for name, reading in self.readings.items():
            if isinstance(reading, Unread):
                yield name, reading
