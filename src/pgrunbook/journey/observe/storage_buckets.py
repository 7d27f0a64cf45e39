"""Supabase Storage's buckets, if there are any: the one reading of this family that opens a table.

A statement cannot name a table that may not exist; ts_stat runs a text as a query, on every build of the server.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pgrunbook.model import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageBucket:
    """One bucket.  What lies in a public one can be fetched by everybody who knows its path."""

    id: str
    is_public: bool


STORAGE_BUCKETS = Question(
    name="storage_buckets",
    row=StorageBucket,
    folder=Path(__file__).parent,
    cure="GRANT USAGE ON SCHEMA storage TO CURRENT_USER; GRANT SELECT ON storage.buckets TO CURRENT_USER;",
)
