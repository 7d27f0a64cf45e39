"""What one statement asks of one table: the values that everything about indexes is reckoned from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Operation(StrEnum):
    """What a condition asks of its key, by what an index would have to do for it."""

    EQUAL = "equal"  # = constant, IN, = ANY(array); with `joined` also = another table's column
    RANGE = "range"  # < <= > >= BETWEEN
    PREFIX = "prefix"  # LIKE 'abc%'
    PATTERN = "pattern"  # LIKE '%abc%', ILIKE, and LIKE with an unknown pattern
    CONTAINS = "contains"  # @> <@ ? ?| ?& && on jsonb, arrays and hstore
    SEARCH = "search"  # @@ of a tsvector
    OVERLAPS = "overlaps"  # && @> <@ and their kin on ranges and geometries
    IS_NULL = "is null"
    NOT_NULL = "is not null"
    IS_TRUE = "is true"
    IS_FALSE = "is false"
    ELEMENT = "element"  # constant = ANY(column): no index can answer it as written
    OTHER = "other"  # filters, but no index answers it


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A column, or an expression on columns of one table, as an index would hold it.

    `sql` is the fragment for CREATE INDEX, `canonical` what is compared with the keys of existing indexes: casts that
    PostgreSQL adds are left out, and a constant that the statement's text no longer shows is `$`.
    `refusal` says why no index can be built on it; "" when one can.  `is_guess`: a hidden constant was guessed.
    """

    sql: str
    canonical: str
    columns: tuple[str, ...]
    is_column: bool
    refusal: str = ""
    is_guess: bool = False

    @property
    def is_known(self) -> bool:
        """Whether every constant in it is known."""
        return "$" not in self.canonical


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicate:
    """One condition on one key.

    `constant` is the other side where the text shows it.  `joined` is the number of the access whose column stands on
    the other side; `joined_key` that column's key.  `values` is how many values a list holds (1 for a single one).
    """

    key: Key
    operation: Operation
    operator: str = ""
    constant: str | None = None
    joined: int | None = None
    joined_key: Key | None = None
    values: int = 1
    by_policy: bool = False

    @property
    def is_equality(self) -> bool:
        """Whether a B-tree can use it before further columns."""
        return self.operation in {Operation.EQUAL, Operation.IS_NULL, Operation.IS_TRUE, Operation.IS_FALSE}


Branch = tuple[Predicate, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderKey:
    """One key of an ORDER BY; `nearest` where it is a distance (`<->`) from a constant."""

    key: Key
    descending: bool = False
    nulls_first: bool = False
    nearest: bool = False


class Writing(StrEnum):
    """How a statement writes to a table."""

    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """A write and the columns that an UPDATE (or ON CONFLICT DO UPDATE, or MERGE) sets."""

    kind: Writing
    columns: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """One occurrence of a table in a statement.

    `predicates` are joined by AND; each of `alternatives` is an OR of branches, of which the rows match one.
    `order` is set where all ORDER BY keys (or the argument of a lone min or max) are of this table and nothing stands
    between its rows and the sort.  `limited`: LIMIT (or FETCH FIRST) of that level.  `is_sole`: no other relation
    stands in its FROM.  `is_result`: the statement returns (or writes) exactly the rows that match here, so that its
    row count measures the conditions.  `columns_used` is None for `*`.
    `rows_hint` bounds the rows that can come from here where the statement itself bounds them.
    """

    number: int
    table_oid: int
    predicates: tuple[Predicate, ...] = ()
    alternatives: tuple[tuple[Branch, ...], ...] = ()
    order: tuple[OrderKey, ...] = ()
    limited: bool = False
    has_offset: bool = False
    groups: tuple[Key, ...] = ()
    columns_used: frozenset[str] | None = frozenset()
    is_sole: bool = False
    is_result: bool = False
    is_secured: bool = False
    write: Write | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Accesses:
    """All of one statement.  `unknown` names relations that were not found, or found more than once.

    `small` are the numbers of joined things that are no tables and give few rows: VALUES, unnest, a LIMITed subquery.
    """

    accesses: tuple[Access, ...]
    unknown: tuple[str, ...] = ()
    small: frozenset[int] = frozenset()
