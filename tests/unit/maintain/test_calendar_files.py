"""The calendar as files: the runbook's YAML as it stands, TOML, and what is refused with its line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pgrunbook import config
from pgrunbook.errors import UsageError
from pgrunbook.procedures.maintain import calendar_yaml, schedule
from pgrunbook.procedures.maintain.arrangements import arrangements
from pgrunbook.procedures.maintain.calendar import Slot
from pgrunbook.procedures.maintain.tasks import Task, task_named

RUNBOOK_YAML = """\
daily:
  - task: 'VACUUM ANALYZE high_traffic_tables'
    time: '02:00 UTC'
    impact: 'minimal'

  - task: 'Update table statistics'
    time: '03:00 UTC'
    impact: 'none'

weekly:
  - task: 'REINDEX CONCURRENTLY bloated_indexes'
    time: 'Sunday 04:00 UTC'
    impact: 'minimal'

  - task: 'Full database backup'
    time: 'Sunday 05:00 UTC'
    impact: 'minimal'

monthly:
  - task: 'VACUUM FULL low_traffic_tables'
    time: 'First Sunday 06:00 UTC'
    impact: 'moderate'

  - task: 'Analyze slow query log'
    time: 'First Monday'
    impact: 'none'

quarterly:
  - task: 'Review and update indexes'
    time: 'First week'
    impact: 'varies'

  - task: 'Capacity planning review'
    time: 'Second week'
    impact: 'none'
