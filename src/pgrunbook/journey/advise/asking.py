"""One database and a topic → Counsel: observe for a while, count its sessions meanwhile, judge."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pgrunbook.errors import Unsupported
from pgrunbook.journey.advise.given import Given, HostFacts
from pgrunbook.journey.advise.policies import QUESTIONS as POLICY_QUESTIONS
from pgrunbook.journey.advise.policies import advise_policies
from pgrunbook.journey.advise.pool import QUESTIONS as POOL_QUESTIONS
from pgrunbook.journey.advise.pool import advise_pool
from pgrunbook.journey.advise.settings import QUESTIONS as SETTING_QUESTIONS
from pgrunbook.journey.advise.settings import advise_settings
from pgrunbook.journey.advise.vacuum import QUESTIONS as VACUUM_QUESTIONS
from pgrunbook.journey.advise.vacuum import advise_vacuum
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.exporter import Endpoint, ExporterWatch
from pgrunbook.journey.observe.host import HostWatch
from pgrunbook.journey.observe.observer import Observer, observe
from pgrunbook.journey.observe.plans import PLANS
from pgrunbook.journey.observe.session_tally import SESSION_TALLY, SessionTally
from pgrunbook.journey.observe.windowed import observe_window, since
from pgrunbook.model import NotRead, Question, Reading, ServerRole, Snapshot, Unread
from pgrunbook.model.counsel import Counsel
from pgrunbook.pg.connect import Session, connect
from pgrunbook.pg.parse import Parser

SAMPLE_S = 0.5  # between two counts of the sessions
STANDBY_NOTE = (
    "This is a standby: what changes roles, databases, tables or policies runs on its primary; ALTER SYSTEM"
    " holds for the"
    " server on which it runs."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """What is asked of the server for a topic, and who judges it."""

    questions: tuple[Question[Any], ...]
    advise: Callable[[Seen, Given], Counsel]
    window_s: float = 0.0


TOPICS: Mapping[str, Topic] = {
    "settings": Topic(questions=SETTING_QUESTIONS, advise=advise_settings),
    "policies": Topic(questions=POLICY_QUESTIONS, advise=advise_policies),
    "vacuum": Topic(questions=VACUUM_QUESTIONS, advise=advise_vacuum),
    "pool": Topic(questions=POOL_QUESTIONS, advise=advise_pool, window_s=10.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Inquiry:
    """What to ask about.  `window_s` None: as long as the topic needs; `earlier` is an older snapshot instead.

    `plans`: ask for plans of the dearest statements, too, which are not run.
    """

    topic: str
    given: Given = field(default_factory=Given)
    window_s: float | None = None
    earlier: Snapshot | None = None
    plans: bool = False
    expectations: Mapping[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """How long it watches."""
        if self.earlier is not None:
            return 0.0
        return self.window_s if self.window_s is not None else TOPICS[self.topic].window_s


def ask(inquiry: Inquiry, dsn: str, *, exporter: Endpoint | None = None) -> Counsel:
    """Look at a database and advise.  Changes nothing.

    `exporter` tells of the server's machine; without one it is asked from within if we run on it.
    """
    started = time.monotonic()
    with connect(dsn, station="advise") as conn:
        watch = ExporterWatch(exporter) if exporter is not None else HostWatch.beside(conn)
        snapshot = look(conn, inquiry)
        host = watch.look() if watch is not None else None
    given = inquiry.given
    if host is not None:
        facts = HostFacts(where=host.where, memory_bytes=host.memory_bytes, cores=host.cores)
        given = dataclasses.replace(given, host=facts)
    counsel = counsel_of(dataclasses.replace(inquiry, given=given), snapshot)
    return dataclasses.replace(counsel, duration_s=round(time.monotonic() - started, 3))


def look(conn: Session, inquiry: Inquiry) -> Snapshot:
    """Ask the topic's questions; twice, with the sessions counted in between, when there is a window."""
    questions = (*TOPICS[inquiry.topic].questions, *((PLANS,) if inquiry.plans else ()))
    seconds = inquiry.seconds
    if seconds <= 0:
        snapshot = observe(conn, questions)
        return since(snapshot, inquiry.earlier) if inquiry.earlier is not None else snapshot
    samples: list[SessionTally] = []

    def counting(wait_s: float) -> None:
        observer, until = Observer(conn), time.monotonic() + wait_s
        while (left := until - time.monotonic()) > 0:
            found = observer.ask(SESSION_TALLY)
            samples.extend(found.rows if isinstance(found, Reading) else ())
            time.sleep(min(SAMPLE_S, max(0.0, left)))

    snapshot = observe_window(conn, questions, window_s=seconds, wait=counting)
    return with_samples(snapshot, tuple(samples))


def with_samples(snapshot: Snapshot, samples: tuple[SessionTally, ...]) -> Snapshot:
    """The snapshot with all counts of its sessions in place of the last one."""
    last = snapshot.readings.get(SESSION_TALLY.name)
    if not samples or last is None or isinstance(last, Unread):
        return snapshot
    whole: Reading[object] = dataclasses.replace(last, rows=(*samples, *last.rows))
    return dataclasses.replace(snapshot, readings={**snapshot.readings, SESSION_TALLY.name: whole})


def counsel_of(inquiry: Inquiry, snapshot: Snapshot) -> Counsel:
    """Judge what was observed, here and now or elsewhere and earlier.

    Raises Unsupported where a reading is missing without which the topic has nothing to say.
    """
    with Parser() as parser:
        seen = Seen(snapshot=snapshot, parser=parser, expectations=inquiry.expectations)
        try:
            counsel = TOPICS[inquiry.topic].advise(seen, inquiry.given)
        except NotRead as exc:
            raise Unsupported(
                f"nothing can be said about {inquiry.topic}: {exc.unread.reason}", hint=exc.unread.cure
            ) from exc
    if counsel.proposals and snapshot.server.role is ServerRole.STANDBY:
        return dataclasses.replace(counsel, notes=(*counsel.notes, STANDBY_NOTE))
    return counsel
