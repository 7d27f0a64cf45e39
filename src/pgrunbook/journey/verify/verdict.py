"""Judges two measurements of the same queries: pure, so that it can be read and tested without a server.

What counts, and why:

* Blocks per call for everything about indexes.  They are a property of the plan and the data; load does not change
  them.  Mean times under a saturated closed loop measure the crowd at the CPU more than the query, and every earlier
  step of the same run has changed the crowd.
* Time per call for policies: a function that is called once a row costs time and no blocks.  Blocks still prove a gain
  (the rewritten policy can use an index) but their absence disproves nothing.  Where rows per call changed by more
  than a fifth, other values were asked for, and times are compared per row.
* Times are held against the gauge: the median change of the statements that were not touched.  Where those became
  slower, the load grew and the step is credited for it.  Where they became faster, either the load fell or the step
  itself made room; the planner's cost then decides whether the plan became cheaper at all.
* Weights are the calls before: what people did ask, not what they might ask now that it is fast.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from pgrunbook.journey.verify.measurement import Measurement, QueryFigures
from pgrunbook.model import Basis, Value
from pgrunbook.model.plan import Judgement

MIN_GAIN_RATIO = 0.20  # what an index or a policy has to bring to be worth its writes and its risk
PLAN_CHANGED_RATIO = 0.05  # blocks per call of one plan differ less than this between two windows
MIN_GAUGES = 3
SURE = 2.0  # standard errors


class Promise(StrEnum):
    """What a step owes to its queries."""

    FASTER = "faster"
    NOT_SLOWER = "not_slower"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a step is judged.  `by_time`: it may help without touching fewer blocks."""

    promise: Promise
    by_time: bool = False
    promised: bool = True
    min_calls: int = 5
    min_gain_ratio: float = MIN_GAIN_RATIO


Pair: TypeAlias = tuple[QueryFigures, QueryFigures]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """How one figure changed, weighted: `gain_ratio` is 0.5 when it halved, negative when it grew."""

    what: str
    basis: Basis
    gain_ratio: float
    is_sure: bool = True


def judge(before: Measurement, after: Measurement, terms: Terms) -> Judgement:
    """Compare what was measured in both, else what was estimated in both, else leave it open."""
    pairs = _pairs(before, after)
    counted = [(a, b) for a, b in pairs if min(a.calls, b.calls) >= terms.min_calls]
    costed = [(a, b) for a, b in pairs if a.cost and b.cost is not None]
    changes: list[_Change] = []
    if counted:
        changes = _measured(counted, before, after, terms)
        if not changes[0].is_sure and costed:
            changes.insert(0, _by_cost(costed))
    elif costed:
        changes = [_by_cost(costed)]
    figures = _figures(before, after, changes)
    if not changes:
        return Judgement(improved=None, reason=f"unverified: {_why_open(before, after, terms)}", figures=figures)
    return _judgement(changes, terms, figures)


def _judgement(changes: Sequence[_Change], terms: Terms, figures: dict[str, Value]) -> Judgement:
    best = changes[0]
    words = f"{best.basis.value}: {best.what} {_words(best.gain_ratio)}"
    figures |= {"basis": best.basis.value, "metric": best.what, "gain_ratio": round(best.gain_ratio, 4)}
    if not best.is_sure:
        return _ended(None, "unverified", f"{words}, but that is within what chance or the load explains", figures)
    if best.gain_ratio >= terms.min_gain_ratio:
        return _ended(True, "improved", words, figures)
    if terms.by_time and all(change.basis is Basis.ESTIMATED for change in changes):
        return _ended(None, "unverified", f"{words}, and a cost alone says little about functions", figures)
    if best.gain_ratio <= -terms.min_gain_ratio:
        return _ended(False, "worse", words, figures)
    if terms.promise is Promise.NOT_SLOWER:
        return _ended(None, "unchanged", f"{words}, as it should be", figures)
    if not terms.promised:
        return _ended(None, "unchanged", f"{words}; the plan names no query that it should help", figures)
    needed = f"at least {terms.min_gain_ratio:.0%} were needed"
    return _ended(False, "unchanged", f"{words}; {needed}", figures)


def _ended(improved: bool | None, verdict: str, reason: str, figures: dict[str, Value]) -> Judgement:  # noqa: FBT001
    said = reason if verdict != "unverified" else f"unverified: {reason}"
    return Judgement(improved=improved, reason=said, figures={**figures, "verdict": verdict})


def _measured(counted: Sequence[Pair], before: Measurement, after: Measurement, terms: Terms) -> list[_Change]:
    """The changes that were measured, the one that decides first."""
    blocks = _weighted(counted, "blocks per call", lambda q: q.blocks_per_call)
    times = _by_time(counted, before, after)
    if terms.by_time:
        if blocks is not None and blocks.gain_ratio >= terms.min_gain_ratio:
            return [blocks, times]
        return [times, *([blocks] if blocks else [])]
    if blocks is None:
        return [times]
    is_decided = abs(blocks.gain_ratio) >= terms.min_gain_ratio and blocks.gain_ratio > 0
    is_other_plan = abs(blocks.gain_ratio) >= PLAN_CHANGED_RATIO
    if not is_decided and is_other_plan and times.is_sure and times.gain_ratio >= terms.min_gain_ratio:
        return [times, blocks]  # more blocks in less time: a filter that was dear is asked less often
    return [blocks, times]


