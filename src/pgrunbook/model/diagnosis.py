"""The whole answer of one `diagnose`: findings, blind spots, and the checks that looked and found nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from pgrunbook.model.server import Server
from pgrunbook.model.verdict import Blind, Finding, Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Muted:
    """A finding that somebody muted, with the reason and the end that they wrote down."""

    finding: Finding
    reason: str
    until: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Worst findings first.  A check without findings is either ok or blind; one with findings may be blind in part."""

    server: Server
    taken_at: datetime
    duration_s: float
    findings: tuple[Finding, ...]
    blind: tuple[Blind, ...]
    ok: tuple[str, ...]
    muted: tuple[Muted, ...] = field(default=())

    def count(self, severity: Severity) -> int:
        """How many findings have this severity."""
        return sum(finding.severity is severity for finding in self.findings)

    def by_id(self, text: str) -> Finding | None:
        """The finding whose fingerprint is this."""
        return next((finding for finding in self.findings if finding.fingerprint == text), None)