"""
NIGHT = datetime(2026, 12, 6, 2, 5, tzinfo=UTC)  # a first Sunday


def test_the_runbooks_calendar_is_read_as_it_stands_and_is_the_default() -> None:
    assert calendar_yaml.parse(RUNBOOK_YAML, "runbook") == schedule.RUNBOOK
    assert [entry.task for entry in schedule.default().entries] == list(
        map(Task, ("vacuum", "statistics", "reindex", "backup", "vacuum-full", "slow-queries", "indexes", "capacity"))
    )


@pytest.mark.parametrize(
    "written,read",
    [
        ("'it''s'", "it's"),
        ('"a \\"b\\" \\\\ c"', 'a "b" \\ c'),
        ("plain words", "plain words"),
        ("'#no comment' # but this is one", "#no comment"),
        ("a#b", None),
        ("Sunday 04:00 UTC   # at night", "Sunday 04:00 UTC"),
    ],
)
def test_values_are_what_yaml_says_they_are(written: str, read: str | None) -> None:
    text = f"daily:\n- task: {written}\n"
    if read is None:
        with pytest.raises(UsageError, match="line 2"):
            calendar_yaml.parse(text, "x")
    else:
        assert calendar_yaml.parse(text, "x") == {"daily": [{"task": read}]}


@pytest.mark.parametrize(
    "text,complaint",
    [
        ("- task: vacuum\n", "line 1: a list must stand under a heading"),
        ("daily:\n\t- task: vacuum\n", "line 2: a tab"),
        ("daily:\n    task: vacuum\n", "line 2: the list's first item must begin with a dash"),
        ("daily:\n  - task: vacuum\n   time: 02:00 UTC\n", "line 3: it must be indented by 4 spaces"),
        ("daily:\n  - task: vacuum\n - task: backup\n", "line 3: the list's items are indented differently"),
        ("daily:\n  - task: vacuum\n    task: backup\n", "line 3: task stands twice"),
        ("daily:\ndaily:\n", "line 2: daily stands there twice"),
        ("daily: [vacuum]\n", "line 1: "),
        ("daily:\n  - {task: vacuum}\n", "line 2: "),
        ("daily:\n  - task: &anchor vacuum\n", "line 2: '&anchor vacuum' cannot be read"),
        ("daily:\n  - task: >\n      folded\n", "line 2: '>' cannot be read"),
        ("daily:\n  - task: 'open\n", "line 2: "),
        ("daily:\n  - task:\n", "line 2: "),
        ("!!python/object:os.system\n", "line 1: "),
    ],
)
def test_what_is_no_plain_list_is_refused_with_its_line(text: str, complaint: str) -> None:
    with pytest.raises(UsageError) as refused:
        calendar_yaml.parse(text, "calendar.yaml")
    assert complaint in refused.value.message
    assert refused.value.message.startswith("calendar.yaml, line")


@pytest.mark.parametrize(
    "content,complaint",
    [
        ({"hourly": []}, "'hourly' is no frequency"),
        ({"daily": [{"task": "vacuum"}]}, "daily task 1 has no time"),
        ({"daily": [{"task": "defrag", "time": "02:00 UTC"}]}, "no maintenance task 'defrag'"),
        ({"daily": [{"task": "vacuum", "time": "2 UTC"}]}, "daily task 1: '2 UTC' is no time"),
        ({"daily": [{"task": "vacuum", "time": "02:00 UTC", "impact": "huge"}]}, "impact must be one of"),
        ({"daily": [{"task": "vacuum", "time": "02:00 UTC", "when": "now"}]}, "unknown key 'when'"),
        ({"daily": [{"task": "vacuum", "time": 120}]}, "time must be a text"),
        ({"daily": {"task": "vacuum"}}, "must be a list"),
        ({}, "is empty"),
        ([], "must be a table"),
    ],
)
def test_a_calendar_that_means_nothing_is_refused_by_line(content: object, complaint: str) -> None:
    with pytest.raises(UsageError) as refused:
        schedule.read(content, "c")
    assert complaint in refused.value.message


def test_tasks_are_called_by_name_or_by_the_runbooks_words() -> None:
    assert task_named("Vacuum-Full") is task_named("VACUUM  full low_traffic_tables") is Task.VACUUM_FULL
    with pytest.raises(UsageError) as refused:
        task_named("vacum")
    assert "vacuum-full" in refused.value.hint


def test_what_is_due_is_what_has_not_run_since_its_slot_began() -> None:
    calendar = schedule.default()
    assert [entry.task for entry, _ in calendar.due(NIGHT, {})] == [Task.VACUUM]
    before, since = NIGHT - timedelta(days=1), NIGHT - timedelta(minutes=5)
    assert [entry.task for entry, _ in calendar.due(NIGHT, {Task.VACUUM: before})] == [Task.VACUUM]
    assert calendar.due(NIGHT, {Task.VACUUM: since}) == ()
    later = NIGHT.replace(hour=6, minute=0)
    assert [entry.task for entry, _ in calendar.due(later, {Task.VACUUM: since})] == [
        Task.STATISTICS, Task.REINDEX, Task.BACKUP, Task.VACUUM_FULL,
    ]  # fmt: skip


def test_a_night_that_was_missed_does_not_come_at_noon() -> None:
    calendar = schedule.default()
    noon = NIGHT.replace(hour=12)
    assert calendar.due(noon, {}) == ()
    ran = {Task.VACUUM: NIGHT - timedelta(days=2)}
    assert [entry.task for entry, _ in calendar.missed(noon, ran)] == [Task.VACUUM]
    assert calendar.missed(NIGHT, ran) == ()


def test_a_review_may_be_made_on_any_day_of_its_week() -> None:
    calendar = schedule.default()
    assert [entry.task for entry, _ in calendar.due(datetime(2027, 1, 3, 12, tzinfo=UTC), {})] == [Task.INDEXES]
    done = {Task.INDEXES: datetime(2027, 1, 1, 8, tzinfo=UTC)}
    assert calendar.due(datetime(2027, 1, 3, 12, tzinfo=UTC), done) == ()


def test_asked_every_hour_each_slot_is_run_once_and_in_time() -> None:
    """Four months of cron, with nights in which it was switched off and tasks that were refused at first."""
    calendar = schedule.default()
    ran: dict[Task, datetime] = {}
    runs: list[tuple[Task, datetime]] = []
    moment, refused = datetime(2026, 9, 28, 0, 7, tzinfo=UTC), set[tuple[Task, datetime]]()
    end = moment + timedelta(days=120)
    while moment < end:
        is_off = moment.day % 10 == 9
        for entry, slot in () if is_off else calendar.due(moment, ran):
            assert slot.holds(moment)
            if moment.day % 4 == 0 and (entry.task, slot.starts_at) not in refused:
                refused.add((entry.task, slot.starts_at))
                continue
            ran[entry.task] = moment
            runs.append((entry.task, slot.starts_at))
        moment += timedelta(hours=1)
    assert len(runs) == len(set(runs))
    for entry in calendar.entries:
        meant = {
            slot.starts_at
            for slot in entry.rule.next(datetime(2026, 9, 28, tzinfo=UTC), 130)
            if slot.ends_at < end
            and any((slot.starts_at + timedelta(days=n)).day % 10 != 9 for n in range(_days(slot)))
        }
        assert {at for task, at in runs if task is entry.task} >= meant
    assert len([task for task, _ in runs if task is Task.VACUUM]) == 120 - 12
    assert refused


def _days(slot: Slot) -> int:
    return max(1, (slot.ends_at - slot.starts_at).days)


def arranged(tmp_path: Path, text: str, calendar_file: Path | None = None):
    path = tmp_path / "pgrunbook.toml"
    path.write_text(text, encoding="utf-8")
    return arrangements(config.load(file=path, environ={"HOME": str(tmp_path)}), calendar_file=calendar_file)


def test_the_configuration_takes_the_place_of_the_runbooks_calendar_and_a_file_that_of_both(tmp_path: Path) -> None:
    toml = '[[maintain.calendar.daily]]\ntask = "statistics"\ntime = "01:30 Europe/Berlin"\n'
    found = arranged(tmp_path, f"[maintain]\ncatch_up_s = 600\n{toml}")
    assert [(entry.task, entry.rule.text) for entry in found.schedule.entries] == [
        (Task.STATISTICS, "01:30 Europe/Berlin")
    ]
    assert found.schedule.catch_up_s == 600
    assert "pgrunbook.toml" in found.schedule.origin
    file = tmp_path / "c.yaml"
    file.write_text(RUNBOOK_YAML, encoding="utf-8")
    assert len(arranged(tmp_path, toml, file).schedule.entries) == 8
    assert arranged(tmp_path, "").schedule.origin == "the runbook's calendar"


@pytest.mark.parametrize(
    "text,complaint",
    [
        ("[maintain]\nblackouts = []", "unknown key 'blackouts'"),
        ('[maintain]\nblackout = "always"', "must be a list of texts"),
        ('[maintain]\nblackout = ["8-18"]', "'8-18' is no blackout"),
        ("[maintain]\nmax_steps = 0", "max_steps must be a number from 1"),
        ("[maintain]\nlongest_s = true", "longest_s must be a number"),
        ("[maintain.pressure]\nload = 1", "unknown key 'load'"),
        ("[maintain.low_traffic]\nscans_per_h = -1", "scans_per_h must be a number from 0 on"),
        ("maintain = 1", "must be a table"),
    ],
)
def test_an_arrangement_that_nobody_understands_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(UsageError) as refused:
        arranged(tmp_path, text)
    assert complaint in refused.value.message
