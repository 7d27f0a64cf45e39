"""What an index's expression yields, and which keys a GIN index takes from a column: evaluated on samples.

The statistics of an expression exist only once its index is there and analysed.  Until then it is evaluated on values
of its column: the commonest ones and the histogram's bounds, weighed by their frequency; or, where that is allowed, on
rows read from the source, which serves expressions over several columns, too.  Functions of the source run in a session
without powers.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import sql

from pgrunbook.journey.planner.sizes import GinKeys
from pgrunbook.pg.connect import Session

HISTOGRAM_VALUES: Final = 100
COMMON_VALUES: Final = 100
DISTINCT_ENOUGH: Final = 0.9  # of the sampled values stay apart: the expression then has as many values as its column
OPEN_VOCABULARY: Final = 0.3  # of the keys met were met once: further rows bring further keys
_WORD: Final = re.compile(r"'(?:[^']|'')*'|\"((?:[^\"]|\"\")+)\"|([^\W\d][\w$]*)")
_COLUMNS: Final = """/* pgrunbook: columns_of */
select a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod)
from pg_catalog.pg_attribute as a
where a.attrelid = %(oid)s::oid and a.attnum > 0 and not a.attisdropped"""
_VALUES: Final = """/* pgrunbook: values_of */
select s.most_common_vals::text::text[], s.most_common_freqs::float8[], s.histogram_bounds::text::text[],
  s.null_frac::float8, s.n_distinct::float8
from pg_catalog.pg_stats as s
where s.schemaname = %(schema)s and s.tablename = %(table)s and s.attname = %(column)s
order by s.inherited limit 1"""
_ELEMENTS: Final = """/* pgrunbook: elements_of */
select s.most_common_elem_freqs::float8[], s.elem_count_histogram::float8[], s.avg_width::float8
from pg_catalog.pg_stats as s
where s.schemaname = %(schema)s and s.tablename = %(table)s and s.attname = %(column)s
order by s.inherited limit 1"""
_RESTORE: Final = """/* pgrunbook: restore_derived */
select pg_catalog.pg_restore_attribute_stats(
  'schemaname', %(schema)s::text, 'relname', %(name)s::text, 'attnum', %(position)s::int2, 'inherited', false,
  'null_frac', %(null_ratio)s::float4, 'avg_width', %(width)s::int4, 'n_distinct', %(n_distinct)s::float4,
  'most_common_vals', (%(common)s::text[])::text, 'most_common_freqs', %(common_ratios)s::float4[],
  'histogram_bounds', (%(bounds)s::text[])::text,
  'most_common_elems', (%(elements)s::text[])::text, 'most_common_elem_freqs', %(element_ratios)s::float4[])"""
_KEYS_OF: Final = {
    "gin_trgm_ops": "{tools}show_trgm(({e})::text)",
    "tsvector_ops": "tsvector_to_array({e})",
    "jsonb_ops": "array(select j::text from jsonb_path_query({e}, 'strict $.**') as j"
    " where jsonb_typeof(j) not in ('object', 'array'))",
    "jsonb_path_ops": "array(select j::text from jsonb_path_query({e}, 'strict $.**') as j"
    " where jsonb_typeof(j) not in ('object', 'array'))",
    "array_ops": "({e})::text[]",
}
_SHORT_KEYS: Final = {"gin_trgm_ops": 4.0, "jsonb_path_ops": 4.0}

Rows = Callable[[str, str, Sequence[str]], "Sequence[Sequence[str | None]]"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Rows of some columns, as text, each with its share of the table; `n_distinct` is the column's if there is one."""

    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str | None, ...], ...]
    ratios: tuple[float, ...]
    is_common: tuple[bool, ...]
    n_distinct: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """One value of an expression among the sample."""

    text: str
    place: int
    width: float
    ratio: float
    times: int
    is_common: bool


