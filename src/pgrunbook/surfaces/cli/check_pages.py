"""Checks as pages on a terminal or as JSON: what their docstrings and thresholds say."""

from __future__ import annotations

import dataclasses
import difflib
from itertools import groupby
from typing import Any

from pgrunbook import config
from pgrunbook.errors import UsageError
from pgrunbook.journey.diagnose.check import NamedCheck, all_checks
from pgrunbook.journey.diagnose.engine import limits_of
from pgrunbook.journey.diagnose.request import request_from
from pgrunbook.report.json import dumps
from pgrunbook.report.lines import Lines
from pgrunbook.report.toml import value_text
from pgrunbook.report.words import counted, figure
from pgrunbook.surfaces.cli.command import Invocation
from pgrunbook.surfaces.cli.output import text_console, write

_SHOWN = ("Asks", "Unit", "Source", "Blind", "Says", "Leads", "Section")


def overview(invocation: Invocation, form: str) -> None:
    """Every check in one line, by family."""
    known = sorted(all_checks().values(), key=lambda named: (named.family, named.name))
    if form == "json":
        settings = _settings(invocation)
        write(dumps([_as_dict(named, settings) for named in known]))
        return
    console, drawn = text_console(invocation)
    lines = Lines(console)
    width = max((len(named.name) for named in known), default=0) + 2
    for family, members in groupby(known, key=lambda named: named.family):
        lines.heading(family)
        for named in members:
            lines.paragraph(named.title, indent=2 + width, first=f"  {named.name}", first_style="cyan")
        lines.blank()
    lines.paragraph(f"{counted(len(known), 'check')}.  pgrunbook checks show NAME tells all about one.", style="dim")
    write(drawn.getvalue())


def page(invocation: Invocation, name: str, form: str) -> None:
    """All about one check."""
    named = all_checks().get(name)
    if named is None:
        near = difflib.get_close_matches(name, all_checks(), n=1)
        hint = f"Did you mean {near[0]}?" if near else "pgrunbook checks lists them."
        raise UsageError(f"there is no check named {name!r}", hint=hint)
    settings = _settings(invocation)
    if form == "json":
        write(dumps(_as_dict(named, settings)))
        return
    console, drawn = text_console(invocation)
    _draw(Lines(console), named, settings)
    write(drawn.getvalue())


def _draw(lines: Lines, named: NamedCheck, settings: config.Config) -> None:
    lines.heading(f"{named.name}  ({named.family})")
    lines.paragraph(named.title)
    lines.blank()
    for heading in _SHOWN:
        if named.headings.get(heading):
            lines.paragraph(named.headings[heading], indent=11, first=f"  {heading.lower()}", first_style="dim")
    needs = ", ".join(question.name for question in (*named.check.needs, *named.check.likes))
    lines.paragraph(needs, indent=11, first="  reads", first_style="dim")
    lines.blank()
    thresholds = _thresholds(named, settings)
    if not thresholds:
        lines.paragraph("It has no threshold.", style="dim")
        return
    lines.heading("Thresholds")
    width = max(len(key) for key in thresholds) + 4
    for key, (value, origin) in thresholds.items():
        origin_words = "" if origin == "default" else f"  ({origin})"
        lines.paragraph(f"{figure(key, value)}{origin_words}", indent=width, first=f"  {key}", first_style="cyan")
    key, (value, _) = next(iter(thresholds.items()))
    lines.blank()
    lines.paragraph(f"To change one, write into {config.FILE_NAME}:", style="dim")
    lines.paragraph(f"  [checks.{named.name}]", style="green")
    lines.paragraph(f"  {key} = {value_text(value)}", style="green")


def _settings(invocation: Invocation) -> config.Config:
    settings = config.load(file=invocation.config_file)
    request_from(settings)
    return settings


def _thresholds(named: NamedCheck, settings: config.Config) -> dict[str, tuple[Any, str]]:
    limits = limits_of(named, settings.checks.get(named.name, {}))
    return {
        field.name: (getattr(limits, field.name), settings.origin(f"checks.{named.name}.{field.name}"))
        for field in dataclasses.fields(limits)
    }


def _as_dict(named: NamedCheck, settings: config.Config) -> dict[str, Any]:
    return {
        "check": named.name,
        "family": named.family,
        "title": named.title,
        **{heading.lower(): named.headings.get(heading, "") for heading in _SHOWN},
        "reads": [question.name for question in (*named.check.needs, *named.check.likes)],
        "thresholds": {
            key: {"value": value, "origin": origin} for key, (value, origin) in _thresholds(named, settings).items()
        },
    }
