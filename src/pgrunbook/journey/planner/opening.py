"""Chooses the engine: the twin, and HypoPG where no twin can be built."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pgrunbook.errors import Refused, ServerError, Unreachable, Unsupported, UsageError
from pgrunbook.journey.planner.engine import Engine
from pgrunbook.journey.planner.hypopg import HypoPG
from pgrunbook.journey.planner.twin.engine import open_twin, silent
from pgrunbook.pg.connect import Session

ENGINES: Final = ("auto", "twin", "hypopg")


def open_engine(
    source: Session, dsn: str, wanted: str = "auto", *, told: Callable[[str], None] = silent, read_rows: bool = False
) -> Engine:
    """Open the engine of this name for the database of `source` (reached by `dsn`); `auto` tries the twin first."""
    if wanted not in ENGINES:
        raise UsageError(f"there is no engine {wanted!r}", hint=f"Engines are {', '.join(ENGINES)}.")
    if wanted == "hypopg":
        return HypoPG(dsn)
    try:
        return open_twin(source, told=told, read_rows=read_rows)
    except Unreachable:
        raise
    except (Refused, ServerError) as exc:
        if wanted == "twin":
            raise
        try:
            engine = HypoPG(dsn)
        except Unsupported as other:
            raise Unsupported(
                f"no engine can plan for this database: no twin, because {exc.message}; and {other.message}",
                hint=exc.hint or other.hint,
            ) from exc
        told(f"no twin, because {exc.message}; HypoPG plans instead")
        return engine
