from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pgrunbook import config
from pgrunbook.errors import UsageError
from pgrunbook.journey.diagnose.request import request_from


def load(folder: Path, text: str | None = None, **options: Any) -> config.Config:
    if text is not None:
        (folder / config.FILE_NAME).write_text(text, encoding="utf-8")
    return config.load(folder=folder, environ={"HOME": str(folder / "home"), **options.pop("environ", {})}, **options)


def test_everything_has_a_default(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert settings == config.Config(project_file=settings.project_file)
    assert settings.origin("fail_on") == "default"


def test_a_flag_beats_the_environment_beats_the_project_beats_the_user(tmp_path: Path) -> None:
    user = tmp_path / "home/.config/pgrunbook"
    user.mkdir(parents=True)
    (user / config.FILE_NAME).write_text('fail_on = "never"\nwindow_s = 1\nonly = ["index"]\nskip = ["vacuum"]\n')
    project = 'fail_on = "warning"\nwindow_s = 2\nonly = ["vacuum"]\n'
    environ = {"PGRUNBOOK_FAIL_ON": "critical", "PGRUNBOOK_WINDOW_S": "3"}
    settings = load(tmp_path, project, environ=environ, flags={"window_s": 4.0, "fail_on": None, "only": ()})
    assert (settings.window_s, settings.fail_on, settings.only, settings.skip) == (
        4.0,
        "critical",
        ("vacuum",),
        ("vacuum",),
    )
    assert settings.origin("window_s") == "flag --window"
    assert settings.origin("fail_on") == "environment PGRUNBOOK_FAIL_ON"
    assert settings.origin("only") == str(tmp_path / config.FILE_NAME)
    assert settings.origin("skip") == str(user / config.FILE_NAME)


def test_the_project_file_is_found_from_a_folder_below(tmp_path: Path) -> None:
    below = tmp_path / "a/b"
    below.mkdir(parents=True)
    (tmp_path / config.FILE_NAME).write_text('fail_on = "never"\n')
    assert load(below).fail_on == "never"


def test_thresholds_of_two_files_are_merged_key_by_key(tmp_path: Path) -> None:
    user = tmp_path / "home/.config/pgrunbook"
    user.mkdir(parents=True)
    (user / config.FILE_NAME).write_text("[checks.unused_index]\nold_xids = 5\ntable_scans = 7\n")
    settings = load(tmp_path, "[checks.unused_index]\ntable_scans = 9\n")
    assert settings.checks == {"unused_index": {"old_xids": 5, "table_scans": 9}}
    assert settings.origin("checks.unused_index.old_xids") == str(user / config.FILE_NAME)


@pytest.mark.parametrize(
    "text,names",
    [
        ("fial_on = 1\n", "'fial_on'"),
        ('fail_on = "sometimes"\n', "fail_on must be one of"),
        ("window_s = true\n", "window_s must be a number of seconds"),
        ("window_s = -1\n", "window_s must be a number of seconds"),
        ("only = [1]\n", "only must be a list of names"),
        ('metrics_url = "db-1:9100"\n', "metrics_url must be an address"),
        ('metrics_url = "file:///etc/passwd"\n', "metrics_url must be an address"),
        ("metrics_url = 9100\n", "metrics_url must be an address"),
        ('metrics_url = "https://u:secret@db-1/metrics"\n', "PGRUNBOOK_METRICS_PASSWORD"),
        ("checks = 3\n", "checks must be tables"),
        ("[checks]\ndead_rows = 3\n", "checks.dead_rows must be a table"),
        ("[expect]\nmemory = 1\n", "expect.memory"),
        ('[expect]\nmemory_bytes = "8 GB"\n', "expect.memory_bytes must be of type int"),
        ("[expect]\nmemory_bytes = true\n", "expect.memory_bytes must be of type int"),
        ('[expect]\nreplicas = "2"\n', "expect.replicas must be of type int"),
        ("mute = 1\n", "mute must be an array of tables"),
        ('[[mute]]\nreason = "x"\n', "needs either fingerprint or check"),
        ('[[mute]]\ncheck = "a"\nfingerprint = "0123456789abcdef"\nreason = "x"\n', "needs either"),
        ('[[mute]]\nfingerprint = "0123"\nreason = "x"\n', "at least 8 characters"),
        ('[[mute]]\ncheck = "a"\nreason = " "\n', "needs a reason"),
        ('[[mute]]\ncheck = "a"\nreason = "x"\nuntil = "soon"\n', "until must be a date"),
        ('[[mute]]\ncheck = "a"\nreason = "x"\nbecause = 1\n', "unknown key 'because'"),
        ("fail_on =\n", "not valid TOML"),
    ],
)
def test_what_cannot_be_understood_names_file_and_key(tmp_path: Path, text: str, names: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(tmp_path, text)
    assert str(tmp_path / config.FILE_NAME) in caught.value.message
    assert names in caught.value.message


def test_a_bad_value_in_the_environment_names_its_variable(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="environment PGRUNBOOK_WINDOW_S must be a number"):
        load(tmp_path, environ={"PGRUNBOOK_WINDOW_S": "soon"})


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no configuration file"):
        load(tmp_path, file=tmp_path / "nowhere.toml")


@pytest.mark.parametrize(
    "text,names",
    [
        ("[checks.unusd_index]\ntable_scans = 1\n", "unusd_index"),
        ("[checks.unused_index]\ntable_scan = 1\n", "no threshold 'table_scan'"),
        ('[checks.unused_index]\ntable_scans = "many"\n', "table_scans must be of type"),
        ('[[mute]]\ncheck = "unusd_index"\nreason = "x"\n', "unusd_index"),
    ],
)
def test_a_check_or_threshold_that_does_not_exist_names_the_file(tmp_path: Path, text: str, names: str) -> None:
    with pytest.raises(UsageError) as caught:
        request_from(load(tmp_path, text))
    assert str(tmp_path / config.FILE_NAME) in caught.value.message
    assert names in caught.value.message


def test_dates_may_be_dates_or_texts(tmp_path: Path) -> None:
    entry = '[[mute]]\ncheck = "a"\nreason = "x"\n'
    text = f'{entry}until = 2027-01-31\n{entry}until = "2027-01-31"\n{entry}until = 2027-01-31T12:00:00Z\n{entry}'
    assert [str(mute.until) for mute in load(tmp_path, text).mutes] == ["2027-01-31"] * 3 + ["None"]
