"""Plan → Outcome: the only station that changes a target, behind guard rails, with a journal.

Takes planned steps and a DSN, gives what became of each step.  Killed at any line, the next run finds in the journal
what was begun and in the catalog how far it came, and finishes it or clears it away.
"""

from pgrunbook.journey.act.apply import apply
from pgrunbook.journey.act.order import in_order
from pgrunbook.journey.act.rounds import Rounds, in_rounds
from pgrunbook.journey.act.undo import undo
from pgrunbook.journey.act.verifier import KeepAll, Verifier

__all__ = ["KeepAll", "Rounds", "Verifier", "apply", "in_order", "in_rounds", "undo"]
