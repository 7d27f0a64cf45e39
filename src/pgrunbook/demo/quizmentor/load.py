"""Make QuizMentor in an empty database: the same rows for the same seed, sick or healthy.

In: a DSN of a role that may create roles and extensions.  Out: nothing; the database is filled.  Tables are filled at
the same time, two at once; nothing is written that a real server would not have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from importlib.resources import files
from threading import Lock

import psycopg
from psycopg import sql

from pgrunbook.demo.quizmentor.names import Names
from pgrunbook.demo.quizmentor.size import Size
from pgrunbook.errors import Refused
from pgrunbook.pg.connect import Session, connect, describe, translated

ANCHOR = "2025-06-01 00:00:00+00"  # the newest generated row; fixed, so that the same seed gives the same rows
BIGGEST_FIRST = (
    "events",
    "questions",
    "answers",
    "user_performance",
    "user_sessions",
    "audit_logs",
    "quizzes",
    "users",
)
ANALYZED_AT_RATIO = 0.05  # of its sessions: what the sick database's statistics have seen
STREAMS = 2

Progress = Callable[[str, float], None]


def load(
    dsn: str,
    *,
    users: int = 20_000,
    sick: bool,
    seed: int = 1,
    progress: Progress | None = None,
    rename: str | Names | None = None,
) -> None:
    """Create schema and data; `rename` is a prefix for all identifiers, or the names themselves.

    `progress` is told what was finished and which share (0..1) of the whole that makes.
    Raises Refused when the database already has tables.
    """
    size = Size(users=users)
    names = rename if isinstance(rename, Names) else Names.renamed(rename) if rename else Names()
    loading = _Loading(dsn=dsn, names=names, size=size, seed=seed, sick=sick)
    steps = _Steps(total=3 + 2 * len(BIGGEST_FIRST), progress=progress)
    with connect(dsn, station="demo") as conn, translated("creating QuizMentor's tables"):
        _refuse_unless_empty(conn, dsn)
        for name in ("roles", "platform", "tables"):
            loading.run(conn, name)
    steps.done("tables")
    _side_by_side(loading.fill, BIGGEST_FIRST, steps)
    with connect(dsn, station="demo") as conn, translated("adding QuizMentor's rules"):
        loading.run(conn, "links")
        loading.run(conn, f"{loading.health}/policies")
        if not sick:
            loading.run(conn, "healthy/settings")
    steps.done("policies")
    _side_by_side(loading.settle, BIGGEST_FIRST, steps)
    if sick:
        _leave_invalid_index(loading)
    steps.done("ready")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loading:
    """One load: where, what and how big."""

    dsn: str
    names: Names
    size: Size
    seed: int
    sick: bool

    @property
    def health(self) -> str:
        return "sick" if self.sick else "healthy"

    def run(self, conn: Session, name: str, **more: int) -> None:
        """Send one file, with its identifiers and values filled in."""
        text = files(__package__).joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
        values: Mapping[str, object] = {**self._values(), **more}
        # bytes: the text is ours but for the names, which are quoted; values are bound by the client, for several
        # statements at once cannot have parameters.
        psycopg.ClientCursor(conn).execute(self.names.render(text).encode(), values)

    def fill(self, table: str) -> None:
        """Rows, keys, and the indexes (or the faults) of one table."""
        with connect(self.dsn, station="demo") as conn, translated(f"filling {table}"):
            conn.execute("set maintenance_work_mem = '256MB'")
            self.run(conn, "chance")
            if table == "user_sessions":
                self._fill_sessions(conn)
            else:
                self.run(conn, f"rows/{table}")
            self.run(conn, f"keys/{table}")
            self.run(conn, f"{self.health}/{table}")
            if self.sick and table == "user_sessions":
                self.run(conn, "sick/dead_rows")

    def settle(self, table: str) -> None:
        """Check the foreign keys; then what autovacuum does on a quiet night, where it is allowed to."""
        name = sql.Identifier(self.names.of(table))
        with connect(self.dsn, station="demo") as conn, translated(f"settling {table}"):
            for constraint in _unchecked(conn, self.names.of(table)):
                conn.execute(sql.SQL("alter table {} validate constraint {}").format(name, sql.Identifier(constraint)))
            if not (self.sick and table == "user_sessions"):
                conn.execute(sql.SQL("vacuum (analyze) {}").format(name))

    def _fill_sessions(self, conn: Session) -> None:
        """All at once; a sick database was last analyzed when its table was small."""
        last = self.size.sessions
        seen = round(ANALYZED_AT_RATIO * last) if self.sick else 0
        if seen:
            self.run(conn, "rows/user_sessions", first_session=1, last_session=seen)
            conn.execute(sql.SQL("analyze {}").format(sql.Identifier(self.names.of("user_sessions"))))
        self.run(conn, "rows/user_sessions", first_session=seen + 1, last_session=last)

    def _values(self) -> dict[str, object]:
        size = self.size
        counts = {
            "users": size.users,
            "quizzes": size.quizzes,
            "questions": size.questions,
            "answers": size.answers,
            "performances": size.performances,
            "sessions": size.sessions,
            "events": size.events,
            "audits": size.audits,
        }
        following = {
            f"next_{name}": counts[plural] + 1
            for name, plural in (
                ("quiz", "quizzes"),
                ("question", "questions"),
                ("answer", "answers"),
                ("performance", "performances"),
                ("session", "sessions"),
                ("event", "events"),
                ("audit", "audits"),
            )
        }
        fixed = {"seed": self.seed, "step": size.step, "courses": size.courses, "anchor": ANCHOR}
        return {**counts, **following, **fixed}


class _Steps:
    """Counts finished work for the progress bar, from several threads."""

    def __init__(self, *, total: int, progress: Progress | None) -> None:
        self._total = total
        self._progress = progress
        self._finished = 0
        self._lock = Lock()

    def done(self, what: str) -> None:
        with self._lock:
            self._finished += 1
            if self._progress is not None:
                self._progress(what, self._finished / self._total)


def _side_by_side(work: Callable[[str], None], tables: Iterable[str], steps: _Steps) -> None:
    """Work on the tables, a few at once; the first error ends the rest."""

    def one(table: str) -> None:
        work(table)
        steps.done(table)

    with ThreadPoolExecutor(max_workers=STREAMS, thread_name_prefix="quizmentor") as pool:
        running = [pool.submit(one, table) for table in tables]
        finished, waiting = wait(running, return_when=FIRST_EXCEPTION)
        for future in waiting:
            future.cancel()
        for future in finished:
            future.result()


def _refuse_unless_empty(conn: Session, dsn: str) -> None:
    found = conn.execute(
        """
        select count(*)
        from pg_catalog.pg_class
        where relnamespace = 'public'::pg_catalog.regnamespace and relkind in ('r', 'p', 'v', 'm')
        """
    ).fetchone()
    if found is None or found[0] > 0:
        raise Refused(
            f"QuizMentor was not loaded into {describe(dsn)}: its schema public is not empty",
            hint="Create an empty database for it (createdb quizmentor) and load it there.",
        )


def _unchecked(conn: Session, table: str) -> list[str]:
    rows = conn.execute(
        """
        select conname
        from pg_catalog.pg_constraint
        where conrelid = (
                select oid from pg_catalog.pg_class
                where relname = %(table)s and relnamespace = 'public'::pg_catalog.regnamespace
            )
            and contype = 'f' and not convalidated
        order by conname
        """,
        {"table": table},
    )
    return [row[0] for row in rows]


def _leave_invalid_index(loading: _Loading) -> None:
    with connect(loading.dsn, station="demo") as conn:
        try:
            loading.run(conn, "sick/invalid_index")
        except psycopg.errors.UniqueViolation:
            return  # as meant: the index stays behind, INVALID
    raise Refused(
        "the build of a unique index on display names was meant to fail and did not",
        hint="Load more users: with so few of them, no two share a name.",
    )
