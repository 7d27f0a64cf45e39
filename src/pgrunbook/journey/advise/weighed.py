"""The statements to advise for, what each asks of each table and how much it weighs; what was left out, and why.

From a file (a comment `-- weight: N` before a statement, 1 without), or from pg_stat_statements.  Statements that
differ in constants only are one: its text is the first's, its weight the sum.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pgrunbook.errors import UsageError
from pgrunbook.journey.advise.row_limits import ways
from pgrunbook.journey.workload.access import Access, Accesses, Predicate
from pgrunbook.journey.workload.catalog import Catalog
from pgrunbook.journey.workload.demand import Asked, SearchPaths, TextStatement, Workload
from pgrunbook.journey.workload.walk import accesses_of
from pgrunbook.model import Blind, Snapshot, dotted
from pgrunbook.pg.parse import ParseFailed, Parser
from pgrunbook.pg.planned import PLANNED, explainable
from pgrunbook.pg.split import Piece, pieces

_WEIGHT = re.compile(r"\bweight\s*[:=]\s*([0-9]+(?:\.[0-9]+)?)", re.IGNORECASE)
EXCERPT_CHARS = 60
SHARE_MIN = 0.0005  # of all time: what takes less cannot pay for an index


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """One statement.  `weight` is how often it counts beside the others; of a counted one, its share of all time.

    `settings` are those of its sessions that decide what it means (search_path), `role` whose policies count.
    """

    text: str
    asked: Asked
    weight: float
    settings: Mapping[str, str] = field(default_factory=dict)
    role: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """All statements, what nobody could advise for, and the workload as other judges take it."""

    statements: tuple[Weighed, ...]
    blind: tuple[Blind, ...]
    workload: Workload


def read_file(text: str) -> Iterator[tuple[TextStatement, Piece]]:
    """The statements of a workload file with their weights."""
    for piece in pieces(text):
        found = [m for comment in piece.comments for m in _WEIGHT.finditer(comment)]
        yield TextStatement(text=piece.text, weight=float(found[-1].group(1)) if found else 1.0), piece


def demand_of_file(text: str, parser: Parser, catalog: Catalog) -> Demand:
    """The statements of a file.  One that cannot be used gives one line in `blind`; the others go on."""
    blind: list[Blind] = []
    groups: dict[str, list[tuple[TextStatement, Accesses]]] = {}
    for statement, piece in read_file(text):
        where = f"line {piece.line}: {excerpt(statement.text)}"
        if statement.weight <= 0:
            continue
        try:
            tree = parser.statement(statement.text)
            print_ = parser.fingerprint(statement.text)
        except ParseFailed as exc:
            blind.append(Blind(reason=f"{where}: cannot be parsed: {exc}"))
            continue
        if not PLANNED & tree.keys():
            blind.append(Blind(reason=f"{where}: is no query, so that no index can help it"))
            continue
        found = accesses_of(tree, catalog)
        if found.unknown:
            names = ", ".join(found.unknown)
            blind.append(Blind(reason=f"{where}: {names}: no such table is known here"))
            continue
        groups.setdefault(print_, []).append((statement, found))
    statements = tuple(_from_texts(group) for group in groups.values())
    workload = Workload(asked=tuple(s.asked for s in statements), total_ms=0.0)
    return Demand(statements=statements, blind=tuple(blind), workload=workload)


def usable(demand: Demand) -> Demand:
    """The demand of a file, which must hold something to advise for.  Raises UsageError."""
    if not demand.statements:
        first, *more = [blind.reason for blind in demand.blind] or ["all weights are 0"]
        rest = f" (and {len(more)} more)" if more else ""
        raise UsageError(
            f"no statement of the workload can be used: {first}{rest}",
            hint="It takes SELECT, INSERT, UPDATE, DELETE and MERGE on tables of this database.",
        )
    return demand


def demand_of_counted(snapshot: Snapshot, workload: Workload, catalog: Catalog, parser: Parser) -> Demand:
    """The statements that the server has counted; each weighs as much as the time it took.

    One that is planned in several ways is there several times, its time shared.
    """
    paths, total_ms = SearchPaths(snapshot), max(workload.total_ms, 1e-9)
    kept = [asked for asked in workload.asked if asked.total_ms / total_ms >= SHARE_MIN]
    statements = []
    for asked in kept:
        texts = ways(explainable(asked.query), asked, parser)
        statements += [
            Weighed(
                text=text,
                asked=replace(asked, total_ms=asked.total_ms / len(texts)),
                weight=asked.total_ms / total_ms / len(texts),
                settings=_path(paths.of(asked.role)),
                role=asked.role if _has_policies(asked, catalog) else None,
            )
            for text in texts
        ]
    return Demand(statements=tuple(statements), blind=(), workload=workload)


def _has_policies(asked: Asked, catalog: Catalog) -> bool:
    return any(catalog.tables[access.table_oid].relation.row_security for access in asked.accesses.accesses)


def excerpt(text: str) -> str:
    """The beginning of a statement on one line."""
    line = " ".join(text.split())
    return line if len(line) <= EXCERPT_CHARS else f"{line[: EXCERPT_CHARS - 1]}…"


def _path(schemas: Sequence[str]) -> Mapping[str, str]:
    return {"search_path": ", ".join(dotted(name) for name in schemas if name)} if schemas else {}


def _from_texts(group: Sequence[tuple[TextStatement, Accesses]]) -> Weighed:
    first, weight = group[0][0], sum(statement.weight for statement, _ in group)
    asked = Asked(
        queryids=(),
        role=None,
        query=first.text,
        calls=max(1, round(weight)),
        total_ms=0.0,
        rows=0,
        blocks=0,
        accesses=_common([accesses for _, accesses in group]),
    )
    return Weighed(text=explainable(first.text), asked=asked, weight=weight)


def _common(many: Sequence[Accesses]) -> Accesses:
    """What the same statement with several constants asks: constants that differ are not shown."""
    shown = many[0]
    for other in many[1:]:
        if len(other.accesses) == len(shown.accesses):
            shown = replace(
                shown,
                accesses=tuple(_alike(a, b) for a, b in zip(shown.accesses, other.accesses, strict=True)),
            )
    return shown


def _alike(one: Access, other: Access) -> Access:
    theirs = Counter(_named(p) for p in other.predicates)
    return replace(
        one,
        predicates=tuple(p if theirs[_named(p)] else replace(p, constant=None) for p in one.predicates),
    )


def _named(predicate: Predicate) -> tuple[str, str, str | None]:
    return predicate.key.canonical, predicate.operation.value, predicate.constant


def tables_of(statements: Iterable[Weighed]) -> frozenset[int]:
    """The tables that the statements speak of."""
    return frozenset(access.table_oid for s in statements for access in s.asked.accesses.accesses)
