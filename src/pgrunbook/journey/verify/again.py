"""The same checks, asked again after the steps: which findings are gone.

A finding is gone only when its check looked and did not find it.  A check that is blind now proves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pgrunbook.journey.diagnose.engine import diagnose
from pgrunbook.model import Finding
from pgrunbook.model.diagnosis import Diagnosis
from pgrunbook.pg.connect import Session


class Now(StrEnum):
    """What became of a finding."""

    GONE = "gone"
    STILL_THERE = "still_there"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rechecked:
    """A finding of before, and what the same check says now.  `reason` is why nobody knows."""

    finding: Finding
    now: Now
    reason: str = ""


def ask_again(
    dsn_or_conn: str | Session,
    findings: Sequence[Finding],
    *,
    limits: Mapping[str, Mapping[str, Any]] | None = None,
) -> tuple[Rechecked, ...]:
    """Ask the checks that found these once more; each finding's fate, in the order given."""
    if not findings:
        return ()
    names = sorted({finding.check for finding in findings})
    return compare(findings, diagnose(dsn_or_conn, only=names, limits=limits))


def compare(findings: Sequence[Finding], after: Diagnosis) -> tuple[Rechecked, ...]:
    """What became of each finding according to a later diagnosis."""
    found = {finding.fingerprint for finding in (*after.findings, *(muted.finding for muted in after.muted))}
    return tuple(_rechecked(finding, found, after) for finding in findings)


def _rechecked(finding: Finding, found: set[str], after: Diagnosis) -> Rechecked:
    if finding.fingerprint in found:
        return Rechecked(finding=finding, now=Now.STILL_THERE)
    for blind in after.blind:
        if blind.check == finding.check and blind.object in {None, finding.object}:
            return Rechecked(finding=finding, now=Now.UNKNOWN, reason=blind.reason)
    asked = {*after.ok, *(other.check for other in after.findings), *(blind.check for blind in after.blind)}
    if finding.check not in asked:
        return Rechecked(finding=finding, now=Now.UNKNOWN, reason=f"{finding.check} was not asked")
    return Rechecked(finding=finding, now=Now.GONE)
