"""The whole way of one statement: read it, plan (or run) it, look at the plan, try other ways to say it.

In: a connection and a Wish.  Out: an Explanation.  Everything happens in read-only transactions that are rolled back.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pgrunbook.errors import UsageError
from pgrunbook.journey.advise.queries.context import QUESTIONS, Context
from pgrunbook.journey.advise.queries.insights import insights
from pgrunbook.journey.advise.queries.notes import notes
from pgrunbook.journey.advise.queries.rewrites import rewrites
from pgrunbook.journey.advise.queries.statement import (
    Query,
    called_functions,
    query_from_counters,
    query_from_file,
    query_from_text,
    refuse_to_run,
    why_no_read,
)
from pgrunbook.journey.advise.queries.trial import Trial
from pgrunbook.journey.observe import observe
from pgrunbook.journey.observe.explaining import RUN_TIMEOUT_S, Explainer, Identity, identify
from pgrunbook.journey.observe.hidden_constants import HIDDEN_CONSTANTS
from pgrunbook.journey.observe.statements import STATEMENTS
from pgrunbook.model import Blind, NotRead, Snapshot
from pgrunbook.model.explanation import Explanation
from pgrunbook.model.query_plan import QueryPlan
from pgrunbook.pg.connect import Session, connect
from pgrunbook.pg.parse import Parser


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked: one of `text`, `file` and `queryid`, and how far to go.

    `analyze` runs the statement; `compare` runs it and each rewrite, and compares their rows.
    """

    text: str | None = None
    file: Path | None = None
    queryid: int | None = None
    role: str | None = None
    as_superuser: bool = False
    analyze: bool = False
    compare: bool = False
    timeout_s: float = RUN_TIMEOUT_S


def explain(dsn_or_conn: str | Session, wish: Wish, *, parser: Parser | None = None) -> Explanation:
    """Explain one statement.  Raises UsageError for what is none, Refused for what must not be run."""
    with ExitStack() as stack:
        parsing = parser if parser is not None else stack.enter_context(Parser())
        early = _without_server(wish, parsing)
        conn = dsn_or_conn
        if isinstance(conn, str):
            conn = stack.enter_context(connect(conn, station="explain"))
        questions = QUESTIONS if wish.queryid is not None else tuple(q for q in QUESTIONS if q is not STATEMENTS)
        snapshot = observe(conn, questions)
        query = early if early is not None else query_from_counters(wish.queryid or 0, snapshot, parsing)
        identity = identify(
            conn,
            snapshot.server,
            wanted=wish.role,
            statement_role=query.asked.role,
            as_superuser=wish.as_superuser,
            is_read=query.is_read,
        )
        explainer = Explainer(conn, snapshot.server, identity)
        plan = _plan(explainer, query, wish)
        context = _context(explainer, query, plan, snapshot, parsing)
        trial = Trial(
            explainer,
            query,
            plan,
            analyze=wish.analyze,
            compare=wish.compare,
            timeout_s=wish.timeout_s,
            incomparable=_why_not_compared(explainer, query, wish),
        )
        return Explanation(
            server=snapshot.server,
            taken_at=datetime.now(UTC),
            asked=query.asked,
            plan=plan,
            as_whom=_words(identity),
            insights=insights(context),
            rewrites=rewrites(context, trial),
            notes=notes(context),
            blind=_blind(context),
        )


def _without_server(wish: Wish, parser: Parser) -> Query | None:
    """What can be refused before anybody connects."""
    if wish.file is not None:
        return query_from_file(wish.file, parser)
    if wish.text is not None:
        return query_from_text(wish.text, "the statement", parser)
    if wish.queryid is None:
        raise UsageError("there is no statement to explain", hint="Give its text, a file, or a queryid.")
    return None


def _plan(explainer: Explainer, query: Query, wish: Wish) -> QueryPlan:
    if not wish.analyze:
        return explainer.plan(query.text, parameters=query.asked.parameters)
    refuse_to_run(query)
    refuse_to_run(query, changing=explainer.changing_calls(query.text, called_functions(query.tree)))
    return explainer.run(query.text, timeout_s=wish.timeout_s)


def _why_not_compared(explainer: Explainer, query: Query, wish: Wish) -> str:
    """What forbids to run the statement for its rows; "" when nothing does, or nobody asked."""
    if not wish.compare or wish.analyze:
        return ""
    reason = why_no_read(query.tree)
    if reason:
        return reason
    called = called_functions(query.tree)
    changing = explainer.changing_calls(query.text, called, parameters=query.asked.parameters)
    return f"it calls volatile functions: {', '.join(changing)}" if changing else ""


def _context(explainer: Explainer, query: Query, plan: QueryPlan, snapshot: Snapshot, parser: Parser) -> Context:
    called = called_functions(query.tree)
    calls = explainer.volatile_calls(query.text, called, parameters=query.asked.parameters)
    volatile = frozenset(name.rpartition(".")[2] for name in calls)
    path = [part.strip().strip('"') for part in explainer.setting("search_path").split(",")]
    return Context(
        query=query,
        plan=plan,
        snapshot=snapshot,
        parser=parser,
        identity=explainer.identity,
        path=tuple(explainer.identity.name if part == "$user" else part for part in path if part),
        time_zone=explainer.setting("TimeZone"),
        volatile=volatile,
        is_veiled=bool(volatile - {parts[-1] for parts in called if parts}),
    )


def _words(identity: Identity) -> str:
    return f"{identity.name} ({identity.why})" if identity.why else identity.name


def _blind(context: Context) -> tuple[Blind, ...]:
    """What could not be read, and therefore not be judged."""
    found = []
    for question in QUESTIONS:
        if question.extension is not None or question is HIDDEN_CONSTANTS:  # about the workload, not this statement
            continue
        try:
            context.snapshot.reading(question)
        except NotRead as exc:
            found.append(Blind(object=question.name, reason=exc.unread.reason, cure=exc.unread.cure))
    if context.identity.is_stand_in:
        read = [context.facts.of(access.table_oid) for access in context.accesses.accesses]
        reason = f"row security decides by role what is read of it, and {context.identity.name} is no application"
        found += [
            Blind(object=name, reason=reason, cure="pgrunbook explain … --role NAME")
            for name in sorted({one.qualified for one in read if one.table.relation.row_security})
        ]
    hidden = {
        node.relation: table.hidden(table.table.columns)
        for node in context.plan.nodes
        if (table := context.table_of(node)) is not None
    }
    user = context.snapshot.server.user
    for relation, columns in hidden.items():
        if columns:
            found.append(
                Blind(
                    object=relation,
                    reason=f"the statistics of {len(columns)} columns are hidden from {user}",
                    cure=f"GRANT SELECT ON {relation} TO {user};",
                )
            )
    return tuple(found)
