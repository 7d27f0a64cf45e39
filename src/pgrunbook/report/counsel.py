"""Advice on settings, policies, vacuum and pools as JSON, Markdown and SQL, and the words that all its forms share."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from pgrunbook import __version__
from pgrunbook.model import Advice, Lock
from pgrunbook.model.counsel import Counsel, Kept, Proposal, Takes
from pgrunbook.report import json
from pgrunbook.report.blindness import grouped
from pgrunbook.report.json import plain_value
from pgrunbook.report.markdown import block, code, plain
from pgrunbook.report.words import clean, counted, duration, one_line, short

SCHEMA_VERSION = 1
TITLES = {
    "settings": "advice on settings",
    "policies": "advice on row security policies",
    "vacuum": "vacuum strategy",
    "pool": "advice on connection pools",
}

One = TypeVar("One", Proposal, Kept)


def render_json(counsel: Counsel) -> str:
    """JSON text."""
    return json.dumps(as_dict(counsel))


def as_dict(counsel: Counsel) -> dict[str, Any]:
    """The advice as one JSON object."""
    server = counsel.server
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": "pgrunbook",
        "version": __version__,
        "topic": counsel.topic,
        "taken_at": json.utc(counsel.taken_at),
        "duration_s": counsel.duration_s,
        "period": counsel.period or None,
        "server": {
            "database": server.database,
            "version": server.version,
            "major": server.major,
            "role": server.role.value,
            "service": server.service.value,
        },
        "inputs": [{"name": one.name, "value": one.value, "source": one.source} for one in counsel.inputs],
        "proposals": [_proposal(one) for one in counsel.proposals],
        "kept": [
            {"area": one.area, "object": one.object, "value": one.value, "reason": one.reason} for one in counsel.kept
        ],
        "blind": [{"object": one.object, "reason": one.reason, "cure": one.cure or None} for one in counsel.blind],
        "notes": list(counsel.notes),
        "fragments": [{"name": one.name, "text": one.text} for one in counsel.fragments],
    }


def _proposal(one: Proposal) -> dict[str, Any]:
    return {
        "area": one.area,
        "kind": one.kind.value,
        "object": one.object,
        "title": one.title,
        "current": one.current or None,
        "proposed": one.proposed or None,
        "reason": one.reason,
        "ground": one.ground.value,
        "effect": {"basis": "estimated", "words": one.effect} if one.effect else None,
        "takes_effect": one.takes.value,
        "evidence": {name: plain_value(value) for name, value in one.evidence.items()},
        "advice": [_advice(advice) for advice in one.advice],
    }


def _advice(advice: Advice) -> dict[str, Any]:
    return {**json.advice_dict(advice), "step": advice.step.kind if advice.step is not None else None}


def by_area(found: Iterable[One]) -> list[tuple[str, list[One]]]:
    """In the order in which areas first come."""
    areas: dict[str, list[One]] = {}
    for one in found:
        areas.setdefault(one.area, []).append(one)
    return list(areas.items())


def counts(counsel: Counsel) -> str:
    """How many of each there are."""
    parts = [counted(len(counsel.proposals), "proposal")]
    if counsel.steps:
        parts[0] += f" ({counted(len(counsel.steps), 'step')} of ours)"
    if counsel.kept:
        parts.append(f"{len(counsel.kept)} kept")
    if counsel.blind:
        parts.append(f"{len(counsel.blind)} cannot be told")
    return ", ".join(parts)


def change_words(one: Proposal) -> str:
    """`4 MB → 64MB`, or what there is of it."""
    if one.current and one.proposed:
        return f"{one_line(one.current)} → {one_line(one.proposed)}"
    return one_line(one.proposed or one.current)


def terms(one: Proposal) -> tuple[str, ...]:
    """What it takes, what it locks, and what it rests on."""
    lock = one.advice[0].lock if one.advice else Lock.NONE
    return (
        f"takes effect {one.takes.value}" if one.takes is not Takes.AT_ONCE else "takes effect at once",
        f"lock {lock.value.lower()}" if lock is not Lock.NONE else "no table lock",
        f"by {one.ground.value}",
    )


def headline(counsel: Counsel) -> str:
    """What was looked at, when and for how long."""
    server = counsel.server
    parts = [f"PostgreSQL {clean(server.version)}", server.role.value, f"as {one_line(server.user)}"]
    if counsel.period:
        parts.append(counsel.period)
    return " · ".join(parts)


def render_markdown(counsel: Counsel) -> str:
    """For a wiki or a pull request."""
    numbers = itertools.count(1)
    parts = [
        f"# {plain(counsel.server.database)}: {TITLES[counsel.topic]}",
        plain(headline(counsel)) + ".",
        _inputs(counsel),
        *(
            part
            for area, found in by_area(counsel.proposals)
            for part in (f"## {plain(area)}", *(_section(one, next(numbers)) for one in found))
        ),
        _kept(counsel),
        _blind(counsel),
        "\n".join(("## Notes\n", *(f"- {plain(note)}" for note in counsel.notes))) if counsel.notes else "",
        *(f"## {plain(one.name)}\n\n{block(one.text, 'ini')}" for one in counsel.fragments),
        (
            f"---\n{counts(counsel)}; pgrunbook {__version__}, {json.utc(counsel.taken_at)},"
            f" {duration(counsel.duration_s)}. Effects are estimated. Nothing was changed."
        ),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _inputs(counsel: Counsel) -> str:
    rows = [f"| {plain(one.name)} | {plain(one.value)} | {plain(one.source)} |" for one in counsel.inputs]
    return "\n".join(["| Reckoned with | | Source |", "|---|---|---|", *rows]) if rows else ""


def _section(one: Proposal, number: int) -> str:
    facts = [f"- {plain(change_words(one))}"] if change_words(one) else []
    facts += [f"- why: {plain(one.reason)}"]
    facts += [f"- effect (estimated): {plain(one.effect)}"] if one.effect else []
    facts += [f"- {plain('; '.join(terms(one)))}"]
    parts = [f"### {number}. {plain(one.title)}", "\n".join(facts)]
    for place, advice in enumerate(one.advice):
        word = "" if place == 0 else f"Or: {plain(advice.title)}\n\n"
        risk = f"\n\nRisk: {plain(advice.risk)}" if advice.risk else ""
        undo = f"\n\nUndo:\n\n{block(short(advice.undo_sql))}" if advice.undo_sql else "\n\nCannot be undone."
        parts.append(f"{word}{block(short(advice.sql))}{undo}{risk}")
    return "\n\n".join(parts)


def _kept(counsel: Counsel) -> str:
    rows = [
        f"| {code(one.object).replace('|', chr(92) + '|')} | {plain(short(one.value, 200))} | {plain(one.reason)} |"
        for one in counsel.kept
    ]
    return "\n".join(["## Kept as it is", "", "| | Now | Why |", "|---|---|---|", *rows]) if rows else ""


def _blind(counsel: Counsel) -> str:
    lines = [
        f"- {plain(short(group.reason))}." + (f" Cure: {code(short(group.cure, 400))}" if group.cure else "")
        for group in grouped(counsel.blind)
    ]
    return "\n".join(["## Cannot be told", "", *lines]) if lines else ""


def render_sql(counsel: Counsel) -> str:
    """A script of all that SQL can do, in order; each undo stands below its change as a comment."""
    server = counsel.server
    lines = [
        (
            f"-- {one_line(server.database)}: {TITLES[counsel.topic]}, PostgreSQL {clean(server.version)},"
            f" {json.utc(counsel.taken_at)}"
        ),
        "-- Read before you run it: nothing of this was tried.  Lines of undo are comments.",
    ]
    for number, one in enumerate((p for p in counsel.proposals if p.advice), start=1):
        advice = one.advice[0]
        lines += ["", *_comment(f"{number}. {one.title}"), *_comment(one.reason)]
        lines += _comment(f"takes effect {one.takes.value}" + (f"; {advice.risk}" if advice.risk else ""))
        lines += clean(advice.sql).splitlines()
        lines += _comment("undo:" if advice.undo_sql else "cannot be undone")
        lines += [f"--   {line}" for line in clean(advice.undo_sql or "").splitlines()]
        for other in one.advice[1:]:
            lines += [*_comment(f"or: {other.title}"), *(f"--   {line}" for line in clean(other.sql).splitlines())]
    for proposal in counsel.proposals:
        if not proposal.advice:
            lines += ["", *_comment(f"not by SQL: {proposal.title}"), *_comment(proposal.reason)]
    if not counsel.proposals:
        lines.append("-- Nothing to change.")
    return "\n".join(lines) + "\n"


def _comment(words: str) -> Sequence[str]:
    """Words as comment lines that no line end in them can leave."""
    return [f"-- {' '.join(clean(words).split())}"]


def render_ini(counsel: Counsel) -> str:
    """The fragments, one after the other."""
    return "\n".join(one.text for one in counsel.fragments)
