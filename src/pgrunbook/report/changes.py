"""Changes for a terminal: what is planned, how its rehearsal went, what became of it, what the journal knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from rich.text import Text

from pgrunbook.model import Lock
from pgrunbook.model.plan import Expected, RunOutcome, StepOutcome, StepState
from pgrunbook.model.rehearsal import Rehearsal, RehearsalState, RehearsedStep
from pgrunbook.record.history import History, RunStep
from pgrunbook.report.lines import Lines
from pgrunbook.report.words import clean, counted, duration, one_line, size

INDENT = 5
LABEL = 8
STATE = 12
MOMENT_S = 0.1
_STATE_STYLE = {
    StepState.KEPT: "bold green",
    StepState.ALREADY: "green",
    StepState.RECONCILED: "green",
    StepState.UNDONE: "bold yellow",
    StepState.REFUSED: "bold yellow",
    StepState.FAILED: "bold red",
    StepState.OPEN: "bold red",
    StepState.IRREVERSIBLE: "bold magenta",
}


class Change(Protocol):
    """What a page needs to know of a step (journey.steps has them; they stand after this part of the house)."""

    @property
    def title(self) -> str:
        """What it does."""
        ...

    @property
    def lock(self) -> Lock:
        """The strongest table lock."""
        ...

    @property
    def lock_budget_s(self) -> float:
        """How long one try waits for it."""
        ...

    @property
    def reversible(self) -> bool:
        """Whether there is an undo."""
        ...

    @property
    def risk(self) -> str:
        """What may go wrong."""
        ...

    def statements(self) -> tuple[str, ...]:
        """What it runs."""
        ...

    def undo_statements(self) -> tuple[str, ...]:
        """What undoes it, as far as that is known before."""
        ...


def plan(
    lines: Lines, steps: Sequence[Change], *, measured: Sequence[int], expected: Sequence[Expected | None] = ()
) -> None:
    """What would be done: each step with its SQL, lock, time, risk and undo.  `measured` are numbers of queries."""
    reckoned = expected or [None] * len(steps)
    for number, (step, queries, takes) in enumerate(zip(steps, measured, reckoned, strict=True), start=1):
        lines.text(Text(one_line(step.title), style="bold"), indent=INDENT, first=Text(f"{number:>3}", style="dim"))
        _labelled(lines, "sql", _joined(step.statements()), style="green")
        lock = "no table lock" if step.lock is Lock.NONE else step.lock.value.lower()
        _labelled(lines, "lock", f"{lock}, waited for at most {duration(step.lock_budget_s)} a try")
        if takes is not None:
            _labelled(lines, "takes", expected_words(takes))
        if step.risk:
            _labelled(lines, "risk", step.risk)
        undo = _joined(step.undo_statements()) or "from what is captured before the step"
        _labelled(lines, "undo", undo if step.reversible else "cannot be undone")
        if queries:
            _labelled(lines, "proof", f"{counted(queries, 'query', 'queries')} measured before and after")
        lines.blank()


def expected_words(takes: Expected) -> str:
    """About how long and how much disk, estimated.

    >>> expected_words(Expected(duration_s=0.1)), expected_words(Expected(duration_s=90.0, disk_bytes=2**30))
    ('a moment (estimated)', 'about 1 min 30 s and 1.0 GB of disk (estimated)')
    """
    seconds = "a moment" if takes.duration_s <= MOMENT_S else f"about {duration(takes.duration_s)}"
    if takes.disk_bytes > 0:
        return f"{seconds} and {size(takes.disk_bytes)} of disk (estimated)"
    freed = f"; gives {size(-takes.disk_bytes)} of disk back" if takes.disk_bytes < 0 else ""
    return f"{seconds}{freed} (estimated)"


def rehearsal(lines: Lines, result: Rehearsal) -> None:
    """How each step went on the copy of the schema."""
    if result.scratch_version is None:
        lines.paragraph("Not rehearsed: none of this can be tried on a copy of the schema.", style="dim")
        lines.blank()
        return
    passed = result.count(RehearsalState.PASSED)
    words = f"Rehearsed on PostgreSQL {result.scratch_version} with a copy of the schema: "
    lines.text(Text().append(words).append(f"{passed} of {len(result.steps)} passed", style="bold"))
    if result.cloned_tables:
        cloned = f"With the rows of {counted(len(result.cloned_tables), 'table')}, {size(result.cloned_bytes)}"
        lines.paragraph(f"{cloned}; times and disk are measured on this machine.", indent=INDENT, style="dim")
    for step in result.steps:
        if step.state is not RehearsalState.PASSED:
            _rehearsed(lines, step)
        elif step.duration_s is not None:
            _measured(lines, step)
    for what in result.left_out[:5]:
        lines.paragraph(f"left out of the copy: {clean(what)}", indent=INDENT, style="dim")
    lines.blank()


def _measured(lines: Lines, step: RehearsedStep) -> None:
    lock = f"{step.lock_seen.value.lower()} was seen" if step.lock_seen is not None else step.lock.value.lower()
    words = f"{duration(step.duration_s or 0.0)}, {size(step.disk_bytes or 0)} of disk (measured); lock: {lock}"
    lines.text(Text().append(one_line(step.title) + ": ").append(words, style="bold"), indent=INDENT)
    if step.cost_ratio is not None:
        gain = f"its queries cost {step.cost_ratio:.3g} of what they did (estimated by the planner on these rows)"
        lines.paragraph(gain, indent=INDENT, style="dim")


def _rehearsed(lines: Lines, step: RehearsedStep) -> None:
    failed = step.state is RehearsalState.FAILED
    text = Text().append(one_line(step.title) + ": ")
    text.append("failed" if failed else "cannot be rehearsed", style="bold red" if failed else "yellow")
    text.append(f"; {clean(step.reason)}", style="dim")
    lines.text(text, indent=INDENT)


def outcome(lines: Lines, result: RunOutcome) -> None:
    """What became of each step, then the counts."""
    for step in (*result.reconciled, *result.steps):
        _outcome(lines, step, earlier=step in result.reconciled)
    states = [step.state for step in result.steps]
    words = (
        ", ".join(f"{states.count(state)} {state.value}" for state in StepState if state in states) or "nothing to do"
    )
    lines.blank()
    lines.text(Text().append(words, style="bold").append(f"   run {result.run_id}", style="dim"))


def _outcome(lines: Lines, step: StepOutcome, *, earlier: bool) -> None:
    text = Text().append(f"{step.state.value:<{STATE}}", style=_STATE_STYLE[step.state])
    text.append(one_line(step.title))
    if step.duration_s:
        text.append(f"  {duration(step.duration_s)}", style="dim")
    if earlier:
        text.append("  (left open by an earlier run)", style="dim")
    lines.text(text)
    for label, words in (("effect", gain_words(step.figures)), ("why", step.reason), ("hint", step.hint)):
        if words:
            _labelled(lines, label, words, indent=STATE)


def gain_words(figures: Mapping[str, Any]) -> str:
    """The mean time of a step's queries before and after, weighted by their calls, if they were measured.

    >>> gain_words({"calls_before": (10, 0), "mean_ms_before": (8.0, None), "mean_ms_after": (0.5, None)})
    '8 ms → 0.5 ms a call (measured)'
    """
    calls, before, after = (figures.get(name) for name in ("calls_before", "mean_ms_before", "mean_ms_after"))
    if not all(isinstance(values, tuple) for values in (calls, before, after)):
        return ""
    known = [
        (c, b, a)
        for c, b, a in zip(calls or (), before or (), after or (), strict=True)
        if c and b is not None and a is not None
    ]
    weight = sum(c for c, _, _ in known)
    if not weight:
        return ""
    was, now = (sum(c * pair[side] for c, *pair in known) / weight for side in (0, 1))
    return f"{duration(was / 1000)} → {duration(now / 1000)} a call ({figures.get('basis', 'measured')})"


def history(lines: Lines, known: History) -> None:
    """Every run with its steps, oldest first."""
    for run in known.runs:
        head = Text().append(f"{run.at:%Y-%m-%d %H:%M:%S}", style="dim").append(f"  {run.kind} ", style="bold")
        head.append(run.run_id, style="cyan")
        head.append(f"  {run.end or 'open'}", style="dim" if run.ended_at else "bold red")
        lines.text(head)
        for text in run.notes:
            lines.paragraph(one_line(text), indent=INDENT, style="dim")
        for step in known.steps_of(run.run_id):
            _step(lines, step)
        lines.blank()
    standing = sum(step.state.stands for step in known.steps)
    lines.paragraph(
        f"{counted(len(known.runs), 'run')}, {counted(len(known.steps), 'step')}, {standing} standing", style="bold"
    )


def _step(lines: Lines, step: RunStep) -> None:
    text = Text().append(f"{step.state.value:<{STATE}}", style=_STATE_STYLE[step.state])
    text.append(one_line(step.title))
    text.append(f"  {step.step_id}", style="cyan")
    lines.text(text, indent=INDENT)
    for label, words in (("effect", gain_words(step.figures)), ("why", step.reason)):
        if words:
            _labelled(lines, label, words, indent=INDENT + STATE)


def to_undo(lines: Lines, steps: Sequence[RunStep]) -> None:
    """What would be taken back, newest first."""
    for number, step in enumerate(steps, start=1):
        lines.text(Text(one_line(step.title), style="bold"), indent=INDENT, first=Text(f"{number:>3}", style="dim"))
        undo = _joined(step.undo_statements) or "from what was captured before the step"
        _labelled(
            lines, "undo", undo if step.reversible else "cannot be undone", style="green" if step.reversible else ""
        )
        lines.blank()


def _labelled(lines: Lines, label: str, words: str, *, style: str = "", indent: int = INDENT) -> None:
    first = Text(" " * indent).append(label, style="dim")
    for number, line in enumerate(clean(words).splitlines() or [""]):
        lines.text(Text(line, style=style), indent=indent + LABEL, first=first if number == 0 else None)


def _joined(statements: Sequence[str]) -> str:
    return "\n".join(f"{statement};" for statement in statements)
