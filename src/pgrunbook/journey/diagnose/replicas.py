"""Replicas as findings name them, and what several checks advise to look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.replication import REPLICATION, Receiver
from pgrunbook.model import Advice, NotRead, Window, quote

_LOOK = """SELECT application_name, client_addr, state, sent_lsn, flush_lsn, replay_lsn, replay_lag, reply_time
FROM pg_stat_replication;"""


def names(receivers: Sequence[Receiver]) -> Mapping[int, str]:
    """A name for each by its pid: application_name; where several share it, the slot, the address, at last the pid."""
    named: dict[int, str] = {}
    left = list(receivers)
    for candidate in (
        lambda r: r.application_name,
        lambda r: r.slot,
        lambda r: r.client_address,
        lambda r: f"{r.application_name or 'walsender'} {r.pid}",
    ):
        shared = Counter(candidate(r) for r in left)
        chosen = [r for r in left if candidate(r) and shared[candidate(r)] == 1]
        named |= {r.pid: quote(candidate(r)) for r in chosen}
        left = [r for r in left if r.pid not in named]
    return named


def window(seen: Seen) -> Window[Receiver] | None:
    """Two readings of the receivers, if there are two."""
    try:
        return seen.window(REPLICATION)
    except NotRead:
        return None


def look(title: str) -> Advice:
    """See who receives WAL and how far each has come (on the server that sends it)."""
    return Advice(title=title, sql=_LOOK)
