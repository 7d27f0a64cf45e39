"""The fixtures, one plugin a subject."""

pytest_plugins = (
    "tests.fix.server",
    "tests.fix.replica",
    "tests.fix.pooler",
    "tests.fix.killed",
    "tests.fix.quizmentor",
)
