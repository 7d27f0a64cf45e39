"""SQL files that know from which major they serve: `<name>.pg14.sql`, `<name>.pg17.sql`.

The largest number not above the server wins.  This is the only place that compares majors.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pgrunbook.errors import RunbookError, Unsupported

_FILE = re.compile(r"(?P<name>[a-z0-9_]+)\.pg(?P<since>\d+)\.sql\Z")


@dataclass(frozen=True, slots=True)
class SqlFile:
    """All versions of one statement, newest first."""

    name: str
    texts: tuple[tuple[int, str], ...]

    def text_for(self, major: int) -> str:
        """The text with the largest first major that is not above `major`."""
        for since, text in self.texts:
            if since <= major:
                return text
        oldest = self.texts[-1][0]
        raise Unsupported(
            f"{self.name} needs PostgreSQL {oldest} or newer; this server is {major}",
            hint="pgrunbook supports PostgreSQL 14 to 18.",
        )


@cache
def load(folder: Path, name: str) -> SqlFile:
    """Read every version of the statement `name` in `folder`."""
    found = []
    for path in folder.glob(f"{name}.pg*.sql"):
        if (match := _FILE.match(path.name)) and match["name"] == name:
            found.append((int(match["since"]), path.read_text(encoding="utf-8")))
    if not found:
        raise RunbookError(f"no SQL file {name}.pg*.sql in {folder}")
    return SqlFile(name, tuple(sorted(found, reverse=True)))
