"""When maintenance is planned: the runbook's own words ("First Sunday 06:00 UTC") as a strict grammar over pure dates.

Nothing here knows a server, a clock or a file.  What the grammar does not know is refused with an example: a word that
was silently misread would rewrite a table at noon.

    daily       TIME ZONE                     02:00 UTC
    weekly      WEEKDAY [TIME ZONE]           Sunday 04:00 UTC
    monthly     ORDINAL WEEKDAY [TIME ZONE]   First Sunday 06:00 UTC
    quarterly   ORDINAL WEEKDAY [TIME ZONE]   Last Monday
    both        ORDINAL week                  First week

ORDINAL is First to Fourth, or Last; ZONE is UTC or a name such as Europe/Berlin.  Without a time the whole day is
meant, by UTC.  The first week is the period's first seven days, so that the first Sunday always lies in it; the last
week is its last seven.  Where clocks are set forward, a time that does not exist is meant as if they had not been
(02:30 becomes 03:30); where they are set back, the first of the two is meant (RFC 5545 says the same).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from functools import cache
from itertools import islice
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pgrunbook.errors import UsageError

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
ORDINALS = {"First": 1, "Second": 2, "Third": 3, "Fourth": 4, "Last": -1}
WEEK_DAYS = 7
CATCH_UP_S = 4 * 3600.0  # a task of the night that was missed must not come in the middle of the day
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)\Z")
_ZONE = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*\Z")
_NOT_ZONES = frozenset({"localtime", "posixrules", "Factory"})
LAST_YEAR = 9998
_LOOKS_LIKE_TIME = re.compile(r"\d{1,4}([:.h]\d{0,2})?(am|pm)?\Z", re.IGNORECASE)


class Frequency(StrEnum):
    """How often: the headings of the runbook's calendar."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    QUARTERLY = "quarterly"


EXAMPLES = {
    Frequency.DAILY: ("02:00 UTC", "02:30 Europe/Berlin"),
    Frequency.WEEKLY: ("Sunday 04:00 UTC", "Sunday"),
    Frequency.MONTHLY: ("First Sunday 06:00 UTC", "First Monday", "Last week"),
    Frequency.QUARTERLY: ("First week", "First Sunday 06:00 UTC", "Second Monday"),
}


