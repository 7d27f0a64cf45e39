"""One emergency procedure from the first look to the last: a dry run, or the same and then the acts.

What is acted on is what was shown: look, choice and acts happen on one connection, which also means that a server
whose connections have run out has to let us in only once.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from pgrunbook.errors import Refused, ServerError
from pgrunbook.journey.act import Rounds, in_rounds
from pgrunbook.journey.act.executor import Executor
from pgrunbook.journey.act.run import Tell, silent
from pgrunbook.journey.diagnose.engine import diagnose
from pgrunbook.journey.observe import observe
from pgrunbook.journey.observe.sessions import Backend
from pgrunbook.journey.observe.settings import ROLE_SETTINGS
from pgrunbook.journey.steps import Step, load
from pgrunbook.journey.steps.set_role_setting import SetRoleSetting
from pgrunbook.model import NotRead, ServerRole
from pgrunbook.model.emergency import Action, EmergencyReport, FurtherAct, Picture, SessionView
from pgrunbook.model.plan import StepOutcome, StepState
from pgrunbook.pg.connect import Session, connect
from pgrunbook.procedures.emergency.choosing import Choice, Wish, cap, choose, picture
from pgrunbook.procedures.emergency.exhausted import patiently
from pgrunbook.procedures.emergency.following import Following
from pgrunbook.procedures.emergency.limits import Limits, Procedure
from pgrunbook.procedures.emergency.pooler import Pooler, paused
from pgrunbook.procedures.emergency.prevention import prevention
from pgrunbook.procedures.emergency.settling import settle
from pgrunbook.procedures.emergency.situation import Situation, look
from pgrunbook.record.history import History
from pgrunbook.record.journal import Journal, state_home
from pgrunbook.report.words import counted, duration

KIND = "emergency"
STOP_FILE = "stop"
NOTED_MAX = 200  # sessions in one record of the journal
Show = Callable[[EmergencyReport], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is asked for.  `poolers` are DSNs of admin consoles; `pause_s` is how long one may take to come to rest."""

    procedure: Procedure
    limits: Limits
    all_databases: bool = False
    prevent: bool = False
    vacuum: bool = False
    poolers: tuple[str, ...] = ()
    pause_s: float | None = None

    @property
    def wish(self) -> Wish:
        """What the sessions are judged by."""
        return Wish(procedure=self.procedure, limits=self.limits, all_databases=self.all_databases)


def dry_run(dsn: str, order: Order) -> EmergencyReport:
    """Look, choose, and say what would be done.  Changes nothing."""
    with patiently(lambda: connect(dsn, station=KIND), wait_s=order.limits.connect_wait_s) as conn:
        Executor(conn).guard(None, on_standby=True)
        return _Plan.made(conn, order).report


