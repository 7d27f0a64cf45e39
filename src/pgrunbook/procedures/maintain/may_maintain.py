"""The tables that this role may vacuum and analyze, asked for all at once: the server itself would only warn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pgrunbook.model import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintainable:
    """One table that we may maintain."""

    oid: int


MAY_MAINTAIN = Question(name="may_maintain", row=Maintainable, folder=Path(__file__).parent)
