"""Copies of indexes, and indexes that only look like copies."""

from tests.exam.case import Decoy, Fault

TABLE = (
    "create table item (id int primary key, sku text, price numeric, tags text[])",
    "insert into item select g, 'sku' || g, g % 100, '{a,b}' from generate_series(1, 20000) as g",
    "analyze item",
)

CASES: list[Fault | Decoy] = [
    Fault(
        name="the same index twice",
        check="duplicate_index",
        object="public.item_price_again",
        sql=(*TABLE, "create index item_price on item (price)", "create index item_price_again on item (price)"),
    ),
    Fault(
        name="a copy of the primary key",
        check="duplicate_index",
        object="public.item_id_again",
        sql=(*TABLE, "create unique index item_id_again on item (id)"),
    ),
    Fault(
        name="a copy of an expression index",
        check="duplicate_index",
        object="public.item_low_b",
        sql=(
            *TABLE,
            "create index item_low_a on item (lower(sku))",
            "create index item_low_b on item ( lower( sku ) )",
        ),
    ),
    Decoy(
        name="same columns, other direction, operator class, predicate, method",
        sql=(
            *TABLE,
            "create index a on item (sku)",
            "create index b on item (sku text_pattern_ops)",
            "create index c on item (sku) where price > 50",
            "create index d on item using hash (sku)",
            "select count(*) from item",
        ),
    ),
]
