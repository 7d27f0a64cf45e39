"""Runs commands in forks of a process that has loaded the program: `python -m tests.fix.commands`.

The answer is the exit code, or the negative number of the signal that ended the fork.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import pytest
from tests.fix.forks import Forks

ENVIRONMENT = {"LC_ALL": "C.UTF-8", "PYTHONWARNINGS": "error"}  # what an interpreter heeds as it starts


class Commands:
    """Runs one command at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._one = threading.Lock()
        self._forks = Forks("tests.fix.commands", ENVIRONMENT)

    def run(self, words: Sequence[str], folder: Path, env: Mapping[str, str]) -> tuple[int, str, str] | None:
        """Run a command to its end: exit code and what it wrote; None while another one runs."""
        if not self._one.acquire(blocking=False):
            return None
        try:
            with tempfile.TemporaryDirectory(dir=self._folder) as written:
                out, err = Path(written, "out"), Path(written, "err")
                request = {"words": words, "folder": str(folder), "env": env, "out": str(out), "err": str(err)}
                self._forks.ask(request)
                code = self._forks.answer()
                return code, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8")
        finally:
            self._one.release()

    def close(self) -> None:
        self._forks.close()


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    made = Commands(tmp_path_factory.mktemp("commands"))
    yield made
    made.close()


def _become(words: Sequence[str], folder: str, env: Mapping[str, str], out: str, err: str) -> NoReturn:
    """Turn this fork into the command."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    for number, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, out, os.O_WRONLY | os.O_CREAT),
        (2, err, os.O_WRONLY | os.O_CREAT),
    ):
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.argv = ["pgrunbook", *words]
    from pgrunbook.surfaces.cli.main import main  # noqa: PLC0415 - as late as a new process would

    main()


def _load() -> None:
    """What every command imports, and most of what a diagnose does."""
    from pgrunbook.journey.diagnose.check import all_checks  # noqa: PLC0415
    from pgrunbook.surfaces.cli import main  # noqa: F401, PLC0415

    all_checks()


def _serve() -> None:
    _load()
    gc.freeze()
    with os.fdopen(os.dup(0), encoding="utf-8") as requests:  # the forks get another standard input
        for line in iter(requests.readline, ""):
            pid = os.fork()
            if pid == 0:
                requests.close()
                _become(**json.loads(line))
            _, status = os.waitpid(pid, 0)
            print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    _serve()
