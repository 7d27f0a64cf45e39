"""What a check is: the readings it needs and a pure function that judges them.  Its name is its file's name."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar

from pgrunbook.errors import RunbookError
from pgrunbook.journey.diagnose import checks
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.model import Question, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class NoLimits:
    """For checks that have no threshold."""


LimitsT = TypeVar("LimitsT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check(Generic[LimitsT]):
    """`needs` are asked once each, whoever wants them; a need without an answer makes the check Blind.

    `likes` are asked too, but the check can judge without them (it catches NotRead).
    `judge` yields a verdict a defect, nothing when all is well.  `limits` are its thresholds with their defaults:
    a frozen dataclass of numbers and texts whose fields can be set under `[checks.<name>]` in pgrunbook.toml.
    """

    needs: tuple[Question[Any], ...]
    judge: Callable[[Seen, LimitsT], Iterable[Verdict]]
    limits: LimitsT
    likes: tuple[Question[Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedCheck:
    """A check with the name of its file, its family, and what its docstring says under each heading."""

    name: str
    family: str
    check: Check[Any]
    summary: str
    headings: Mapping[str, str]

    @property
    def is_on_request(self) -> bool:
        """Whether it needs what is read on request only (`--plans`)."""
        return any(question.probe is not None for question in self.check.needs)

    @property
    def title(self) -> str:
        """The summary without its full stop."""
        return self.summary.rstrip(".")

    @property
    def says(self) -> str:
        """The template of a finding's detail."""
        return self.headings.get("Says", "")

    @property
    def section(self) -> str:
        """The runbook's section."""
        return self.headings.get("Section", "")


_HEADING = re.compile(r"^(Asks|Unit|Source|Blind|Says|Section|Leads):\s*", re.MULTILINE)


@cache
def all_checks() -> Mapping[str, NamedCheck]:
    """Every check by name, found in the tree; a module in checks/<family>/ that defines CHECK is one."""
    found: dict[str, NamedCheck] = {}
    for info in pkgutil.walk_packages(checks.__path__, f"{checks.__name__}."):
        if info.ispkg:
            continue
        module = importlib.import_module(info.name)
        check = getattr(module, "CHECK", None)
        if not isinstance(check, Check):
            continue
        family, name = info.name.split(".")[-2:]
        if name in found:
            raise RunbookError(f"two checks are named {name}")
        doc = inspect.cleandoc(module.__doc__ or "")
        summary, _, rest = doc.partition("\n")
        parts = _HEADING.split(rest)
        headings = {k: " ".join(v.split()) for k, v in zip(parts[1::2], parts[2::2], strict=True)}
        found[name] = NamedCheck(name=name, family=family, check=check, summary=summary, headings=headings)
    return found
