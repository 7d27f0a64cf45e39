"""What only the person who asks can know, and what a machine beside the server says of itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from pgrunbook.errors import UsageError

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(kB|MB|GB|TB|kiB|MiB|GiB|TiB|K|M|G|T)?B?\s*\Z", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


class Storage(StrEnum):
    """What the data lies on."""

    SSD = "ssd"
    HDD = "hdd"
    NETWORK = "network"


class Workload(StrEnum):
    """What the database is for: many short statements, a few long ones, or both."""

    WEB = "web"
    MIXED = "mixed"
    WAREHOUSE = "warehouse"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """The server's machine, as seen from beside the server."""

    where: str
    memory_bytes: int | None
    cores: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Everything that was said on the command line or in the configuration; None means unknown.

    `every_s` is how often a busy table should be vacuumed.  `instances` and `client_pool_size` describe the
    application's own pools, `pooler_version` the PgBouncer in front, `address` where it finds the server.
    """

    memory_bytes: int | None = None
    cores: int | None = None
    storage: Storage | None = None
    workload: Workload | None = None
    host: HostFacts | None = None
    every_s: float = 6 * 3600.0
    instances: int | None = None
    client_pool_size: int | None = None
    pooler_version: tuple[int, ...] | None = None
    address: str = ""


def size_bytes(text: str) -> int:
    """A size as people write it, in units of 1024.

    >>> size_bytes("16GB"), size_bytes("512 MB"), size_bytes("1.5g")
    (17179869184, 536870912, 1610612736)
    """
    match = _SIZE.match(text)
    found = round(float(match[1]) * 1024 ** _POWERS[(match[2] or "")[:1].lower()]) if match is not None else 0
    if found < 1024**2:
        raise UsageError(f"{text!r} is no size of memory", hint="Give it as 16GB or 512MB.")
    return found


def version_numbers(text: str) -> tuple[int, ...]:
    """A version of PgBouncer, comparable.

    >>> version_numbers("1.22.1"), version_numbers("PgBouncer 1.18")
    ((1, 22, 1), (1, 18))
    """
    numbers = tuple(int(part) for part in re.findall(r"\d+", text))
    if len(numbers) < 2:
        raise UsageError(f"{text!r} is no version of PgBouncer", hint="Give it as 1.22; SHOW VERSION on its console.")
    return numbers
