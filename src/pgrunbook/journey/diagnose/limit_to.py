"""Leaves of a diagnosis what was asked for: objects of some schemas (`--schema`), findings that nobody muted."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Sequence
from datetime import date

from pgrunbook.config import Mute
from pgrunbook.model import Finding, Kind, quote
from pgrunbook.model.diagnosis import Diagnosis, Muted

_IN_SCHEMA = frozenset(
    {Kind.TABLE, Kind.INDEX, Kind.COLUMN, Kind.CONSTRAINT, Kind.POLICY, Kind.TRIGGER, Kind.FUNCTION, Kind.VIEW}
)
_PART = re.compile(r'"(?:[^"]|"")*"|[^."]+')


def within_schemas(diagnosis: Diagnosis, schemas: Sequence[str]) -> Diagnosis:
    """Drop what is about objects of other schemas; what lives in no schema (sessions, settings, roles) stays.

    A check of which nothing is left is ok: within these schemas it looked and found nothing.
    """
    if not schemas:
        return diagnosis
    wanted = {quote(name) for name in schemas}
    findings = tuple(finding for finding in diagnosis.findings if _concerns(finding, wanted))
    blind = tuple(one for one in diagnosis.blind if one.object is None or schema_of(one.object) in {*wanted, ""})
    left = {finding.check for finding in findings} | {one.check for one in blind}
    emptied = ({f.check for f in diagnosis.findings} | {b.check for b in diagnosis.blind}) - left
    return dataclasses.replace(diagnosis, findings=findings, blind=blind, ok=tuple(sorted({*diagnosis.ok, *emptied})))


def _concerns(finding: Finding, wanted: Collection[str]) -> bool:
    if finding.kind is Kind.SCHEMA:
        return finding.object in wanted
    return finding.kind not in _IN_SCHEMA or schema_of(finding.object) in wanted


def schema_of(name: str) -> str:
    """The first part of a dotted name as PostgreSQL would quote it; "" for a name without a dot.

    >>> schema_of('"my.app".users'), schema_of('"one.part"'), schema_of("postgres")
    ('"my.app"', '', '')
    """
    parts = _PART.findall(name)
    return parts[0] if len(parts) > 1 else ""


def without_muted(diagnosis: Diagnosis, mutes: Sequence[Mute], *, today: date) -> Diagnosis:
    """Move what is muted aside, with the reason and the end; a mute whose day has passed counts no more."""
    live = [mute for mute in mutes if mute.until is None or mute.until >= today]
    kept: list[Finding] = []
    muted: list[Muted] = []
    for finding in diagnosis.findings:
        mute = next((one for one in live if _silences(one, finding)), None)
        if mute is None:
            kept.append(finding)
        else:
            until = mute.until.isoformat() if mute.until is not None else ""
            muted.append(Muted(finding=finding, reason=mute.reason, until=until))
    return dataclasses.replace(diagnosis, findings=tuple(kept), muted=(*diagnosis.muted, *muted))


def _silences(mute: Mute, finding: Finding) -> bool:
    return mute.check == finding.check if mute.check else finding.fingerprint.startswith(mute.fingerprint)
