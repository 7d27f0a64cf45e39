"""What was done, when, why and how to take it back: the journal, append-only, and what can be read from it.

Takes intents and outcomes, gives the history of runs, the steps that nobody finished, and the document of changes.
"""

from pgrunbook.record.document import document
from pgrunbook.record.history import History, Run, RunStep, fold, open_steps
from pgrunbook.record.journal import Hold, Journal, folder_for, read, verify

__all__ = [
    "History",
    "Hold",
    "Journal",
    "Run",
    "RunStep",
    "document",
    "fold",
    "folder_for",
    "open_steps",
    "read",
    "verify",
]
