"""The journal as a document: the runbook's "Document changes", in Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pgrunbook.model.plan import StepState
from pgrunbook.model.verdict import Value
from pgrunbook.record.history import History, Run, RunStep

_WORDS = {
    StepState.OPEN: "not known: its process died; the next run looks in the catalog",
    StepState.KEPT: "done and kept",
    StepState.RECONCILED: "done and kept (found in the catalog after an interruption)",
    StepState.UNDONE: "undone",
    StepState.REFUSED: "refused; nothing was changed",
    StepState.FAILED: "failed",
    StepState.IRREVERSIBLE: "done; it has no undo",
    StepState.ALREADY: "it was so before",
}


def document(history: History, *, head: str = "") -> str:
    """All runs that changed something, newest first.  `head` is the hash of the last record, to be kept elsewhere."""
    parts = ["# Changes", ""]
    if head:
        parts += [f"Journal up to record hash `{head}`.", ""]
    for run in reversed(history.runs):
        steps = history.steps_of(run.run_id)
        if steps:
            parts += _run(run, steps)
    if len(parts) <= 4 and not any(history.steps):
        parts.append("Nothing was changed.")
    return "\n".join(parts).rstrip() + "\n"


def _run(run: Run, steps: Sequence[RunStep]) -> list[str]:
    end = f"ended {run.ended_at:%Y-%m-%d %H:%M:%S} UTC ({run.end})" if run.ended_at is not None else "did not end"
    system = f"{run.target.system_identifier or 'unidentified'} by pgrunbook {run.tool}"
    return [
        f"## {run.at:%Y-%m-%d %H:%M:%S} UTC: {run.kind} {run.run_id}",
        "",
        f"Database {_code(run.target.database)} as {_code(run.target.user)} on system {system}; {end}.",
        "",
        *(line for step in steps for line in _step(step)),
    ]


def _step(step: RunStep) -> list[str]:
    at = f", {step.ended_at:%Y-%m-%d %H:%M:%S} UTC" if step.ended_at is not None else ""
    lines = [f"### {_text(step.title)}", "", f"- Step {step.step_id}: {_WORDS[step.state]}{at}."]
    if step.reason:
        lines.append(f"- Why: {_text(step.reason)}")
    if step.planned.finding:
        lines.append(f"- Finding: {_code(step.planned.finding)}")
    lines += [f"- {_text(name)}: {_code(_value(value))}" for name, value in step.figures.items()]
    lines += ["", *_fence(step.statements)]
    if step.reversible and step.undo_statements:
        lines += ["Undo:", "", *_fence(step.undo_statements)]
    elif not step.reversible:
        lines += ["It has no undo.", ""]
    return lines


def _fence(statements: Sequence[str]) -> list[str]:
    """A code block whose fence is longer than any run of backticks within."""
    text = "\n".join(f"{statement};" for statement in statements)
    longest = max((len(run) for run in _runs(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}sql", text, fence, ""]


def _runs(text: str) -> list[str]:
    return [run for run in "".join(c if c == "`" else " " for c in text).split() if run]


def _code(text: str) -> str:
    """An inline code span, whatever is in it."""
    flat = _line(text)
    ticks = "`" * (max((len(run) for run in _runs(flat)), default=0) + 1)
    pad = " " if "`" in flat else ""
    return f"{ticks}{pad}{flat}{pad}{ticks}"


def _text(text: str) -> str:
    r"""Prose in which no name can become markup.

    >>> print(_text('public.<b>*x*'))
    public.\<b\>\*x\*
    """
    return re.sub(r"([\\`*\[\]<>&|#])", r"\\\1", _line(text))


def _line(text: str) -> str:
    """One line without control characters: names from a database are hostile."""
    flat = "".join(c if c.isprintable() else " " for c in text)
    return flat.encode("utf-8", "replace").decode("utf-8")


def _value(value: Value) -> str:
    if isinstance(value, tuple):
        return ", ".join(_value(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
