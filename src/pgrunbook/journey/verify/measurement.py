"""What one measurement saw of each query, as values, and flat, as the journal wants it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pgrunbook.model import Value

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryFigures:
    """One query within one window.  Per-call figures are None without a call, `cost` when EXPLAIN could not say.

    `stderr_ms` is the standard error of `mean_ms`.  Blocks are those read, found in memory or spilled, shared or not.
    """

    queryid: int | None
    calls: int
    mean_ms: float | None = None
    stderr_ms: float | None = None
    blocks_per_call: float | None = None
    rows_per_call: float | None = None
    cost: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """All queries of a step over one window, and other statements beside them as a gauge of the load.

    `trouble` says why nothing was counted; `no_cost` why some cost is unknown.
    """

    queries: tuple[QueryFigures, ...] = ()
    window_s: float = 0.0
    trouble: str = ""
    no_cost: str = ""
    gauges: tuple[QueryFigures, ...] = ()

    def as_figures(self) -> dict[str, Value]:
        """Flat, with one tuple a figure."""
        return {
            "version": VERSION,
            "queryids": tuple(query.queryid for query in self.queries),
            "calls": tuple(query.calls for query in self.queries),
            "mean_ms": tuple(query.mean_ms for query in self.queries),
            "stderr_ms": tuple(query.stderr_ms for query in self.queries),
            "blocks_per_call": tuple(query.blocks_per_call for query in self.queries),
            "rows_per_call": tuple(query.rows_per_call for query in self.queries),
            "cost": tuple(query.cost for query in self.queries),
            "window_s": self.window_s,
            "trouble": self.trouble,
            "no_cost": self.no_cost,
            "gauge_queryids": tuple(query.queryid for query in self.gauges),
            "gauge_calls": tuple(query.calls for query in self.gauges),
            "gauge_mean_ms": tuple(query.mean_ms for query in self.gauges),
        }

    @classmethod
    def of(cls, figures: Mapping[str, Any]) -> Measurement | None:
        """The measurement again, also when the journal has made lists of its tuples; None when there was none."""
        if figures.get("version") != VERSION:
            return None
        names = ("queryids", "calls", "mean_ms", "stderr_ms", "blocks_per_call", "rows_per_call", "cost")
        fields = ("queryid", *names[1:])
        rows = zip(*(figures[name] for name in names), strict=True)
        gauges = zip(figures["gauge_queryids"], figures["gauge_calls"], figures["gauge_mean_ms"], strict=True)
        return cls(
            queries=tuple(QueryFigures(**dict(zip(fields, row, strict=True))) for row in rows),
            window_s=figures["window_s"],
            trouble=figures["trouble"],
            no_cost=figures["no_cost"],
            gauges=tuple(QueryFigures(queryid=q, calls=calls, mean_ms=mean) for q, calls, mean in gauges),
        )
