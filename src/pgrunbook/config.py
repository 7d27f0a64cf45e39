"""The configuration: flag > environment > project file > user file > default, frozen with its origins.

The project file is the nearest `pgrunbook.toml` from the working folder upwards; the user's is
`$XDG_CONFIG_HOME/pgrunbook/pgrunbook.toml`.  It holds no DSN and no password: those come from flags, PGRUNBOOK_DSN,
DATABASE_URL or libpq's own files.  A key that nobody reads is an error: a typo must not silently change a verdict.
"""

from __future__ import annotations

import dataclasses
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pgrunbook.errors import UsageError

FILE_NAME = "pgrunbook.toml"
FAIL_ON = ("critical", "warning", "never")
FINGERPRINT_MIN_CHARS = 8  # of 16: what `mute` and `apply` accept as a beginning


@dataclass(frozen=True, slots=True, kw_only=True)
class Mute:
    """One `[[mute]]`: a fingerprint or a check, why, and until when."""

    reason: str
    fingerprint: str = ""
    check: str = ""
    until: date | None = None
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One key at the top of the file: how to read it, what it is without being set, and what it means."""

    name: str
    default: Any
    read: Callable[[Any], Any]
    says: str

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return f"PGRUNBOOK_{self.name.upper()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What holds for this run.  `origins` says for each key, as `fail_on` or `checks.dead_rows`, who set it."""

    fail_on: str = "critical"
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    schemas: tuple[str, ...] = ()
    window_s: float = 0.0
    metrics_url: str = ""
    checks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    expect: Mapping[str, Any] = field(default_factory=dict)
    procedures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    mutes: tuple[Mute, ...] = ()
    origins: Mapping[str, str] = field(default_factory=dict)
    project_file: Path | None = None
    user_file: Path | None = None

    def origin(self, key: str) -> str:
        """Who set this key."""
        return self.origins.get(key, "default")


def _choice(value: Any) -> str:
    if value not in FAIL_ON:
        raise ValueError(f"must be one of {', '.join(FAIL_ON)}, not {value!r}")
    return str(value)


def _names(value: Any) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        raise ValueError(f"must be a list of names, not {value!r}")
    return tuple(part.strip() for part in parts if part.strip())


def _seconds(value: Any) -> float:
    try:
        seconds = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        seconds = float("nan")
    if not 0 <= seconds <= 86_400:
        raise ValueError(f"must be a number of seconds from 0 to 86400, not {value!r}")
    return seconds


def _url(value: Any) -> str:
    try:
        parts = urlsplit(value) if isinstance(value, str) else None
        is_fine = parts is not None and parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_fine = False
    if value == "":
        return ""
    if not is_fine or parts is None:
        raise ValueError("must be an address such as http://db-1:9100/metrics")
    if parts.password is not None:
        raise ValueError("must hold no password: it comes from PGRUNBOOK_METRICS_PASSWORD")
    return str(value)


SETTINGS = (
    Setting(name="fail_on", default="critical", read=_choice, says="Findings that end diagnose with 1 or 2."),
    Setting(name="only", default=(), read=_names, says="The only checks or families that diagnose asks."),
    Setting(name="skip", default=(), read=_names, says="Checks or families that diagnose leaves out."),
    Setting(name="schemas", default=(), read=_names, says="The only schemas whose objects are reported."),
    Setting(name="window_s", default=0.0, read=_seconds, says="Seconds between two readings of the counters."),
    Setting(
        name="metrics_url", default="", read=_url, says="A node exporter or Supabase metrics endpoint, for health."
    ),
)
EXPECTATIONS: Mapping[str, tuple[type, ...]] = {
    "memory_bytes": (int,),  # of the server's machine, which no SQL can ask
    "replicas": (int,),  # standbys that stream from the primary
    "wal_disk_free_bytes": (int,),  # what is left for pg_wal, which no SQL can ask
}
PROCEDURES = ("emergency", "maintain")  # tables that the procedure of this name reads, and whose keys it knows
_MUTE_KEYS = {"fingerprint", "check", "reason", "until"}