def carry_out(
    dsn: str, order: Order, *, show: Show, journal: Journal | None = None, progress: Tell = silent
) -> EmergencyReport:
    """Look, choose, show, act, and look again.  Raises Refused when a guard rail forbids all of it."""
    if (state_home() / STOP_FILE).exists():
        raise Refused(f"the file {state_home() / STOP_FILE} forbids it", hint="Remove it when acting is allowed again.")
    with ExitStack() as stack:
        rounds = patiently(
            lambda: stack.enter_context(
                in_rounds(dsn, kind=f"{KIND} {order.procedure}", journal=journal, progress=progress)
            ),
            wait_s=order.limits.connect_wait_s,
        )
        _refuse_too_soon(rounds.earlier, order.limits)
        plan = _Plan.made(rounds.conn, order)
        show(plan.report)
        return _Acting(rounds=rounds, plan=plan, order=order).report()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What was seen, who was chosen, and the report that says so."""

    situation: Situation
    choices: tuple[Choice, ...]
    report: EmergencyReport

    @classmethod
    def made(cls, conn: Session, order: Order) -> _Plan:
        situation = look(conn, order.limits)
        if order.prevent and situation.server.role is ServerRole.STANDBY:
            raise Refused("a standby keeps no settings of its own roles", hint="Run it with --prevent on the primary.")
        choices = choose(situation, order.wish)
        further = [*_would_pool(order), *_would_prevent(conn, order, situation, choices), *_would_vacuum(order)]
        report = EmergencyReport(
            procedure=order.procedure.value,
            server=situation.server,
            limits={name: value for name, value in asdict(order.limits).items() if value not in ("", ())},
            before=picture(situation, choices, order.limits),
            further=tuple(further),
            notes=_notes(situation, order),
        )
        return cls(situation=situation, choices=choices, report=report)


def _would_pool(order: Order) -> list[FurtherAct]:
    acts = []
    for dsn in order.poolers:
        pooler = Pooler(dsn)
        version = pooler.version()  # one that does not let us in is better known before than after
        if order.pause_s is not None:
            words = f"its clients wait while sessions are ended, {duration(order.pause_s)} at most"
            acts.append(FurtherAct(title=_pause(pooler), state="would", reason=words))
        acts.append(FurtherAct(title=_reconnect(pooler), state="would", reason=version))
    return acts


def _pause(pooler: Pooler) -> str:
    return f"PAUSE on {pooler.words}, then RESUME"


def _reconnect(pooler: Pooler) -> str:
    return f"RECONNECT on {pooler.words}"


def _would_prevent(conn: Session, order: Order, situation: Situation, choices: tuple[Choice, ...]) -> list[FurtherAct]:
    if not order.prevent:
        return []
    touched = [choice.backend for choice in choices if choice.is_chosen]
    return [FurtherAct(title=step.title, state="would") for step in _prevention(conn, order, situation, touched)]


def _would_vacuum(order: Order) -> list[FurtherAct]:
    if not order.vacuum:
        return []
    return [FurtherAct(title="Vacuum the tables that need it most", state="would", reason="once the pressure is off")]


def _prevention(
    conn: Session, order: Order, situation: Situation, touched: list[Backend]
) -> tuple[SetRoleSetting, ...]:
    snapshot = observe(conn, (ROLE_SETTINGS,))
    try:
        given = snapshot.rows(ROLE_SETTINGS)
    except NotRead as exc:
        raise ServerError(f"the settings of roles cannot be read: {exc.unread.reason}", hint=exc.unread.cure) from exc
    return prevention(touched, given, order.limits, situation.server.database)


def _notes(situation: Situation, order: Order) -> tuple[str, ...]:
    """What a person should know beside: who is not touched by anything here, and what else there is to do."""
    notes = []
    gids = sorted({gid for waiter in situation.waiters.values() for gid in waiter.prepared_gids})
    if gids:
        names = ", ".join(gids)
        notes.append(
            f"Prepared transactions hold others up: {names}.  Their coordinator must commit or roll them back."
        )
    if order.procedure in {Procedure.OVERLOAD, Procedure.EXHAUSTION} and situation.pressure(order.limits):
        notes.append(
            "If it comes back: more memory and processors (of a managed service, a larger size; it restarts the server,"
            " which ends every session), a pooler in front, or fewer connections in the applications' pools."
        )
    if situation.server.role is ServerRole.STANDBY:
        notes.append("This is a standby: sessions can be stopped here; vacuum and role settings belong to the primary.")
    return tuple(notes)


def _refuse_too_soon(history: History, limits: Limits) -> None:
    """Keep a distance between two runs, so that what came back can be seen before it is ended again."""
    acted = [
        run
        for run in history.runs
        if run.kind.startswith(KIND) and run.ended_at is not None and history.steps_of(run.run_id)
    ]  # one that died half-way may be gone on with at once
    if not acted:
        return
    last = acted[-1]
    since_s = (datetime.now(UTC) - (last.ended_at or last.at)).total_seconds()
    if 0 <= since_s < limits.cool_down_s:
        raise Refused(
            f"run {last.run_id} ({last.kind}) ended sessions {duration(since_s)} ago; the cool-down is"
            f" {duration(limits.cool_down_s)}",
            hint="Look first what came back (without --yes).  --cool-down 0s goes on at once.",
        )


@dataclass(slots=True, kw_only=True)
class _Acting:
    """The acts of one run, in their order: sessions, prevention, vacuum, pooler."""

    rounds: Rounds
    plan: _Plan
    order: Order
    further: list[FurtherAct] = field(default_factory=list)

    def report(self) -> EmergencyReport:
        """Do all of it, and say what became of it."""
        self._note("before", self.plan.report.before)
        following = Following(self.plan.choices, self.order.limits, cap(self.plan.situation, self.order.limits))
        after = self._settle_sessions(following)
        touched = [choice.backend for choice in self.plan.choices if (choice.backend.pid) in self._kept_pids()]
        self._prevent(after, touched)
        self._vacuum(after)
        self._reconnect()
        last = look(self.rounds.conn, self.order.limits)
        after_picture = picture(last, choose(last, self.order.wish), self.order.limits)
        self._note("after", after_picture)
        return EmergencyReport(
            procedure=self.plan.report.procedure,
            server=self.plan.report.server,
            limits=self.plan.report.limits,
            before=self.plan.report.before,
            further=tuple(self.further),
            notes=self.plan.report.notes,
            outcome=self.rounds.outcome(),
            after=after_picture,
            remaining=following.remaining(last),
        )

    def _settle_sessions(self, following: Following) -> Situation:
        if self.order.pause_s is None or not following.has_work:
            return settle(self.rounds, following, self.order.limits)
        with ExitStack() as stack:
            held = [dsn for dsn in self.order.poolers if self._is_paused(stack, dsn, self.order.pause_s)]
            situation = settle(self.rounds, following, self.order.limits)
        for pooler in map(Pooler, held):
            self.further.append(FurtherAct(title=_pause(pooler), state="done"))
            self._tell_of_pooler(pooler, "resume", f"resumed {pooler.words}")
        return situation

    def _is_paused(self, stack: ExitStack, dsn: str, deadline_s: float) -> bool:
        """Pause one pooler for as long as the stack lasts.  One that does not come to rest goes on, and so do we."""
        pooler = Pooler(dsn)
        self._tell_of_pooler(pooler, "pause", f"about to {_pause(pooler)}")
        try:
            stack.enter_context(paused(pooler, dsn, deadline_s=deadline_s))
        except (Refused, ServerError) as exc:
            state = "skipped" if isinstance(exc, Refused) else "failed"
            self.further.append(FurtherAct(title=_pause(pooler), state=state, reason=exc.message))
            self._tell_of_pooler(pooler, "pause", f"not paused: {exc.message}")
            return False
        return True

    def _tell_of_pooler(self, pooler: Pooler, action: str, text: str) -> None:
        self.rounds.note("pooler", action=action, pooler=pooler.words, text=text)

    def _kept_pids(self) -> set[int]:
        return {
            int(str(ended.spec.params["pid"]))
            for ended in self.rounds.ended
            if "pid" in ended.spec.params and ended.state is StepState.KEPT
        }

    def _prevent(self, situation: Situation, touched: list[Backend]) -> None:
        if not self.order.prevent:
            return
        steps = _prevention(self.rounds.conn, self.order, situation, touched)
        if not steps:
            self.further.append(
                FurtherAct(title="Time limits", state="skipped", reason="nobody was stopped who lacks them")
            )
        for ended in self.rounds.take(steps):
            self.further.append(_act_of(ended))

    def _vacuum(self, situation: Situation) -> None:
        if not self.order.vacuum:
            return
        title = "Vacuum the tables that need it most"
        reason = self._why_no_vacuum(situation)
        steps = self._vacuums() if not reason else []
        if not steps:
            self.further.append(FurtherAct(title=title, state="skipped", reason=reason or "no table needs it"))
            return
        self.rounds.conn.execute("set vacuum_cost_delay = '2ms'")
        for ended in self.rounds.take(steps):
            self.further.append(_act_of(ended, refused="skipped"))

    def _why_no_vacuum(self, situation: Situation) -> str:
        if situation.server.role is ServerRole.STANDBY:
            return "a standby is vacuumed by its primary"
        if pressure := situation.pressure(self.order.limits):
            return f"the pressure is not off: {'; '.join(pressure)}"
        holder = situation.horizon_holder()
        if holder is None:
            return ""
        since = f", for {duration(holder.held_s)}" if holder.held_s is not None else ""
        who = f" ({holder.backend.role}, {holder.backend.application or 'no name'})" if holder.backend else ""
        return f"{holder.type} {holder.object}{who} holds an old snapshot{since}: nothing could be removed"

    def _vacuums(self) -> list[Step]:
        findings = diagnose(self.rounds.conn, only=("dead_rows",)).findings
        worst = sorted(findings, key=lambda finding: -_number(finding.evidence.get("dead_rows")))
        specs = [advice.step for finding in worst for advice in finding.advice if advice.step is not None]
        return [load(spec) for spec in specs[: self.order.limits.vacuum_tables]]

    def _reconnect(self) -> None:
        for pooler in map(Pooler, self.order.poolers):
            self._tell_of_pooler(pooler, "reconnect", f"about to {_reconnect(pooler)}")
            try:
                pooler.reconnect()
            except ServerError as exc:
                self.further.append(FurtherAct(title=_reconnect(pooler), state="failed", reason=exc.message))
                self._tell_of_pooler(pooler, "reconnect", f"refused: {exc.message}")
                continue
            words = "each server connection when its client lets go of it"
            self.further.append(FurtherAct(title=_reconnect(pooler), state="done", reason=words))
            self._tell_of_pooler(pooler, "reconnect", f"done: {_reconnect(pooler)}")

    def _note(self, moment: str, seen: Picture) -> None:
        """Write down what was seen; never what anybody ran."""
        touched = sum(one.action in {Action.CANCEL, Action.END} for one in seen.sessions)
        words = (
            f"{moment}: {seen.used} of {seen.usable} connections taken, {seen.active} at work,"
            f" {seen.waiting} waiting for a lock; {counted(touched, 'session')} to touch"
        )
        shown = [one for one in seen.sessions if one.backend_type == "client backend"][:NOTED_MAX]
        self.rounds.note("situation", moment=moment, text=words, sessions=[_noted(one) for one in shown])


def _noted(one: SessionView) -> dict[str, Any]:
    return {
        "pid": one.pid,
        "backend_start": one.backend_started_at.isoformat() if one.backend_started_at is not None else None,
        "role": one.role,
        "application": one.application,
        "state": one.state,
        "action": one.action.value,
        "reason": one.reason,
        "waits_for": list(one.waits_for),
        "behind": one.behind,
    }


def _act_of(ended: StepOutcome, *, refused: str = "failed") -> FurtherAct:
    states = {StepState.KEPT: "done", StepState.ALREADY: "done", StepState.REFUSED: refused}
    reason = "" if ended.state is StepState.KEPT else f"{ended.reason}  {ended.hint}".rstrip()
    return FurtherAct(title=ended.title, state=states.get(ended.state, "failed"), reason=reason)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
