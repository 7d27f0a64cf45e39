"""Acts in a process of its own and is killed there: `python -m tests.fix.killed` forks for each request.

Two answers to each request: the pid of the fork, then how it ended.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest
from tests.fix.forks import Forks

from pgrunbook.errors import RunbookError
from pgrunbook.journey.act import apply, undo
from pgrunbook.journey.act.verifier import Figures
from pgrunbook.journey.steps import Step, holders, spec_of
from pgrunbook.journey.steps.runner import Patience
from pgrunbook.model import StepSpec
from pgrunbook.model.plan import Judgement, Phase, PlannedStep, Progress
from pgrunbook.pg.connect import Session
from pgrunbook.record import Journal

FAST = Patience(tries=3, pause_s=0.05, longest_pause_s=0.1)


class NeverBetter:
    """A verifier that finds no step improved."""

    def measure(self, conn: Session, planned: PlannedStep) -> Figures:  # noqa: ARG002 - always the same
        return {"mean_ms": 10.0}

    def judge(
        self,
        planned: PlannedStep,  # noqa: ARG002 - always the same
        before: Figures,
        after: Figures,
    ) -> Judgement:
        return Judgement(improved=False, reason=f"it took {before['mean_ms']} ms before and {after['mean_ms']} after")


class Killable:
    """Starts forks that act, and are killed when a phase begins, or by the test."""

    def __init__(self) -> None:
        self._forks = Forks("tests.fix.killed", {})

    def start(
        self,
        steps: Sequence[Step],
        dsn: str,
        folder: Path,
        *,
        die_at: Phase | None,
        better: bool = True,
        what: str = "",
        die_after_ms: float = 0.0,
    ) -> int:
        """The pid of a fork that applies these steps, or undoes `what`; it dies so long after that phase began."""
        specs = [{"kind": spec.kind, "params": dict(spec.params)} for spec in map(spec_of, steps)]
        request = {
            "specs": specs, "dsn": dsn, "folder": str(folder), "die_at": die_at, "better": better, "what": what,
            "die_after_ms": die_after_ms,
        }  # fmt: skip
        self._forks.ask(request)
        return self._forks.answer()

    def ended(self) -> int:
        """Wait for the fork: its exit code, or the negative number of the signal that ended it."""
        return self._forks.answer()

    def close(self) -> None:
        self._forks.close()


@pytest.fixture(scope="session")
def killable() -> Iterator[Killable]:
    made = Killable()
    yield made
    made.close()


def _act(request: Mapping[str, Any]) -> NoReturn:
    def die(progress: Progress) -> None:
        if progress.phase == request["die_at"]:
            if request["die_after_ms"]:
                threading.Timer(request["die_after_ms"] / 1000, os.kill, (os.getpid(), signal.SIGKILL)).start()
            else:
                os.kill(os.getpid(), signal.SIGKILL)

    specs = [StepSpec(kind=spec["kind"], params=spec["params"]) for spec in request["specs"]]
    try:
        journal = Journal(Path(request["folder"]))
        if request["what"]:
            undo(request["what"], request["dsn"], journal=journal, progress=die, patience=FAST)
        else:
            apply(
                [PlannedStep(step=spec) for spec in specs],
                request["dsn"],
                journal=journal,
                verify=None if request["better"] else NeverBetter(),
                progress=die,
                patience=FAST,
            )
    except RunbookError as exc:
        sys.stderr.write(f"{exc.message}\n")
        os._exit(exc.exit_code)
    os._exit(0)


def main() -> None:
    """Fork for each line until the test closes our standard input."""
    holders.LONG_S = 1e9  # who holds a table shall hold a build up within it, as if he had come later
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _act(json.loads(line))
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
