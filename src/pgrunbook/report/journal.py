"""The journal as Markdown: the runbook's "Document changes", to be kept with the other papers."""

from __future__ import annotations

from pgrunbook.record.history import History, Run, RunStep
from pgrunbook.report.changes import gain_words
from pgrunbook.report.markdown import block, code, plain


def render(history: History, *, head: str) -> str:
    """Every run, what it did, and how each step is taken back; `head` is the hash that seals all of it."""
    parts = ["# Changes", *(_run(run, history) for run in history.runs)]
    if not history.runs:
        parts.append("Nothing was changed.")
    parts.append(f"---\n{len(history.steps)} steps. The journal's last hash: `{head}`")
    return "\n\n".join(parts) + "\n"


def _run(run: Run, history: History) -> str:
    steps = history.steps_of(run.run_id)
    target = f"database {code(run.target.database)} as {code(run.target.user)}"
    end = f"{run.ended_at:%Y-%m-%d %H:%M:%S} UTC, {plain(run.end)}" if run.ended_at else "no end was written"
    lines = [
        f"## {run.at:%Y-%m-%d %H:%M} UTC: {run.kind} `{run.run_id}`",
        f"On {target}, by pgrunbook {plain(run.tool)}; until {end}.",
        "\n".join(f"- {plain(text)}" for text in run.notes),
        *(_step(step) for step in steps),
    ]
    return "\n\n".join(line for line in lines if line)


def _step(step: RunStep) -> str:
    parts = [f"### {plain(step.title)}: {step.state.value}", f"`{step.step_id}`, begun {step.at:%Y-%m-%d %H:%M:%S} UTC"]
    if step.planned.finding:
        parts[-1] += f", for finding `{step.planned.finding}`"
    gain = gain_words(step.figures)
    facts = [f"Effect: {gain}" if gain else "", f"Why: {plain(step.reason)}" if step.reason else ""]
    parts += [fact for fact in facts if fact]
    parts.append(block("\n".join(f"{statement};" for statement in step.statements)))
    if not step.reversible:
        parts.append("It cannot be undone.")
    elif step.undo_statements:
        parts += ["Undo:", block("\n".join(f"{statement};" for statement in step.undo_statements))]
    return "\n\n".join(parts)
