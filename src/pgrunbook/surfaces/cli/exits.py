"""The exit codes, which other programs rely on, and how a command's --help lists those it can end with."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """How a command can end."""

    FINE = 0
    WARNINGS = 1
    CRITICAL = 2
    NOT_OBSERVABLE = 3
    REFUSED = 4
    UNDONE = 5
    CHANGED_IN_PART = 6
    USAGE = 64
    BUG = 70
    INTERRUPTED = 130

    @property
    def meaning(self) -> str:
        """What it says about the world."""
        return _MEANINGS[self]


_MEANINGS = {
    Exit.FINE: "fine",
    Exit.WARNINGS: "warnings were found (only with --fail-on warning)",
    Exit.CRITICAL: "critical findings",
    Exit.NOT_OBSERVABLE: "cannot connect, connection lost with nothing changed, or nothing observable",
    Exit.REFUSED: "refused by a guard rail; nothing was changed",
    Exit.UNDONE: "applied, verification failed, undone",
    Exit.CHANGED_IN_PART: "changed in part, or an undo failed; the message says what stands",
    Exit.USAGE: "wrong flag, argument or configuration",
    Exit.BUG: "a bug of pgrunbook itself",
    Exit.INTERRUPTED: "interrupted",
}

LOOKS = (Exit.FINE, Exit.NOT_OBSERVABLE, Exit.USAGE, Exit.BUG, Exit.INTERRUPTED)
JUDGES = (Exit.FINE, Exit.WARNINGS, Exit.CRITICAL, Exit.NOT_OBSERVABLE, Exit.USAGE, Exit.BUG, Exit.INTERRUPTED)
CHANGES = (
    Exit.FINE,
    Exit.NOT_OBSERVABLE,
    Exit.REFUSED,
    Exit.UNDONE,
    Exit.CHANGED_IN_PART,
    Exit.USAGE,
    Exit.BUG,
    Exit.INTERRUPTED,
)
PLANS = (Exit.FINE, Exit.NOT_OBSERVABLE, Exit.REFUSED, Exit.USAGE, Exit.BUG, Exit.INTERRUPTED)
READS_JOURNAL = PLANS
UNDOES = tuple(code for code in CHANGES if code is not Exit.UNDONE)
READS_FILES = (Exit.FINE, Exit.USAGE, Exit.BUG, Exit.INTERRUPTED)


def epilog(codes: tuple[Exit, ...]) -> str:
    """The list at the foot of a command's help (click's mark keeps the lines as they stand)."""
    return "\b\nExit codes:\n" + "\n".join(f"  {int(code):>3}  {code.meaning}" for code in codes)
