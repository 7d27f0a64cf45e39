"""Every error that pgrunbook raises on purpose; the class says whether anything was changed.

RunbookError              exit 70  our own bug, when nothing better fits
├── UsageError            exit 64  bad flag, bad name, bad config file; nothing was changed
├── ServerError           exit 3   the server cannot be used; nothing was changed
│   ├── Unreachable       exit 3   no connection within the budget, or the connection was lost
│   └── Unsupported       exit 3   server too old, extension or right missing
├── Refused               exit 4   a guard rail said no; nothing was changed
│   └── RehearsalFailed   exit 4   the rehearsal said no; nothing was changed
├── VerifyFailed          exit 5   applied, but the world is not as promised; undone
└── ChangedInPart         exit 6   some of it stands, or an undo failed; the message says what
"""

from __future__ import annotations

from typing import ClassVar


class RunbookError(Exception):
    """What was tried, on what, what was found; `hint` says what to do next."""

    exit_code: ClassVar[int] = 70

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(RunbookError):
    """The command line, a name or a configuration file is wrong."""

    exit_code = 64


class ServerError(RunbookError):
    """The server cannot be used for what was asked; nothing was changed."""

    exit_code = 3


class Unreachable(ServerError):
    """No connection within the budget, or the connection was lost with nothing changed."""


class Unsupported(ServerError):
    """The server lacks a version, an extension or a right that is needed."""


class Refused(RunbookError):
    """A guard rail said no; nothing was changed."""

    exit_code = 4


class RehearsalFailed(Refused):
    """The rehearsal said no; nothing was changed on the target."""


class VerifyFailed(RunbookError):
    """A change was applied, did not do what it promised, and was undone."""

    exit_code = 5


class ChangedInPart(RunbookError):
    """Some changes stand and some do not, or an undo failed; the message says which."""

    exit_code = 6
