"""What a load is: so many users, each of whom thinks, asks, waits for the answer, and thinks again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pgrunbook.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One kind of request, in pgbench's language, and its weight among the others."""

    name: str
    weight: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSpec:
    """A closed loop of `users` clients; figures begin after `warmup_s` and cover `duration_s`."""

    users: int
    think_s: float
    duration_s: float
    warmup_s: float
    scripts: Sequence[Script]
    threads: int = 1
    seed: int = 1  # the same seed draws the same requests: what is compared had the same mix

    def __post_init__(self) -> None:
        wrong = (
            (self.users < 1, "users must be 1 or more"),
            (self.think_s < 0, "the time to think cannot be negative"),
            (self.duration_s <= 0, "the duration must be longer than nothing"),
            (self.warmup_s < 0, "the warm-up cannot be negative"),
            (not self.scripts, "there is no script to run"),
            (not 1 <= self.threads <= self.users, "threads must be between 1 and the number of users"),
            (any(script.weight < 1 for script in self.scripts), "a script's weight must be 1 or more"),
            (
                len({script.name for script in self.scripts}) < len(self.scripts),
                "two scripts have the same name",
            ),
        )
        for is_so, complaint in wrong:
            if is_so:
                raise UsageError(f"this load cannot be run: {complaint}", hint="Correct the load's figures.")
