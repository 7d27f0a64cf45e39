"""Steps → Rehearsal: the very steps that will be applied, run and taken back on a copy of the target's schema.

Takes steps and the target's DSN; gives what became of each.  The target is only read.  A step that failed must not be
applied: `raise_if_failed` turns it into RehearsalFailed (exit 4, nothing was changed).
"""

from pgrunbook.journey.rehearse.rehearsal import raise_if_failed, rehearse

__all__ = ["raise_if_failed", "rehearse"]
