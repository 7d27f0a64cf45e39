"""Short names for people, IDX-1, that stand beside fingerprints on one page and mean nothing outside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from pgrunbook.model import Finding, Kind

FINGERPRINT_SHOWN = 8  # hex digits that text shows of sixteen; commands accept a beginning that is unique

_PREFIX = {
    Kind.TABLE: "TAB",
    Kind.INDEX: "IDX",
    Kind.COLUMN: "COL",
    Kind.CONSTRAINT: "CON",
    Kind.POLICY: "POL",
    Kind.TRIGGER: "TRG",
    Kind.FUNCTION: "FUN",
    Kind.VIEW: "VIE",
    Kind.SCHEMA: "SCH",
    Kind.ROLE: "ROL",
    Kind.DATABASE: "DBS",
    Kind.SETTING: "SET",
    Kind.EXTENSION: "EXT",
    Kind.SLOT: "SLO",
    Kind.SESSION: "SES",
    Kind.TRANSACTION: "TXN",
    Kind.QUERY: "QRY",
    Kind.SERVER: "SRV",
}


def short_ids(findings: Iterable[Finding]) -> dict[str, str]:
    """A short id for each fingerprint, numbered as they come.  What speaks of indexes is IDX, whatever it names."""
    counted: Counter[str] = Counter()
    ids: dict[str, str] = {}
    for finding in findings:
        prefix = "IDX" if "index" in finding.check else _PREFIX[finding.kind]
        counted[prefix] += 1
        ids[finding.fingerprint] = f"{prefix}-{counted[prefix]}"
    return ids
