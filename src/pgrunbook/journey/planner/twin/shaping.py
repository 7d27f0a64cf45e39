"""Gives an index that was just made the size, the height and the row count that it would have with the rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from pgrunbook.journey.planner import sizes
from pgrunbook.journey.planner.twin import catalog
from pgrunbook.journey.planner.twin.catalog import TwinColumn, TwinIndex
from pgrunbook.journey.planner.twin.files import Files
from pgrunbook.journey.planner.twin.leaves import ends_of
from pgrunbook.journey.planner.twin.samples import Samples
from pgrunbook.pg.connect import Session

# Operator classes whose GiST indexes are built bottom up.
SORTED_GIST: Final = frozenset({"point_ops"})
_ROWS: Final = """/* pgrunbook: index_rows */
select pg_catalog.pg_restore_relation_stats(
  'schemaname', %(schema)s::text, 'relname', %(name)s::text, 'relpages', %(pages)s::int4,
  'reltuples', %(rows)s::float4, 'relallvisible', 0)"""

RowsWhere = Callable[[str, str], float]  # table, predicate: rows that fulfil it, as the planner sees it


class Shaper:
    """Knows the files and asks the planner how many rows a partial index would hold."""

    def __init__(self, admin: Session, files: Files, rows_where: RowsWhere, tools: str, samples: Samples) -> None:
        self._admin = admin
        self._samples = samples
        self._files = files
        self._rows_where = rows_where
        self._rows: dict[tuple[str, str], float] = {}
        self._evict = f"select {tools}.pg_buffercache_evict_relation(%(oid)s::oid::regclass)"

    def shape(self, indexes: Sequence[TwinIndex]) -> dict[int, int]:
        """Shape all that have a file; returns their pages."""
        columns = catalog.columns(self._admin, [index.oid for index in indexes])
        if any(self._derive(index, columns[index.oid]) for index in indexes):
            columns = catalog.columns(self._admin, [index.oid for index in indexes])
        return {index.oid: self._shape(index, columns[index.oid]) for index in indexes if index.path}

    def _derive(self, index: TwinIndex, columns: Sequence[TwinColumn]) -> bool:
        """Whether statistics were found for one of the index's expressions."""
        found = False
        for column in columns:
            if not column.is_expression or column.is_included or not index.path:
                continue
            if index.method == "gin" and column.operator_class != "tsvector_ops":
                continue
            text = self._expression(index, column)
            sample = self._samples.of(index.table_oid, index.table_schema, index.table_label, text)
            if sample is not None:
                found |= self._samples.derive(
                    index.schema,
                    index.name,
                    column.position,
                    text,
                    sample,
                    rows=index.table_rows,
                    type_name="tsvector" if column.operator_class == "tsvector_ops" else "",
                )
        return found

    def _expression(self, index: TwinIndex, column: TwinColumn) -> str:
        row = self._admin.execute(
            "select pg_catalog.pg_get_indexdef(%(oid)s::oid, %(position)s::int4, true)",
            {"oid": index.oid, "position": column.position},
        ).fetchone()
        return str(row[0]) if row else ""

    def _gin_keys(self, index: TwinIndex, column: TwinColumn, rows: float) -> sizes.GinKeys:
        found = self._samples.gin_keys(
            index.table_oid,
            index.table_schema,
            index.table_label,
            self._expression(index, column),
            column.operator_class,
            rows=rows,
        )
        return found if found is not None else sizes.usual_keys(rows, column.sized)

    def _shape(self, index: TwinIndex, columns: Sequence[TwinColumn]) -> int:
        # the planner's own count: reltuples may be as old as the last ANALYZE, the file's length is not
        asked = (index.table, index.predicate or "true")
        rows = self._rows.get(asked)
        if rows is None:
            rows = self._rows[asked] = self._rows_where(*asked)
        self._admin.execute(self._evict.encode(), {"oid": index.oid})  # else the server's copy of the metapage counts
        pages = self._sized(index, columns, rows)
        self._admin.execute(_ROWS, {"schema": index.schema, "name": index.name, "pages": pages, "rows": rows})
        return pages

    def _sized(self, index: TwinIndex, columns: Sequence[TwinColumn], rows: float) -> int:
        sized = [column.sized for column in columns]
        if index.method == "btree":
            deduplicates = index.option("deduplicate_items") not in {"off", "false", "0", "no"}
            shape = sizes.btree(
                rows, sized, fillfactor=index.fillfactor, is_unique=index.is_unique, deduplicates=deduplicates
            )
            ends = ends_of(self._admin, {index.oid: columns}) if not index.predicate else {}
            self._files.shape_btree(index.path, shape, ends.get(index.oid))
            return shape.pages
        if index.method == "gin":
            gin = sizes.gin(
                rows, [self._gin_keys(index, column, rows) for column in columns], heap_pages=index.table_pages
            )
            self._files.shape_gin(index.path, gin)
            return gin.pages
        if index.method == "brin":
            ranges = int(index.option("pages_per_range") or sizes.BRIN_RANGE_PAGES)
            pages = sizes.brin_pages(index.table_pages, sized, range_pages=ranges)
            revmap = sizes.brin_revmap_pages(index.table_pages, range_pages=ranges)
            self._files.shape_brin(index.path, pages, revmap)
            return pages
        if index.method == "hash":
            pages = sizes.hash_pages(rows, sized)
        else:
            is_sorted = all(column.operator_class in SORTED_GIST for column in columns)
            pages = sizes.gist_pages(rows, sized, is_sorted=is_sorted)
        self._files.set_pages(index.path, pages)
        return pages
