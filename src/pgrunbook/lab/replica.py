"""A streaming standby of a throw-away server, made by pg_basebackup over the primary's socket."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from pgrunbook.errors import ServerError
from pgrunbook.lab.cluster import NO_SETTINGS, Cluster
from pgrunbook.lab.home import Home
from pgrunbook.lab.sweep import sweep
from pgrunbook.lab.template import SUPERUSER

APPLICATION_NAME = "standby"
STREAMING_WORDS = "started streaming WAL from primary"
STREAMING_LIMIT_S = 60.0
POLL_S = 0.01


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
            settings={**primary.settings, **_following(primary, slot), **settings},
            tcp=False,
            durable=primary.durable,
        )
        replica.data_dir.mkdir(mode=0o700)
        account.give(replica.data_dir)
        _copy(primary, replica, slot)
        replica.start()
        _wait_until_streaming(replica)
    except BaseException:
        home.end()
        raise
    return replica


def _wait_until_streaming(replica: Cluster) -> None:
    """Watch the standby's log, which needs no connection; process titles change only with the first record."""
    deadline = time.monotonic() + STREAMING_LIMIT_S
    while time.monotonic() < deadline:
        if STREAMING_WORDS in replica.log_path.read_text(errors="replace"):
            return
        time.sleep(POLL_S)
    raise ServerError(
        f"the standby in {replica.data_dir} did not stream within {STREAMING_LIMIT_S:.0f} s:\n"
        f"{replica.log_path.read_text(errors='replace')[-4000:]}",
        hint="does the primary still run, with a free walsender?",
    )


def _copy(primary: Cluster, replica: Cluster, slot: str | None) -> None:
    argv: list[str | Path] = [primary.binaries.tool("pg_basebackup"), "--pgdata", replica.data_dir]
    argv += ["--host", primary.socket_dir, "--port", str(primary.port), "--username", SUPERUSER, "--no-password"]
    argv += ["--wal-method=stream", "--checkpoint=fast", "--no-sync"]
    if slot is not None:
        argv += ["--create-slot", "--slot", slot]
    done = primary.home.account.run(argv, cwd=replica.home.run_dir)
    if done.returncode != 0:
        raise ServerError(
            f"pg_basebackup from {primary.dsn()} failed (exit {done.returncode}):\n{done.stdout.strip()}",
            hint="the primary needs wal_level=replica or logical and two free max_wal_senders",
        )
    replica.write_owned(replica.data_dir / "standby.signal", "")


def _following(primary: Cluster, slot: str | None) -> dict[str, str]:
    """Return the settings of a standby.

    We write them ourselves: what pg_basebackup 18 --write-recovery-conf writes (sslnegotiation), older standbys refuse.
    """
    conninfo = f"host='{primary.socket_dir}' port={primary.port} user={SUPERUSER} application_name={APPLICATION_NAME}"
    return {"primary_conninfo": conninfo, **({"primary_slot_name": slot} if slot is not None else {})}
