"""The tree shows the way of the data: a part imports only what stands before it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src" / "pgrunbook"

ORDER = (
    "errors",
    "config",
    "model",
    "pg",
    "lab",
    "record",
    "report",
    "journey.observe",
    "journey.steps",
    "journey.workload",
    "journey.diagnose",
    "journey.planner",
    "journey.advise",
    "journey.verify",
    "journey.rehearse",
    "journey.act",
    "procedures",
    "demo",
    "surfaces",
)
DRIVER_ALLOWED = (
    "pg",
    "lab",
    "journey.observe",
    "journey.steps",
    "journey.planner",
    "journey.verify",
    "journey.rehearse",
    "journey.act",
)


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(SRC.rglob("*.py")):
        parts = path.relative_to(SRC).with_suffix("").parts
        yield ".".join(part for part in parts if part != "__init__"), path


def imports(path: Path) -> Iterator[str]:
    """Every module that the file imports, also inside functions; `from package import name` counts as both."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def station(module: str) -> str | None:
    return next((name for name in ORDER if module == name or module.startswith(f"{name}.")), None)


MODULES = [pytest.param(name, path, id=name or "pgrunbook") for name, path in modules()]


@pytest.mark.parametrize("name,path", MODULES)
def test_a_module_imports_only_what_stands_before_it(name: str, path: Path) -> None:
    here = station(name)
    if here is None:
        assert name in {"", "journey", "__main__"}, f"{name} belongs to no part of the house"
        return
    for imported in imports(path):
        there = station(imported.removeprefix("pgrunbook.")) if imported.startswith("pgrunbook.") else None
        if there is not None:
            assert ORDER.index(there) <= ORDER.index(here), f"{name} imports {imported}"


@pytest.mark.parametrize("name,path", MODULES)
def test_only_those_who_talk_to_a_server_import_the_driver(name: str, path: Path) -> None:
    if not any(i == "psycopg" or i.startswith("psycopg.") for i in imports(path)):
        return
    allowed = any(name == part or name.startswith(f"{part}.") for part in DRIVER_ALLOWED)
    assert allowed or name.startswith(("demo.", "procedures.")), f"{name} imports psycopg"


@pytest.mark.parametrize("name,path", MODULES)
def test_only_pg_opens_connections(name: str, path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    opened = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "connect"
        and isinstance(node.func.value, ast.Name | ast.Attribute)
        and ast.unparse(node.func.value) in {"psycopg", "psycopg.Connection", "Connection"}
    ]
    assert not opened or name == "pg.connect", f"{name} opens a connection by itself"


def test_the_parser_library_is_known_in_one_place() -> None:
    assert [name for name, path in modules() if any(i.split(".")[0] == "postgast" for i in imports(path))] == [
        "pg.parse_worker"
    ]