# How far back the latest slot of each can lie; two more where a zone left a day out.
_REACH_DAYS = {Frequency.DAILY: 3, Frequency.WEEKLY: 15, Frequency.MONTHLY: 70, Frequency.QUARTERLY: 190}


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One planned moment and how long it may be begun: `starts_at` ≤ t < `ends_at`, both in UTC."""

    starts_at: datetime
    ends_at: datetime

    def holds(self, at: datetime) -> bool:
        """Whether this moment lies in it."""
        return self.starts_at <= at < self.ends_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What one line of the calendar means.  `ordinal` -1 is the last; `weekday` 0 is Monday, None a week or any day.

    `at` None means the whole day, or the whole week where `is_week`.
    """

    frequency: Frequency
    ordinal: int | None = None
    weekday: int | None = None
    is_week: bool = False
    at: time | None = None
    zone: str = "UTC"

    @property
    def text(self) -> str:
        """The rule as the calendar writes it."""
        ordinal = next((word for word, number in ORDINALS.items() if number == self.ordinal), "")
        day = "week" if self.is_week else WEEKDAYS[self.weekday] if self.weekday is not None else ""
        shown_zone = self.zone if self.at is not None or self.zone != "UTC" else ""
        moment = f"{self.at:%H:%M}" if self.at is not None else ""
        return " ".join(part for part in (ordinal, day, moment, shown_zone) if part)

    def slots(self, after: datetime, *, catch_up_s: float = CATCH_UP_S) -> Iterator[Slot]:
        """Every slot that starts after this moment, in order, until dates end."""
        last = after.astimezone(UTC)
        for day in self._days(day_in(last, self.zone)):
            slot = self._slot(day, catch_up_s)
            if slot is not None and slot.starts_at > last:
                last = slot.starts_at
                yield slot

    def next(self, after: datetime, amount: int = 3, *, catch_up_s: float = CATCH_UP_S) -> tuple[Slot, ...]:
        """The next slots."""
        return tuple(islice(self.slots(after, catch_up_s=catch_up_s), amount))

    def latest(self, at: datetime, *, catch_up_s: float = CATCH_UP_S) -> Slot | None:
        """The newest slot that started at this moment or before."""
        found = None
        for slot in self.slots(at - timedelta(days=_REACH_DAYS[self.frequency]), catch_up_s=catch_up_s):
            if slot.starts_at > at:
                break
            found = slot
        return found

    def _slot(self, day: date, catch_up_s: float) -> Slot | None:
        """The slot that begins on this day; None where its day does not exist (a zone that crossed the date line)."""
        starts_at = instant(day, self.at if self.at is not None else time(), self.zone)
        if self.at is not None:
            return Slot(starts_at=starts_at, ends_at=starts_at + timedelta(seconds=catch_up_s))
        days = WEEK_DAYS if self.is_week else 1
        ends_at = instant(day + timedelta(days=days), time(), self.zone)
        return Slot(starts_at=starts_at, ends_at=ends_at) if ends_at > starts_at else None

    def _days(self, since: date) -> Iterator[date]:
        """The first day of every slot, beginning with the period before the one in which `since` lies."""
        if self.frequency is Frequency.DAILY:
            yield from _every(1, since - timedelta(days=2))
        elif self.frequency is Frequency.WEEKLY and self.weekday is not None:
            back = (since.weekday() - self.weekday) % WEEK_DAYS
            yield from _every(WEEK_DAYS, since - timedelta(days=back + WEEK_DAYS))
        else:
            months = 3 if self.frequency is Frequency.QUARTERLY else 1
            for first, after in _periods(since, months):
                yield self._day_within(first, after)

    def _day_within(self, first: date, after: date) -> date:
        """The day that this rule means within a month or quarter; `after` is the first day of the next one."""
        ordinal = self.ordinal if self.ordinal is not None else 1
        if self.is_week:
            return (
                after - timedelta(days=WEEK_DAYS) if ordinal < 0 else first + timedelta(days=WEEK_DAYS * (ordinal - 1))
            )
        weekday = self.weekday if self.weekday is not None else 0
        if ordinal < 0:
            last = after - timedelta(days=1)
            return last - timedelta(days=(last.weekday() - weekday) % WEEK_DAYS)
        return first + timedelta(days=(weekday - first.weekday()) % WEEK_DAYS + WEEK_DAYS * (ordinal - 1))


def parse(text: str, frequency: Frequency) -> Rule:
    """Read one `time` of the calendar.  Raises UsageError that says which word is wrong, with an example.

    >>> parse("first sunday 06:00 UTC", Frequency.MONTHLY).text
    'First Sunday 06:00 UTC'
    """
    return _Reader(text=text, frequency=frequency).rule()


