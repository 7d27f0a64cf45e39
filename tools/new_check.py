"""Write the stubs of a check and its test: python tools/new_check.py family/fault."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
CHECKS = ROOT / "src" / "pgrunbook" / "journey" / "diagnose" / "checks"

CHECK = '''"""<The fault in one line.>

Asks:    <the question in plain words>
Source:  pg_class
Says:    {{object}} <what is wrong, with {{figures}} from the evidence>.
Section: Maintenance Operations
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.relations import RELATIONS
from pgrunbook.model import Finding, Kind, Severity, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Each threshold with its reason."""

    min_rows: int = 1_000  # smaller tables fit in a few pages


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """<What makes a table faulty.>"""
    for table in seen.rows(RELATIONS):
        if table.kind == "r" and table.estimated_rows >= limits.min_rows:
            yield Finding(
                severity=Severity.NOTICE,
                kind=Kind.TABLE,
                object=table.qualified,
                evidence={{"table_rows": round(table.estimated_rows)}},
            )


CHECK = Check(needs=(RELATIONS,), judge=judge, limits=Limits())
'''

TEST = '''"""{name}: healthy, fault, fixed, blindfolded."""

from __future__ import annotations

from pgrunbook.journey.diagnose.engine import diagnose
from tests.fix.server import FreshDatabase


def test_a_healthy_database_is_silent(pg: FreshDatabase) -> None:
    assert diagnose(pg.dsn, only=["{name}"]).findings == ()


def test_the_fault_is_found_and_its_fix_silences_it(pg: FreshDatabase) -> None:
    pg.execute("create table t (id int)", "insert into t select generate_series(1, 2000)", "analyze t")
    (finding,) = diagnose(pg.dsn, only=["{name}"]).findings
    assert finding.object == "public.t"
    pg.execute("drop table t")  # its own advice, once it has some: finding.advice[0].sql
    assert diagnose(pg.dsn, only=["{name}"]).findings == ()


def test_who_may_not_look_is_told_so(pg: FreshDatabase) -> None:
    role = pg.role(f"stranger_of_{{pg.name}}")
    answer = diagnose(pg.dsn_as(role), only=["{name}"])
    assert answer.ok == ("{name}",) or [one.check for one in answer.blind] == ["{name}"]
'''


def main() -> int:
    """Write both files, or say why not."""
    match = re.fullmatch(r"([a-z]+)/([a-z][a-z0-9_]*)", sys.argv[1] if len(sys.argv) == 2 else "")
    families = sorted(path.name for path in CHECKS.iterdir() if (path / "__init__.py").exists())
    if match is None or match[1] not in families:
        print(f"usage: make new-check NAME=family/fault, with a family of: {', '.join(families)}", file=sys.stderr)
        return 64
    family, name = match.groups()
    targets = {
        CHECKS / family / f"{name}.py": CHECK.format(),
        ROOT / "tests" / "pg" / f"test_{name}.py": TEST.format(name=name),
    }
    for path in targets:
        if path.exists():
            print(f"{path.relative_to(ROOT)} exists already", file=sys.stderr)
            return 64
    for path, text in targets.items():
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
