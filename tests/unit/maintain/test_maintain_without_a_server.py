"""What `pgrunbook maintain` answers without any server: the calendar, what to install, and errors of usage."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from pgrunbook.surfaces.cli.main import run

DSN = "postgresql://app:s3cret@db-1/sh%20op"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder and a home of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "PGRUNBOOK_DSN", "DATABASE_URL", "PGRUNBOOK_CONFIG"):
        monkeypatch.delenv(name, raising=False)


def test_the_calendar_shows_the_next_three_dates_of_each_task(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["maintain", "calendar"]) == 0
    assert "First Sunday 06:00 UTC" in capsys.readouterr().out
    assert run(["maintain", "calendar", "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [len(entry["next"]) for entry in told["entries"]] == [3] * 8
    assert told["entries"][0]["due"] is None


def test_dates_are_told_by_the_clocks_of_their_zone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c.yaml").write_text("monthly:\n  - task: capacity\n    time: 'First Monday Pacific/Auckland'\n")
    assert run(["maintain", "calendar", "--file", "c.yaml"]) == 0
    shown = " ".join(capsys.readouterr().out.split()).partition("; now ")[0]
    assert shown.count("Mon 20") == 3
    assert shown.count("Sun 20") == 0
    assert "Pacific/Auckland" in shown


@pytest.mark.parametrize("form", ["cron", "systemd"])
def test_what_is_to_be_installed_holds_no_password(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["maintain", "calendar", DSN, "--format", form]) == 0
    printed = capsys.readouterr()
    assert "pgrunbook maintain run --due --yes" in printed.out
    assert "db-1" in printed.out
    assert "s3cret" not in printed.out + printed.err
    assert "~/.pgpass" in printed.err
    assert run(["maintain", "calendar", "--format", form]) == 0
    assert "PGRUNBOOK_DSN=postgresql://user@host:5432/database" in capsys.readouterr().out


def test_a_line_of_cron_escapes_its_percent_signs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["maintain", "calendar", "postgresql://app@db-1/sh%20op", "--format", "cron"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        r"*/15 * * * * pgrunbook maintain run --due --yes postgresql://app@db-1/sh\%20op"
    )


def test_systemd_reads_the_unit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    assert run(["maintain", "calendar", "host=db-1 dbname=shop", "--format", "systemd"]) == 0
    service = capsys.readouterr().out.split(".service\n", 1)[1].split("# ~/.config")[0]
    unit = tmp_path / "pgrunbook-maintain.service"
    unit.write_text(service, encoding="utf-8")
    checked = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert "pgrunbook-maintain.service:" not in checked.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("run",),
        ("run", "defrag"),
        ("run", "vacuum", "reindex"),
        ("run", "vacuum", "--due"),
        ("run", "--due", "-o", "x.html"),
        ("run", "vacuum", "-o", "x.html"),
        ("run", "capacity", "--format", "json"),
        ("run", "vacuum", "host=a", "host=b"),
        ("calendar", "--file", "nowhere.yaml"),
    ],
)
def test_what_makes_no_sense_is_an_error_of_usage(words: tuple[str, ...]) -> None:
    assert run(["maintain", *words]) == 64
