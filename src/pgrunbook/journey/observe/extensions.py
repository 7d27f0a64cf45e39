"""Extensions that could be installed here, and those that are, with their versions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pgrunbook.model import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class AvailableExtension:
    """An extension whose files lie on the server; `installed_version` is None where this database lacks it."""

    name: str
    installed_version: str | None
    default_version: str | None


AVAILABLE_EXTENSIONS = Question(name="available_extensions", row=AvailableExtension, folder=Path(__file__).parent)