def _by_time(counted: Sequence[Pair], before: Measurement, after: Measurement) -> _Change:
    weights = sum(a.calls for a, _ in counted)
    rows = [sum(a.calls * (q.rows_per_call or 0.0) for a, q in side) / weights for side in (_self(counted), counted)]
    is_per_row = min(rows) > 0 and abs(rows[1] / rows[0] - 1) > MIN_GAIN_RATIO
    per = [rows[0], rows[1]] if is_per_row else [1.0, 1.0]
    was, now = (
        sum(a.calls * (q.mean_ms or 0.0) for a, q in side) / weights / size
        for side, size in zip((_self(counted), counted), per, strict=True)
    )
    load = _gauge(before, after)
    raw = 1 - now / was if was > 0 else 0.0
    fair = 1 - now / load / was if was > 0 else 0.0
    noise = _noise_ratio(counted, was, per[1])
    what = "time per row" if is_per_row else "time per call"
    gain = round(max(raw, fair) if load > 1 else raw, 6)
    # Faster only as far as everything became faster: whether the step did it, the window cannot tell.
    is_shared = load < 1 and raw >= MIN_GAIN_RATIO > fair
    if abs(gain) >= MIN_GAIN_RATIO:
        is_sure = abs(gain) > SURE * noise and not is_shared
    else:
        is_sure = abs(gain) + SURE * noise < MIN_GAIN_RATIO
    return _Change(what=what, basis=Basis.MEASURED, gain_ratio=gain, is_sure=is_sure)


def _noise_ratio(counted: Sequence[Pair], was: float, size: float) -> float:
    """The standard error of the change, as a share of the time before."""
    weights = sum(a.calls for a, _ in counted)
    variance = sum(
        (a.calls / weights) ** 2 * ((a.stderr_ms or 0.0) ** 2 + (b.stderr_ms or 0.0) ** 2) for a, b in counted
    )
    return math.sqrt(variance) / size / was if was > 0 else math.inf


def _gauge(before: Measurement, after: Measurement) -> float:
    """By what factor the statements beside changed; 1 when too few were seen."""
    later = {query.queryid: query for query in after.gauges}
    ratios = [
        later[query.queryid].mean_ms / query.mean_ms  # type: ignore[operator]  # gauges have calls
        for query in before.gauges
        if query.queryid in later and query.mean_ms and later[query.queryid].mean_ms
    ]
    return statistics.median(ratios) if len(ratios) >= MIN_GAUGES else 1.0


def _by_cost(costed: Sequence[Pair]) -> _Change:
    change = _weighted(costed, "the planner's cost", lambda q: q.cost)
    assert change is not None  # noqa: S101 - each cost before is above 0
    return _Change(what=change.what, basis=Basis.ESTIMATED, gain_ratio=change.gain_ratio)


def _weighted(pairs: Sequence[Pair], what: str, figure: Callable[[QueryFigures], float | None]) -> _Change | None:
    """The change of a figure's mean; None when there was nothing of it before."""
    was = sum(max(a.calls, 1) * (figure(a) or 0.0) for a, _ in pairs)
    now = sum(max(a.calls, 1) * (figure(b) or 0.0) for a, b in pairs)
    return _Change(what=what, basis=Basis.MEASURED, gain_ratio=round(1 - now / was, 6)) if was > 0 else None


def _pairs(before: Measurement, after: Measurement) -> list[Pair]:
    later = {query.queryid: query for query in after.queries}
    return [(query, later[query.queryid]) for query in before.queries if query.queryid in later]


def _self(pairs: Sequence[Pair]) -> list[Pair]:
    return [(a, a) for a, _ in pairs]


def _words(gain_ratio: float) -> str:
    if abs(gain_ratio) < 0.005:
        return "did not change"
    return f"fell by {gain_ratio:.0%}" if gain_ratio > 0 else f"rose by {-gain_ratio:.0%}"


def _why_open(before: Measurement, after: Measurement, terms: Terms) -> str:
    reasons = [m.trouble for m in (before, after) if m.trouble]
    if not before.queries:
        reasons.append("no statement is known that it should help")
    elif not reasons:
        reasons.append(f"none of its queries was called {terms.min_calls} times in both windows")
    reasons += [m.no_cost for m in (before, after) if m.no_cost]
    return "; ".join(dict.fromkeys(reasons))


def _figures(before: Measurement, after: Measurement, changes: Sequence[_Change]) -> dict[str, Value]:
    """What the journal and the report keep: per query before and after, and every change that was reckoned."""
    pairs = _pairs(before, after)
    out: dict[str, Value] = {
        "verdict": "unverified",
        "queryids": tuple(a.queryid for a, _ in pairs),
        "window_before_s": round(before.window_s, 2),
        "window_after_s": round(after.window_s, 2),
        "load_ratio": round(_gauge(before, after), 3),
    }
    for name in ("calls", "mean_ms", "blocks_per_call", "rows_per_call", "cost"):
        out[f"{name}_before"] = tuple(getattr(a, name) for a, _ in pairs)
        out[f"{name}_after"] = tuple(getattr(b, name) for _, b in pairs)
    for change in changes:
        out[f"gain_ratio_{change.what.replace(' ', '_').replace(chr(39), '')}"] = round(change.gain_ratio, 4)
    return out
