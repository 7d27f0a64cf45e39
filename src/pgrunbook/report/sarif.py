"""A diagnosis as SARIF 2.1.0, for code scanning and editors.  A database has no files: findings have logical locations.

Consumers such as code scanning insist on a physical location; it is a virtual one, named for the database.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from pgrunbook import __version__
from pgrunbook.model import Blind, Finding, Severity
from pgrunbook.model.diagnosis import Diagnosis
from pgrunbook.report.json import as_dict, dumps, utc
from pgrunbook.report.words import clean, short

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
HOME = "https://github.com/pgrunbook/pgrunbook"
_LEVEL = {Severity.CRITICAL: "error", Severity.WARNING: "warning", Severity.NOTICE: "note"}
_KIND = {"table": "table", "schema": "namespace", "function": "function", "column": "member"}


def render(diagnosis: Diagnosis) -> str:
    """One run with a rule a check, a result a finding, and a notification for each blind spot."""
    checks = sorted({finding.check for finding in _all_findings(diagnosis)} | {one.check for one in diagnosis.blind})
    rules = {name: number for number, name in enumerate(checks)}
    titles = {finding.check: finding.title for finding in _all_findings(diagnosis)}
    muted = {one.finding.fingerprint: one.reason for one in diagnosis.muted}
    run = {
        "tool": {
            "driver": {
                "name": "pgrunbook",
                "version": __version__,
                "semanticVersion": __version__,
                "informationUri": HOME,
                "rules": [_rule(name, titles.get(name, "")) for name in checks],
            }
        },
        "invocations": [
            {
                "executionSuccessful": True,
                "endTimeUtc": utc(diagnosis.taken_at),
                "toolExecutionNotifications": [_notification(one, rules[one.check]) for one in diagnosis.blind],
            }
        ],
        "automationDetails": {"id": f"pgrunbook/{clean(diagnosis.server.database)}/"},
        "results": [_result(f, rules[f.check], muted.get(f.fingerprint), diagnosis) for f in _all_findings(diagnosis)],
        "properties": {
            "server": {key: clean(str(value)) for key, value in as_dict(diagnosis)["server"].items()},
            "ok": list(diagnosis.ok),
        },
    }
    return dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]})


def _all_findings(diagnosis: Diagnosis) -> list[Finding]:
    return [*diagnosis.findings, *(one.finding for one in diagnosis.muted)]


def _rule(check: str, title: str) -> dict[str, Any]:
    rule: dict[str, Any] = {"id": check, "name": "".join(part.capitalize() for part in check.split("_"))}
    if title:
        rule["shortDescription"] = {"text": clean(title)}
    return rule


def _result(finding: Finding, rule_index: int, muted: str | None, diagnosis: Diagnosis) -> dict[str, Any]:
    place = "/".join(
        quote(part, safe="", errors="replace") for part in (diagnosis.server.database, finding.object[:300])
    )
    text = f"{finding.title}: {finding.detail or finding.object}"
    result: dict[str, Any] = {
        "ruleId": finding.check,
        "ruleIndex": rule_index,
        "level": _LEVEL[finding.severity],
        "message": {"text": clean(short(text))},
        "locations": [
            {
                "physicalLocation": {"artifactLocation": {"uri": f"database/{place}"}, "region": {"startLine": 1}},
                "logicalLocations": [
                    {"fullyQualifiedName": clean(finding.object), "kind": _KIND.get(finding.kind.value, "object")}
                ],
            }
        ],
        "partialFingerprints": {"pgrunbook/v1": finding.fingerprint},
        "properties": {
            "severity": finding.severity.value,
            "section": clean(finding.section),
            "advice": [
                {"sql": clean(short(a.sql)), "undo_sql": a.undo_sql and clean(short(a.undo_sql))}
                for a in finding.advice
            ],
        },
    }
    if muted is not None:
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": clean(muted)}]
    return result


def _notification(blind: Blind, rule_index: int) -> dict[str, Any]:
    where = f" on {blind.object}" if blind.object is not None else ""
    cure = f"  Cure: {blind.cure}" if blind.cure else ""
    return {
        "level": "warning",
        "message": {"text": clean(short(f"{blind.check} could not look{where}: {blind.reason}{cure}"))},
        "associatedRule": {"id": blind.check, "index": rule_index},
    }
