"""An interrupt is never lost, not even where Python would only print it."""

from __future__ import annotations

import subprocess
import sys

LOST = """
import signal, sys, time
from pgrunbook.surfaces.cli import main

class Falls:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

def command(arguments):
    Falls()
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        return 130
    return 0

main.run = command
main.main()
"""


def test_an_interrupt_that_falls_into_a_destructor_comes_again() -> None:
    ended = subprocess.run([sys.executable, "-c", LOST], capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


WHILE_LOADING = """
import signal, sys

class Presses:
    def find_spec(self, name, path=None, target=None):
        if name == "pgrunbook.surfaces.cli.command":
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Presses())
from pgrunbook.__main__ import start
start()
"""


def test_an_interrupt_while_the_program_is_loaded_leaves_no_traceback() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", WHILE_LOADING], capture_output=True, text=True, timeout=30, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "error: interrupted\n")
