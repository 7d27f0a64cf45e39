"""The memory of the server's machine, as its own kernel tells it (Linux; a superuser or pg_read_server_files)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pgrunbook.model import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One row.  `group_limit_bytes` is the limit of the container in which the server runs, if there is one."""

    memory_bytes: int | None
    available_bytes: int | None
    group_limit_bytes: int | None

    @property
    def usable_bytes(self) -> int | None:
        """What the server may use at most."""
        known = [size for size in (self.memory_bytes, self.group_limit_bytes) if size]
        return min(known) if known else None


MACHINE = Question(
    name="machine",
    row=Machine,
    folder=Path(__file__).parent,
    cure="Write it into pgrunbook.toml: [expect] memory_bytes = …",
)
