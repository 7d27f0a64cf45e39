"""What `advise settings|policies|vacuum|pool` and `vacuum strategy` do: flags → an Inquiry → a Counsel → a format."""

from __future__ import annotations

import importlib
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pgrunbook import config
from pgrunbook.errors import UsageError
from pgrunbook.journey.act import in_order
from pgrunbook.journey.advise import plan_file
from pgrunbook.journey.advise.asking import TOPICS, Inquiry, ask, counsel_of
from pgrunbook.journey.advise.given import Given, Storage, Workload, size_bytes, version_numbers
from pgrunbook.journey.observe import snapshot_file
from pgrunbook.journey.observe.exporter import PASSWORD_VARIABLE, Endpoint
from pgrunbook.journey.observe.windowed import since
from pgrunbook.model import Snapshot
from pgrunbook.model.counsel import Counsel
from pgrunbook.model.plan import Plan, PlannedStep, TargetPrint
from pgrunbook.pg.address import host_and_port
from pgrunbook.pg.connect import resolve_dsn
from pgrunbook.pg.secrets import without_password
from pgrunbook.report import json
from pgrunbook.report.words import counted, duration
from pgrunbook.surfaces.cli.command import Invocation
from pgrunbook.surfaces.cli.exits import Exit
from pgrunbook.surfaces.cli.output import busy, note, text_console, write, write_file

