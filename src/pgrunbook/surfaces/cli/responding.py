"""What `pgrunbook emergency` does: explain, look, or look and act; then print the report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import click

from pgrunbook import config
from pgrunbook.errors import UsageError
from pgrunbook.model.emergency import EmergencyReport
from pgrunbook.model.plan import Phase, Progress
from pgrunbook.pg.connect import resolve_dsn
from pgrunbook.procedures.emergency.explain import page
from pgrunbook.procedures.emergency.limits import SECTION, Limits, Procedure, limits_for, seconds
from pgrunbook.procedures.emergency.pooler import resume_forgotten
from pgrunbook.procedures.emergency.running import Order, carry_out, dry_run
from pgrunbook.report import emergency
from pgrunbook.report.lines import Lines
from pgrunbook.surfaces.cli.command import Invocation
from pgrunbook.surfaces.cli.exits import Exit
from pgrunbook.surfaces.cli.output import busy, note, text_console, write
from pgrunbook.surfaces.cli.watching import Tell, watching


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """The command line of one procedure."""

    procedure: str
    thresholds: Mapping[str, Any]
    dsn: str | None
    dsn_flag: str | None
    yes: bool
    explain: bool
    all_databases: bool
    prevent: bool
    vacuum: bool
    poolers: tuple[str, ...]
    pause: str | None
    form: str


def respond(invocation: Invocation, call: Call) -> int:
    """Do what the command line says."""
    procedure = Procedure(call.procedure)
    limits = _limits(invocation, procedure, call.thresholds)
    if call.explain:
        write(page(procedure, limits))
        return Exit.FINE
    if call.pause is not None and not call.poolers:
        raise UsageError("--pause needs --pooler: the DSN of PgBouncer's admin console")
    order = Order(
        procedure=procedure,
        limits=limits,
        all_databases=call.all_databases,
        prevent=call.prevent,
        vacuum=call.vacuum,
        poolers=call.poolers,
        pause_s=seconds(call.pause, "--pause") if call.pause is not None else None,
    )
    all_resumed = _resume(call.poolers)
    dsn = resolve_dsn(call.dsn, call.dsn_flag)
    report = _acted(invocation, dsn, order) if call.yes else _looked(invocation, dsn, order)
    _deliver(invocation, report, call.form)
    return report.exit_code if all_resumed else Exit.CHANGED_IN_PART


def _limits(invocation: Invocation, procedure: Procedure, given: Mapping[str, Any]) -> Limits:
    settings = config.load(file=invocation.config_file)
    origin = str(settings.project_file or settings.user_file or "")
    return limits_for(procedure, settings.procedures.get(SECTION, {}), given, origin=origin)


def _resume(poolers: tuple[str, ...]) -> bool:
    """Resume what a run that died has left paused; whether nothing is left so."""
    found = resume_forgotten(poolers)
    for one in found:
        if one.resumed:
            click.echo(f"resumed {one.pooler}: a run that died had paused it {one.since}".rstrip(), err=True)
        else:
            click.echo(f"still paused since {one.since}: {one.pooler}: {one.reason}; run RESUME there", err=True)
    return all(one.resumed for one in found)


def _looked(invocation: Invocation, dsn: str, order: Order) -> EmergencyReport:
    with busy(invocation, "looking …"):
        return dry_run(dsn, order)


def _acted(invocation: Invocation, dsn: str, order: Order) -> EmergencyReport:
    def show(report: EmergencyReport) -> None:
        if invocation.quiet:
            return
        console, drawn = text_console(invocation)
        emergency.plan(Lines(console), report, acting=True)
        click.echo(drawn.getvalue().rstrip("\n") + "\n", err=True)

    with _from_then_on(invocation, show) as (tell, shown):
        return carry_out(dsn, order, show=shown, progress=tell)


@contextmanager
def _from_then_on(
    invocation: Invocation, show: Callable[[EmergencyReport], None]
) -> Iterator[tuple[Tell, Callable[[EmergencyReport], None]]]:
    """Show progress from the moment on in which the plan was shown, so that neither writes over the other."""
    with ExitStack() as stack:
        watched: list[Tell] = []

        def tell(news: Progress) -> None:
            if watched:
                watched[0](news)
            elif news.phase is Phase.WAIT:
                note(invocation, news.text)

        def shown(report: EmergencyReport) -> None:
            show(report)
            watched.append(stack.enter_context(watching(invocation)))

        yield tell, shown


def _deliver(invocation: Invocation, report: EmergencyReport, form: str) -> None:
    if form == "json":
        write(emergency.render_json(report))
    elif form == "markdown":
        write(emergency.render_markdown(report))
    else:
        console, drawn = text_console(invocation)
        draw = emergency.plan if report.outcome is None else emergency.outcome
        draw(Lines(console), report)
        write(drawn.getvalue())
