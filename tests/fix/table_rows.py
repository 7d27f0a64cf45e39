"""Rows of the catalog readings, to be changed one field at a time: relations, columns, statistics, indexes."""

from __future__ import annotations

import dataclasses
from typing import Any

from pgrunbook.journey.observe.column_statistics import ColumnStatistics
from pgrunbook.journey.observe.columns import Column
from pgrunbook.journey.observe.indexes import Index
from pgrunbook.journey.observe.relations import Relation


def relation(oid: int, schema: str, name: str, **changes: Any) -> Relation:
    base = Relation(
        oid=oid,
        schema=schema,
        name=name,
        kind="r",
        persistence="p",
        is_partition=False,
        parent_oid=None,
        pages=1000,
        estimated_rows=100_000,
        all_visible_pages=0,
        size_bytes=8_192_000,
        toast_pages=None,
        toast_oid=0,
        options=(),
        toast_options=(),
        row_security=False,
        force_row_security=False,
        replica_identity="d",
        owner="postgres",
        readable=True,
        of_extension=False,
        frozen_xid_age=0,
        min_mxid_age=0,
    )
    return dataclasses.replace(base, **changes)


def column(oid: int, table: str, place: int, spec: str, **changes: Any) -> Column:
    """`spec` is name:type."""
    name, _, kind = spec.partition(":")
    schema, _, table_name = table.partition(".")
    base = Column(
        table_oid=oid,
        attnum=place,
        schema=schema,
        table_name=table_name,
        name=name,
        type_oid=0,
        type_name=kind,
        declared_type=kind,
        type_category="A" if kind.endswith("[]") else "R" if kind.endswith("range") else "S",
        type_kind="b",
        base_type_oid=0,
        base_type_name=kind,
        element_type_oid=None,
        type_modifier=-1,
        type_length_bytes=8,
        not_null=name == "id",
        has_default=False,
        generated="",
        identity="",
        collation_oid=0,
        collates_by_bytes=False,
        statistics_readable=True,
    )
    return dataclasses.replace(base, **changes)


def statistics(oid: int, name: str, n_distinct: float, **changes: Any) -> ColumnStatistics:
    """A column whose values are about equally common."""
    base = ColumnStatistics(
        table_oid=oid,
        name=name,
        is_inherited=False,
        null_ratio=0.0,
        average_width_bytes=8,
        n_distinct=n_distinct,
        correlation=0.0,
        most_common_freqs=(),
        most_common_count=0,
        most_common_element_freqs=(),
        most_common_element_count=0,
    )
    return dataclasses.replace(base, **changes)


def index(oid: int, table_oid: int, name: str, *columns: str, **changes: Any) -> Index:
    """A B-tree on plain columns."""
    base = Index(
        oid=oid,
        table_oid=table_oid,
        schema="public",
        name=name,
        table_name="t",
        table_kind="r",
        access_method="btree",
        is_unique=False,
        is_primary=False,
        is_exclusion=False,
        is_valid=True,
        is_ready=True,
        is_live=True,
        is_replica_identity=False,
        is_clustered=False,
        is_immediate=True,
        nulls_not_distinct=False,
        key_count=len(columns),
        attnums=tuple(range(1, len(columns) + 1)),
        columns=columns,
        opclass_oids=(0,) * len(columns),
        opclasses=("int8_ops",) * len(columns),
        opclass_is_default=(True,) * len(columns),
        opclass_options=("",) * len(columns),
        collation_oids=(0,) * len(columns),
        ordering=(0,) * len(columns),
        expression_tree=None,
        predicate_tree=None,
        options=(),
        is_partition=False,
        parent_oid=None,
        constraint_name=None,
        pages=100,
        estimated_rows=100_000,
        size_bytes=819_200,
        of_extension=False,
    )
    return dataclasses.replace(base, **changes)
