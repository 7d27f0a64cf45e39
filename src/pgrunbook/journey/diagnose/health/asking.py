"""One database → its Health: observe for a while, diagnose, judge the scorecard."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

from pgrunbook.journey.diagnose.health.carrying import capacity
from pgrunbook.journey.diagnose.health.metrics import NEEDED as METRIC_QUESTIONS
from pgrunbook.journey.diagnose.health.metrics import Targets, metrics
from pgrunbook.journey.diagnose.health.practices import NEEDED as PRACTICE_QUESTIONS
from pgrunbook.journey.diagnose.health.practices import Around, practices
from pgrunbook.journey.diagnose.query_texts import COSTS, COSTS_LIKE
from pgrunbook.journey.diagnose.request import Request, answer_from, look
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.exporter import Endpoint, ExporterWatch
from pgrunbook.journey.observe.host import Host, HostWatch
from pgrunbook.model import Snapshot
from pgrunbook.model.diagnosis import Diagnosis
from pgrunbook.model.health import Health
from pgrunbook.pg.connect import connect
from pgrunbook.pg.parse import Parser

QUESTIONS = (*COSTS, *COSTS_LIKE, *METRIC_QUESTIONS, *PRACTICE_QUESTIONS)


def ask(
    request: Request,
    dsn: str,
    *,
    journalled: Callable[[Snapshot], int | None] = lambda _: None,
    exporter: Endpoint | None = None,
) -> Health:
    """Look at a database for the request's window.  `journalled` says how many changes its journal holds.

    `exporter` tells of the server's machine; without one it is watched from within if we run on it.
    """
    started = time.monotonic()
    with connect(dsn, station="health") as conn:
        watch = ExporterWatch(exporter) if exporter is not None else HostWatch.beside(conn)
        snapshot = look(request, conn, also=QUESTIONS)
        host = watch.look() if watch is not None else None
    health = health_of(snapshot, answer_from(request, snapshot), host=host, journalled=journalled(snapshot))
    return dataclasses.replace(health, duration_s=round(time.monotonic() - started, 3))


def health_of(
    snapshot: Snapshot,
    diagnosis: Diagnosis,
    *,
    host: Host | None = None,
    journalled: int | None = None,
    targets: Targets | None = None,
) -> Health:
    """The scorecard of what was seen."""
    with Parser() as parser:
        seen = Seen(snapshot=snapshot, parser=parser)
        found = metrics(seen, host, targets if targets is not None else Targets())
        around = Around(diagnosis=diagnosis, metrics=found, journalled=journalled)
        earlier = snapshot.earlier
        return Health(
            server=snapshot.server,
            taken_at=snapshot.taken_at,
            duration_s=snapshot.duration_s,
            window_s=round((snapshot.taken_at - earlier.taken_at).total_seconds(), 1) if earlier is not None else None,
            metrics=found,
            capacity=capacity(seen),
            practices=practices(seen, around),
        )
