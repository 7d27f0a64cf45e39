"""The demonstration: from a sick QuizMentor to a proven cure, in one go, on a real server.

It holds no cure of its own: it does what a user would do with any database, while a load is running.  When the
application comes with better queries it looks again, because new queries have new needs.  Figures are of one machine in
one run; the load before and after is the same.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from pgrunbook.demo.operations import Form
from pgrunbook.demo.stage import Stage, set_stage
from pgrunbook.errors import VerifyFailed
from pgrunbook.journey.act import apply, in_order
from pgrunbook.journey.advise.plan import plan_of
from pgrunbook.journey.diagnose.engine import choose, judge, questions_of
from pgrunbook.journey.observe import observe
from pgrunbook.journey.rehearse import rehearse
from pgrunbook.journey.steps import load as load_step
from pgrunbook.journey.verify import QueryVerifier
from pgrunbook.journey.verify.window import Patience
from pgrunbook.model import Basis, Snapshot, Value
from pgrunbook.model.demo import DemoPhase, DemoPoint, DemoResult, DemoStep, StepOutcome
from pgrunbook.model.diagnosis import Diagnosis
from pgrunbook.model.plan import Phase, Plan, PlannedStep, Progress, StepState
from pgrunbook.model.plan import StepOutcome as Ended
from pgrunbook.model.rehearsal import Rehearsal, RehearsalState
from pgrunbook.pg.connect import connect
from pgrunbook.procedures.load import LoadResult, RunningLoad


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How many users work, how long each load is watched, and how many answers a figure needs.

    Fewer than 200 samples have no 95th percentile worth comparing.  `workload_s` is what the counters see of the good
    queries before the second diagnosis.
    """

    users: int = 50
    users_pooled: int = 1000
    users_direct: int = 100  # where no pooler is installed
    samples_min: int = 200
    warmup_s: float = 5.0
    measure_s: float = 18.0
    workload_s: float = 15.0
    pooled_warmup_s: float = 10.0
    pooled_measure_s: float = 15.0
    patience: Patience = field(default_factory=lambda: Patience(max_wait_s=5.0, settle_s=3.0))


class Audience(Protocol):
    """Who watches.  The surfaces draw; nothing here prints."""

    def stage(self, text: str, ratio: float | None = None) -> None:
        """Something long goes on; `ratio` is 0..1 when it is known."""
        ...

    def diagnosed(self, diagnosis: Diagnosis) -> None:
        """The findings, as a user would see them."""
        ...

    def rehearsed(self, rehearsal: Rehearsal) -> None:
        """What became of the steps where nothing can break."""
        ...

    def acting(self, progress: Progress) -> None:
        """A step goes on."""
        ...

    def measured(self, phase: DemoPhase) -> None:
        """A phase has its figures."""
        ...