def load(
    *,
    flags: Mapping[str, Any] | None = None,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Config:
    """Read the files and the environment.  `flags` holds what the command line gave; None and () mean not given.

    `file` stands for the project file (it must exist).  Raises UsageError naming the file and the key.
    """
    env = os.environ if environ is None else environ
    named = file if file is not None else Path(env["PGRUNBOOK_CONFIG"]) if env.get("PGRUNBOOK_CONFIG") else None
    project = named if named is not None else find_project_file(folder if folder is not None else Path.cwd())
    user = user_file(env)
    config = Config(project_file=project, user_file=user if user.is_file() else None)
    for path in (config.user_file, config.project_file):
        if path is not None:
            config = _with_file(config, path)
    for setting in SETTINGS:
        text = env.get(setting.variable)
        if text:
            config = _with(config, setting, text, f"environment {setting.variable}", f"environment {setting.variable}")
    for setting in SETTINGS:
        value = (flags or {}).get(setting.name)
        if value is not None and value != ():
            flag = "--" + setting.name.removesuffix("_s").replace("_", "-")
            config = _with(config, setting, value, f"flag {flag}", flag)
    return config


def find_project_file(folder: Path) -> Path | None:
    """The nearest pgrunbook.toml from here upwards."""
    for place in (folder, *folder.parents):
        candidate = place / FILE_NAME
        if candidate.is_file():
            return candidate
    return None


def user_file(environ: Mapping[str, str]) -> Path:
    """Where the user's own file would be."""
    base = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME") or "~").expanduser() / ".config")
    return Path(base) / "pgrunbook" / FILE_NAME


def parse(text: str, path: Path) -> dict[str, Any]:
    """TOML, or a UsageError that names the file."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise UsageError(f"{path} is not valid TOML: {exc}") from exc


def read_text(path: Path) -> str:
    """The file's text, or a UsageError that names it."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as exc:
        raise UsageError(f"there is no configuration file {path}") from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(f"the configuration file {path} cannot be read: {exc}") from exc


def _with_file(config: Config, path: Path) -> Config:
    content = parse(read_text(path), path)
    known = {setting.name: setting for setting in SETTINGS}
    for key, value in content.items():
        if key in known:
            config = _with(config, known[key], value, str(path), f"{path}: {key}")
        elif key == "checks":
            config = _with_checks(config, path, value)
        elif key == "expect":
            config = _with_expectations(config, path, value)
        elif key in PROCEDURES:
            config = _with_procedure(config, path, key, value)
        elif key == "mute":
            config = _with_mutes(config, path, value)
        else:
            readable = (*known, "[checks.NAME]", "[expect]", *(f"[{name}]" for name in PROCEDURES), "[[mute]]")
            raise UsageError(f"{path}: unknown key {key!r}", hint=f"Known keys: {', '.join(readable)}.")
    return config


def _with(config: Config, setting: Setting, value: Any, origin: str, what: str) -> Config:
    try:
        read = setting.read(value)
    except ValueError as exc:
        raise UsageError(f"{what} {exc}") from exc
    return dataclasses.replace(config, **{setting.name: read}, origins={**config.origins, setting.name: origin})


def _with_checks(config: Config, path: Path, tables: Any) -> Config:
    if not isinstance(tables, dict):
        raise UsageError(f"{path}: checks must be tables such as [checks.dead_rows]")
    checks, origins = dict(config.checks), dict(config.origins)
    for name, thresholds in tables.items():
        if not isinstance(thresholds, dict):
            raise UsageError(f"{path}: checks.{name} must be a table of thresholds: [checks.{name}]")
        checks[name] = {**checks.get(name, {}), **thresholds}
        origins |= {f"checks.{name}.{key}": str(path) for key in thresholds} | {f"checks.{name}": str(path)}
    return dataclasses.replace(config, checks=checks, origins=origins)


def _with_expectations(config: Config, path: Path, table: Any) -> Config:
    if not isinstance(table, dict):
        raise UsageError(f"{path}: expect must be a table: [expect]")
    expect: dict[str, Any] = dict(config.expect)
    for key, value in table.items():
        if key not in EXPECTATIONS:
            raise UsageError(f"{path}: unknown key expect.{key}", hint=f"Known keys: {', '.join(EXPECTATIONS)}.")
        frozen = tuple(value) if isinstance(value, list) else value
        if isinstance(frozen, bool) or not isinstance(frozen, EXPECTATIONS[key]):
            wanted = " or ".join("list" if kind is tuple else kind.__name__ for kind in EXPECTATIONS[key])
            raise UsageError(f"{path}: expect.{key} must be of type {wanted}, not {value!r}")
        expect[key] = frozen
    origins = {**config.origins, **{f"expect.{key}": str(path) for key in table}}
    return dataclasses.replace(config, expect=expect, origins=origins)


def _with_procedure(config: Config, path: Path, name: str, table: Any) -> Config:
    """The table as it stands; a key of the project's file takes the place of the user's."""
    if not isinstance(table, dict):
        raise UsageError(f"{path}: {name} must be a table: [{name}]")
    merged = {**config.procedures.get(name, {}), **table}
    origins = {**config.origins, **{f"{name}.{key}": str(path) for key in table}}
    return dataclasses.replace(config, procedures={**config.procedures, name: merged}, origins=origins)


def _with_mutes(config: Config, path: Path, entries: Any) -> Config:
    if not isinstance(entries, list):
        raise UsageError(f"{path}: mute must be an array of tables: [[mute]]")
    read = [_mute(entry, path, place) for place, entry in enumerate(entries, start=1)]
    return dataclasses.replace(config, mutes=(*config.mutes, *read))


def _mute(entry: Any, path: Path, place: int) -> Mute:
    what = f"{path}: [[mute]] number {place}"
    if not isinstance(entry, dict):
        raise UsageError(f"{what} must be a table")
    for key in entry:
        if key not in _MUTE_KEYS:
            raise UsageError(f"{what}: unknown key {key!r}", hint=f"Known keys: {', '.join(sorted(_MUTE_KEYS))}.")
    texts = {key: entry.get(key, "") for key in ("fingerprint", "check", "reason")}
    for key, value in texts.items():
        if not isinstance(value, str):
            raise UsageError(f"{what}: {key} must be a text, not {value!r}")
    if bool(texts["fingerprint"]) == bool(texts["check"]):
        raise UsageError(f"{what} needs either fingerprint or check")
    if texts["fingerprint"] and len(texts["fingerprint"]) < FINGERPRINT_MIN_CHARS:
        raise UsageError(f"{what}: fingerprint needs at least {FINGERPRINT_MIN_CHARS} characters")
    if not texts["reason"].strip():
        raise UsageError(f"{what} needs a reason")
    return Mute(**texts, until=_until(entry.get("until"), what), origin=str(path))


def _until(value: Any, what: str) -> date | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError) as exc:
        raise UsageError(f"{what}: until must be a date such as 2026-12-31, not {value!r}") from exc
