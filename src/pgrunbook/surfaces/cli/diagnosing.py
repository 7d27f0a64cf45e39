"""What `pgrunbook diagnose` does: flags → a Request → a Diagnosis → one of the formats → exit code."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pgrunbook import config
from pgrunbook.errors import UsageError
from pgrunbook.journey.diagnose.request import Request, answer, answer_from, everything, request_from
from pgrunbook.journey.observe import snapshot_file
from pgrunbook.model import Severity
from pgrunbook.model.diagnosis import Diagnosis
from pgrunbook.pg.connect import resolve_dsn
from pgrunbook.pg.secrets import without_password
from pgrunbook.surfaces.cli.command import Invocation
from pgrunbook.surfaces.cli.exits import Exit
from pgrunbook.surfaces.cli.output import busy, note, text_console, write, write_file

_FORM_OF_SUFFIX: Mapping[str, str] = {
    ".json": "json",
    ".md": "markdown",
    ".html": "html",
    ".htm": "html",
    ".sarif": "sarif",
    ".xml": "junit",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """The command line of `diagnose`."""

    dsn: str | None
    dsn_flag: str | None
    form: str | None
    only: tuple[str, ...]
    skip: tuple[str, ...]
    schemas: tuple[str, ...]
    fail_on: str | None
    window_s: float | None
    since: Path | None
    snapshot: Path | None
    show_all: bool
    output: Path | None
    plans: bool = False


def run(wish: Wish, invocation: Invocation) -> int:
    """Diagnose, print, and say how it ends."""
    if wish.snapshot is not None and (wish.dsn or wish.dsn_flag or wish.window_s):
        raise UsageError("--snapshot is diagnosed without a database: give no DSN and no --window with it")
    if wish.since is not None and wish.window_s:
        raise UsageError("--since and --window both say from when rates are reckoned: give one of them")
    settings = config.load(
        flags={
            "only": _commas(wish.only),
            "skip": _commas(wish.skip),
            "schemas": _commas(wish.schemas),
            "fail_on": wish.fail_on,
            "window_s": wish.window_s,
        },
        file=invocation.config_file,
    )
    request = dataclasses.replace(request_from(settings), plans=wish.plans)
    diagnosis = _diagnosis(wish, request, invocation)
    code = exit_code(diagnosis, settings.fail_on)
    _deliver(wish, invocation, diagnosis, code)
    if code is Exit.NOT_OBSERVABLE:
        note(invocation, "nothing could be observed: every check is blind, see why above")
    return code


def exit_code(diagnosis: Diagnosis, fail_on: str) -> Exit:
    """What the diagnosis means for a script."""
    if diagnosis.blind and not (diagnosis.findings or diagnosis.ok or diagnosis.muted):
        return Exit.NOT_OBSERVABLE
    if fail_on != "never" and diagnosis.count(Severity.CRITICAL):
        return Exit.CRITICAL
    if fail_on == "warning" and diagnosis.count(Severity.WARNING):
        return Exit.WARNINGS
    return Exit.FINE


def _commas(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(part.strip() for value in values for part in value.split(",") if part.strip())


def _diagnosis(wish: Wish, request: Request, invocation: Invocation) -> Diagnosis:
    earlier = snapshot_file.load(wish.since, everything()) if wish.since is not None else None
    if wish.snapshot is not None:
        return answer_from(request, snapshot_file.load(wish.snapshot, everything()), earlier=earlier)
    dsn = resolve_dsn(wish.dsn, wish.dsn_flag)
    with busy(invocation, "looking …"):
        return answer(request, dsn, earlier=earlier)


def _deliver(wish: Wish, invocation: Invocation, diagnosis: Diagnosis, code: Exit) -> None:
    form = wish.form or (_FORM_OF_SUFFIX.get(wish.output.suffix.lower(), "text") if wish.output else "text")
    text = _rendered(form, diagnosis, wish, invocation, code)
    if wish.output is None:
        write(text)
        return
    write_file(wish.output, text)
    if sys.stderr.isatty():
        note(invocation, f"wrote {wish.output}")


def _rendered(form: str, diagnosis: Diagnosis, wish: Wish, invocation: Invocation, code: Exit) -> str:
    if form == "text":
        from pgrunbook.report import terminal  # noqa: PLC0415 - rich is needed for this format only

        given = wish.dsn or wish.dsn_flag
        console, drawn = text_console(invocation, to_file=wish.output is not None)
        terminal.render(
            diagnosis,
            console,
            show_all=wish.show_all,
            target=shlex.quote(without_password(given)) if given else "",
            exit_code=int(code),
        )
        return drawn.getvalue()
    import importlib  # noqa: PLC0415 - one renderer is needed, not all

    return str(importlib.import_module(f"pgrunbook.report.{form}").render(diagnosis))
