"""Puts back names that pg_stat_statements hides as constants, where a session's own text or the database shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pgrunbook.journey.observe.hidden_constants import HiddenConstants
from pgrunbook.journey.workload.access import Access, Accesses, Key, Predicate
from pgrunbook.model import literal

# Who names a configuration where the database's own is `simple` means another one, and that is English more often than
# all others together; the advice says that it is a guess.
USUAL_CONFIGURATION = "english"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hidden:
    """By queryid: the only text search configuration, and the only JSON key, that its text names."""

    configurations: Mapping[int, str] = field(default_factory=dict)
    json_keys: Mapping[int, str] = field(default_factory=dict)
    default_configuration: str | None = None

    @classmethod
    def of(cls, rows: Iterable[HiddenConstants], default_configuration: str | None) -> Hidden:
        """What is certain in the reading: a text that names two leaves open which stands where."""
        known = tuple(rows)
        return cls(
            configurations={
                row.queryid: row.search_configurations[0] for row in known if len(row.search_configurations) == 1
            },
            json_keys={row.queryid: row.json_keys[0] for row in known if len(row.json_keys) == 1},
            default_configuration=default_configuration,
        )

    def shown(self, accesses: Accesses, queryids: Sequence[int]) -> Accesses:
        """The accesses of a statement with what is known put in."""

        def fill(key: Key) -> Key:
            return self._filled(key, queryids)

        return replace(accesses, accesses=tuple(_with_keys(access, fill) for access in accesses.accesses))

    def _filled(self, key: Key, queryids: Sequence[int]) -> Key:
        if key.is_known or key.canonical.count("$") != 1:
            return key
        if key.canonical.startswith("to_tsvector($,"):
            name = _first(self.configurations, queryids)
            if name is not None:
                return _put(key, literal(name))
            return self._guessed(key)
        name = _first(self.json_keys, queryids)
        return _put(key, literal(name)) if name is not None and "-> $)" in key.canonical.replace("->>", "->") else key

    def _guessed(self, key: Key) -> Key:
        default = self.default_configuration
        if default is None:
            return key
        return replace(_put(key, literal(USUAL_CONFIGURATION if default == "simple" else default)), is_guess=True)


def _first(names: Mapping[int, str], queryids: Sequence[int]) -> str | None:
    return next((names[queryid] for queryid in queryids if queryid in names), None)


def _put(key: Key, text: str) -> Key:
    return replace(key, sql=key.sql.replace("NULL", text, 1), canonical=key.canonical.replace("$", text, 1))


def _with_keys(access: Access, fill: Callable[[Key], Key]) -> Access:
    def filled(predicate: Predicate) -> Predicate:
        return replace(predicate, key=fill(predicate.key))

    return replace(
        access,
        predicates=tuple(filled(p) for p in access.predicates),
        alternatives=tuple(tuple(tuple(filled(p) for p in b) for b in group) for group in access.alternatives),
        order=tuple(replace(o, key=fill(o.key)) for o in access.order),
    )
