"""The fixtures, one plugin a subject."""

from tests.fix.memory import prefer_memory

prefer_memory()

pytest_plugins = (
    "tests.fix.server",
    "tests.fix.replica",
    "tests.fix.pooler",
    "tests.fix.commands",
    "tests.fix.killed",
    "tests.fix.quizmentor",
)