class Samples:
    """Evaluates expressions over tables of the twin.  `read` reads rows of the source, where that is allowed."""

    def __init__(self, admin: Session, powerless: Session, read: Rows | None) -> None:
        self._admin = admin
        self._powerless = powerless
        self._read = read

    def of(self, table_oid: int, schema: str, table: str, expression: str) -> Sample | None:
        """A sample of the columns that an expression names; None where there is none."""
        known: dict[str, str] = dict(self._admin.execute(_COLUMNS, {"oid": table_oid}).fetchall())
        words = {(m[1] or "").replace('""', '"') or m[2] for m in _WORD.finditer(expression) if m[1] or m[2]}
        columns = [(name, str(known[name])) for name in known if name in words]
        if not columns:
            return None
        if self._read is not None:
            rows = [tuple(row) for row in self._read(schema, table, [name for name, _ in columns])]
            if rows:
                return Sample(
                    columns=tuple(columns),
                    rows=tuple(rows),
                    ratios=(1 / len(rows),) * len(rows),
                    is_common=(False,) * len(rows),
                    n_distinct=None,
                )
        return self._from_statistics(schema, table, columns[0]) if len(columns) == 1 else None

    def _from_statistics(self, schema: str, table: str, column: tuple[str, str]) -> Sample | None:
        row = self._admin.execute(_VALUES, {"schema": schema, "table": table, "column": column[0]}).fetchone()
        if row is None:
            return None
        common, ratios, bounds, nulls, distinct = row
        common, ratios, bounds = common or [], ratios or [], bounds or []
        rest = max(0.0, 1 - sum(ratios) - nulls)
        values = [*common, *bounds] + ([None] if nulls > 0 else [])
        shares = [*ratios, *([rest / max(1, len(bounds))] * len(bounds))] + ([nulls] if nulls > 0 else [])
        if not common and not bounds:
            return None
        return Sample(
            columns=(column,),
            rows=tuple((value,) for value in values),
            ratios=tuple(shares),
            is_common=tuple(place < len(common) for place in range(len(values))),
            n_distinct=float(distinct),
        )

    def evaluate(self, sample: Sample, selected: str) -> list[tuple[Any, ...]]:
        """Select expressions for each row of the sample, whose number comes first."""
        names = [sql.Identifier(name) for name, _ in sample.columns]
        casts = [
            sql.SQL("u.{}::{} as {}").format(sql.Identifier(f"v{i}"), sql.SQL(type_name), names[i])
            for i, (_, type_name) in enumerate(sample.columns)
        ]
        numbered = [sql.Identifier(f"v{i}") for i in range(len(names))]
        query = sql.SQL("select n, {} from (select u.n, {} from unnest({}) with ordinality as u({}, n)) as x").format(
            sql.SQL(selected),
            sql.SQL(", ").join(casts),
            sql.SQL(", ").join(
                [sql.SQL("{}::text[]").format(sql.Literal([row[i] for row in sample.rows])) for i in range(len(names))]
            ),
            sql.SQL(", ").join(numbered),
        )
        return self._powerless.execute(query, binary=True).fetchall()

    # --- expressions --------------------------------------------------------------------------------------------------

    def derive(
        self, schema: str, name: str, position: int, expression: str, sample: Sample, *, rows: float, type_name: str
    ) -> bool:
        """Give an index's expression statistics; False where that is impossible."""
        try:
            found = self._seen(sample, expression)
        except psycopg.Error:  # a value that the expression refuses, or a type without an order
            return False
        seen, nulls = found
        if not seen:
            return False
        values = derived(seen, nulls, sample, rows)
        if type_name == "tsvector":
            values |= {"common": None, "common_ratios": None, "bounds": None}
            elements, ratios = self._elements(sample, expression)
            values |= {"elements": elements, "element_ratios": ratios}
        self._admin.execute(
            _RESTORE,
            {"elements": None, "element_ratios": None, **values, "schema": schema, "name": name, "position": position},
        )
        return True

    def _seen(self, sample: Sample, expression: str) -> tuple[list[_Seen], float]:
        text = f"({expression})::text, dense_rank() over (order by ({expression}))::int8, pg_column_size({expression})"
        grouped: dict[str, _Seen] = {}
        nulls = 0.0
        for number, value, place, width in self.evaluate(sample, text):
            ratio, is_common = sample.ratios[number - 1], sample.is_common[number - 1]
            if value is None:
                nulls += ratio
                continue
            old = grouped.get(value)
            grouped[value] = _Seen(
                text=value,
                place=place,
                width=float(width),
                ratio=ratio + (old.ratio if old else 0.0),
                times=1 + (old.times if old else 0),
                is_common=is_common or (old is not None and old.is_common),
            )
        return sorted(grouped.values(), key=lambda one: one.place), nulls

    def _elements(self, sample: Sample, expression: str) -> tuple[list[str] | None, list[float] | None]:
        """Lexemes with their frequencies, in the order that the planner looks them up in: by length, then bytes."""
        ratios: dict[str, float] = defaultdict(float)
        for number, lexemes in self.evaluate(sample, f"tsvector_to_array({expression})"):
            for lexeme in set(lexemes or ()):
                ratios[lexeme] += sample.ratios[number - 1]
        if not ratios:
            return None, None
        kept = sorted(ratios, key=lambda one: -ratios[one])[: COMMON_VALUES * 10]
        kept.sort(key=lambda one: (len(one.encode()), one.encode()))
        shares = [min(1.0, ratios[one]) for one in kept]
        return kept, [*shares, min(shares), max(shares)]

    # --- keys of GIN --------------------------------------------------------------------------------------------------

    def gin_keys(
        self, table_oid: int, schema: str, table: str, expression: str, operator_class: str, *, rows: float
    ) -> GinKeys | None:
        """What a GIN index takes from a column or an expression; None where that is not known."""
        name = expression.strip('"').replace('""', '"')
        row = self._admin.execute(_ELEMENTS, {"schema": schema, "table": table, "column": name}).fetchone()
        if row is not None and row[0]:
            return _keys_of_elements(row, rows)
        function = _KEYS_OF.get(operator_class)
        sample = self.of(table_oid, schema, table, expression) if function is not None else None
        if function is None or sample is None:
            return None
        try:
            found = self.evaluate(sample, function.format(e=expression, tools=self._schema_of("show_trgm")))
        except psycopg.Error:
            return None
        weighed = [(set(keys or ()), sample.ratios[number - 1]) for number, keys in found]
        return keys_of(weighed, operator_class, rows)

    def _schema_of(self, function: str) -> str:
        row = self._admin.execute(
            "select quote_ident(n.nspname) || '.' from pg_proc as p join pg_namespace as n on n.oid = p.pronamespace"
            " where p.proname = %(name)s limit 1",
            {"name": function},
        ).fetchone()
        return str(row[0]) if row else ""


