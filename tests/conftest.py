"""The fixtures, one plugin a subject."""

import signal

from tests.fix.memory import prefer_memory

prefer_memory()
# A shell ignores SIGINT for what it starts in its background, nohup SIGHUP; and all children would, too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

pytest_plugins = (
    "tests.fix.server",
    "tests.fix.replica",
    "tests.fix.pooler",
    "tests.fix.commands",
    "tests.fix.killed",
    "tests.fix.quizmentor",
)
