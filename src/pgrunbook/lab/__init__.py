"""Real PostgreSQL servers to throw away: for the demo, rehearsals, twins, clones, drills and tests.

Takes an installation and settings, gives a running server (a `Cluster`), a standby of it or a pooler before it.
Whatever is started here ends with the process that started it; after kill -9 the next start sweeps what carries our
mark.
"""

from pgrunbook.lab.binaries import Binaries, available_binaries, debian_binaries, embedded_binaries
from pgrunbook.lab.cluster import Cluster, start_cluster
from pgrunbook.lab.pooler import Pgbouncer, pgbouncer_path, start_pgbouncer
from pgrunbook.lab.replica import start_replica
from pgrunbook.lab.sweep import stop_kept, sweep

__all__ = [
    "Binaries",
    "Cluster",
    "Pgbouncer",
    "available_binaries",
    "debian_binaries",
    "embedded_binaries",
    "pgbouncer_path",
    "start_cluster",
    "start_pgbouncer",
    "start_replica",
    "stop_kept",
    "sweep",
]
