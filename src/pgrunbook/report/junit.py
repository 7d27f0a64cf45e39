"""A diagnosis as JUnit XML: findings are failed test cases, blind spots and mutes skipped ones, fine checks passed."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from pgrunbook.model import Blind, Finding, Severity
from pgrunbook.model.diagnosis import Diagnosis, Muted
from pgrunbook.report.json import utc
from pgrunbook.report.words import clean, figure, label, short


def render(diagnosis: Diagnosis) -> str:
    """One suite; critical findings and warnings are failures, notices pass and are told in their output."""
    cases = [
        *(_finding(finding) for finding in diagnosis.findings),
        *(_blind(blind) for blind in diagnosis.blind),
        *(_muted(muted) for muted in diagnosis.muted),
        *(f"    <testcase classname={_attribute(check)} name={_attribute(check)}/>" for check in diagnosis.ok),
    ]
    failures = sum(finding.severity is not Severity.NOTICE for finding in diagnosis.findings)
    suite = (
        f'<testsuite name={_attribute("pgrunbook " + diagnosis.server.database)} tests="{len(cases)}"'
        f' failures="{failures}" errors="0" skipped="{len(diagnosis.blind) + len(diagnosis.muted)}"'
        f' time="{diagnosis.duration_s:.3f}" timestamp="{utc(diagnosis.taken_at)}">'
    )
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        "<testsuites>",
        f"  {suite}",
        *cases,
        "  </testsuite>",
        "</testsuites>",
    ]
    return "\n".join(lines) + "\n"


def _finding(finding: Finding) -> str:
    head = (
        f"    <testcase classname={_attribute(finding.check)} name={_attribute(f'{finding.title}: {finding.object}')}>"
    )
    told = _text(finding)
    if finding.severity is Severity.NOTICE:
        return f"{head}\n      <system-out>{told}</system-out>\n    </testcase>"
    failure = (
        f"<failure type={_attribute(finding.severity.value)} message={_attribute(finding.detail or finding.title)}>"
    )
    return f"{head}\n      {failure}{told}</failure>\n    </testcase>"


def _text(finding: Finding) -> str:
    lines = [finding.detail, f"object: {finding.object}", f"fingerprint: {finding.fingerprint}"]
    lines += [f"{label(name)}: {figure(name, value)}" for name, value in finding.evidence.items()]
    for advice in finding.advice:
        lines += ["", advice.title, advice.sql]
        lines += ["undo:", advice.undo_sql] if advice.undo_sql is not None else []
    return escape(clean(short("\n".join(lines))))


def _blind(blind: Blind) -> str:
    name = f"{blind.check} on {blind.object}" if blind.object is not None else blind.check
    reason = f"could not look: {blind.reason}" + (f"  Cure: {blind.cure}" if blind.cure else "")
    return _skipped(blind.check, name, reason)


def _muted(muted: Muted) -> str:
    until = f" until {muted.until}" if muted.until else ""
    finding = muted.finding
    return _skipped(finding.check, f"{finding.title}: {finding.object}", f"muted{until}: {muted.reason}")


def _skipped(check: str, name: str, reason: str) -> str:
    return (
        f"    <testcase classname={_attribute(check)} name={_attribute(name)}>\n"
        f"      <skipped message={_attribute(reason)}/>\n    </testcase>"
    )


def _attribute(text: str) -> str:
    """A quoted attribute; what XML cannot hold was cleaned away, line ends become spaces."""
    return quoteattr(" ".join(clean(short(text)).split()))
