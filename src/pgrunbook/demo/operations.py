"""What people do with QuizMentor: its operations as data, each in a bad and a good form.

An operation is a script for pgbench and stands in `scripts/`: `dashboard.bad.sql` and `dashboard.good.sql`, or one file
where both forms are alike.  Both read or write the same rows.  No index, policy or setting is named here: what an
operation needs must be found out from the workload.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from importlib.resources import files

from pgrunbook.demo.quizmentor.load import ANCHOR
from pgrunbook.demo.quizmentor.names import Names
from pgrunbook.demo.quizmentor.size import Size
from pgrunbook.procedures.load.spec import Script


class Form(Enum):
    """How the application asks."""

    BAD = "bad"
    GOOD = "good"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One kind of request and how often it comes: its share is its weight out of the sum of all (100)."""

    name: str
    weight: int


OPERATIONS = (
    Operation(name="dashboard", weight=15),
    Operation(name="feed", weight=13),
    Operation(name="submit", weight=12),
    Operation(name="timeline", weight=8),
    Operation(name="progress", weight=8),
    Operation(name="search", weight=8),
    Operation(name="touch", weight=8),
    Operation(name="track", weight=5),
    Operation(name="activity", weight=5),
    Operation(name="course", weight=4),
    Operation(name="similar", weight=4),
    Operation(name="review", weight=3),
    Operation(name="results", weight=3),
    Operation(name="login", weight=2),
    Operation(name="shared", weight=2),
)


def script_text(operation: Operation, form: Form, size: Size, names: Names) -> str:
    """The pgbench script of one operation, complete with what it draws its parameters from."""
    folder = files(__package__).joinpath("scripts")
    own = folder.joinpath(f"{operation.name}.{form.value}.sql")
    body = own if own.is_file() else folder.joinpath(f"{operation.name}.sql")
    parts = (folder.joinpath("every.sql"), body)
    return _figures(size) + names.render("".join(part.read_text(encoding="utf-8") for part in parts))


def scripts(form: Form, size: Size, names: Names | None = None) -> Sequence[Script]:
    """All operations in one form, for a load on a data set of this size and these names."""
    called = names if names is not None else Names()
    return [
        Script(name=each.name, weight=each.weight, text=script_text(each, form, size, called)) for each in OPERATIONS
    ]


def _figures(size: Size) -> str:
    """The variables that scripts draw from: row counts, and the second of the newest generated row."""
    figures = {
        "n_users": size.users,
        "n_courses": size.courses,
        "n_quizzes": size.quizzes,
        "n_questions": size.questions,
        "n_sessions": size.sessions,
        "n_events": size.events,
        "step": size.step,
        "newest_s": int(datetime.fromisoformat(ANCHOR).timestamp()),
    }
    return "".join(f"\\set {name} {value}\n" for name, value in figures.items())
