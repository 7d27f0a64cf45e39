"""The calendar's dates against a brute force that looks at every quarter of an hour of some years."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from pgrunbook.errors import UsageError
from pgrunbook.procedures.maintain.calendar import EXAMPLES, ORDINALS, WEEKDAYS, Frequency, Rule, Slot, parse

SINCE = datetime(2024, 1, 1, tzinfo=UTC)  # a leap year begins
UNTIL = datetime(2026, 3, 31, tzinfo=UTC)
FIRST_DAY, LAST_DAY = SINCE.date(), UNTIL.date()
QUARTER_H = timedelta(minutes=15)
STRANGE_ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Santiago")


def slots(rule: Rule, since: datetime = SINCE, until: datetime = UNTIL) -> list[Slot]:
    found = []
    for slot in rule.slots(since):
        if slot.starts_at > until:
            return found
        found.append(slot)
    raise AssertionError("unreachable")


def days(since: date = FIRST_DAY, until: date = LAST_DAY) -> Iterator[date]:
    day = since
    while day <= until:
        yield day
        day += timedelta(days=1)


@cache
def period_of(year: int, number: int, months: int) -> tuple[date, ...]:
    """Every day of this month or quarter."""
    return tuple(day for day in days(date(year, 1, 1), date(year, 12, 31)) if (day.month - 1) // months == number)


def is_meant(rule: Rule, day: date) -> bool:
    """Whether the rule means this day, found by counting the days of its period one by one."""
    if rule.frequency is Frequency.DAILY:
        return True
    if rule.frequency is Frequency.WEEKLY:
        return day.weekday() == rule.weekday
    months = 3 if rule.frequency is Frequency.QUARTERLY else 1
    period = period_of(day.year, (day.month - 1) // months, months)
    assert rule.ordinal is not None
    if rule.is_week:
        return period.index(day) == (len(period) - 7 if rule.ordinal == -1 else 7 * (rule.ordinal - 1))
    same = [other for other in period if other.weekday() == rule.weekday]
    return day == (same[-1] if rule.ordinal == -1 else same[rule.ordinal - 1])


def rules_by_day() -> Iterator[Rule]:
    for weekday in range(7):
        yield Rule(frequency=Frequency.WEEKLY, weekday=weekday)
        for frequency in (Frequency.MONTHLY, Frequency.QUARTERLY):
            for ordinal in ORDINALS.values():
                yield Rule(frequency=frequency, ordinal=ordinal, weekday=weekday)
    for frequency in (Frequency.MONTHLY, Frequency.QUARTERLY):
        for ordinal in ORDINALS.values():
            yield Rule(frequency=frequency, ordinal=ordinal, is_week=True)


@pytest.mark.parametrize("rule", list(rules_by_day()), ids=lambda rule: f"{rule.frequency} {rule.text}")
def test_the_days_are_those_that_counting_finds(rule: Rule) -> None:
    found = {slot.starts_at.date() for slot in slots(rule)}
    wanted = {day for day in days() if is_meant(rule, day) and SINCE.date() < day}
    assert found == wanted


@pytest.mark.parametrize("rule", list(rules_by_day()), ids=lambda rule: f"{rule.frequency} {rule.text}")
def test_a_rule_is_read_again_from_its_own_words(rule: Rule) -> None:
    assert parse(rule.text, rule.frequency) == rule
    assert parse(rule.text.upper(), rule.frequency) == rule


@pytest.mark.parametrize("zone", STRANGE_ZONES)
def test_a_time_of_day_is_the_first_moment_at_which_clocks_there_show_it(zone: str) -> None:
    place = ZoneInfo(zone)
    shown: dict[tuple[date, time], datetime] = {}
    moment = SINCE - timedelta(days=2)
    while moment < UNTIL + timedelta(days=2):
        local = moment.astimezone(place)
        shown.setdefault((local.date(), local.time()), moment)
        moment += QUARTER_H
    for at in (time(0, 0), time(0, 15), time(2, 0), time(2, 15), time(2, 30), time(3, 0), time(23, 45)):
        rule = Rule(frequency=Frequency.DAILY, at=at, zone=zone)
        by_day = {day: shown[day, at] for day in days() if (day, at) in shown}
        found = slots(rule)
        assert {slot.starts_at for slot in found} >= {m for m in by_day.values() if SINCE < m <= UNTIL}
        for slot in found:
            local = slot.starts_at.astimezone(place)
            if local.time() != at:  # that day's clocks never show it: as late as if they had not been set forward
                day = local.date()
                assert day not in by_day
                before = (slot.starts_at - timedelta(hours=3)).astimezone(place)
                unmoved = before + timedelta(hours=3)  # wall clock arithmetic
                assert unmoved.time() == at


@pytest.mark.parametrize("zone", STRANGE_ZONES)
def test_every_day_has_one_slot_and_slots_never_run_backwards(zone: str) -> None:
    for at in (time(0, 0), time(2, 30)):
        found = slots(Rule(frequency=Frequency.DAILY, at=at, zone=zone))
        gaps = {second.starts_at - first.starts_at for first, second in pairwise(found)}
        assert min(gaps) >= timedelta(hours=22, minutes=30)
        assert max(gaps) <= timedelta(hours=25, minutes=30)


def test_the_latest_slot_is_the_last_of_those_before() -> None:
    for rule in (parse("02:30 Europe/Berlin", Frequency.DAILY), parse("Last week", Frequency.QUARTERLY)):
        known = slots(rule, SINCE - timedelta(days=400))
        moment = SINCE
        while moment < UNTIL:
            assert rule.latest(moment) == max((s for s in known if s.starts_at <= moment), key=lambda s: s.starts_at)
            moment += timedelta(days=5, hours=7)


def test_a_moment_is_its_own_slots_but_not_the_next() -> None:
    rule = parse("Sunday 04:00 UTC", Frequency.WEEKLY)
    sunday = datetime(2026, 11, 29, 4, tzinfo=UTC)
    assert rule.latest(sunday) == rule.next(sunday - timedelta(microseconds=1))[0]
    assert rule.next(sunday)[0].starts_at == sunday + timedelta(days=7)


def test_times_that_do_not_exist_or_exist_twice_are_what_rfc_5545_says() -> None:
    rule = parse("02:30 Europe/Berlin", Frequency.DAILY)
    spring = rule.next(datetime(2026, 3, 28, 12, tzinfo=UTC))[0].starts_at
    assert spring.astimezone(ZoneInfo("Europe/Berlin")).isoformat() == "2026-03-29T03:30:00+02:00"
    autumn = rule.next(datetime(2026, 10, 24, 12, tzinfo=UTC), 2)
    assert [slot.starts_at.isoformat() for slot in autumn] == ["2026-10-25T00:30:00+00:00", "2026-10-26T01:30:00+00:00"]


def test_a_day_that_a_zone_left_out_has_no_slot() -> None:
    """Samoa went from the 29th to the 31st of December 2011."""
    whole_day = Rule(frequency=Frequency.WEEKLY, weekday=4, zone="Pacific/Apia")
    found = [slot.starts_at for slot in whole_day.next(datetime(2011, 12, 20, tzinfo=UTC), 3)]
    assert [at.astimezone(ZoneInfo("Pacific/Apia")).date().isoformat() for at in found] == [
        "2011-12-23", "2012-01-06", "2012-01-13",
    ]  # fmt: skip
    daily = parse("02:00 Pacific/Apia", Frequency.DAILY).next(datetime(2011, 12, 28, tzinfo=UTC), 5)
    assert all(first.starts_at < second.starts_at for first, second in pairwise(daily))


def test_whole_days_and_weeks_may_be_begun_until_they_end() -> None:
    day = parse("First Monday", Frequency.MONTHLY).next(SINCE, 1)[0]
    assert day.ends_at - day.starts_at == timedelta(days=1)
    week = parse("First week", Frequency.QUARTERLY).next(SINCE, 1)[0]
    assert week.ends_at - week.starts_at == timedelta(days=7)
    timed = parse("02:00 UTC", Frequency.DAILY).next(SINCE, 1, catch_up_s=60.0)[0]
    assert timed.ends_at - timed.starts_at == timedelta(minutes=1)


@pytest.mark.parametrize("frequency", Frequency)
def test_every_example_is_understood(frequency: Frequency) -> None:
    for example in EXAMPLES[frequency]:
        assert parse(example, frequency).text == example
        assert len(parse(example, frequency).next(SINCE)) == 3


@pytest.mark.parametrize(
    "frequency,text,complaint",
    [
        ("daily", "", "empty"),
        ("daily", "2:00 UTC", "'2:00' is no time of day"),
        ("daily", "24:00 UTC", "'24:00' is no time of day"),
        ("daily", "02:60 UTC", "'02:60' is no time of day"),
        ("daily", "2am UTC", "'2am' is no time of day"),
        ("daily", "02:00", "time zone is missing"),
        ("daily", "02:00 utc", "'utc' is no time zone"),
        ("daily", "02:00 Mars/Olympus", "'Mars/Olympus' is no time zone"),
        ("daily", "02:00 ../../etc/passwd", "is no time zone"),
        ("daily", "02:00 localtime", "'localtime' is no time zone"),
        ("daily", "02:00 UTC daily", "one word too many"),
        ("daily", "Sunday 02:00 UTC", "needs a time"),
        ("daily", "UTC", "needs a time"),
        ("daily", "every 5 minutes", "needs a time"),
        ("daily", "0 2 * * *", "'0' is no time of day"),
        ("weekly", "Sun 04:00 UTC", "did you mean Sunday?"),
        ("weekly", "First Sunday 04:00 UTC", "'First' is no weekday"),
        ("weekly", "04:00 UTC", "'04:00' is no weekday"),
        ("weekly", "Sunday,Monday 04:00 UTC", "is no weekday"),
        ("weekly", "Sunday 04:00", "time zone is missing"),
        ("monthly", "Sunday 04:00 UTC", "'Sunday' is none of: First"),
        ("monthly", "Fifth Sunday 04:00 UTC", "not every month has a fifth"),
        ("monthly", "First", "a weekday is missing"),
        ("monthly", "1st Sunday", "'1st' is none of"),
        ("monthly", "First weekend", "'weekend' is no weekday"),
        ("quarterly", "First week 04:00 UTC", "a week has no time of day"),
        ("quarterly", "Week", "'Week' is none of"),
        ("quarterly", "First Sunday 04:00 UTC!", "is no time zone"),
    ],
)
def test_what_the_grammar_does_not_know_is_refused_with_an_example(frequency: str, text: str, complaint: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse(text, Frequency(frequency))
    assert complaint in refused.value.message
    assert repr(text) in refused.value.message
    assert EXAMPLES[Frequency(frequency)][0] in refused.value.hint


def test_no_shuffled_words_are_misread() -> None:
    """Whatever is understood says the same again in its own words, and means at most one day of each week."""
    vocabulary = ("First", "Last", "Sunday", "week", "04:00", "UTC")
    for frequency in Frequency:
        for first in vocabulary:
            for second in vocabulary:
                for third in vocabulary:
                    for words in (f"{first} {second}", f"{first} {second} {third}", f"{first} {second} 04:00 {third}"):
                        try:
                            rule = parse(words, frequency)
                        except UsageError:
                            continue
                        assert words in {rule.text, f"{rule.text} UTC"}
                        assert (rule.weekday is None) == (frequency is Frequency.DAILY or "week" in words.split())
    assert WEEKDAYS[6] == "Sunday"
