"""Runs one step on one connection: the same for rehearsals and for the target.

In: a step, an autocommit connection of its own.  Out: Ran, or Refused when nothing was changed, or ChangedInPart when
something was left behind that could not be cleared away.  A KeyboardInterrupt passes through after the server has
cancelled the statement; the caller decides whether to take the step back.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import psycopg

from pgrunbook.errors import ChangedInPart, Refused
from pgrunbook.journey.steps.step import Before, Step
from pgrunbook.model import Server
from pgrunbook.model.plan import Phase
from pgrunbook.pg.connect import Session, first_line

Tell: TypeAlias = Callable[[Phase, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How often a lock is asked for, and how long is waited in between (doubled each time, with jitter)."""

    tries: int = 5
    pause_s: float = 0.5
    longest_pause_s: float = 8.0

    def pause_before(self, attempt: int) -> float:
        """Seconds before this try; half of it is chance, so that two who collide do not collide again."""
        full = min(self.pause_s * 2.0 ** (attempt - 2), self.longest_pause_s)
        return full * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, no secret


PATIENCE = Patience()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a run found and took.  `already`: the catalog said beforehand that it was done."""

    before: Before
    tries: int
    duration_s: float
    already: bool = False


def silent(phase: Phase, text: str) -> None:
    """Tell nobody."""


def prepare_session(conn: Session, lock_budget_s: float) -> None:
    """Take off the limits that would cut maintenance short, set lock_timeout, and read all of it back."""
    wanted = {
        "statement_timeout": "0",
        "lock_timeout": str(round(lock_budget_s * 1000)),
        "idle_in_transaction_session_timeout": "0",
        "idle_session_timeout": "0",
        "transaction_timeout": "0",
        "search_path": "pg_catalog",
        "standard_conforming_strings": "on",
    }
    known = dict(_settings(conn, list(wanted)))
    for name in known:
        conn.execute("select pg_catalog.set_config(%(name)s, %(value)s, false)", {"name": name, "value": wanted[name]})
    for name, value in _settings(conn, list(wanted)):
        if value != wanted[name]:
            raise Refused(
                f"the session's {name} is {value} although it was set to {wanted[name]}",
                hint="Something between here and the server keeps no session: use a direct connection.",
            )


def _settings(conn: Session, names: list[str]) -> list[tuple[str, str]]:
    rows = conn.execute(
        "/* pgrunbook: own_settings */ select name, setting from pg_catalog.pg_settings where name = any(%(names)s)",
        {"names": names},
    ).fetchall()
    return [(str(name), str(setting)) for name, setting in rows]


def run_step(
    step: Step,
    conn: Session,
    server: Server,
    *,
    before: Before | None = None,
    intent: Callable[[Before], None] | None = None,
    tell: Tell = silent,
    patience: Patience = PATIENCE,
) -> Ran:
    """Check, capture, announce the intent, do with retries, and ask the catalog.

    `before` is given when an interrupted step is taken up again.  `intent` is called when all is ready and nothing has
    been changed; what it raises stops the step.
    """
    started = time.monotonic()
    with _refusing(step, conn):
        prepare_session(conn, step.lock_budget_s)
        tell(Phase.PRECHECK, step.title)
        if before is None and step.done(conn):
            return Ran(before={}, tries=0, duration_s=time.monotonic() - started, already=True)
        step.precheck(conn, server)
        tell(Phase.CAPTURE, step.title)
        before = step.capture(conn) if before is None else before
    if intent is not None:
        intent(before)
    started = time.monotonic()
    tell(Phase.DO, step.title)
    try:
        tries = _with_retries(lambda: step.do(conn), step, conn, tell, patience)
        tell(Phase.DONE, step.title)
        is_done = _asked(step, conn, before)
        if not is_done:
            raise Refused(  # noqa: TRY301 - it is mended like any other failure
                f"{step.title}: the server reported success, but the catalog does not show it",
                hint="Most often the role lacks the right: the server then only warns.  Use the owner.",
            )
    except Refused as refused:
        _mend(step, conn, before, tell, refused)
        raise
    return Ran(before=before, tries=tries, duration_s=time.monotonic() - started)


def take_back(step: Step, conn: Session, before: Before, *, tell: Tell = silent, patience: Patience = PATIENCE) -> None:
    """Run a step's undo with the same retries; what was not done yet is only cleared away."""
    with _refusing(step, conn):
        prepare_session(conn, step.lock_budget_s)
    tell(Phase.UNDO, step.title)
    _with_retries(lambda: step.undo(conn, before), step, conn, tell, patience)


def clear_away(
    step: Step, conn: Session, before: Before, *, tell: Tell = silent, patience: Patience = PATIENCE
) -> None:
    """Take away what an interrupted step left, with the same retries."""
    with _refusing(step, conn):
        prepare_session(conn, step.lock_budget_s)
    tell(Phase.MEND, step.title)
    _with_retries(lambda: step.mend(conn, before), step, conn, tell, patience)


def _with_retries(act: Callable[[], None], step: Step, conn: Session, tell: Tell, patience: Patience) -> int:
    """How many tries it took.  Only a lock that could not be had in time, or a deadlock, is tried again."""
    for attempt in range(1, patience.tries + 1):
        if attempt > 1:
            tell(Phase.RETRY, f"{step.title}: try {attempt} of {patience.tries}")
            time.sleep(patience.pause_before(attempt))
        try:
            with _refusing(step, conn):
                act()
        except _LockMissed as missed:
            last = missed
        else:
            return attempt
    raise Refused(
        f"{step.title}: the lock could not be had within {step.lock_budget_s:g} s in {patience.tries} tries",
        hint="Somebody holds the table: pg_stat_activity and pg_locks show who.  Try again when it is free.",
    ) from last


def _mend(step: Step, conn: Session, before: Before, tell: Tell, refused: Refused) -> None:
    """After a failure: leave nothing, or say what is left."""
    try:
        clear_away(step, conn, before, tell=tell, patience=Patience(tries=2))
    except Refused as left:
        raise ChangedInPart(
            f"{refused.message}; and what it left could not be cleared away: {left.message}",
            hint="The next apply clears it away; nothing else has to be done.",
        ) from refused


def _asked(step: Step, conn: Session, before: Before) -> bool:
    with _refusing(step, conn):
        return step.done(conn, before)


class _LockMissed(Refused):
    """A lock was not free in time, or a deadlock was broken at our expense."""


class _refusing:  # noqa: N801 - used like a function
    """Driver errors become ours.  A lost connection is ChangedInPart: nobody knows yet."""

    def __init__(self, step: Step, conn: Session) -> None:
        self._step = step
        self._conn = conn

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: object) -> None:
        if not isinstance(value, psycopg.Error):
            return
        title = self._step.title
        if self._conn.closed:
            raise ChangedInPart(
                f"{title}: the connection was lost ({first_line(value)}); whether it was done is not known yet",
                hint="Run apply again: it looks in the catalog and finishes the step or clears it away.",
            ) from value
        if isinstance(value, psycopg.errors.LockNotAvailable | psycopg.errors.DeadlockDetected):
            raise _LockMissed(f"{title}: {first_line(value)}", hint="Try again when the table is free.") from value
        if isinstance(value, psycopg.errors.InsufficientPrivilege):
            raise Refused(f"{title}: not allowed: {first_line(value)}", hint="Use the owner of the object.") from value
        if isinstance(value, psycopg.errors.QueryCanceled):
            raise Refused(f"{title}: somebody cancelled it", hint="Ask who did, then try again.") from value
        raise Refused(f"{title}: the server refused: {first_line(value)}") from value
