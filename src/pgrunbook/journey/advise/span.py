"""Counters as what happened in a time: between two readings, or since they began, and labelled so.

A figure that went backwards was reset in between: then there is no span, never a negative rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.model import Blind, NotRead, Question
from pgrunbook.report.words import duration

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What was counted in `seconds`; `is_window` is false for all that happened since the counters began."""

    figures: Mapping[str, float]
    seconds: float
    is_window: bool

    def __getitem__(self, name: str) -> float:
        return self.figures[name]

    def per_s(self, name: str) -> float:
        """The rate of one figure."""
        return self.figures[name] / self.seconds if self.seconds > 0 else 0.0

    @property
    def words(self) -> str:
        """For what time it holds: `in the 30 s watched`, `in 3 d (cumulative)`."""
        return f"in the {duration(self.seconds)} watched" if self.is_window else f"in {duration(self.seconds)}"


def span_of(
    seen: Seen,
    question: Question[Row],
    figures: Callable[[Sequence[Row]], Mapping[str, float]],
    age_s: Callable[[Sequence[Row]], float | None],
    *,
    window_min_s: float = 1.0,
    whole: Callable[[Sequence[Row]], Mapping[str, float]] | None = None,
) -> Span | None:
    """What the counters of a question say, of the window if it is long enough.

    `whole` gives the figures since the beginning, where rows began at different times.  None where nobody knows: not
    read, reset in between, or without a beginning.
    """
    rows = seen.rows_or_none(question)
    if not rows:
        return None
    try:
        window = seen.window(question)
    except NotRead:
        window = None
    if window is not None and window.seconds >= window_min_s and window.before:
        before, after = figures(window.before), figures(window.after)
        moved = {name: after[name] - before[name] for name in after if name in before}
        if any(value < 0 for value in moved.values()):
            return None
        return Span(figures=moved, seconds=window.seconds, is_window=True)
    age = age_s(rows)
    return Span(figures=(whole or figures)(rows), seconds=age, is_window=False) if age else None


def unread_blind(seen: Seen, question: Question[Any], what: str) -> Iterator[Blind]:
    """What is not known because a question got no answer; nothing where it got one."""
    try:
        seen.reading(question)
    except NotRead as exc:
        yield Blind(reason=f"{what}: {exc.unread.reason}", cure=exc.unread.cure)


def period_words(seen: Seen) -> str:
    """For what time the figures of this observation hold, said once on top."""
    earlier = seen.snapshot.earlier
    if earlier is None:
        return "cumulative, since the counters began"
    return f"watched for {duration((seen.snapshot.taken_at - earlier.taken_at).total_seconds())}"
