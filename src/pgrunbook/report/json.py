"""The answer of `diagnose` as one JSON object; its shape is a contract (diagnosis.schema.json) that others rely on."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pgrunbook import __version__
from pgrunbook.model import Advice, Blind, Effect, Finding, Value
from pgrunbook.model.diagnosis import Diagnosis, Muted

SCHEMA_VERSION = 1
_SURROGATE = re.compile("[\ud800-\udfff]")


def render(diagnosis: Diagnosis) -> str:
    """The whole diagnosis as JSON text, readable by people, too."""
    return dumps(as_dict(diagnosis))


def dumps(value: Any) -> str:
    """JSON that any reader can decode: bytes that are no UTF-8 (from SQL_ASCII databases) are escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    return _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text) + "\n"


def as_dict(diagnosis: Diagnosis) -> dict[str, Any]:
    """The contract's object."""
    server = diagnosis.server
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": "pgrunbook",
        "version": __version__,
        "taken_at": utc(diagnosis.taken_at),
        "duration_s": diagnosis.duration_s,
        "server": {
            "database": server.database,
            "version": server.version,
            "major": server.major,
            "role": server.role.value,
            "service": server.service.value,
        },
        "findings": [_finding(finding) for finding in diagnosis.findings],
        "blind": [_blind(blind) for blind in diagnosis.blind],
        "ok": list(diagnosis.ok),
        "muted": [_muted(muted) for muted in diagnosis.muted],
    }


def utc(moment: datetime) -> str:
    """A point in time as the contract writes it.

    >>> utc(datetime(2026, 11, 24, 9, 30, tzinfo=UTC))
    '2026-11-24T09:30:00Z'
    """
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "check": finding.check,
        "severity": finding.severity.value,
        "kind": finding.kind.value,
        "object": finding.object,
        "related": list(finding.related),
        "title": finding.title,
        "detail": finding.detail,
        "evidence": _figures(finding.evidence),
        "effect": _effect(finding.effect),
        "section": finding.section,
        "fingerprint": finding.fingerprint,
        "advice": [advice_dict(advice) for advice in finding.advice],
    }


def _effect(effect: Effect | None) -> dict[str, Any] | None:
    return None if effect is None else {"kind": effect.basis.value, **_figures(effect.figures)}


def advice_dict(advice: Advice) -> dict[str, Any]:
    """One advice, as every JSON form of ours writes it."""
    return {
        "title": advice.title,
        "sql": advice.sql,
        "undo_sql": advice.undo_sql,
        "lock": advice.lock.value,
        "reversible": advice.reversible,
        "risk": advice.risk,
    }


def _blind(blind: Blind) -> dict[str, Any]:
    return {"check": blind.check, "object": blind.object, "reason": blind.reason, "cure": blind.cure}


def _muted(muted: Muted) -> dict[str, Any]:
    finding = muted.finding
    return {
        "check": finding.check,
        "severity": finding.severity.value,
        "kind": finding.kind.value,
        "object": finding.object,
        "fingerprint": finding.fingerprint,
        "reason": muted.reason,
        "until": muted.until,
    }


def _figures(figures: Mapping[str, Value]) -> dict[str, Any]:
    return {name: plain_value(value) for name, value in figures.items()}


def plain_value(value: Value) -> Any:
    """A value as JSON has it: lists for tuples, null for what is no number."""
    if isinstance(value, tuple):
        return [plain_value(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
