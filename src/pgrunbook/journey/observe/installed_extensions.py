"""Extensions that this database has: where their objects lie, and whether they can be moved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pgrunbook.model import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledExtension:
    """One extension; `is_relocatable`: ALTER EXTENSION … SET SCHEMA moves its objects."""

    name: str
    schema: str
    version: str
    is_relocatable: bool
    owner: str | None


INSTALLED_EXTENSIONS = Question(name="installed_extensions", row=InstalledExtension, folder=Path(__file__).parent)