@dataclass(slots=True, kw_only=True)
class _Reader:
    """Takes the words one by one; what is left over is an error."""

    text: str
    frequency: Frequency

    def rule(self) -> Rule:
        words = self.text.split()
        if not words:
            raise self.wrong("it is empty")
        ordinal = self._ordinal(words) if self.frequency in {Frequency.MONTHLY, Frequency.QUARTERLY} else None
        is_week = ordinal is not None and bool(words) and words[0].lower() == "week"
        weekday = None
        if is_week:
            words.pop(0)
        elif self.frequency is not Frequency.DAILY:
            weekday = self._weekday(words)
        at = self._time(words)
        if at is None and self.frequency is Frequency.DAILY:
            raise self.wrong("a daily task needs a time")
        if is_week and at is not None:
            raise self.wrong("a week has no time of day; name a weekday instead")
        zone = self._zone(words, is_needed=at is not None)
        if words:
            raise self.wrong(f"{words[0]!r} is one word too many")
        return Rule(frequency=self.frequency, ordinal=ordinal, weekday=weekday, is_week=is_week, at=at, zone=zone)

    def wrong(self, what: str) -> UsageError:
        examples = ", ".join(f'"{example}"' for example in EXAMPLES[self.frequency])
        return UsageError(
            f"{self.text!r} is no time of a {self.frequency} task: {what}", hint=f"Write it like {examples}."
        )

    def _ordinal(self, words: list[str]) -> int:
        word = words.pop(0)
        number = {name.lower(): value for name, value in ORDINALS.items()}.get(word.lower())
        if number is None:
            why = "not every month has a fifth" if word.lower() == "fifth" else f"{word!r} is none of"
            raise self.wrong(f"{why}: {', '.join(ORDINALS)}" if "none" in why else f"{why}; Last always exists")
        return number

    def _weekday(self, words: list[str]) -> int:
        word = words.pop(0) if words else ""
        names = [name.lower() for name in WEEKDAYS]
        if word.lower() not in names:
            near = next((name for name in WEEKDAYS if len(word) >= 2 and name.lower().startswith(word.lower())), None)
            found = f"{word!r} is no weekday" if word else "a weekday is missing"
            raise self.wrong(found + (f"; did you mean {near}?" if near else ""))
        return names.index(word.lower())

    def _time(self, words: list[str]) -> time | None:
        if not words or not _LOOKS_LIKE_TIME.match(words[0]):
            return None
        word = words.pop(0)
        match = _TIME.match(word)
        if match is None:
            raise self.wrong(f"{word!r} is no time of day from 00:00 to 23:59 with two digits each")
        return time(int(match[1]), int(match[2]))

    def _zone(self, words: list[str], *, is_needed: bool) -> str:
        if not words:
            if is_needed:
                raise self.wrong("the time zone is missing")
            return "UTC"
        word = words.pop(0)
        if zone_of(word) is None:
            raise self.wrong(f"{word!r} is no time zone that this machine knows, such as UTC or Europe/Berlin")
        return word


@cache
def zone_of(name: str) -> tzinfo | None:
    """The time zone of this name, or None.  The machine's own zone has no name here: a calendar must travel."""
    if name == "UTC":  # known also where no database of zones is installed
        return UTC
    if name in _NOT_ZONES or not _ZONE.match(name):
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def instant(day: date, at: time, zone: str) -> datetime:
    """The moment in UTC at which clocks there show this time; see the module for times that do not, or twice, exist.

    >>> instant(date(2026, 3, 29), time(2, 30), "Europe/Berlin").isoformat()  # clocks go from 02:00 to 03:00
    '2026-03-29T01:30:00+00:00'
    >>> instant(date(2026, 10, 25), time(2, 30), "Europe/Berlin").isoformat()  # from 03:00 back to 02:00
    '2026-10-25T00:30:00+00:00'
    """
    place = zone_of(zone)
    return datetime.combine(day, at, place if place is not None else UTC).astimezone(UTC)  # fold 0: the first of two


def day_in(moment: datetime, zone: str) -> date:
    """The date there at this moment."""
    place = zone_of(zone)
    return moment.astimezone(place if place is not None else UTC).date()


def _every(days: int, first: date) -> Iterator[date]:
    """Each so many days, until dates end."""
    day = first
    while day.year < LAST_YEAR:
        yield day
        day += timedelta(days=days)


def _periods(since: date, months: int) -> Iterator[tuple[date, date]]:
    """Each month or quarter with the first day of the next, from the one before that in which `since` lies."""
    number = (since.year * 12 + since.month - 1) // months - 1
    while number * months // 12 < LAST_YEAR:
        first, after = number * months, (number + 1) * months
        yield date(first // 12, first % 12 + 1, 1), date(after // 12, after % 12 + 1, 1)
        number += 1
