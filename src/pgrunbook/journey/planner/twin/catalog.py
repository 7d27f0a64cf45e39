"""What the twin's own catalog says of tables and indexes: where their files are, and what the size model must know."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pgrunbook.journey.planner.sizes import BTREE_FILLFACTOR, IndexColumn
from pgrunbook.model import dotted
from pgrunbook.pg import sqlfile
from pgrunbook.pg.connect import Session, into

Row = TypeVar("Row")
TWIN_MAJOR = 18
_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinTable:
    """A table with a file."""

    oid: int
    schema: str
    name: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinIndex:
    """An index; `path` is "" for one on a partitioned table."""

    oid: int
    table_oid: int
    schema: str
    name: str
    kind: str
    method: str
    is_unique: bool
    predicate: str
    options: tuple[str, ...]
    path: str
    table_rows: float
    table_pages: int
    table_schema: str
    table_label: str

    @property
    def table(self) -> str:
        """The table's qualified name."""
        return dotted(self.table_schema, self.table_label)

    def option(self, name: str) -> str | None:
        """A storage parameter."""
        return next((o.partition("=")[2] for o in self.options if o.startswith(f"{name}=")), None)

    @property
    def fillfactor(self) -> int:
        """How full its leaves are made."""
        return int(self.option("fillfactor") or BTREE_FILLFACTOR)


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinColumn:
    """One column of an index, with the statistics of what it holds."""

    index_oid: int
    position: int
    type_name: str
    length_bytes: int
    alignment: str
    width_bytes: float | None
    n_distinct: float | None
    null_ratio: float
    common_ratios: tuple[float, ...]
    deduplicates: bool
    is_included: bool
    is_expression: bool
    operator_class: str

    @property
    def sized(self) -> IndexColumn:
        """What the size model takes."""
        known = {"width_bytes": self.width_bytes} if self.width_bytes is not None else {}
        return IndexColumn(
            length_bytes=self.length_bytes,
            alignment=self.alignment,
            n_distinct=self.n_distinct,
            null_ratio=self.null_ratio,
            common_ratios=self.common_ratios,
            deduplicates=self.deduplicates,
            is_included=self.is_included,
            **known,
        )


def ask(conn: Session, name: str, row: type[Row], params: Mapping[str, object]) -> list[Row]:
    """The rows of one of the SQL files beside this module."""
    text: Any = sqlfile.load(_HERE, name).text_for(TWIN_MAJOR)
    with conn.cursor(row_factory=into(row)) as cursor:
        return cursor.execute(text, params).fetchall()


def indexes(conn: Session, oids: Sequence[int] | None = None) -> list[TwinIndex]:
    """These indexes, or all of the user's."""
    return ask(conn, "indexes", TwinIndex, {"oids": list(oids) if oids is not None else None})


def tables(conn: Session) -> list[TwinTable]:
    """All tables of the user's that have a file."""
    return ask(conn, "tables", TwinTable, {})


def columns(conn: Session, oids: Sequence[int]) -> dict[int, list[TwinColumn]]:
    """The columns of these indexes, in order."""
    found: dict[int, list[TwinColumn]] = defaultdict(list)
    for column in ask(conn, "index_columns", TwinColumn, {"oids": list(oids)}):
        found[column.index_oid].append(column)
    return found
