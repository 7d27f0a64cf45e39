"""The stage of the demonstration: a server with sick QuizMentor on it, a pooler where there is one, and loads."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pgrunbook.demo.operations import Form, scripts
from pgrunbook.demo.quizmentor import Names, Size, load, sicken_sessions
from pgrunbook.lab import Cluster, Pgbouncer, embedded_binaries, pgbouncer_path, start_cluster, start_pgbouncer
from pgrunbook.procedures.load import LoadSpec, RunningLoad

DATABASE = "quizmentor"
APPLICATION = "quizmentor_app"
THINK_S = 4.0
POOL_SIZE = 20

# What an administrator of a small server would set; nothing is tuned down to make the faults look worse.
SETTINGS = {
    "shared_preload_libraries": "pg_stat_statements",
    "shared_buffers": "512MB",
    "effective_cache_size": "2GB",
    "max_connections": "200",
    "max_wal_size": "2GB",
    "track_io_timing": "on",
    "wal_level": "logical",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A running server with the data set.  `names` are the identifiers in use (renamed in a test)."""

    cluster: Cluster
    size: Size
    names: Names
    seed: int

    @property
    def dsn(self) -> str:
        """The database as its owner reaches it."""
        return self.cluster.dsn(DATABASE)

    @property
    def application_dsn(self) -> str:
        """The database as the application reaches it."""
        return self.cluster.dsn(DATABASE, user=APPLICATION)

    def load(self, form: Form, *, users: int, warmup_s: float, duration_s: float) -> RunningLoad:
        """Let `users` begin to work, directly at the server."""
        spec = self.spec(form, users=users, warmup_s=warmup_s, duration_s=duration_s)
        return RunningLoad.start(spec, self.application_dsn, self.cluster.binaries, server_pids=self.pids())

    def pooled_load(
        self, pooler: Pgbouncer, form: Form, *, users: int, warmup_s: float, duration_s: float
    ) -> RunningLoad:
        """Let `users` begin to work, through the pooler."""
        spec = self.spec(form, users=users, warmup_s=warmup_s, duration_s=duration_s)
        dsn = pooler.dsn(DATABASE, user=APPLICATION)
        return RunningLoad.start(spec, dsn, self.cluster.binaries, server_pids=(*self.pids(), pooler.pid or 0))

    def spec(self, form: Form, *, users: int, warmup_s: float, duration_s: float) -> LoadSpec:
        """The same users, thinking for the same time, in one form of the operations."""
        return LoadSpec(
            users=users,
            think_s=THINK_S,
            duration_s=duration_s,
            warmup_s=warmup_s,
            scripts=scripts(form, self.size, self.names),
            seed=self.seed,
        )

    def pids(self) -> tuple[int, ...]:
        """The server's process."""
        return (self.cluster.pid,) if self.cluster.pid is not None else ()

    def pooler(self) -> contextlib.AbstractContextManager[Pgbouncer] | None:
        """A PgBouncer in transaction mode, or None where it is not installed."""
        return start_pgbouncer(self.cluster, default_pool_size=POOL_SIZE) if pgbouncer_path() is not None else None


@contextlib.contextmanager
def set_stage(
    *, users: int, seed: int, keep: bool, told: Callable[[str, float], None], rename: str | None = None
) -> Iterator[Stage]:
    """Start a server, fill it with sick QuizMentor, and add the faults that live in sessions.

    With `keep` the server stays up afterwards (`pgrunbook demo --stop` ends it).
    """
    names = Names.renamed(rename) if rename is not None else Names()
    told("starting PostgreSQL", 0.0)
    with contextlib.ExitStack() as standing:
        cluster = standing.enter_context(
            start_cluster(binaries=embedded_binaries(), settings=SETTINGS, prefix="pgrb-demo", durable=True)
        )
        cluster.run("createdb", DATABASE)
        stage = Stage(cluster=cluster, size=Size(users=users), names=names, seed=seed)
        load(stage.dsn, users=users, sick=True, seed=seed, progress=told, rename=names)
        with sicken_sessions(stage.dsn, names=names):
            yield stage
        if keep:
            cluster.keep()
            standing.pop_all()
