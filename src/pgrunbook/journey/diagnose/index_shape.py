"""What makes two indexes alike: their columns one by one, with all that decides whether one can stand for the other."""

from __future__ import annotations

from dataclasses import dataclass

from pgrunbook.journey.observe.indexes import Index

_REVERSED = 3  # both bits of indoption: DESC and NULLS FIRST; an index read backwards has both turned


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One key column: a column's number, or an expression's tree; operator class with its options, collation, order."""

    attnum: int
    expression: str
    opclass_oid: int
    opclass_options: str
    collation_oid: int
    ordering: int

    def backwards(self) -> Part:
        """The same column as a scan from the other end meets it."""
        return Part(
            attnum=self.attnum,
            expression=self.expression,
            opclass_oid=self.opclass_oid,
            opclass_options=self.opclass_options,
            collation_oid=self.collation_oid,
            ordering=self.ordering ^ _REVERSED,
        )


def key_parts(index: Index) -> tuple[Part, ...]:
    """The key columns in order."""
    tree = index.expression_tree or ""
    expressions = iter([tree[1:-1]] if index.attnums.count(0) == 1 else split_nodes(tree))
    return tuple(
        Part(
            attnum=attnum,
            expression="" if attnum else next(expressions, ""),
            opclass_oid=index.opclass_oids[place],
            opclass_options=index.opclass_options[place],
            collation_oid=index.collation_oids[place],
            ordering=index.ordering[place],
        )
        for place, attnum in enumerate(index.attnums[: index.key_count])
    )


def included(index: Index) -> frozenset[int]:
    """The numbers of the INCLUDE columns."""
    return frozenset(index.attnums[index.key_count :])


def split_nodes(tree: str) -> list[str]:
    r"""The members of a list of nodes as pg_node_tree prints it; a backslash escapes a brace that belongs to a name.

    >>> split_nodes("({VAR :x 1} {F :args ({VAR :x 2})})")
    ['{VAR :x 1}', '{F :args ({VAR :x 2})}']
    """
    found: list[str] = []
    depth = start = 0
    escaped = False
    for place, sign in enumerate(tree):
        if escaped:
            escaped = False
        elif sign == "\\":
            escaped = True
        elif sign == "{":
            if depth == 0:
                start = place
            depth += 1
        elif sign == "}":
            depth -= 1
            if depth == 0:
                found.append(tree[start : place + 1])
    return found


def begins_like(short: Index, long: Index) -> bool:
    """Whether the keys of `short` are the first keys of `long`, in the same order or all of them turned round."""
    few, many = key_parts(short), key_parts(long)[: short.key_count]
    return few == many or few == tuple(part.backwards() for part in many)