def derived(seen: Sequence[_Seen], nulls: float, sample: Sample, rows: float) -> dict[str, Any]:
    """Statistics of an expression from its values on a sample."""
    total = sum(one.ratio for one in seen)
    rare = [one for one in seen if not one.is_common]
    met = sum(one.times for one in rare)
    stays_apart = sample.n_distinct is not None and (not rare or len(rare) / met > DISTINCT_ENOUGH)
    if stays_apart:
        distinct = sample.n_distinct or -1.0
        common = [one for one in seen if one.is_common]
    else:
        distinct = _distinct(seen, rows)
        common = [one for one in seen if one.is_common or one.times > 1]
    common = sorted(common, key=lambda one: -one.ratio)[:COMMON_VALUES]
    chosen = {one.text for one in common}
    bounds = [one.text for one in seen if one.text not in chosen]
    if len(bounds) > HISTOGRAM_VALUES + 1:
        step = (len(bounds) - 1) / HISTOGRAM_VALUES
        bounds = [bounds[round(place * step)] for place in range(HISTOGRAM_VALUES + 1)]
    return {
        "null_ratio": min(1.0, nulls),
        "width": max(1, round(sum(one.width * one.ratio for one in seen) / max(total, 1e-9))),
        "n_distinct": distinct,
        "common": [one.text for one in common] or None,
        "common_ratios": [min(1.0, one.ratio) for one in common] or None,
        "bounds": bounds if len(bounds) > 1 else None,
    }


def _distinct(seen: Sequence[_Seen], rows: float) -> float:
    """Haas and Stokes' estimator, as ANALYZE has it; a share of the rows where it is large."""
    met = sum(one.times for one in seen)
    once = sum(one.times == 1 for one in seen)
    if once == 0 or rows <= met:
        return float(len(seen))
    estimate = met * len(seen) / (met - once + once * met / rows)
    return -min(1.0, estimate / rows) if estimate > 0.1 * rows else float(round(estimate))


def keys_of(weighed: Sequence[tuple[set[str], float]], operator_class: str, rows: float) -> GinKeys | None:
    """Extrapolate from the keys of sampled rows: open vocabularies grow with the rows, closed ones do not."""
    total = sum(ratio for _, ratio in weighed)
    times: dict[str, int] = defaultdict(int)
    ratios: dict[str, float] = defaultdict(float)
    for keys, ratio in weighed:
        for key in keys:
            times[key] += 1
            ratios[key] += ratio / max(total, 1e-9)
    if not times:
        return None
    items = sum(ratios.values()) * (2 if operator_class == "jsonb_ops" else 1)  # keys are indexed besides values
    once, twice = sum(n == 1 for n in times.values()), sum(n == 2 for n in times.values())
    newness = once / sum(times.values())
    entries = len(times) + once * once / (2 * max(twice, 1))
    if newness > OPEN_VOCABULARY and len(weighed) >= 20:
        entries = max(entries, newness * rows * items * 0.5)
    mean_bytes = sum(len(key.encode()) for key in times) / len(times)
    return GinKeys(
        items_per_row=items,
        entries=min(entries, rows * items),
        key_bytes=_SHORT_KEYS.get(operator_class, mean_bytes),
        key_ratios=tuple(sorted(ratios.values(), reverse=True)[:1000]),
    )


def _keys_of_elements(row: Sequence[Any], rows: float) -> GinKeys:
    """From what ANALYZE keeps of arrays and tsvectors: elements' frequencies, least and greatest (and nulls) last."""
    ratios = sorted((ratio for ratio in row[0][:-2] if ratio > 0), reverse=True)
    items = row[1][-1] if row[1] else sum(ratios) * 1.1
    entries = len(ratios) * 1.3 if len(ratios) < 950 else max(5000.0, rows**0.6)
    return GinKeys(items_per_row=items, entries=entries, key_bytes=8, key_ratios=tuple(ratios))
