"""What was done, when, why and how to take it back: the journal, append-only, and what can be read from it.

Takes intents and outcomes, gives the history of runs, the steps that nobody finished, and the document of changes.
"""

from pgrunbook.record.history import Run, RunStep, fold, open_steps
from pgrunbook.record.journal import Journal, folder_for, read, verify

__all__ = ["Journal", "Run", "RunStep", "fold", "folder_for", "open_steps", "read", "verify"]
