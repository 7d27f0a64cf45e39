"""What is not rehearsed is not applied unless somebody agreed to go without."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.fix.server import FreshDatabase

from pgrunbook.errors import Unsupported
from pgrunbook.surfaces.cli.main import run


def test_yes_is_no_consent_to_go_without_a_rehearsal(
    server18: FreshDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def cannot(*_: object, **__: object) -> None:
        raise Unsupported("no server of major 18 on this machine", hint="pip install 'pgrunbook[demo]'")

    server18.execute(
        "create table t (id int primary key, a int)", "create index one on t (a)", "create index two on t (a)"
    )
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pgrunbook.surfaces.cli.planning.rehearse", cannot)
    words = ["apply", server18.dsn, "--only", "duplicate_index", "--yes"]

    assert run(words) == 4
    said = capsys.readouterr().err
    assert "nobody agreed to go without; nothing was changed" in said
    assert "no server of major 18 on this machine" in said
    assert not list(tmp_path.rglob("journal.jsonl"))
    assert run([*words, "--no-rehearse"]) == 0
    with server18.connect() as conn:
        row = conn.execute("select count(*) from pg_indexes where indexname in ('one', 'two')").fetchone()
    assert row == (1,)
