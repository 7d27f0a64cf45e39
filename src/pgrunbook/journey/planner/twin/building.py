"""Builds a twin: a server, the schema, the statistics, files of the true sizes, and the planner's settings."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from pgrunbook.errors import Refused, Unsupported
from pgrunbook.journey.observe.observer import Observer
from pgrunbook.journey.planner.sizes import Btree, btree_levels
from pgrunbook.journey.planner.twin import catalog
from pgrunbook.journey.planner.twin.catalog import TwinColumn, TwinIndex, TwinTable
from pgrunbook.journey.planner.twin.disarm import disarm, give_away
from pgrunbook.journey.planner.twin.ends import with_true_ends
from pgrunbook.journey.planner.twin.extended import restore_extended
from pgrunbook.journey.planner.twin.files import Files
from pgrunbook.journey.planner.twin.leaves import Ends, ends_of
from pgrunbook.journey.planner.twin.reading import Facts, read_facts
from pgrunbook.journey.planner.twin.statistics import restore_statistics
from pgrunbook.lab import Cluster, embedded_binaries, start_cluster
from pgrunbook.lab.schema import SchemaCopy, copy_schema
from pgrunbook.model import Blind, Server
from pgrunbook.pg.connect import Session, connect

TOOLS: Final = "pgrunbook_tools"
SCRATCH_SETTINGS: Final = {
    "autovacuum": "off",  # with it on, CREATE INDEX would overwrite the table's restored row count
    "bgwriter_lru_maxpages": "0",
    "checkpoint_timeout": "1d",
    "event_triggers": "off",
    "full_page_writes": "off",
    "jit": "off",
    "max_connections": "20",
    "max_locks_per_transaction": "4096",  # a statement locks every index of its tables, tried ones included
    "max_parallel_maintenance_workers": "0",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "shared_buffers": "64MB",
    "synchronous_commit": "off",
    "track_activities": "off",
    "track_counts": "off",
    "wal_level": "minimal",
}
# What the planner can do in 18 and could not when the source's major was made.
NEWER_FEATURES: Final = (
    (16, ("enable_presorted_aggregate",)),
    (17, ("enable_group_by_reordering",)),
    (18, ("enable_self_join_elimination", "enable_distinct_reordering")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A running twin of one database."""

    copy: SchemaCopy
    files: Files
    source: Server
    blind: tuple[Blind, ...]
    seconds: dict[str, float]


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def timing(self, what: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[what] = round(time.perf_counter() - started, 3)


def build(source: Session, *, told: Callable[[str], None]) -> tuple[Cluster, Built]:
    """Make the twin of the database that `source` is connected to; who calls stops the cluster.

    Raises Refused where its schema cannot be copied.
    """
    observer = Observer(source)
    server = observer.server
    if server.through_pooler:
        raise Refused(
            "the connection goes through a pooler, where reading the schema would leave settings to other clients",
            hint="Give the DSN of the server itself.",
        )
    binaries = embedded_binaries()
    if server.major > binaries.major:
        raise Unsupported(
            f"the twin plans as PostgreSQL {binaries.major} does; the database runs on {server.major}",
            hint="Use --engine hypopg.",
        )
    clock = _Clock()
    told("starting a server for the twin")
    with clock.timing("start_s"):
        cluster = start_cluster(binaries=binaries, settings=SCRATCH_SETTINGS, prefix="pgrb-twin", checksums=False)
    try:
        return cluster, _fill(cluster, source, observer, clock, told)
    except BaseException:
        cluster.stop("immediate")
        raise


def _fill(cluster: Cluster, source: Session, observer: Observer, clock: _Clock, told: Callable[[str], None]) -> Built:
    told("copying the schema")
    with clock.timing("schema_s"):
        copy = copy_schema(source, cluster, own_locale=True)
    told("reading statistics")
    with clock.timing("read_s"):
        facts = read_facts(observer)
        facts = replace(facts, statistics=with_true_ends(source, observer, facts.statistics))
    with connect(copy.dsn(), station="twin") as admin, clock.timing("statistics_s"):
        blind = restore_statistics(admin, facts)
        blind += restore_extended(admin, facts)
        disarm(admin, user=copy.user, passes_row_security=_passes_row_security(source))
        give_away(admin)
        admin.execute(f"create schema {TOOLS}")
        admin.execute(f"create extension pg_buffercache schema {TOOLS}")
        tables, indexes = catalog.tables(admin), catalog.indexes(admin)
        columns = catalog.columns(admin, [index.oid for index in indexes])
        admin.execute("set timezone = 'UTC'; set datestyle = 'ISO'")
        ends = ends_of(admin, columns)
        known = {row[0] for row in admin.execute("select name from pg_catalog.pg_settings").fetchall()}
    files = Files(cluster.data_dir, cluster.home.account)
    with clock.timing("sizes_s"):
        cluster.shutdown()
        _lengthen(files, facts=facts, tables=tables, indexes=indexes, columns=columns, ends=ends)
        settings = {name: value for name, value in facts.settings.items() if name in known}
        for since, names in NEWER_FEATURES:
            if observer.server.major < since:
                settings |= dict.fromkeys(names, "off")
        cluster.settings.update(settings)
        cluster.start()
    blind += [Blind(object=item.what, reason=item.reason) for item in copy.left_out]
    blind += [Blind(object=what, reason="a stand-in: what it computes is not known here") for what in copy.stand_ins]
    return Built(copy=copy, files=files, source=observer.server, blind=(*facts.blind, *blind), seconds=clock.seconds)


def _passes_row_security(source: Session) -> bool:
    row = source.execute(
        "select rolsuper or rolbypassrls from pg_catalog.pg_roles where rolname = current_user"
    ).fetchone()
    return bool(row and row[0])


def _lengthen(
    files: Files,
    *,
    facts: Facts,
    tables: list[TwinTable],
    indexes: list[TwinIndex],
    columns: dict[int, list[TwinColumn]],
    ends: dict[int, Ends],
) -> None:
    """Give every file the length that it has on the source, and every B-tree a height."""
    pages = {(row.schema, row.name): facts.pages.get(row.oid, row.pages) for row in facts.relations}
    for table in tables:
        length = pages.get((table.schema, table.name), 0)
        files.set_pages(table.path, length)
        if length > 0:
            files.make_first_page_visible(table.path)
    for index in indexes:
        length = pages.get((index.schema, index.name), 0)
        if not index.path or length <= 1:
            continue
        if index.method == "btree":
            levels = btree_levels(length, [column.sized for column in columns[index.oid]])
            files.shape_btree(index.path, Btree(pages=length, levels=levels), ends.get(index.oid))
        else:
            files.set_pages(index.path, length)
