"""The identifiers of QuizMentor, so that the same data set can be made under entirely other names.

SQL files and scripts write an identifier of the application as `{users}`.  Whoever renames them all takes away every
hint that a name could give: a tool that still finds the same faults has read the database and not the label.  Names
that belong to the platform stay (`auth.uid()`, the schema `extensions`, the roles).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType

from pgrunbook.errors import UsageError

PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")
SAFE = re.compile(r"[a-z_][a-z0-9_]*")
FOLDERS = (("quizmentor", "sql"), ("scripts",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """How the identifiers are called; those that are not in `mapping` keep their own name."""

    mapping: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def renamed(cls, prefix: str) -> Names:
        """Call every identifier `prefix` and a number (in the alphabetical order of the real names)."""
        if not SAFE.fullmatch(prefix):
            raise UsageError(
                f"cannot rename with the prefix {prefix!r}",
                hint="Use small letters, digits and underscores, the first one no digit.",
            )
        return cls(mapping={name: f"{prefix}{number:03d}" for number, name in enumerate(vocabulary(), start=1)})

    def of(self, name: str) -> str:
        """The identifier as the server stores it."""
        return self.mapping.get(name, name)

    def quoted(self, name: str) -> str:
        """The identifier as SQL writes it."""
        given = self.of(name)
        return '"' + given.replace('"', '""') + '"' if self.mapping else given

    def render(self, text: str) -> str:
        """The text with every `{identifier}` filled in."""
        return PLACEHOLDER.sub(lambda found: self.quoted(found[1]), text)


@cache
def vocabulary() -> tuple[str, ...]:
    """Every identifier that the SQL files and the scripts use, in alphabetical order."""
    folder = files("pgrunbook.demo")
    texts = (text for path in FOLDERS for text in _texts(folder.joinpath(*path)))
    return tuple(sorted({name for text in texts for name in PLACEHOLDER.findall(text)}))


def _texts(folder: Traversable) -> Iterable[str]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _texts(entry)
        elif entry.name.endswith(".sql"):
            yield entry.read_text(encoding="utf-8")
