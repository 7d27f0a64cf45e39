"""SQL that makes the partitions of a range by time that are missing, and moves rows out of the DEFAULT partition."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pgrunbook.journey.diagnose.index_advice import Taken
from pgrunbook.journey.diagnose.partition_bounds import Step, coming
from pgrunbook.journey.observe.partitions import Partition
from pgrunbook.journey.observe.relations import Relation
from pgrunbook.journey.steps.create_index import NAME_BYTES
from pgrunbook.model import Advice, Lock, dotted, literal, quote


def create_partitions(
    parent: Relation, key_type: str, last: datetime, step: Step, *, now: datetime, taken: Taken
) -> Advice:
    """The partitions from the end of the newest one until a step ahead of now."""
    made: list[str] = []
    dropped: list[str] = []
    for low, high in coming(last, step, now):
        name = dotted(parent.schema, _name(parent, low, step, taken))
        made.append(
            f"CREATE TABLE {name} PARTITION OF {parent.qualified}"
            f" FOR VALUES FROM ('{_bound(low, key_type)}') TO ('{_bound(high, key_type)}');"
        )
        dropped.insert(0, _drop_if_empty(name))
    return Advice(
        title=f"Create the partitions of {parent.qualified} that are missing",
        sql="\n".join(made),
        undo_sql="\n".join(dropped),
        lock=Lock.ACCESS_EXCLUSIVE,
        risk="The table is locked for a moment; it fails while DEFAULT holds rows of that time.  Something should make"
        " partitions regularly, such as pg_partman or a scheduled job.",
    )


def move_rows(parent: Relation, default: Partition, step: Step, columns: Sequence[str], *, low: datetime) -> Advice:
    """Detach DEFAULT, make a partition for each step that has rows in it, move them, attach it again."""
    key, listed = quote(default.key_column), ", ".join(quote(column) for column in columns)
    if step.months:
        start = f"date_trunc('month', {key}) - make_interval(months => ((extract(year FROM {key})::int * 12"
        start += f" + extract(month FROM {key})::int - {low.year * 12 + low.month}) % {step.months}"
        start += f" + {step.months}) % {step.months})"
    else:
        origin = f"'{low.isoformat(sep=' ')}'::timestamptz"
        seconds = step.length.total_seconds()
        start = f"{origin} + floor(extract(epoch FROM ({key} - {origin})) / {seconds}) * interval '{step.interval}'"
    stem = parent.name.encode()[: NAME_BYTES - len("_p20260101_000000")].decode(errors="ignore")
    sql = f"""BEGIN;
SET LOCAL timezone = 'UTC';
ALTER TABLE {parent.qualified} DETACH PARTITION {default.qualified};
DO $move$ DECLARE low timestamp; BEGIN
  FOR low IN SELECT DISTINCT ({start})::timestamp FROM {default.qualified} WHERE {key} IS NOT NULL ORDER BY 1
  LOOP EXECUTE format('CREATE TABLE %I.%I PARTITION OF %I.%I FOR VALUES FROM (%L) TO (%L)',
      {literal(parent.schema)}, {literal(stem)} || to_char(low, '"_p"YYYYMMDD_HH24MISS'),
      {literal(parent.schema)}, {literal(parent.name)},
      low::{default.key_type}, (low + interval '{step.interval}')::{default.key_type}); END LOOP; END $move$;
INSERT INTO {parent.qualified} ({listed}) OVERRIDING SYSTEM VALUE
  SELECT {listed} FROM {default.qualified} WHERE {key} IS NOT NULL;
DELETE FROM {default.qualified} WHERE {key} IS NOT NULL;
ALTER TABLE {parent.qualified} ATTACH PARTITION {default.qualified} DEFAULT;
COMMIT;"""
    return Advice(
        title=f"Move the rows of {default.qualified} to partitions of their own",
        sql=sql,
        lock=Lock.ACCESS_EXCLUSIVE,
        risk="The table is locked until all rows are moved; if anything fails, nothing is changed.",
    )


def _name(parent: Relation, low: datetime, step: Step, taken: Taken) -> str:
    """`events_p20260101`, with the time where partitions are shorter than a day; cut to what fits."""
    used = taken.setdefault(parent.schema, set())
    ending = f"_p{low:%Y%m%d}" if step.months or step.length.days else f"_p{low:%Y%m%d_%H%M%S}"
    stem = parent.name.encode(errors="surrogateescape")[: NAME_BYTES - len(ending) - 2].decode(errors="ignore")
    name = next(n for n in (stem + ending + extra for extra in ("", *map(str, range(1, 100)))) if n not in used)
    used.add(name)
    return name


def _bound(moment: datetime, key_type: str) -> str:
    if key_type == "date":
        return f"{moment:%Y-%m-%d}"
    return moment.isoformat(sep=" ") if "with time zone" in key_type else moment.replace(tzinfo=None).isoformat(sep=" ")


def _drop_if_empty(name: str) -> str:
    """Drop a partition again, but never one that has rows by then."""
    return (
        f"DO $undo$ BEGIN IF EXISTS (SELECT FROM {name}) THEN RAISE EXCEPTION 'it has rows by now'; END IF;"
        f" DROP TABLE {name}; END $undo$;"
    )
