"""Tables that are message queues as the extension pgmq makes them, by its own hand or by a copy of its SQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.columns import COLUMNS
from pgrunbook.journey.observe.relations import RELATIONS, Relation

SCHEMA = "pgmq"
_PREFIX = "q_"
_COLUMNS = frozenset({"msg_id", "read_ct", "vt", "message"})  # of every queue that pgmq has made since 0.1


def queue_tables(seen: Seen) -> frozenset[int]:
    """The OIDs of queues: named q_*, and in schema pgmq or with its columns."""
    columns: dict[int, set[str]] = defaultdict(set)
    for column in seen.rows(COLUMNS):
        if column.table_name.startswith(_PREFIX):
            columns[column.table_oid].add(column.name)
    return frozenset(
        relation.oid
        for relation in seen.rows(RELATIONS)
        if relation.kind in {"r", "p"}
        and relation.name.startswith(_PREFIX)
        and (relation.schema == SCHEMA or columns[relation.oid] >= _COLUMNS)
    )


def is_queue(relation: Relation, queues: Collection[int]) -> bool:
    """Whether the relation is one of these, or a partition of one."""
    return relation.oid in queues or relation.parent_oid in queues
