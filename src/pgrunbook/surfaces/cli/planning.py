"""From a database or a file to a plan: diagnose, choose findings, show the steps.  `plan` and `apply` begin alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pgrunbook import config
from pgrunbook.errors import Refused, Unsupported, UsageError
from pgrunbook.journey.act import in_order
from pgrunbook.journey.advise import plan_file
from pgrunbook.journey.advise.index_set import Order
from pgrunbook.journey.advise.plan import plan_of, plan_of_indexes
from pgrunbook.journey.diagnose.request import answer_from, look, request_from
from pgrunbook.journey.observe import observe
from pgrunbook.journey.observe.statements import STATEMENTS
from pgrunbook.journey.rehearse import rehearse
from pgrunbook.journey.steps import load as load_step
from pgrunbook.model import Finding, Severity
from pgrunbook.model.diagnosis import Diagnosis
from pgrunbook.model.plan import Plan, TargetPrint
from pgrunbook.model.rehearsal import Rehearsal
from pgrunbook.record import fold, folder_for, read
from pgrunbook.report import changes
from pgrunbook.report.lines import Lines
from pgrunbook.report.words import counted
from pgrunbook.surfaces.cli import indexing
from pgrunbook.surfaces.cli.command import Invocation
from pgrunbook.surfaces.cli.output import busy, note
from pgrunbook.surfaces.cli.watching import rehearsing


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to plan: a plan written before, or findings by id and check; none named: every warning and worse.

    `from_advice`: the indexes that the advisor would make and drop for the workload, instead of findings.
    """

    dsn: str
    plan: Path | None = None
    ids: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    from_advice: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan, and how many findings have no step of ours.  `settled` are ids that an earlier run has dealt with."""

    plan: Plan
    without_step: int = 0
    settled: tuple[str, ...] = ()
    is_advised: bool = False


def make_plan(wanted: Wanted, invocation: Invocation) -> Planned:
    """The plan that is wanted, as it would be carried out.  Raises UsageError for an id that nobody knows."""
    planned = _plan_as_wanted(wanted, invocation)
    return replace(planned, plan=replace(planned.plan, steps=in_order(planned.plan.steps)))


def _plan_as_wanted(wanted: Wanted, invocation: Invocation) -> Planned:
    if wanted.plan is not None:
        plan = plan_file.load(wanted.plan)
        with busy(invocation, "looking …"):
            here = TargetPrint.of(observe(wanted.dsn, ()).server)
        if differences := plan.target.differences(here):
            raise Refused(
                f"{wanted.plan} was made for another target: {'; '.join(differences)}",
                hint="Make a new plan for this target: pgrunbook plan",
            )
        return Planned(plan=plan)
    if wanted.from_advice:
        with busy(invocation, "choosing indexes …"):
            advice, snapshot = indexing.advise(wanted.dsn, Order())
        every = [*(one.advice for one in advice.proposed), *(one.advice for one in advice.dropped)]
        by_hand = [each for each in every if each.step is None]
        return Planned(plan=plan_of_indexes(advice, snapshot), without_step=len(by_hand), is_advised=True)
    settings = config.load(flags={"only": wanted.only}, file=invocation.config_file)
    request = request_from(settings)
    with busy(invocation, "looking …"):
        snapshot = look(request, wanted.dsn, also=(STATEMENTS,))
        diagnosis = answer_from(request, snapshot)
    target = TargetPrint.of(snapshot.server)
    if wanted.ids:
        found, settled = choose(diagnosis, wanted.ids, target)
        plan = plan_of(found, snapshot, least=Severity.NOTICE)
    else:
        found, settled = list(diagnosis.findings), ()
        plan = plan_of(found, snapshot)
    without = [finding for finding in found if not _has_step(finding)]
    if wanted.ids and without:
        raise Refused(
            f"pgrunbook does not mend {without[0].check} on {without[0].object} by itself; nothing was changed",
            hint=f"What would help: {' '.join(advice.sql for advice in without[0].advice) or 'see diagnose --all'}",
        )
    return Planned(plan=plan, without_step=len(without), settled=settled)


def choose(diagnosis: Diagnosis, ids: Sequence[str], target: TargetPrint) -> tuple[list[Finding], tuple[str, ...]]:
    """The findings of these ids, and the ids that an earlier run has dealt with already."""
    found: list[Finding] = []
    settled: list[str] = []
    for text in ids:
        if len(text) < config.FINGERPRINT_MIN_CHARS - 2:
            raise UsageError(f"{text!r} is too short for the id of a finding: give at least 6 of its 16 characters")
        matching = [finding for finding in diagnosis.findings if finding.fingerprint.startswith(text)]
        if len({finding.fingerprint for finding in matching}) > 1:
            names = ", ".join(finding.fingerprint for finding in matching)
            raise UsageError(f"{text!r} is the beginning of several findings: {names}")
        if matching:
            found += matching
        elif _is_in_journal(text, target):
            settled.append(text)
        else:
            raise UsageError(
                f"there is no finding {text!r} in database {diagnosis.server.database}",
                hint="pgrunbook diagnose lists them; what was mended is no longer found.",
            )
    return found, tuple(settled)


def show(lines: Lines, plan: Plan) -> None:
    """Draw the plan's steps."""
    steps = [load_step(planned.step) for planned in plan.steps]
    changes.plan(
        lines,
        steps,
        measured=[len(planned.queries) for planned in plan.steps],
        expected=[planned.expected for planned in plan.steps],
    )


def try_out(plan: Plan, dsn: str, invocation: Invocation, *, data_limit_bytes: int | None = None) -> Rehearsal | None:
    """Rehearse the plan where nothing can break; None, with a note, where this machine has no server for it."""
    steps = [load_step(planned.step) for planned in plan.steps]
    try:
        with rehearsing(invocation) as told:
            return rehearse(
                steps,
                dsn,
                progress=told,
                data_limit_bytes=data_limit_bytes,
                queries=[planned.queries for planned in plan.steps],
            )
    except Unsupported as exc:
        note(invocation, f"not rehearsed: {exc.message}" + (f" ({exc.hint})" if exc.hint else ""))
        return None


def rest_words(planned: Planned) -> str:
    """What the plan leaves out."""
    if not planned.without_step:
        return ""
    if planned.is_advised:
        return f"No step of ours for {counted(planned.without_step, 'index', 'indexes')}; advise indexes has the SQL."
    return f"No step of ours for {counted(planned.without_step, 'finding')}; diagnose --all says what would help."


def _has_step(finding: Finding) -> bool:
    return any(advice.step is not None for advice in finding.advice)


def _is_in_journal(text: str, target: TargetPrint) -> bool:
    return any(step.planned.finding.startswith(text) for step in fold(read(folder_for(target))).steps)
