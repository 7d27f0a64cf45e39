"""The scorecard: key metrics against their targets, what the server can carry, and the ten best practices."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pgrunbook.model.server import Server
from pgrunbook.model.verdict import Basis


class Mark(StrEnum):
    """How a metric or a practice stands.  "Cannot tell" is never "met"."""

    MET = "met"
    NOT_MET = "not met"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One key metric.  `name` ends in the unit of `value` and of `target`, which is the bound it must not cross.

    `is_floor`: the value must lie above the target, not below it.  `source` says where the figure comes from and for
    what time it holds; `why` is why there is none, or what it means, `cure` what would bring it.
    """

    name: str
    title: str
    target: float
    value: float | None
    mark: Mark
    is_floor: bool = False
    basis: Basis = Basis.MEASURED
    source: str = ""
    why: str = ""
    cure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """The runbook's rule of thumb: connections × queries a connection and second × cache hit ratio.

    An input that nobody knows is None, and then so is the result.  `sources` says where each input comes from.
    """

    connections: int | None
    queries_per_connection_per_s: float | None
    hit_ratio: float | None
    sources: tuple[str, ...]

    @property
    def queries_per_s(self) -> float | None:
        """What the formula gives."""
        if self.connections is None or self.queries_per_connection_per_s is None or self.hit_ratio is None:
            return None
        return self.connections * self.queries_per_connection_per_s * self.hit_ratio


@dataclass(frozen=True, slots=True, kw_only=True)
class Practice:
    """One of the ten best practices, with the evidence for how it stands."""

    number: int
    title: str
    advice: str
    mark: Mark
    evidence: str
    cure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """All of it, for one database at one time.  `window_s` is None where figures are cumulative."""

    server: Server
    taken_at: datetime
    duration_s: float
    window_s: float | None
    metrics: tuple[Metric, ...]
    capacity: Capacity
    practices: tuple[Practice, ...]
