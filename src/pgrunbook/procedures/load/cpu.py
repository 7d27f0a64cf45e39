"""How busy the machine is with work that is not ours, for honesty beside every measured figure.

Ours are this process, everything it started, and the servers that the caller names, each with all its children.  The
rest of what the processors did went to others (and what a hypervisor took away did, too).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuSample:
    """Processor time since boot: of the whole machine, and of what is ours."""

    at_s: float  # seconds since 1970
    busy_s: float
    ours_s: float


class CpuWatch:
    """Samples over the life of a load, and the share of others between two moments."""

    def __init__(self, pids: Iterable[int] = ()) -> None:
        self._pids = (os.getpid(), *pids)
        self._samples: list[CpuSample] = []

    def sample(self) -> None:
        """Look once (some milliseconds with hundreds of processes)."""
        times = psutil.cpu_times()
        busy_s = sum(getattr(times, part, 0.0) for part in ("user", "nice", "system", "irq", "softirq", "steal"))
        self._samples.append(CpuSample(at_s=time.time(), busy_s=busy_s, ours_s=_tree_s(self._pids)))

    def other_ratio(self, from_s: float, until_s: float) -> float:
        """Others' processor time as a share of all processors', between the samples nearest to two moments."""
        if not self._samples:
            return 0.0
        first = min(self._samples, key=lambda sample: abs(sample.at_s - from_s))
        last = min(self._samples, key=lambda sample: abs(sample.at_s - until_s))
        available_s = (last.at_s - first.at_s) * (psutil.cpu_count() or 1)
        if available_s <= 0:
            return 0.0
        others_s = (last.busy_s - first.busy_s) - (last.ours_s - first.ours_s)
        return min(1.0, max(0.0, others_s / available_s))


def _tree_s(pids: Iterable[int]) -> float:
    """Processor time of processes, their living descendants, and their children that have ended meanwhile."""
    family: dict[int, psutil.Process] = {}
    for pid in pids:
        try:
            parent = psutil.Process(pid)
            for process in (parent, *parent.children(recursive=True)):
                family[process.pid] = process
        except psutil.NoSuchProcess:
            continue
    return sum(_own_s(process) for process in family.values())


def _own_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)
