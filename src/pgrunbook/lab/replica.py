"""A streaming standby of a throw-away server, made by pg_basebackup over the primary's socket."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pgrunbook.errors import ServerError
from pgrunbook.lab.cluster import NO_SETTINGS, SUPERUSER, Cluster
from pgrunbook.lab.home import Home, sweep


def start_replica(primary: Cluster, *, slot: str | None = None, settings: Mapping[str, str] = NO_SETTINGS) -> Cluster:
    """Copy `primary` and start the copy as its hot standby, with the primary's settings and then `settings`.

    `slot` is created on the primary, and stays there when the standby is stopped, as it would in life.
    """
    sweep()
    account = primary.home.account
    home = Home.create(prefix="pgrb", account=account, program=primary.binaries.postgres)
    try:
        replica = Cluster(
            home=home,
            binaries=primary.binaries,
            settings={**primary.settings, **settings},
            tcp=False,
            durable=primary.durable,
        )
        replica.data_dir.mkdir(mode=0o700)
        account.give(replica.data_dir)
        _copy(primary, replica, slot)
        replica.start()
    except BaseException:
        home.end()
        raise
    return replica


def _copy(primary: Cluster, replica: Cluster, slot: str | None) -> None:
    argv: list[str | Path] = [primary.binaries.tool("pg_basebackup"), "--pgdata", replica.data_dir]
    argv += ["--host", primary.socket_dir, "--port", str(primary.port), "--username", SUPERUSER, "--no-password"]
    argv += ["--wal-method=stream", "--checkpoint=fast", "--write-recovery-conf", "--no-sync"]
    if slot is not None:
        argv += ["--create-slot", "--slot", slot]
    done = primary.home.account.run(argv, cwd=replica.home.run_dir)
    if done.returncode != 0:
        raise ServerError(
            f"pg_basebackup from {primary.dsn()} failed (exit {done.returncode}):\n{done.stdout.strip()}",
            hint="the primary needs wal_level=replica or logical and two free max_wal_senders",
        )
