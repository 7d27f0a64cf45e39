"""Publications and what they publish, from the catalog (pg_publication_tables would lock every table)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pgrunbook.model import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """One publication with one table or one schema (from 15) that it publishes; neither where it publishes all."""

    name: str
    all_tables: bool
    publishes_inserts: bool
    publishes_updates: bool
    publishes_deletes: bool
    table_oid: int | None
    schema: str | None


PUBLICATIONS = Question(name="publications", row=Publication, folder=Path(__file__).parent)
