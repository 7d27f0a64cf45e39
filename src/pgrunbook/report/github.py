"""A diagnosis as workflow commands (`::warning title=…::…`), which GitHub shows as annotations."""

from __future__ import annotations

from pgrunbook.model import Blind, Finding, Severity
from pgrunbook.model.diagnosis import Diagnosis
from pgrunbook.report.html import verdict
from pgrunbook.report.words import clean, short

_COMMAND = {Severity.CRITICAL: "error", Severity.WARNING: "warning", Severity.NOTICE: "notice"}


def render(diagnosis: Diagnosis) -> str:
    """A line a finding, a notice a blind spot, and the verdict as an ordinary line at the end."""
    lines = [_finding(finding) for finding in diagnosis.findings]
    lines += [_blind(blind) for blind in diagnosis.blind]
    database = " ".join(clean(diagnosis.server.database).split()).replace("::", ": :")
    return "\n".join([*lines, f"pgrunbook, database {database}: {verdict(diagnosis)}"]) + "\n"


def _finding(finding: Finding) -> str:
    title = f"{finding.title}: {short(finding.object, 200)}"
    parts = [finding.detail or finding.object, *(f"{advice.title}: {advice.sql}" for advice in finding.advice[:1])]
    return f"::{_COMMAND[finding.severity]} title={_property(title)}::{_message(chr(10).join(parts))}"


def _blind(blind: Blind) -> str:
    where = f" on {short(blind.object, 200)}" if blind.object is not None else ""
    cure = f"\nCure: {blind.cure}" if blind.cure else ""
    return f"::notice title={_property(f'{blind.check} could not look{where}')}::{_message(blind.reason + cure)}"


def _message(text: str) -> str:
    r"""Text of a workflow command: percent signs and line ends are escaped, so that no line of it is a command.

    >>> _message("100%\n::error::x")
    '100%25%0A::error::x'
    """
    return clean(short(text)).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """A property of a workflow command; colons and commas end it, so they are escaped, too.

    >>> _property("a:b,c")
    'a%3Ab%2Cc'
    """
    return _message(text).replace(":", "%3A").replace(",", "%2C")
