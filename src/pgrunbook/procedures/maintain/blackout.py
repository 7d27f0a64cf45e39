"""Times in which maintenance must not run, as the configuration writes them: "Monday-Friday 08:00-18:00 Europe/Berlin".

    [WEEKDAY | WEEKDAY-WEEKDAY] TIME-TIME ZONE

Without a weekday every day is meant.  A span that ends before it begins goes past midnight, and belongs to the day on
which it begins.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from pgrunbook.errors import UsageError
from pgrunbook.procedures.maintain.calendar import WEEKDAYS, day_in, instant, zone_of

EXAMPLE = "Monday-Friday 08:00-18:00 Europe/Berlin"
_SPAN = re.compile(
    r"(?:(?P<first>[A-Za-z]+)(?:-(?P<last>[A-Za-z]+))?\s+)?"
    r"(?P<begins>(?:[01]\d|2[0-3]):[0-5]\d)-(?P<ends>(?:[01]\d|2[0-3]):[0-5]\d|24:00)\s+(?P<zone>\S+)\Z"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blackout:
    """A span of every week.  `weekdays` are those on which it begins (0 is Monday); `ends` None is midnight."""

    text: str
    weekdays: frozenset[int]
    begins: time
    ends: time | None
    zone: str

    def end_at(self, at: datetime) -> datetime | None:
        """When the span that holds this moment ends; None outside."""
        for starts_at, ends_at in self._around(at):
            if starts_at <= at < ends_at:
                return ends_at
        return None

    def _around(self, at: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Yesterday's, today's and tomorrow's span: no other can hold this moment."""
        today = day_in(at, self.zone)
        for days in (-2, -1, 0, 1):
            day = today + timedelta(days=days)
            if day.weekday() not in self.weekdays:
                continue
            is_past_midnight = self.ends is None or self.ends <= self.begins
            last = day + timedelta(days=1) if is_past_midnight else day
            ends = self.ends if self.ends is not None else time()
            yield instant(day, self.begins, self.zone), instant(last, ends, self.zone)


def parse(text: str) -> Blackout:
    """Read one span.  Raises UsageError with an example.

    >>> sorted(parse("Friday-Monday 22:00-02:00 UTC").weekdays)
    [0, 4, 5, 6]
    """
    match = _SPAN.match(text.strip())
    if match is None:
        raise _wrong(text, "it is not [WEEKDAY | WEEKDAY-WEEKDAY] TIME-TIME ZONE")
    if zone_of(match["zone"]) is None:
        raise _wrong(text, f"{match['zone']!r} is no time zone that this machine knows")
    if match["begins"] == match["ends"]:
        raise _wrong(text, "it begins when it ends; 00:00-24:00 is a whole day")
    return Blackout(
        text=text.strip(),
        weekdays=_weekdays(text, match["first"], match["last"]),
        begins=time.fromisoformat(match["begins"]),
        ends=time.fromisoformat(match["ends"]) if match["ends"] != "24:00" else None,
        zone=match["zone"],
    )


def _weekdays(text: str, first: str | None, last: str | None) -> frozenset[int]:
    if first is None:
        return frozenset(range(len(WEEKDAYS)))
    names = [name.lower() for name in WEEKDAYS]
    for word in (first, last):
        if word is not None and word.lower() not in names:
            raise _wrong(text, f"{word!r} is no weekday")
    begin = names.index(first.lower())
    end = names.index(last.lower()) if last is not None else begin
    return frozenset((begin + step) % len(names) for step in range((end - begin) % len(names) + 1))


def _wrong(text: str, what: str) -> UsageError:
    return UsageError(f"{text!r} is no blackout: {what}", hint=f'Write it like "{EXAMPLE}".')
