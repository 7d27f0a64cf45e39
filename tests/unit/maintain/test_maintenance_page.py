"""What docs/maintenance.md shows is what is understood."""

from __future__ import annotations

import re
from pathlib import Path

from pgrunbook import config
from pgrunbook.procedures.maintain import calendar_yaml, schedule
from pgrunbook.procedures.maintain.arrangements import LowTraffic, PressureLimits, arrangements
from pgrunbook.procedures.maintain.calendar import Frequency, parse
from pgrunbook.procedures.maintain.tasks import Task

PAGE = (Path(__file__).parents[3] / "docs" / "maintenance.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def test_its_examples_are_read_and_its_figures_are_the_defaults(tmp_path: Path) -> None:
    assert len(schedule.read(calendar_yaml.parse(block("yaml"), "page"), "page").entries) == 2
    file = tmp_path / "pgrunbook.toml"
    file.write_text(block("toml"), encoding="utf-8")
    found = arrangements(config.load(file=file, environ={"HOME": str(tmp_path)}))
    assert [entry.task for entry in found.schedule.entries] == [Task.VACUUM, Task.CAPACITY]
    default = arrangements(config.Config())
    assert found.pressure == PressureLimits()
    assert found.low_traffic == LowTraffic()
    assert (found.max_steps, found.longest_s, found.schedule.catch_up_s) == (
        default.max_steps, default.longest_s, default.schedule.catch_up_s,
    )  # fmt: skip


def test_it_names_every_task_and_a_true_example_of_every_frequency() -> None:
    assert all(f"`{task}`" in PAGE for task in Task)
    rows = dict(re.findall(r"^\| (`(?:daily|weekly|monthly)`.*?) \|.*\| (.*?) \|$", PAGE, re.MULTILINE))
    for head, examples in rows.items():
        for frequency in re.findall(r"`(\w+)`", head):
            for example in re.findall(r"`(.*?)`", examples):
                assert parse(example, Frequency(frequency)).text == example
    assert len(rows) == 3
