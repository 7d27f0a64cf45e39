"""The command line as a user types it: a process of its own, in a folder and a home of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.fix.commands import Commands


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


class CommandLine:
    """Runs `pgrunbook …` where nothing of the developer's is seen."""

    def __init__(self, folder: Path, commands: Commands) -> None:
        self.folder = folder
        self._commands = commands
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "XDG_STATE_HOME": str(folder / "state"),
            "LC_ALL": "C.UTF-8",
            "PYTHONWARNINGS": "error",
        } | {name: os.environ[name] for name in ("XDG_CACHE_HOME", "PGRUNBOOK_POSTGRES_HOMES") if name in os.environ}
        self._started: list[subprocess.Popen[str]] = []

    def start(self, *words: str | Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start a command and return its process, a new interpreter."""
        process = subprocess.Popen(
            [sys.executable, "-m", "pgrunbook.surfaces.cli.main", *map(str, words)],
            cwd=self.folder,
            env={**self.env, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self._started.append(process)
        return process

    def __call__(self, *words: str | Path, env: Mapping[str, str] | None = None) -> Ended:
        """Run a command to its end."""
        quick = self._commands.run([*map(str, words)], self.folder, {**self.env, **(env or {})})
        if quick is not None:
            return Ended(*quick)
        process = self.start(*words, env=env)
        out, err = process.communicate(timeout=120)
        return Ended(process.returncode, out, err)

    def close(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.communicate()


@pytest.fixture
def cli(tmp_path: Path, commands: Commands) -> Iterator[CommandLine]:
    made = CommandLine(tmp_path, commands)
    yield made
    made.close()
