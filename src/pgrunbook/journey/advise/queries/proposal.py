"""A rewrite before it was tried: its SQL, the facts that make it equivalent, and how its rows can be compared."""

from __future__ import annotations

from dataclasses import dataclass

from pgrunbook.journey.advise.queries.trial import MakePair, Pair, Trial
from pgrunbook.model import Advice
from pgrunbook.model.explanation import Rewrite

SAME_ROWS = "The same rows"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """See Rewrite.

    `is_alike` false: its cost says nothing beside the statement's (`unalike` says why); it is planned all the same, for
    what the server does not plan is not offered.  `is_planned` false: it is no statement that could be planned.
    `pair` gives two reads whose rows must be the same; None where nothing can be compared (`incomparable` says why).
    """

    name: str
    title: str
    sql: str
    why: str
    facts: tuple[str, ...]
    same: str = SAME_ROWS
    caveat: str = ""
    parameters: int = 0
    is_alike: bool = True
    unalike: str = ""
    is_planned: bool = True
    is_read: bool = True
    pair: MakePair | None = None
    incomparable: str = ""
    needs: tuple[Advice, ...] = ()

    def tried(self, trial: Trial) -> Rewrite | None:
        """Planned, or run, and compared, as far as that was asked for; None when the server refuses it."""
        before, after, trouble = None, None, self.unalike
        if self.is_planned:
            tried = trial.weigh(self.sql, parameters=self.parameters, may_run=self.is_read and self.is_alike)
            if tried.is_refused:
                return None
            if self.is_alike:
                before, after, trouble = tried.before, tried.after, tried.trouble
        comparison, not_compared = (None, "")
        if self.pair is not None:
            comparison, not_compared = trial.compared(self.pair)
        elif trial.compare:
            not_compared = self.incomparable
        return Rewrite(
            name=self.name,
            title=self.title,
            sql=self.sql,
            same=self.same,
            why=self.why,
            facts=self.facts,
            caveat=self.caveat,
            before=before,
            after=after,
            unplanned=trouble,
            comparison=comparison,
            not_compared=not_compared,
            needs=self.needs,
        )


def whole(before: str, after: str, *, parameters: int) -> MakePair:
    """The two statements themselves, where they have no parameters."""

    def make(trial: Trial) -> Pair | None:  # noqa: ARG001 - the signature of all of them
        return None if parameters else Pair(before=before, after=after)

    return make
