"""The time below which most calls of many statements stay, from each one's mean and standard deviation.

Times of one statement are skewed to the right: a log-normal distribution of the same mean and deviation stands for
them.  What comes out is an estimate and must be called one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pgrunbook.journey.workload.costs import Cost


def quantile_ms(costs: Sequence[Cost], share: float) -> float | None:
    """The time that this share of all calls does not exceed; None without calls."""
    calls = sum(cost.calls for cost in costs)
    if calls <= 0:
        return None
    low, high = 0.0, max(max(cost.max_ms, cost.mean_ms) for cost in costs)
    for _ in range(60):  # halved so often, the span is below any clock's tick
        middle = (low + high) / 2
        if sum(cost.calls * _below(cost, middle) for cost in costs) < share * calls:
            low = middle
        else:
            high = middle
    return high


def _below(cost: Cost, time_ms: float) -> float:
    """The share of a statement's calls that take no longer than this."""
    if time_ms >= max(cost.max_ms, cost.mean_ms):
        return 1.0
    mean, deviation = cost.mean_ms, cost.deviation_ms
    if mean <= 0 or deviation <= 1e-6 * mean:
        return 1.0 if time_ms >= mean else 0.0
    spread = math.log1p((deviation / mean) ** 2)
    place = math.log(mean) - spread / 2
    if time_ms <= 0:
        return 0.0
    return 0.5 * (1 + math.erf((math.log(time_ms) - place) / math.sqrt(2 * spread)))
