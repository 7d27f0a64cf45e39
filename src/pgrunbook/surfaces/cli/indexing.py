"""What `pgrunbook advise indexes` does: a workload, an engine (or statistics where none can be had), the advice."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from pgrunbook.errors import Refused, Unreachable, Unsupported, UsageError
from pgrunbook.journey.act import in_order
from pgrunbook.journey.advise import dropping, plan_file
from pgrunbook.journey.advise.index_set import NothingPlanned, Order, advise_index_set
from pgrunbook.journey.advise.indexes import advise_indexes
from pgrunbook.journey.advise.plan import plan_of_indexes
from pgrunbook.journey.advise.weighed import demand_of_file, read_file, usable
from pgrunbook.journey.observe import observe
from pgrunbook.journey.observe.statements import STATEMENTS
from pgrunbook.journey.planner.engine import Engine
from pgrunbook.journey.planner.opening import open_engine
from pgrunbook.journey.planner.twin import Twin, agreement
from pgrunbook.journey.workload import reading
from pgrunbook.journey.workload.demand import TextStatement
from pgrunbook.journey.workload.facts import Facts
from pgrunbook.model import Blind, NotRead, Snapshot
from pgrunbook.model.advice import IndexAdvice
from pgrunbook.pg.connect import Session, connect, resolve_dsn
from pgrunbook.pg.parse import Parser
from pgrunbook.report import index_advice
from pgrunbook.report.json import dumps
from pgrunbook.surfaces.cli.command import Invocation
from pgrunbook.surfaces.cli.exits import Exit
from pgrunbook.surfaces.cli.output import busy, note, write, write_file

FORMS: Final = ("text", "json", "sql")
OPTIONS: Final = ("workload", "budget", "max_width", "engine")
_SIZE: Final = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)i?b?\s*\Z", re.IGNORECASE)
_POWERS: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
COMPARED_MAX: Final = 200  # statements that are planned on both sides


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """The command line; None is what was not given."""

    dsn: str | None
    dsn_flag: str | None
    form: str | None = None
    output: Path | None = None
    plan: Path | None = None
    workload: Path | None = None
    budget: str | None = None
    max_width: int | None = None
    engine: str | None = None


def wish_of(dsn: str | None, dsn_flag: str | None, form: str | None, options: dict[str, Any]) -> Wish:
    """The command line as a wish; raises UsageError for flags of other topics."""
    for name, value in options.items():
        if value is not None and name not in {*OPTIONS, "output", "plan"}:
            flag = "--" + name.removesuffix("_s").removesuffix("_h").replace("_", "-")
            raise UsageError(f"{flag} says nothing about indexes")
    own = {name: options.get(name) for name in (*OPTIONS, "output", "plan")}
    return Wish(dsn=dsn, dsn_flag=dsn_flag, form=form, **own)


def run(wish: Wish, invocation: Invocation) -> int:
    """Look, choose, print.  Changes nothing."""
    if wish.form is not None and wish.form not in FORMS:
        raise UsageError(f"--format {wish.form} is not for indexes", hint=f"Formats: {', '.join(FORMS)}.")
    order = Order(
        text=_text(wish.workload) if wish.workload is not None else None,
        budget_bytes=budget_bytes(wish.budget) if wish.budget is not None else None,
        max_width=wish.max_width if wish.max_width is not None else 3,
    )
    form = wish.form or {".json": "json", ".sql": "sql"}.get(wish.output.suffix if wish.output else "", "text")
    dsn = resolve_dsn(wish.dsn, wish.dsn_flag)
    with busy(invocation, "choosing indexes …"):
        advice, snapshot = advise(dsn, order, wish.engine or "auto")
    text = str(getattr(index_advice, f"render_{form}")(advice))
    if wish.output is not None:
        write_file(wish.output, text)
    else:
        write(text)
    if wish.plan is not None:
        plan = plan_of_indexes(advice, snapshot)
        write_file(wish.plan, dumps(plan_file.as_dict(replace(plan, steps=in_order(plan.steps)))))
        note(invocation, f"wrote {wish.plan}; next: pgrunbook apply {wish.plan}")
    return Exit.FINE


def advise(dsn: str, order: Order, wanted: str = "auto") -> tuple[IndexAdvice, Snapshot]:
    """Ask the engine that is wanted; `auto` falls back to statistics and says why.  With what was observed first."""
    needs = reading.NEEDS if order.text is None else tuple(q for q in reading.NEEDS if q is not STATEMENTS)
    with connect(dsn, station="advise") as source:
        snapshot = observe(source, [*needs, *reading.LIKES, *dropping.questions()])
        try:
            if order.text is not None:
                _refuse_unusable(snapshot, order.text)
            return _advised(source, snapshot, dsn, order, wanted), snapshot
        except NotRead as exc:
            raise Unsupported(
                f"there is no workload to advise for: {exc.unread.reason}",
                hint=f"{exc.unread.cure or ''}  Or give statements: --workload FILE.sql".strip(),
            ) from exc


def _advised(source: Session, snapshot: Snapshot, dsn: str, order: Order, wanted: str) -> IndexAdvice:
    if wanted == "statistics":
        return by_statistics(snapshot, order)
    try:
        engine = open_engine(source, dsn, wanted)
    except Unreachable:
        raise
    except (Refused, Unsupported) as exc:
        if wanted != "auto":
            raise
        return replace(by_statistics(snapshot, order), engine_reason=exc.message)
    with engine:
        try:
            return _by_engine(source, snapshot, engine, order, wanted)
        except NothingPlanned as exc:
            if wanted != "auto":
                raise
            return replace(by_statistics(snapshot, order), engine_reason=exc.message)


def _refuse_unusable(snapshot: Snapshot, text: str) -> None:
    """Before a server is started for nothing."""
    with Parser() as parser:
        usable(demand_of_file(text, parser, Facts(snapshot, parser).catalog))


def _by_engine(source: Session, snapshot: Snapshot, engine: Engine, order: Order, wanted: str) -> IndexAdvice:
    if not isinstance(engine, Twin):
        advice = advise_index_set(snapshot, engine, order)
        reason = "no twin could be built, so HypoPG planned in the database" if wanted == "auto" else ""
        return replace(advice, engine_reason=reason)
    return advise_index_set(
        snapshot, engine, order, agreeing=lambda texts: agreement(source, engine, texts[:COMPARED_MAX])
    )


def by_statistics(snapshot: Snapshot, order: Order) -> IndexAdvice:
    """Without a planner."""
    with Parser() as parser:
        statements: list[TextStatement] | None = None
        blind: tuple[Blind, ...] = ()
        if order.text is not None:
            statements = [statement for statement, _ in read_file(order.text)]
            blind = demand_of_file(order.text, parser, Facts(snapshot, parser).catalog).blind
        advice = advise_indexes(
            snapshot,
            budget_bytes=order.budget_bytes,
            max_width=order.max_width,
            statements=statements,
            parser=parser,
        )
    known = [each for each in advice.blind if statements is None or "could not be parsed" not in each.reason]
    return replace(advice, blind=(*blind, *known))


def budget_bytes(text: str) -> int:
    """A size of disk in units of 1024; 0 allows no index at all.

    >>> budget_bytes("500MB"), budget_bytes("1.5 GB"), budget_bytes("0")
    (524288000, 1610612736, 0)
    """
    match = _SIZE.match(text)
    if match is None:
        raise UsageError(f"{text!r} is no size", hint="Give the budget as 500MB or 2GB.")
    factor: int = 1024 ** _POWERS[match[2].lower()]
    return round(float(match[1]) * factor)


def _text(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(
            f"cannot read the workload {path}: {exc}", hint="Give a file of SQL statements in UTF-8, each ended by ;"
        ) from exc
    if "\0" in text:
        raise UsageError(f"the workload {path} is no text", hint="Give a file of SQL statements in UTF-8.")
    if not any(True for _ in read_file(text)):
        raise UsageError(
            f"the workload {path} holds no statement", hint="Give a file of SQL statements, each ended by ;"
        )
    return text
