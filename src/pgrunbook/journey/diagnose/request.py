"""One wish to diagnose: which checks, which schemas, which window, which thresholds, what is muted.  And its answer.

The command line, the web pages and the daemon all make a Request from the configuration and get the same verdicts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pgrunbook.config import Config, Mute
from pgrunbook.errors import UsageError
from pgrunbook.journey.diagnose.check import NamedCheck, all_checks
from pgrunbook.journey.diagnose.engine import choose, judge, limits_of, questions_of
from pgrunbook.journey.diagnose.limit_to import within_schemas, without_muted
from pgrunbook.journey.observe import observe
from pgrunbook.journey.observe.schemas import SCHEMAS
from pgrunbook.journey.observe.windowed import observe_window, since
from pgrunbook.model import NotRead, Question, Snapshot
from pgrunbook.model.diagnosis import Diagnosis
from pgrunbook.pg.connect import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked.  `limits` are thresholds by check name, `expectations` what the server cannot know itself.

    `plans`: statements are explained, too, and the checks that judge their plans are asked.
    """

    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    schemas: tuple[str, ...] = ()
    window_s: float = 0.0
    limits: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    expectations: Mapping[str, Any] = field(default_factory=dict)
    mutes: tuple[Mute, ...] = ()
    plans: bool = False


def request_from(config: Config) -> Request:
    """The wish that a configuration expresses.  Raises UsageError for a check or threshold that does not exist."""
    known = all_checks()
    for name, overrides in config.checks.items():
        where = config.origin(f"checks.{name}")
        if name not in known:
            raise UsageError(f"{where}: [checks.{name}]: there is no such check", hint="pgrunbook checks lists them.")
        try:
            limits_of(known[name], overrides)
        except UsageError as exc:
            raise UsageError(f"{where}: {exc.message}", hint=exc.hint) from exc
    for mute in config.mutes:
        if mute.check and mute.check not in known:
            raise UsageError(f"{mute.origin}: [[mute]] names check {mute.check!r}, which does not exist")
    return Request(
        only=config.only,
        skip=config.skip,
        schemas=config.schemas,
        window_s=config.window_s,
        limits=config.checks,
        expectations=config.expect,
        mutes=config.mutes,
    )


def answer(request: Request, dsn_or_conn: str | Session, *, earlier: Snapshot | None = None) -> Diagnosis:
    """Observe a database and judge; rates come from `earlier` if it is given, else from the window."""
    return answer_from(request, look(request, dsn_or_conn, counters_twice=earlier is None), earlier=earlier)


def look(
    request: Request,
    dsn_or_conn: str | Session,
    *,
    counters_twice: bool = True,
    also: tuple[Question[Any], ...] = (),
) -> Snapshot:
    """Observe what the request needs, and what else is asked for."""
    questions = (*_questions(choose(request.only, request.skip, plans=request.plans), request), *also)
    if counters_twice and request.window_s > 0:
        return observe_window(dsn_or_conn, questions, window_s=request.window_s)
    return observe(dsn_or_conn, questions)


def answer_from(request: Request, snapshot: Snapshot, *, earlier: Snapshot | None = None) -> Diagnosis:
    """Judge what was observed, here and now or elsewhere and earlier."""
    _refuse_unknown_schemas(request.schemas, snapshot)
    seen = snapshot if earlier is None else since(snapshot, earlier)
    chosen = choose(request.only, request.skip, plans=request.plans)
    diagnosis = judge(seen, chosen, limits=request.limits, expectations=request.expectations)
    within = within_schemas(diagnosis, request.schemas)
    return without_muted(within, request.mutes, today=datetime.now(UTC).date())


def everything() -> tuple[Question[Any], ...]:
    """Every question that any check needs, for a snapshot that can be diagnosed later with any choice of checks.

    Plans are read on request only.
    """
    return (*(q for q in questions_of(all_checks().values()) if q.probe is None), SCHEMAS)


def _questions(chosen: Iterable[NamedCheck], request: Request) -> tuple[Question[Any], ...]:
    return (*questions_of(chosen), SCHEMAS) if request.schemas else questions_of(chosen)


def _refuse_unknown_schemas(wanted: Iterable[str], snapshot: Snapshot) -> None:
    missing = tuple(wanted)
    try:
        known = {schema.name for schema in snapshot.rows(SCHEMAS)} if missing else set()
    except NotRead as exc:
        raise UsageError(f"the schemas are not known: {exc.unread.reason}") from exc
    missing = tuple(name for name in missing if name not in known)
    if missing:
        names = ", ".join(sorted(known)) or "none"
        raise UsageError(
            f"database {snapshot.server.database} has no schema {', '.join(missing)}", hint=f"It has: {names}."
        )
