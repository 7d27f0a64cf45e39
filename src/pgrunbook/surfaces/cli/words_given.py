"""Sorts the words after a command: which is the DSN, which a plan, which are ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pgrunbook.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the words are."""

    dsn: str | None = None
    plan: Path | None = None
    ids: tuple[str, ...] = ()


def sort_out(words: Sequence[str]) -> Given:
    """A word with :// or = is the DSN, an existing .json file a plan, any other an id.

    >>> sort_out(["3fa9c1d2", "host=db dbname=shop"])
    Given(dsn='host=db dbname=shop', plan=None, ids=('3fa9c1d2',))
    """
    dsns = [word for word in words if is_dsn(word)]
    plans = [Path(word) for word in words if word not in dsns and word.endswith(".json")]
    ids = tuple(word for word in words if word not in dsns and not word.endswith(".json"))
    if len(dsns) > 1:
        raise UsageError("more than one DSN was given")
    if len(plans) > 1 or (plans and ids):
        raise UsageError("give one plan, or ids of findings, not both")
    if plans and not plans[0].is_file():
        raise UsageError(f"there is no plan {plans[0]}", hint="pgrunbook plan -o FILE writes one.")
    return Given(dsn=dsns[0] if dsns else None, plan=plans[0] if plans else None, ids=ids)


def is_dsn(word: str) -> bool:
    """Whether a word is a DSN rather than a name."""
    return "://" in word or "=" in word
