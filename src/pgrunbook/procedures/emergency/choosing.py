"""Who is touched, in which order, and why everybody else is not: a pure function of what was seen.

Whoever holds others up comes first, from the root: those who wait for it are victims and are left alone.  Where the
root is never touched (a dump, a superuser), the first below it that holds others up itself takes its place.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pgrunbook.journey.observe.sessions import Backend
from pgrunbook.journey.steps.session_guard import SIGNAL_ROLE, STATS_ROLE, WORDS
from pgrunbook.model import quote
from pgrunbook.model.emergency import Action, Picture, SessionView
from pgrunbook.procedures.emergency.limits import Limits, Procedure
from pgrunbook.procedures.emergency.situation import Situation
from pgrunbook.report.words import counted, duration

_LISTENS = re.compile(r"\s*(un)?listen\b", re.IGNORECASE)
CLEARS_IDLE = frozenset({Procedure.OVERLOAD, Procedure.EXHAUSTION, Procedure.IDLE})
STOPS_ACTIVE = frozenset({Procedure.OVERLOAD, Procedure.RUNAWAY})
FREES_LOCKS = STOPS_ACTIVE
NAMED_MAX = 10  # of those somebody waits for: in a queue of 500 it is 499


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What becomes of one session.  Lower `rank` comes first; `weight`, then age, decides within a rank."""

    backend: Backend
    action: Action
    reason: str
    rank: int = 9
    weight: int = 0
    age_s: float = 0.0

    @property
    def is_chosen(self) -> bool:
        """Whether it is touched at once."""
        return self.action in {Action.CANCEL, Action.END}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be judged: which emergency, by which limits, and whether sessions of other databases count."""

    procedure: Procedure
    limits: Limits
    all_databases: bool = False


def choose(situation: Situation, wish: Wish) -> tuple[Choice, ...]:
    """A choice for every session: those to touch first, in their order, then the others by pid."""
    judged = [_Judge(situation, wish).choice(backend) for backend in situation.sessions]
    chosen = sorted((c for c in judged if c.is_chosen), key=_order)
    chosen = _only_needed(_only_top(chosen, wish), situation, wish)
    chosen = _capped(chosen, cap(situation, wish.limits))
    touched = [c for c in chosen if c.is_chosen]
    rest = sorted([c for c in (*judged, *chosen) if not c.is_chosen], key=lambda c: c.backend.pid)
    later = [c for c in rest if c.action is Action.LATER]
    return (*touched, *later, *(c for c in rest if c.action is Action.LEAVE))


def cap(situation: Situation, limits: Limits) -> int:
    """How many sessions one run may touch."""
    return max(1, min(limits.max_sessions, int(limits.max_share_ratio * situation.usable)))


def action_for(backend: Backend) -> Action:
    """A statement is cancelled; cancelling does nothing to a session that is idle."""
    return Action.CANCEL if backend.state == "active" else Action.END


def picture(situation: Situation, choices: Sequence[Choice], limits: Limits) -> Picture:
    """What was seen and chosen, as a value to print and to write down."""
    return Picture(
        taken_at=situation.at,
        used=situation.used,
        usable=situation.usable,
        active=situation.active,
        waiting=len(situation.waiters),
        pressure=situation.pressure(limits),
        sessions=tuple(_view(situation, choice) for choice in choices),
    )


class _Judge:
    """Judges one session after the other."""

    def __init__(self, situation: Situation, wish: Wish) -> None:
        self._situation = situation
        self._wish = wish
        self._limits = wish.limits
        self._saturated = situation.used_ratio >= wish.limits.saturation_ratio

    def choice(self, backend: Backend) -> Choice:
        """What becomes of this session."""
        hands_off = self._hands_off(backend)
        if hands_off is not None:
            return _left(backend, hands_off)
        waiter = self._situation.waiters.get(backend.pid)
        if self._situation.waits.has_victims(backend.pid) and self._wish.procedure in FREES_LOCKS:
            return self._blocker(backend)
        if waiter is not None:
            return _left(backend, f"waits for {self._names(waiter.blocked_by, waiter.prepared_gids)}: a victim")
        if backend.state == "active":
            return self._active(backend)
        if backend.is_in_transaction:
            return self._idle_in_transaction(backend)
        if backend.state == "idle":
            return self._idle(backend)
        return _left(backend, f"its state is {backend.state or 'unknown'}")

    def _hands_off(self, backend: Backend) -> str | None:
        """Why it is not to be touched whatever it does."""
        server = self._situation.server
        leave = self._situation.leave.get(backend.pid)
        if leave is None:
            return "it came or went while we looked"
        if leave.never == "hidden" and backend.role is not None:
            return f"what it does is hidden from us: GRANT {STATS_ROLE} TO {quote(server.user)};"
        if leave.never in {"no_client", "hidden"}:
            return f"never touched: {backend.backend_type or 'a process of the server'}"
        if leave.never is not None:
            return f"never touched: {WORDS[leave.never]}"
        if backend.backend_started_at is None or backend.state is None:
            return "it cannot be told from another"
        if not leave.may_signal:
            return f"we may not signal it: GRANT {SIGNAL_ROLE} TO {quote(server.user)};"
        if not self._wish.all_databases and backend.database != server.database:
            return f"it is in database {quote(backend.database or '')}"
        return None

    def _blocker(self, backend: Backend) -> Choice:
        """One who holds others up: a root, or one in the middle of the tree."""
        behind = self._situation.waits.behind(backend.pid)
        waited_s = max((waiter.waiting_s or 0.0 for waiter in behind), default=0.0)
        blocks = f"blocks {counted(len(behind), 'session')}, one for {duration(waited_s)}"
        if waited_s < self._limits.blocking_for_s:
            return _left(backend, f"{blocks}: less than {duration(self._limits.blocking_for_s)}")
        above = self._situation.waits.above(backend.pid)
        touchable = [pid for pid in above if self._is_touchable(pid)]
        if touchable:
            names = self._names(touchable, ())
            return Choice(
                backend=backend,
                action=Action.LATER,
                reason=f"waits for {names}; touched only if it still blocks others when that is gone",
            )
        waits = f", and waits for {self._names(above, ())} itself, never touched" if above else ""
        return Choice(
            backend=backend,
            action=action_for(backend),
            reason=f"{blocks}{waits}",
            rank=0,
            weight=len(behind),
            age_s=waited_s,
        )

    def _is_touchable(self, pid: int) -> bool:
        backend = self._situation.session(pid)
        return backend is not None and self._hands_off(backend) is None

    def _active(self, backend: Backend) -> Choice:
        age_s = backend.query_age_s or 0.0
        if self._wish.procedure not in STOPS_ACTIVE:
            return _left(backend, f"active for {duration(age_s)}; this procedure clears idle sessions only")
        if age_s < self._limits.older_than_s:
            return _left(backend, f"active for {duration(age_s)}, less than {duration(self._limits.older_than_s)}")
        return Choice(
            backend=backend,
            action=Action.CANCEL,
            reason=f"active for {duration(age_s)}",
            rank=1,
            age_s=age_s,
        )

    def _idle_in_transaction(self, backend: Backend) -> Choice:
        age_s = backend.state_age_s or 0.0
        words = f"{backend.state} for {duration(age_s)}"
        if self._wish.procedure is Procedure.RUNAWAY:
            return _left(backend, f"{words}; no statement runs")
        if age_s < self._limits.older_than_s:
            return _left(backend, f"{words}, less than {duration(self._limits.older_than_s)}")
        return Choice(backend=backend, action=Action.END, reason=words, rank=2, age_s=age_s)

    def _idle(self, backend: Backend) -> Choice:
        age_s = backend.state_age_s or 0.0
        words = f"idle for {duration(age_s)}"
        if self._wish.procedure not in CLEARS_IDLE:
            return _left(backend, f"{words}; no statement runs")
        if age_s < self._limits.idle_for_s:
            return _left(backend, f"{words}, less than {duration(self._limits.idle_for_s)}")
        if backend.pid in self._situation.advisory:
            return _left(backend, f"{words}, but it holds an advisory lock")
        if _LISTENS.match(backend.query or ""):
            return _left(backend, f"{words}, but it listens for notifications")
        if not self._saturated:
            share = round(self._situation.used_ratio * 100)
            least = round(self._limits.saturation_ratio * 100)
            return _left(backend, f"{words}; {share} % of the connections are taken, idle ones go from {least} % on")
        return Choice(backend=backend, action=Action.END, reason=words, rank=3, age_s=age_s)

    def _names(self, pids: Sequence[int], gids: Sequence[str]) -> str:
        known = [f"prepared transaction {', '.join(gids) or '(unknown)'}" if pid == 0 else str(pid) for pid in pids]
        more = f" and {len(known) - NAMED_MAX} more" if len(known) > NAMED_MAX else ""
        return (", ".join(known[:NAMED_MAX]) or "a lock") + more


def _left(backend: Backend, reason: str) -> Choice:
    return Choice(backend=backend, action=Action.LEAVE, reason=reason)


def _order(choice: Choice) -> tuple[int, int, float, int]:
    return (choice.rank, -choice.weight, -choice.age_s, choice.backend.pid)


def _only_top(chosen: list[Choice], wish: Wish) -> list[Choice]:
    """Of those that are merely old, the `top` longest."""
    top = wish.limits.top
    old = [choice for choice in chosen if choice.rank > 0]
    if not top or len(old) <= top:
        return chosen
    beyond = {choice.backend.pid for choice in old[top:]}
    reason = f"not among the {top} that have run longest"
    return [_without(choice, reason) if choice.backend.pid in beyond else choice for choice in chosen]


def _only_needed(chosen: list[Choice], situation: Situation, wish: Wish) -> list[Choice]:
    """When connections run out, no more idle ones than bring the server below its threshold."""
    if wish.procedure is not Procedure.EXHAUSTION:
        return chosen
    spare = int(wish.limits.saturation_ratio * situation.usable)
    need = max(0, situation.used - spare + 1) if situation.used_ratio >= wish.limits.saturation_ratio else 0
    kept = [choice for choice in chosen if choice.is_chosen][: max(need, 0)]
    pids = {choice.backend.pid for choice in kept}
    reason = "not needed to come below the threshold" if need else "connections are not running out"
    return [choice if choice.backend.pid in pids else _without(choice, reason) for choice in chosen]


def _capped(chosen: list[Choice], most: int) -> list[Choice]:
    kept = {choice.backend.pid for choice in [choice for choice in chosen if choice.is_chosen][:most]}
    reason = f"beyond the {counted(most, 'session')} that one run may touch; run it again after the cool-down"
    return [
        choice if choice.backend.pid in kept or not choice.is_chosen else _without(choice, reason) for choice in chosen
    ]


def _without(choice: Choice, reason: str) -> Choice:
    return replace(choice, action=Action.LEAVE, reason=f"{choice.reason}; {reason}")


def _view(situation: Situation, choice: Choice) -> SessionView:
    backend = choice.backend
    waiter = situation.waiters.get(backend.pid)
    return SessionView(
        pid=backend.pid,
        action=choice.action,
        reason=choice.reason,
        backend_started_at=backend.backend_started_at,
        backend_type=backend.backend_type,
        database=backend.database,
        role=backend.role,
        application=backend.application,
        client=backend.client,
        state=backend.state,
        query_age_s=backend.query_age_s,
        transaction_age_s=backend.transaction_age_s,
        state_age_s=backend.state_age_s,
        waits_for=waiter.blocked_by[:NAMED_MAX] if waiter is not None else (),
        under=situation.waits.parents.get(backend.pid),
        behind=len(situation.waits.behind(backend.pid)),
        query=backend.query,
    )