FORMS = ("text", "json", "markdown", "html", "sql", "ini")
_FORM_OF_SUFFIX: Mapping[str, str] = {
    ".json": "json",
    ".md": "markdown",
    ".html": "html",
    ".htm": "html",
    ".sql": "sql",
    ".ini": "ini",
}
# Flags that make sense for one topic only.
_OF_TOPIC: Mapping[str, tuple[str, ...]] = {
    "memory": ("settings",),
    "cores": ("settings", "pool"),
    "storage": ("settings",),
    "role": ("settings",),
    "plans": ("settings",),
    "every_h": ("vacuum",),
    "instances": ("pool",),
    "pool_size": ("pool",),
    "pooler_version": ("pool",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """The command line; None is what was not given."""

    topic: str
    dsn: str | None = None
    dsn_flag: str | None = None
    form: str | None = None
    window_s: float | None = None
    since: Path | None = None
    snapshot: Path | None = None
    memory: str | None = None
    cores: int | None = None
    storage: str | None = None
    role: str | None = None
    plans: bool | None = None
    every_h: float | None = None
    instances: int | None = None
    pool_size: int | None = None
    pooler_version: str | None = None
    plan: Path | None = None
    output: Path | None = None


def run(wish: Wish, invocation: Invocation) -> int:
    """Look, advise, print; and write the plan when one is wanted."""
    refuse_strange(wish)
    form = wish.form or (_FORM_OF_SUFFIX.get(wish.output.suffix.lower(), "text") if wish.output else "text")
    if form == "ini" and wish.topic != "pool":
        raise UsageError("--format ini is for pools", hint="pgrunbook advise pool --format ini")
    settings = config.load(file=invocation.config_file)
    dsn = resolve_dsn(wish.dsn, wish.dsn_flag)
    inquiry = Inquiry(
        topic=wish.topic,
        given=_given(wish, dsn),
        window_s=wish.window_s if wish.window_s is not None else settings.window_s or None,
        earlier=snapshot_file.load(wish.since, TOPICS[wish.topic].questions) if wish.since is not None else None,
        plans=bool(wish.plans),
        expectations=settings.expect,
    )
    exporter = None
    if settings.metrics_url:
        exporter = Endpoint(url=settings.metrics_url, password=os.environ.get(PASSWORD_VARIABLE, ""))
    if wish.snapshot is not None:
        return _deliver(wish, invocation, form, counsel_of(inquiry, _saved(wish.snapshot, inquiry)))
    with busy(invocation, f"watching for {duration(inquiry.seconds)} …" if inquiry.seconds else "looking …"):
        counsel = ask(inquiry, dsn, exporter=exporter)
    return _deliver(wish, invocation, form, counsel)


def _saved(path: Path, inquiry: Inquiry) -> Snapshot:
    """The snapshot in a file, with the older one that rates are reckoned from, if there is one."""
    snapshot = snapshot_file.load(path, TOPICS[inquiry.topic].questions)
    return since(snapshot, inquiry.earlier) if inquiry.earlier is not None else snapshot


def _deliver(wish: Wish, invocation: Invocation, form: str, counsel: Counsel) -> int:
    text = rendered(counsel, form, wish, invocation)
    if wish.output is None:
        write(text)
    else:
        write_file(wish.output, text)
    if wish.plan is not None:
        _write_plan(wish.plan, counsel, invocation)
    return Exit.FINE


def refuse_strange(wish: Wish) -> None:
    """Refuse flags that say nothing about the topic, instead of passing them over."""
    for name, topics in _OF_TOPIC.items():
        if getattr(wish, name) is not None and wish.topic not in topics:
            flag = "--" + name.removesuffix("_h").replace("_", "-")
            raise UsageError(f"{flag} says nothing about {wish.topic}", hint=f"It is for: {', '.join(topics)}.")
    if wish.window_s and wish.since is not None:
        raise UsageError("--since and --window both say from when rates are reckoned: give one of them")
    if wish.snapshot is not None and (wish.dsn or wish.dsn_flag or wish.window_s or wish.plans):
        raise UsageError("--snapshot is judged without a database: give no DSN, no --window and no --plans with it")
    if (wish.pool_size is None) != (wish.instances is None):
        raise UsageError("--instances and --pool-size belong together", hint="--instances 10 --pool-size 20")


def _given(wish: Wish, dsn: str) -> Given:
    place = host_and_port(dsn)
    return Given(
        memory_bytes=size_bytes(wish.memory) if wish.memory is not None else None,
        cores=wish.cores,
        storage=Storage(wish.storage) if wish.storage is not None else None,
        workload=Workload(wish.role) if wish.role is not None else None,
        every_s=wish.every_h * 3600.0 if wish.every_h is not None else Given().every_s,
        instances=wish.instances,
        client_pool_size=wish.pool_size,
        pooler_version=version_numbers(wish.pooler_version) if wish.pooler_version is not None else None,
        address=f"host={place[0]} port={place[1]}" if place is not None else "",
    )


def rendered(counsel: Counsel, form: str, wish: Wish, invocation: Invocation) -> str:
    """The advice in one of its forms."""
    if form == "text":
        from pgrunbook.report import counsel_terminal  # noqa: PLC0415 - rich is needed for this format only

        given = wish.dsn or wish.dsn_flag
        console, drawn = text_console(invocation, to_file=wish.output is not None)
        counsel_terminal.render(counsel, console, target=shlex.quote(without_password(given)) if given else "")
        return drawn.getvalue()
    if form == "html":
        from pgrunbook.report import counsel_html  # noqa: PLC0415 - needed for this format only

        return counsel_html.render(counsel)
    module = importlib.import_module("pgrunbook.report.counsel")
    return str(getattr(module, f"render_{form}")(counsel))


def plan_of(counsel: Counsel) -> Plan:
    """The steps of all proposals, in the order in which they are taken."""
    steps = in_order([PlannedStep(step=step) for step in counsel.steps])
    return Plan(target=TargetPrint.of(counsel.server), steps=tuple(steps), made_at=datetime.now(UTC))


def _write_plan(path: Path, counsel: Counsel, invocation: Invocation) -> None:
    plan = plan_of(counsel)
    write_file(path, json.dumps(plan_file.as_dict(plan)))
    left = len(counsel.proposals) - len(counsel.steps)
    rest = f"; no step of ours for {counted(left, 'proposal')}" if left else ""
    note(
        invocation,
        f"wrote {counted(len(plan.steps), 'step')} to {path}{rest}.  Look at it, then: pgrunbook apply {path}",
    )
