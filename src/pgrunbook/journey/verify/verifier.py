"""The verifier that acting uses: measures a step's queries on the acting session, and judges two measurements."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pgrunbook.journey.observe.observer import Observer
from pgrunbook.journey.observe.statements import STATEMENTS, STATEMENTS_INFO, Statement
from pgrunbook.journey.steps import Step, load
from pgrunbook.journey.verify.estimate import Estimator, NoEstimate
from pgrunbook.journey.verify.measurement import Measurement, QueryFigures
from pgrunbook.journey.verify.memory import Memory
from pgrunbook.journey.verify.selection import Chosen, choose
from pgrunbook.journey.verify.verdict import Promise, Terms, judge
from pgrunbook.journey.verify.window import Patience, Seen, watch
from pgrunbook.model import Unread, Value
from pgrunbook.model.plan import Judgement, MeasuredQuery, PlannedStep
from pgrunbook.pg.connect import Session
from pgrunbook.pg.parse import Parser

MAX_GAUGES = 30
SAME_LOAD_S = 30.0  # a window of times may reach back this far
# Steps that owe something to queries.  All others owe it to maintenance, safety or disk, which the catalog shows.
TERMS: Mapping[str, Terms] = {
    "create_index": Terms(promise=Promise.FASTER),
    "replace_policy": Terms(promise=Promise.FASTER, by_time=True),
    "drop_index": Terms(promise=Promise.NOT_SLOWER),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryVerifier:
    """Implements act's Verifier.  `patience` bounds what one measurement may take.

    It remembers one run: a window before a step may begin where an earlier step that could matter to its queries ended,
    so that under load most steps need no waiting before they begin.  The window after a step always begins after it.
    """

    patience: Patience = field(default_factory=Patience)
    _memory: Memory = field(default_factory=Memory)

    def measure(self, conn: Session, planned: PlannedStep) -> dict[str, Value]:
        """Figures of the step's queries over one window; {} for a step that owes them nothing.

        Leaves the session as it found it.  Never raises because something could not be measured: the figures say so.
        """
        step = load(planned.step)
        if step.kind not in TERMS:
            self._memory.forget()  # vacuum, statistics and ended sessions can matter to every query
            return {}
        return self.measurement(conn, planned, step).as_figures()

    def judge(self, planned: PlannedStep, before: Mapping[str, Value], after: Mapping[str, Value]) -> Judgement:
        """Whether the step did what it promised; open (None) when that could be neither measured nor estimated."""
        terms = TERMS.get(planned.step.kind)
        if terms is None:
            return Judgement(improved=None, reason="the catalog shows it; it promises nothing to any query")
        was, now = Measurement.of(before), Measurement.of(after)
        if was is None or now is None:
            return Judgement(improved=None, reason="unverified: it was not measured before and after")
        agreed = Terms(
            promise=terms.promise,
            by_time=terms.by_time,
            promised=_promises(planned),
            min_calls=self.patience.min_calls,
        )
        return judge(was, now, agreed)

    def measurement(self, conn: Session, planned: PlannedStep, step: Step) -> Measurement:
        """The same as values."""
        observer = Observer(conn)
        statements = observer.ask(STATEMENTS)
        with Parser() as parser:
            known = None if isinstance(statements, Unread) else statements.rows
            chosen = choose(conn, planned, step, known, parser)
            costs, no_cost = _costs(conn, parser, step, chosen)
        beside = _beside(step, known or ())
        queryids = [query.queryid for query in chosen.queries if query.queryid is not None]
        if isinstance(statements, Unread):
            trouble, seen = f"pg_stat_statements cannot be read: {statements.reason}", None
        elif not queryids:
            trouble, seen = ("none of its queries has been run" if chosen.queries else ""), None
        elif not _promises(planned):
            trouble, seen = "it promises nothing to any query: their plans are compared", None
        else:
            seen, trouble = self._watch(conn, observer, queryids, chosen, planned)
        figures = [_with_cost(_seen_of(query, seen), costs.get(number)) for number, query in enumerate(chosen.queries)]
        return Measurement(
            queries=tuple(figures),
            window_s=round(seen.window_s, 3) if seen is not None else 0.0,
            trouble=trouble,
            no_cost=no_cost,
            gauges=_gauges(seen, beside, self.patience.min_calls),
        )

    def _watch(
        self, conn: Session, observer: Observer, queryids: list[int], chosen: Chosen, planned: PlannedStep
    ) -> tuple[Seen | None, str]:
        """What the window showed; nothing when the counters were reset within it."""
        terms = TERMS[planned.step.kind]
        reset_before = _reset_at(observer)
        schema = observer.server.extensions["pg_stat_statements"].schema
        roles = _role_oids(conn, chosen)
        since = self._memory.since(planned, queryids)
        if since is not None and terms.by_time and time.monotonic() - since.at > SAME_LOAD_S:
            since = None  # times are held against statements beside, so both windows must be of the same load
        seen = watch(conn, schema, queryids, roles, self.patience, since=since)
        self._memory.ended(planned, queryids, seen)
        if _reset_at(observer) != reset_before or seen.distrusted & set(queryids):
            return None, "pg_stat_statements was reset, or threw entries out, while it was measured"
        return seen, ""


def _promises(planned: PlannedStep) -> bool:
    """Whether the step is for queries: an index for a foreign key or a dropped one is not, and need not be timed."""
    return bool(planned.queries) or planned.step.kind == "replace_policy"


def _costs(conn: Session, parser: Parser, step: Step, chosen: Chosen) -> tuple[dict[int, float], str]:
    """The cost of each statement by its place, and why the first that has none has none."""
    estimator = Estimator(conn, parser, schema=str(getattr(step, "schema", "public")))
    costs: dict[int, float] = {}
    no_cost = ""
    for number, query in enumerate(chosen.queries):
        try:
            costs[number] = estimator.cost(query, as_role=step.kind == "replace_policy")
        except NoEstimate as exc:
            no_cost = no_cost or f"no estimate: {exc}"
    return costs, no_cost


def _seen_of(query: MeasuredQuery, seen: Seen | None) -> QueryFigures:
    figures = seen.wanted.get(query.queryid) if seen is not None and query.queryid is not None else None
    return figures if figures is not None else QueryFigures(queryid=query.queryid, calls=0)


def _with_cost(figures: QueryFigures, cost: float | None) -> QueryFigures:
    return QueryFigures(
        queryid=figures.queryid,
        calls=figures.calls,
        mean_ms=figures.mean_ms,
        stderr_ms=figures.stderr_ms,
        blocks_per_call=figures.blocks_per_call,
        rows_per_call=figures.rows_per_call,
        cost=cost,
    )


def _beside(step: Step, known: Sequence[Statement]) -> frozenset[int]:
    """Statements that do not so much as contain the name of the step's table."""
    name = str(getattr(step, "table", None) or getattr(step, "name", ""))
    return frozenset(row.queryid for row in known if not row.is_ours and not row.is_utility and name not in row.query)


def _gauges(seen: Seen | None, beside: frozenset[int], min_calls: int) -> tuple[QueryFigures, ...]:
    """The busiest of them."""
    others = [q for q in seen.others if q.calls >= min_calls and q.queryid in beside] if seen is not None else []
    return tuple(sorted(others, key=lambda query: -query.calls)[:MAX_GAUGES])


def _role_oids(conn: Session, chosen: Chosen) -> tuple[int, ...]:
    """The roles whose calls count; () for everybody's."""
    names = {query.role for query in chosen.queries}
    if None in names:
        return ()
    rows = conn.execute(
        "select r.oid::int8 from pg_catalog.pg_roles as r where r.rolname = any (%(names)s)",
        {"names": sorted(names)},  # type: ignore[type-var]  # None is not among them
    ).fetchall()
    return tuple(int(row[0]) for row in rows)


def _reset_at(observer: Observer) -> str:
    info = observer.ask(STATEMENTS_INFO)
    return "" if isinstance(info, Unread) else str(info.rows[0].stats_reset)
