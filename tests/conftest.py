"""The fixtures, one plugin a subject."""

import signal

from tests.fix.memory import prefer_memory

prefer_memory()
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as shells start what runs in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = (
    "tests.fix.server",
    "tests.fix.replica",
    "tests.fix.pooler",
    "tests.fix.commands",
    "tests.fix.killed",
    "tests.fix.quizmentor",
)
