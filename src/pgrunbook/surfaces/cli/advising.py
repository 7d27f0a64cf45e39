"""What `pgrunbook advise` does: sends a topic to its advisor; else the findings of a family that come with advice."""

from __future__ import annotations

import dataclasses
import importlib
from typing import Any

from pgrunbook import config
from pgrunbook.errors import UsageError
from pgrunbook.journey.advise.asking import TOPICS
from pgrunbook.journey.diagnose.check import all_checks
from pgrunbook.journey.diagnose.request import answer, request_from
from pgrunbook.model.diagnosis import Diagnosis
from pgrunbook.pg.connect import resolve_dsn
from pgrunbook.surfaces.cli import counselling
from pgrunbook.surfaces.cli.command import Invocation
from pgrunbook.surfaces.cli.exits import Exit
from pgrunbook.surfaces.cli.output import busy, text_console, write
from pgrunbook.surfaces.cli.words_given import is_dsn

_PLURALS = {"sessions": "session", "queries": "query"}
FORMS = ("text", "json", "markdown", "html")  # of a family's findings


def run(
    invocation: Invocation, words: tuple[str, ...], *, dsn_flag: str | None, form: str | None, **options: Any
) -> int:
    """Print the advice."""
    topics = [word for word in words if not is_dsn(word)]
    dsns = [word for word in words if is_dsn(word)]
    if len(topics) > 1 or len(dsns) > 1:
        raise UsageError("advise takes one topic and one DSN")
    dsn = dsns[0] if dsns else None
    if topics and topics[0] in TOPICS:
        _refuse_of_indexes(options)
        wish = counselling.Wish(topic=topics[0], dsn=dsn, dsn_flag=dsn_flag, form=form, **options)
        return counselling.run(wish, invocation)
    if topics == ["indexes"]:
        from pgrunbook.surfaces.cli import indexing  # noqa: PLC0415 - the planning engines are needed for it only

        return indexing.run(indexing.wish_of(dsn, dsn_flag, form, options), invocation)
    _refuse(options, form)
    request = request_from(config.load(flags={"only": _family(topics)}, file=invocation.config_file))
    with busy(invocation, "looking …"):
        diagnosis = answer(request, resolve_dsn(dsn, dsn_flag))
    write(_rendered(with_advice(diagnosis), invocation, form or "text"))
    return Exit.FINE


def _refuse_of_indexes(options: dict[str, Any]) -> None:
    """Take the flags of `advise indexes` out; refuse them where they are given for another topic."""
    for name in ("workload", "budget", "max_width", "engine"):
        if options.pop(name, None) is not None:
            raise UsageError(f"--{name.replace('_', '-')} is for the topic indexes")


def _refuse(options: dict[str, Any], form: str | None) -> None:
    """Flags of the advisors say nothing about a family of checks."""
    _refuse_of_indexes(options)
    given = [name for name, value in options.items() if value is not None]
    if given:
        flag = "--" + given[0].removesuffix("_s").removesuffix("_h").replace("_", "-")
        raise UsageError(f"{flag} is for the topics {', '.join(TOPICS)}")
    if form is not None and form not in FORMS:
        raise UsageError(f"--format {form} is for the topics {', '.join(TOPICS)}")


def with_advice(diagnosis: Diagnosis) -> Diagnosis:
    """Only the findings that somebody can do something about."""
    return dataclasses.replace(diagnosis, findings=tuple(one for one in diagnosis.findings if one.advice))


def _family(topics: list[str]) -> tuple[str, ...]:
    if not topics:
        return ()
    families = {named.family for named in all_checks().values()}
    family = _PLURALS.get(topics[0], topics[0])
    if family not in families:
        raise UsageError(
            f"there is no topic {topics[0]!r}", hint=f"Topics: indexes, {', '.join((*TOPICS, *sorted(families)))}."
        )
    return (family,)


def _rendered(diagnosis: Diagnosis, invocation: Invocation, form: str) -> str:
    if form == "text":
        from pgrunbook.report import terminal  # noqa: PLC0415 - rich is needed for this format only

        console, drawn = text_console(invocation)
        terminal.render(diagnosis, console, show_all=True)
        return drawn.getvalue()
    return str(importlib.import_module(f"pgrunbook.report.{form}").render(diagnosis))
