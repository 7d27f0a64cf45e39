"""What a run has measured so far: from when on the counters of a query belong to the state before the next step.

A step may help queries of its table that are not its own, so a window never reaches back beyond the last step on the
same table: else the next step there would be praised for what that one did.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from pgrunbook.journey.verify.window import Moment, Seen
from pgrunbook.model.plan import PlannedStep


@dataclass(slots=True, kw_only=True)
class Memory:
    """Moments at which windows ended.  Lives as long as one run; a resumed run begins with an empty one."""

    _first: Moment | None = None
    _of_query: dict[int, Moment] = field(default_factory=dict)
    _of_table: dict[str, Moment] = field(default_factory=dict)
    _begun: list[PlannedStep] = field(default_factory=list)

    def since(self, planned: PlannedStep, queryids: Collection[int]) -> Moment | None:
        """Where the window before this step may begin; None: now.  A step that has begun is measured from now on."""
        if planned in self._begun:
            return None
        moments = [moment for queryid in queryids if (moment := self._of_query.get(queryid, self._first)) is not None]
        if not moments or len(moments) != len(queryids):
            return None
        if (moment := self._of_table.get(_table(planned))) is not None:
            moments.append(moment)
        return max(moments, key=lambda moment: moment.at)

    def ended(self, planned: PlannedStep, queryids: Collection[int], seen: Seen) -> None:
        """Note that a window of this step ended, whether before or after it."""
        if seen.end is None:
            return
        self._first = self._first or seen.end
        self._of_query.update(dict.fromkeys(queryids, seen.end))
        self._of_table[_table(planned)] = seen.end
        if planned not in self._begun:
            self._begun.append(planned)

    def forget(self) -> None:
        """Something happened that can matter to every query: windows begin anew."""
        self._first = None
        self._of_query.clear()
        self._of_table.clear()


def _table(planned: PlannedStep) -> str:
    """The table that the step changes; steps that name none (a drop names the index) share one place."""
    params = planned.step.params
    return repr((params.get("schema"), params.get("table")))
