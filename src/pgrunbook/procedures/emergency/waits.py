"""Who waits for whom, as sets of bits: a queue of 500 has 125,000 pairs, which are asked about again and again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from pgrunbook.journey.observe.locks import Waiter


class Waits:
    """The waits of one look.  Pid 0 stands for a prepared transaction, which nobody can signal."""

    def __init__(self, waiters: Iterable[Waiter]) -> None:
        self.waiters: Mapping[int, Waiter] = {waiter.pid: waiter for waiter in waiters}
        pids = sorted({pid for w in self.waiters.values() for pid in (w.pid, *w.blocked_by)})
        self._pids = pids
        self._bit = {pid: 1 << place for place, pid in enumerate(pids)}
        self._up = {w.pid: self._mask(w.blocked_by) for w in self.waiters.values()}
        self._down: dict[int, int] = dict.fromkeys(pids, 0)
        for waiter in self.waiters.values():
            for pid in waiter.blocked_by:
                self._down[pid] |= self._bit[waiter.pid]
        self.parents: Mapping[int, int] = self._spanned()

    def has_victims(self, pid: int) -> bool:
        """Whether anybody waits for it."""
        return bool(self._down.get(pid, 0))

    def victims(self, pid: int) -> tuple[Waiter, ...]:
        """Who waits for it directly."""
        return self._waiters(self._down.get(pid, 0))

    def behind(self, pid: int) -> tuple[Waiter, ...]:
        """Who waits for it, directly or in line; it is not among them."""
        return self._waiters(self._reached(pid, self._down))

    def above(self, pid: int) -> tuple[int, ...]:
        """Whom it waits for, directly or in line; it is not among them."""
        return self._members(self._reached(pid, self._up))

    def _reached(self, pid: int, steps: Mapping[int, int]) -> int:
        found = todo = steps.get(pid, 0)
        while todo:
            lowest = todo & -todo
            new = steps.get(self._pids[lowest.bit_length() - 1], 0) & ~found
            found |= new
            todo = (todo ^ lowest) | new
        return found & ~self._bit.get(pid, 0)

    def _mask(self, pids: Iterable[int]) -> int:
        mask = 0
        for pid in pids:
            mask |= self._bit[pid]
        return mask

    def _members(self, mask: int) -> tuple[int, ...]:
        found = []
        while mask:
            lowest = mask & -mask
            found.append(self._pids[lowest.bit_length() - 1])
            mask ^= lowest
        return tuple(found)

    def _waiters(self, mask: int) -> tuple[Waiter, ...]:
        return tuple(self.waiters[pid] for pid in self._members(mask))

    def _spanned(self) -> Mapping[int, int]:
        """Each waiter under one of those it waits for, nearest to a root: a tree that can be drawn."""
        parents: dict[int, int] = {}
        roots = [pid for pid in self._pids if pid not in self.waiters] or self._pids[:1]  # else a circle
        todo = deque(roots)
        seen = set(roots)
        while todo:
            pid = todo.popleft()
            for waiter in self.victims(pid):
                if waiter.pid not in seen:
                    seen.add(waiter.pid)
                    parents[waiter.pid] = pid
                    todo.append(waiter.pid)
        return parents