@dataclass(slots=True, kw_only=True)
class Demonstration:
    """One performance.  `run` may be called once."""

    audience: Audience
    users: int = 20_000
    seed: int = 1
    pace: Pace = field(default_factory=Pace)
    keep: bool = False
    rename: str | None = None
    _began: float = field(default_factory=time.monotonic)
    _phases: list[DemoPhase] = field(default_factory=list)
    _points: list[DemoPoint] = field(default_factory=list)
    _notes: list[str] = field(default_factory=list)
    _clock: float | None = None

    def run(self) -> DemoResult:
        """Everything, in order.  Raises VerifyFailed when a phase has too few samples."""
        with set_stage(
            users=self.users, seed=self.seed, keep=self.keep, told=self.audience.stage, rename=self.rename
        ) as stage:
            self._forget(stage)
            with self._load(stage, Form.BAD) as working:
                self._clock = time.time()
                self._measure(working, "sick", "sick", "measuring the sick database under load")
                snapshot, before = self._diagnose(stage)
                cure_from_s = self._now()
                steps = self._cure(stage, plan_of(before.findings, snapshot), before)
                cure_until_s = self._now()
                self._measure(working, "cured", "cured", "measuring the same scripts after the cure")
                self._draw(working, ((cure_until_s, "cured"), (cure_from_s, "curing"), (0.0, "sick")))
            self._forget(stage)
            with self._load(stage, Form.GOOD) as working:
                came_s = self._now()
                self.audience.stage("letting the users ask with good queries")
                working.wait(self.pace.workload_s)
                snapshot, then = self._diagnose(stage)
                news = [f for f in then.findings if before.by_id(f.fingerprint) is None]
                steps += self._cure(stage, plan_of(news, snapshot), then)
                cure_until_s = self._now()
                self._measure(working, "healthy", "healthy, good queries", "measuring with good queries")
                self._draw(working, ((cure_until_s, "healthy"), (came_s, "new queries"), (0.0, "new queries")))
            self._crowd(stage)
            after = self._diagnose(stage)[1]
            kept_dsn = stage.dsn if self.keep else ""
        return DemoResult(
            data_users=self.users,
            seed=self.seed,
            taken_at=datetime.now(UTC),
            duration_s=round(time.monotonic() - self._began, 1),
            phases=tuple(self._phases),
            timeline=tuple(self._points),
            steps=steps,
            before=before,
            after=after,
            notes=tuple(self._notes),
            kept_dsn=kept_dsn,
        )

    # --- the stations ---------------------------------------------------------------------------------------------

    def _forget(self, stage: Stage) -> None:
        """Let the statement counters begin now, so that loading the data is no part of the workload."""
        with connect(stage.dsn, station="demo") as conn:
            conn.execute("select extensions.pg_stat_statements_reset()")

    def _diagnose(self, stage: Stage) -> tuple[Snapshot, Diagnosis]:
        chosen = choose()
        snapshot = observe(stage.dsn, questions_of(chosen))
        diagnosis = judge(snapshot, chosen)
        self.audience.diagnosed(diagnosis)
        return snapshot, diagnosis

    def _rehearse(self, plan: Plan, stage: Stage) -> Sequence[PlannedStep]:
        """Try every step where nothing can break; those that fail there are left out, and said."""
        steps = in_order(plan.steps)
        if not steps:
            return ()
        self.audience.stage("rehearsing every step on a copy of the schema")
        rehearsal = rehearse([load_step(planned.step) for planned in steps], stage.dsn)
        self.audience.rehearsed(rehearsal)
        failed = [result for result in rehearsal.steps if result.state is RehearsalState.FAILED]
        self._notes += [f"left out after its rehearsal: {result.title}: {result.reason}" for result in failed]
        return [p for p in steps if all(p.step != result.spec for result in failed)]

    def _cure(self, stage: Stage, plan: Plan, before: Diagnosis) -> tuple[DemoStep, ...]:
        """Rehearse, then apply what passed while the users go on working."""
        rehearsed = self._rehearse(plan, stage)
        ended_at: dict[str, float] = {}

        def told(progress: Progress) -> None:
            if progress.phase is Phase.OUTCOME:
                ended_at[str(progress.number)] = self._now()
            self.audience.acting(progress)

        outcome = apply(rehearsed, stage.dsn, verify=QueryVerifier(patience=self.pace.patience), progress=told)
        changed = [step for step in outcome.steps if step.state in {StepState.KEPT, StepState.UNDONE}]
        self._notes += [f"{s.title}: {s.state.value}: {s.reason}" for s in outcome.steps if s not in changed]
        return tuple(
            _shown(step, before, ended_at.get(step.step_id.rpartition(".")[2], self._now())) for step in changed
        )

    def _crowd(self, stage: Stage) -> None:
        """A thousand users through the pooler, or as many as go without one."""
        pooling = stage.pooler()
        if pooling is None:
            many, few = self.pace.users_pooled, self.pace.users_direct
            self._notes.append(f"PgBouncer is not installed: {few} users directly instead of {many}")
            with self._load(stage, Form.GOOD, users=few) as working:
                self._measure(working, "thousand", f"{few} users", f"measuring with {few} users")
            return
        users = self.pace.users_pooled
        with (
            pooling as pooler,
            stage.pooled_load(
                pooler,
                Form.GOOD,
                users=users,
                warmup_s=self.pace.pooled_warmup_s,
                duration_s=self.pace.pooled_measure_s,
            ) as working,
        ):
            text = f"measuring with {users} users through PgBouncer"
            self._measure(working, "thousand", f"{users} users, pooled", text, pooled=True)

    def _load(self, stage: Stage, form: Form, *, users: int | None = None) -> RunningLoad:
        at_work = users if users is not None else self.pace.users
        return stage.load(form, users=at_work, warmup_s=self.pace.warmup_s, duration_s=self.pace.measure_s)

    # --- measuring ------------------------------------------------------------------------------------------------

    def _measure(self, load: RunningLoad, name: str, label: str, text: str, *, pooled: bool = False) -> None:
        """Wait for a window's worth of load from now on, and for enough samples in it."""
        seconds = self.pace.pooled_measure_s if pooled else self.pace.measure_s
        began = time.monotonic()
        warm_s = 0.0 if name == "cured" else load.spec.warmup_s
        while True:
            spent = time.monotonic() - began - warm_s
            self.audience.stage(text, min(max(spent / seconds, 0.0), 1.0))
            if spent >= seconds:
                figures = load.window(spent)
                if figures.samples >= self.pace.samples_min:
                    break
                if spent >= 4 * seconds:
                    raise VerifyFailed(
                        f"only {figures.samples} samples in {spent:.0f} s while {text}, not {self.pace.samples_min}",
                        hint="Is the machine busy with something else?  Fewer users need less of it.",
                    )
            time.sleep(0.5)
        phase = _phase(name, label, figures, pooled=pooled)
        self._phases.append(phase)
        self.audience.measured(phase)

    def _draw(self, load: RunningLoad, spans: Sequence[tuple[float, str]]) -> None:
        """Add a load's course to the timeline; `spans` are (from when, phase), the latest first."""
        began = (load.started_at_s or time.time()) - (self._clock or 0.0)
        for point in load.window(3600.0).timeline:
            at_s = round(began + point.t_s, 1)
            self._points.append(
                DemoPoint(
                    t_s=at_s,
                    phase=next(phase for from_s, phase in spans if at_s >= from_s or from_s == 0.0),
                    p95_ms=point.p95_ms,
                    throughput_per_s=point.throughput_per_s,
                )
            )

    def _now(self) -> float:
        """Seconds since the first load began."""
        return round(time.time() - (self._clock if self._clock is not None else time.time()), 1)


