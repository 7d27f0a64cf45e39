"""The pools as a pgbouncer.ini: a fragment that a real PgBouncer takes as it stands.

PgBouncer knows comments only on lines of their own: what follows a value belongs to it.  A name that its version does
not know stops it, so max_prepared_statements is written only where the version is known to have it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from pgrunbook.journey.advise.pool.features import FOLLOWS_PREPARED
from pgrunbook.journey.advise.pool.sizing import SESSION, TRANSACTION, PoolSize, Sizes

CLIENTS_MIN = 1000  # the runbook's; a waiting client costs the pooler a few kilobytes
UNKNOWN_ADDRESS = "host=SERVER port=5432"
_PLAIN = re.compile(r"[A-Za-z0-9_]+\Z")


def ini(sizes: Sizes, *, address: str, clients: int | None = None, version: tuple[int, ...] | None = None) -> str:
    """The file's text.  `address` is how the pooler reaches the server, `clients` how many may come at most."""
    fit = [pool for pool in sizes.pools if is_one_line(pool.demand.database) and is_one_line(pool.demand.role)]
    left_out = len(sizes.pools) - len(fit)
    sizes = replace(sizes, pools=tuple(fit))
    databases = sorted({pool.demand.database for pool in sizes.pools})
    lines = ["; pool sizes by pgrunbook, from what sessions really held"]
    if left_out:
        lines += [f"; {left_out} with a line end in a name left out"]
    lines += ["[databases]"]
    lines += [_database(name, sizes, address or UNKNOWN_ADDRESS) for name in databases]
    users = list(_users(sizes))
    if users:
        lines += ["", "[users]", *users]
    lines += ["", "[pgbouncer]", *_settings(sizes, clients, version)]
    return "\n".join(lines) + "\n"


def _database(name: str, sizes: Sizes, address: str) -> str:
    pools = sizes.of_database(name)
    largest = max(pool.size for pool in pools)
    most = sum(pool.size for pool in pools) + sizes.reserve
    return (
        f"{key(name)} = {address} dbname={value(name)} pool_size={largest} reserve_pool={sizes.reserve}"
        f" max_db_connections={most}"
    )


def _users(sizes: Sizes) -> Iterator[str]:
    """Roles with a mode of their own, or with a smaller pool than their database's largest."""
    by_role: dict[str, list[PoolSize]] = {}
    for pool in sizes.pools:
        by_role.setdefault(pool.demand.role, []).append(pool)
    default = default_mode(sizes)
    for role, pools in sorted(by_role.items()):
        most = sum(pool.size for pool in pools)
        parts = [f"pool_mode={pools[0].mode}"] if pools[0].mode != default else []
        largest = max(other.size for pool in pools for other in sizes.of_database(pool.demand.database))
        if parts or most < largest:
            parts.append(f"max_user_connections={most}")
        if parts:
            yield f"{key(role)} = {' '.join(parts)}"


def default_mode(sizes: Sizes) -> str:
    """Transaction, unless every role needs sessions."""
    return SESSION if sizes.pools and all(pool.mode == SESSION for pool in sizes.pools) else TRANSACTION


def _settings(sizes: Sizes, clients: int | None, version: tuple[int, ...] | None) -> Iterator[str]:
    largest = max((pool.size for pool in sizes.pools), default=1)
    yield "listen_addr = 127.0.0.1"
    yield "listen_port = 6432"
    yield "auth_type = scram-sha-256"
    yield "auth_file = /etc/pgbouncer/userlist.txt"
    yield ""
    yield f"pool_mode = {default_mode(sizes)}"
    yield f"max_client_conn = {max(clients or 0, CLIENTS_MIN)}"
    yield f"default_pool_size = {largest}"
    yield f"min_pool_size = {max(1, largest // 4)}"
    yield f"reserve_pool_size = {sizes.reserve}"
    yield f"; for each database, while the server has {sizes.room.usable} for ordinary roles"
    yield f"max_db_connections = {sizes.total + sizes.reserve}"
    yield ""
    yield "server_idle_timeout = 600"
    yield "server_lifetime = 3600"
    yield "query_wait_timeout = 120"
    yield "server_reset_query_always = 0"
    yield "; time limits sent at start-up are refused or lost: ALTER ROLE ... SET them"
    yield "ignore_startup_parameters = extra_float_digits"
    if version is not None and version >= FOLLOWS_PREPARED:
        yield "max_prepared_statements = 200"
    elif version is not None:
        yield "; before 1.21 drivers must not prepare statements in transaction mode"
    else:
        yield "; from PgBouncer 1.21 on, for drivers that prepare:"
        yield "; max_prepared_statements = 200"


def is_one_line(name: str) -> bool:
    """Whether a name can stand in the file at all."""
    return name.isprintable()


def key(name: str) -> str:
    """A name before the equals sign.

    >>> key("shop"), key("my shop")
    ('shop', '"my shop"')
    """
    return name if _PLAIN.match(name) else '"' + name.replace('"', '""') + '"'


def value(text: str) -> str:
    """A value in a connection string.

    >>> value("shop"), value("it's")
    ('shop', "'it''s'")
    """
    return text if _PLAIN.match(text) else "'" + text.replace("'", "''") + "'"
