"""What a judge may look at: the snapshot, and values derived from it that several judges share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from pgrunbook.model import NotRead, Question, Reading, Server, Snapshot, Window
from pgrunbook.pg.parse import Parser

Row = TypeVar("Row")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One observation as judges see it.  Ages are reckoned from `at`, not from the wall clock.

    `parser` gives parse trees of SQL texts (ParseFailed for those it cannot read).
    `expectations` is the configuration's [expect] table (replicas, host memory …), {} by default.
    """

    snapshot: Snapshot
    parser: Parser
    expectations: Mapping[str, Any] = field(default_factory=dict)
    _derived: dict[Callable[..., Any], Any] = field(default_factory=dict)

    @property
    def server(self) -> Server:
        """The server that was observed."""
        return self.snapshot.server

    @property
    def at(self) -> datetime:
        """When the observation ended."""
        return self.snapshot.taken_at

    def rows(self, question: Question[Row]) -> tuple[Row, ...]:
        """The answer to a question; NotRead (the engine makes it Blind) when there is none."""
        return self.snapshot.rows(question)

    def reading(self, question: Question[Row]) -> Reading[Row]:
        """The answer with the OIDs that had to be left out because they were locked."""
        return self.snapshot.reading(question)

    def rows_or_none(self, question: Question[Row]) -> tuple[Row, ...] | None:
        """The answer to a question that the judge can do without."""
        try:
            return self.snapshot.rows(question)
        except NotRead:
            return None

    def window(self, question: Question[Row]) -> Window[Row] | None:
        """Two readings of the question, or None when only one was taken."""
        return self.snapshot.window(question)

    def derived(self, make: Callable[[Seen], T]) -> T:
        """A value that several judges reckon from the same readings, made once."""
        if make not in self._derived:
            self._derived[make] = make(self)
        value: T = self._derived[make]
        return value