def _phase(name: str, label: str, figures: LoadResult, *, pooled: bool) -> DemoPhase:
    return DemoPhase(
        name=name,
        label=label,
        users=figures.users,
        samples=figures.samples,
        p50_ms=round(figures.p50_ms, 2),
        p95_ms=round(figures.p95_ms, 2),
        p99_ms=round(figures.p99_ms, 2),
        throughput_per_s=round(figures.throughput_per_s, 2),
        failed=figures.failed,
        other_cpu_ratio=round(figures.other_cpu_ratio, 3),
        pooled=pooled,
    )


def _shown(step: Ended, before: Diagnosis, at_s: float) -> DemoStep:
    """A step's outcome as the report shows it."""
    finding = before.by_id(step.finding)
    made = load_step(step.spec)
    before_ms, after_ms = _mean_ms(step.figures, "before"), _mean_ms(step.figures, "after")
    return DemoStep(
        title=step.title,
        sql="\n".join(f"{statement};" for statement in made.statements()),
        undo_sql=step.undo_sql,
        lock=made.lock,
        duration_s=step.duration_s,
        at_s=at_s,
        outcome=_outcome(step),
        check=finding.check if finding is not None else "",
        object=finding.object if finding is not None else made.object[1],
        before_ms=before_ms,
        after_ms=after_ms if before_ms is not None else None,
        basis=Basis(str(step.figures.get("basis", Basis.MEASURED.value))),
    )


def _outcome(step: Ended) -> StepOutcome:
    if step.state is StepState.UNDONE:
        return StepOutcome.UNDONE
    return StepOutcome.KEPT if step.figures.get("verdict") == "improved" else StepOutcome.UNMEASURED


def _mean_ms(figures: Mapping[str, Value], side: str) -> float | None:
    """The mean time of a step's queries, weighted by the calls before, so that both sides have the same mix."""
    calls, means = figures.get("calls_before"), figures.get(f"mean_ms_{side}")
    if not isinstance(calls, tuple) or not isinstance(means, tuple):
        return None
    pairs = [(float(c), float(m)) for c, m in zip(calls, means, strict=True) if c and m is not None]
    weight = sum(count for count, _ in pairs)
    return round(sum(count * mean for count, mean in pairs) / weight, 3) if weight else None
