"""What `pgrunbook whatif` does: gathers queries, opens an engine, plans before and after, prints both."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from pgrunbook.errors import Refused, UsageError
from pgrunbook.journey.observe.observer import Observer
from pgrunbook.journey.observe.statements import STATEMENTS
from pgrunbook.journey.planner.engine import CannotPlan, Engine, Explained, TriedIndex
from pgrunbook.journey.planner.opening import open_engine
from pgrunbook.journey.planner.twin import Agreement, Twin, agreement
from pgrunbook.model import Blind, Unread
from pgrunbook.pg.connect import Session, connect, resolve_dsn
from pgrunbook.report.words import clean
from pgrunbook.surfaces.cli.command import Invocation
from pgrunbook.surfaces.cli.exits import Exit
from pgrunbook.surfaces.cli.output import busy, note, write

SHOWN_CHARACTERS: Final = 100
SHOWN_BLIND: Final = 10
_QUERYID: Final = re.compile(r"-?\d{1,20}\Z")
_PIECE: Final = re.compile(
    r"""(?xs) [eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*" | (?P<tag>\$(?:[^\W\d]\w*)?\$) .*? (?P=tag)
    | --[^\n]* | /\*.*?\*/ | (?P<end>;) | .""",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One query: its cost before and after, and the indexes that its plan reads then."""

    query: str
    cost_before: float | None = None
    cost_after: float | None = None
    rows: float | None = None
    used: tuple[str, ...] = ()
    refused: str | None = None

    @property
    def ratio(self) -> float | None:
        """Cost after as a share of the cost before."""
        if self.cost_before is None or self.cost_after is None:
            return None
        return self.cost_after / max(self.cost_before, 0.01)


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """All that is printed."""

    engine: str
    indexes: tuple[TriedIndex, ...]
    dropped: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    agreed: Agreement | None
    blind: tuple[Blind, ...]


def run(
    invocation: Invocation,
    dsn: str | None,
    *,
    dsn_flag: str | None,
    indexes: tuple[str, ...],
    dropped: tuple[str, ...],
    queries: tuple[str, ...],
    engine: str,
    role: str | None,
    read_rows: bool,
    form: str,
) -> int:
    """Try indexes on queries."""
    if not queries:
        raise UsageError("there is no query to plan", hint="Give --query with a file, a queryid or a statement.")
    if not indexes and not dropped:
        raise UsageError("nothing is to be changed", hint='Give --index "CREATE INDEX …" or --drop NAME.')
    place = resolve_dsn(dsn, dsn_flag)
    with connect(place, station="whatif") as source:
        texts = list(_texts(source, queries))
        with _opened(invocation, source, place, engine, read_rows=read_rows) as chosen:
            found = try_them(source, chosen, texts, indexes=indexes, dropped=dropped, role=role)
    write(as_json(found) if form == "json" else as_text(found))
    if all(outcome.refused is not None for outcome in found.outcomes):
        raise Refused(f"no query could be planned: {found.outcomes[0].refused}")
    return Exit.FINE


@contextmanager
def _opened(invocation: Invocation, source: Session, dsn: str, engine: str, *, read_rows: bool) -> Iterator[Engine]:
    with busy(invocation, "building a twin of the database …"):
        chosen = open_engine(source, dsn, engine, read_rows=read_rows)
    if engine == "auto" and chosen.name != "twin":
        note(invocation, "No twin could be built; HypoPG plans instead.")
    with chosen:
        yield chosen


def try_them(
    source: Session,
    engine: Engine,
    queries: Sequence[str],
    *,
    indexes: Sequence[str],
    dropped: Sequence[str],
    role: str | None,
) -> WhatIf:
    """Plan every query as things are, and with the change."""
    agreed = agreement(source, engine, queries) if isinstance(engine, Twin) and role is None else None
    with engine.trying() as trial:
        before = [_tried(lambda query=query: trial.explain(query, role=role)) for query in queries]
    with engine.trying(indexes, dropped) as trial:
        after = [_tried(lambda query=query: trial.explain(query, role=role)) for query in queries]
        tried = trial.indexes
    return WhatIf(
        engine=engine.name,
        indexes=tried,
        dropped=tuple(dropped),
        outcomes=tuple(_outcome(q, b, a) for q, b, a in zip(queries, before, after, strict=True)),
        agreed=agreed,
        blind=engine.blind if isinstance(engine, Twin) else (),
    )


def _tried(body: Any) -> Explained | str:
    try:
        found: Explained = body()
    except CannotPlan as exc:
        return exc.message
    return found


def _outcome(query: str, before: Explained | str, after: Explained | str) -> Outcome:
    if isinstance(before, str):
        return Outcome(query=query, refused=before)
    if isinstance(after, str):
        return Outcome(query=query, cost_before=before.cost, rows=before.rows, refused=after)
    return Outcome(
        query=query,
        cost_before=before.cost,
        cost_after=after.cost,
        rows=after.rows,
        used=tuple(sorted(after.used)),
    )


def _texts(source: Session, queries: Sequence[str]) -> Iterator[str]:
    for word in queries:
        if word == "-":
            yield from split(sys.stdin.read())
        elif _QUERYID.match(word):
            yield _text_of(source, int(word))
        elif "\n" not in word and len(word) < 1000 and Path(word).is_file():
            yield from split(Path(word).read_text(encoding="utf-8"))
        elif word.lower().endswith(".sql") and " " not in word:
            raise UsageError(f"there is no file {word}")
        else:
            yield from split(word)


def _text_of(source: Session, queryid: int) -> str:
    reading: Any = Observer(source).ask(STATEMENTS)
    if isinstance(reading, Unread):
        raise UsageError(f"query {queryid} cannot be looked up: {reading.reason}", hint=reading.cure)
    found = next((row.query for row in reading.rows if row.queryid == queryid), None)
    if found is None:
        raise UsageError(f"pg_stat_statements knows no query {queryid} in this database", hint="pgrunbook queries")
    return str(found)


def split(text: str) -> list[str]:
    r"""The statements of a text; semicolons within strings, quoted names and comments end none.

    >>> split("select ';' ; -- a;\nselect 2")
    ["select ';'", '-- a;\nselect 2']
    """
    statements, piece = [], ""
    for match in _PIECE.finditer(text):
        if match["end"]:
            statements.append(piece.strip())
            piece = ""
        else:
            piece += match[0]
    statements.append(piece.strip())
    return [one for one in statements if re.sub(r"--[^\n]*|/\*.*?\*/", "", one, flags=re.DOTALL).strip()]


def as_json(found: WhatIf) -> str:
    """One object; costs are the planner's own units."""
    agreed = found.agreed
    return json.dumps(
        {
            "schema_version": 1,
            "engine": found.engine,
            "indexes": [asdict(index) for index in found.indexes],
            "dropped": list(found.dropped),
            "queries": [{**asdict(one), "cost_ratio": one.ratio} for one in found.outcomes],
            "agreement": {
                "queries": len(agreed.compared),
                "same_plan_ratio": agreed.same_ratio,
                "median_cost_error_ratio": agreed.median_cost_error_ratio,
                "confidence": agreed.confidence,
            }
            if agreed is not None
            else None,
            "blind": [{"object": b.object, "reason": b.reason, "cure": b.cure} for b in found.blind],
        },
        ensure_ascii=False,
        indent=2,
    )


def as_text(found: WhatIf) -> str:
    """Lines for people."""
    return "\n".join(clean(line) for line in _lines(found))


def _lines(found: WhatIf) -> Iterator[str]:
    for index in found.indexes:
        if index.refused is not None:
            yield f"Not tried: {_short(index.definition)}: {index.refused}"
        else:
            yield f"Tried: {index.name}, about {_size(index.size_bytes)}: {_short(index.definition)}"
    for name in found.dropped:
        yield f"Left out: {name}"
    yield ""
    for number, one in enumerate(found.outcomes, 1):
        yield f"{number}. {_short(one.query)}"
        if one.refused is not None:
            yield f"   not planned: {one.refused}"
            continue
        change = "unchanged" if one.ratio == 1 else f"{one.ratio or 0:.1%} of it"
        yield f"   cost {one.cost_before:,.2f} → {one.cost_after:,.2f} ({change})"
        yield f"   reads {', '.join(one.used)}" if one.used else "   reads no index"
    yield ""
    yield f"Estimated by the planner ({found.engine}); nothing was built in the database."
    if found.agreed is not None:
        yield f"{found.agreed.in_words()}."
        for differing in (one for one in found.agreed.compared if not one.is_same_plan):
            yield f"  differs: {_short(differing.query)}"
    if found.blind:
        yield f"Not known of the database ({len(found.blind)}), which lowers the confidence:"
        for blind in found.blind[:SHOWN_BLIND]:
            cure = f"  {blind.cure}" if blind.cure else ""
            yield f"  {blind.object + ': ' if blind.object else ''}{blind.reason}{cure}"
        if len(found.blind) > SHOWN_BLIND:
            yield f"  and {len(found.blind) - SHOWN_BLIND} more (--format json lists all)"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARACTERS else line[: SHOWN_CHARACTERS - 1] + "…"


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1024**2:.1f} MB" if size_bytes >= 1024**2 else f"{size_bytes / 1024:.0f} kB"
