"""What the tree promises: sizes, owners of SQL files, names of checks and steps."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import re
import subprocess
from pathlib import Path

import pytest

import pgrunbook
from pgrunbook.journey import observe, steps
from pgrunbook.journey.diagnose.check import all_checks
from pgrunbook.model import Question

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "pgrunbook"
SQL_FILES = sorted(SRC.rglob("*.sql"))


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return listed.stdout.splitlines()


def questions() -> dict[str, Question[object]]:
    found: dict[str, Question[object]] = {}
    for info in pkgutil.iter_modules(observe.__path__):
        module = importlib.import_module(f"{observe.__name__}.{info.name}")
        for value in vars(module).values():
            if isinstance(value, Question):
                found[value.name] = value
    return found


@pytest.mark.parametrize("path", [p for p in SQL_FILES if "observe" in p.parts], ids=lambda p: p.name)
def test_every_reading_has_an_owner_and_carries_its_name(path: Path) -> None:
    name = re.sub(r"\.pg\d+\.sql$", "", path.name)
    assert name in questions() or name == "server"
    assert path.read_text(encoding="utf-8").splitlines()[0] == f"/* pgrunbook: {name} */"


def runbook_headings() -> dict[str, str]:
    """Heading and what runs in its place, from docs/runbook.md."""
    rows = re.findall(
        r"^\| (?!heading|---)(.+?) \| (.+?) \|$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE
    )
    return dict(rows)


HEADINGS = """
Overview
Key Metrics to Track
Performance Baselines
Load Capacity Formula
Resource Requirements by User Scale
Query Optimization
Identify Slow Queries
Query Optimization Patterns
N+1 Query Problem
Pagination Optimization
Batch Operations
Query Optimization Checklist
Indexing Strategies
Essential Indexes for QuizMentor
Index Maintenance
Index Strategy Matrix
Connection Pool Management
Optimal Pool Configuration
Connection Pool Monitoring
PgBouncer Configuration (Supabase)
Scaling Patterns
Vertical Scaling Decision Tree
Read Replica Implementation
Sharding Strategy (5000+ users)
Database Scaling Roadmap
Supabase-Specific Optimizations
Row Level Security (RLS) Optimization
Supabase Connection Optimization
Supabase Performance Settings
Monitoring and Diagnostics
Key Metrics Dashboard
Performance Monitoring Queries
Alerting Thresholds
Emergency Procedures
Database Overload Response
Runaway Query Mitigation
Connection Exhaustion Recovery
Maintenance Operations
Regular Maintenance Schedule
Vacuum Strategy
Backup and Recovery
Performance Testing
Database Load Test
Connection Pool Test
Best Practices Summary
""".strip().splitlines()  # of the runbook this project grew from


def test_every_heading_of_the_runbook_has_its_row() -> None:
    assert [heading for heading in HEADINGS if not runbook_headings().get(heading)] == []


def test_every_command_that_the_runbook_page_names_exists() -> None:
    commands = {path.stem for path in (SRC / "surfaces" / "cli" / "commands").glob("*.py")}
    named = set(re.findall(r"pgrunbook ([a-z]+)", " ".join(runbook_headings().values())))
    assert named <= commands
    checks = set(re.findall(r"--only ([a-z_,]+)", " ".join(runbook_headings().values())))
    known = set(all_checks()) | {check.family for check in all_checks().values()}
    assert {name for names in checks for name in names.split(",")} <= known


@pytest.mark.parametrize("name", sorted(all_checks()))
def test_every_check_says_what_it_asks_and_where_the_runbook_speaks_of_it(name: str) -> None:
    named = all_checks()[name]
    assert named.summary.endswith(".")
    assert {"Asks", "Source", "Says", "Section"} <= set(named.headings)
    assert named.section in runbook_headings()


@pytest.mark.parametrize("kind", sorted(steps.kinds()))
def test_every_step_is_named_for_its_file_and_is_frozen(kind: str) -> None:
    step = steps.kinds()[kind]
    assert step.kind == kind
    assert step.__dataclass_params__.frozen


def test_no_file_is_called_by_a_name_that_says_nothing() -> None:
    nothing = {"utils.py", "helpers.py", "common.py", "manager.py", "misc.py"}
    assert not [path for path in tracked() if Path(path).name in nothing]


def test_modules_stay_readable_in_one_sitting() -> None:
    long = {p: n for p in SRC.rglob("*.py") if (n := len(p.read_text(encoding="utf-8").splitlines())) > 500}
    assert not long


def test_the_version_is_written_once() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", pgrunbook.__version__)
    assert pgrunbook.__version__ not in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_the_generated_pages_are_up_to_date() -> None:
    """What `make docs` would write stands there already, and nothing else."""
    spec = importlib.util.spec_from_file_location("docs", ROOT / "tools" / "docs.py")
    assert spec is not None
    assert spec.loader is not None
    docs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(docs)
    made: dict[Path, str] = docs.pages()
    stale = [path.name for path, page in made.items() if not path.exists() or path.read_text("utf-8") != page]
    gone = [path.name for path in (ROOT / "docs" / "checks").glob("*.md") if path not in made]
    assert (stale, gone) == ([], []), "make docs"
