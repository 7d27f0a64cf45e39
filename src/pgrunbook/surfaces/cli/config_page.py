"""What `pgrunbook config show` prints: TOML that could stand in pgrunbook.toml, with the origin of each key."""

from __future__ import annotations

from datetime import date, time
from typing import Any

from pgrunbook import config
from pgrunbook.journey.diagnose.request import request_from
from pgrunbook.report.json import dumps
from pgrunbook.report.toml import table_key, value_text
from pgrunbook.surfaces.cli.command import Invocation
from pgrunbook.surfaces.cli.output import write


def run(invocation: Invocation, *, origin: bool, form: str) -> None:
    """Print the configuration."""
    settings = config.load(file=invocation.config_file)
    request_from(settings)
    write(dumps(_as_dict(settings)) if form == "json" else _as_toml(settings, origin=origin))


def _as_toml(settings: config.Config, *, origin: bool) -> str:
    lines = [
        f"# project file: {settings.project_file or 'none (pgrunbook.toml here or above)'}",
        f"# user file: {settings.user_file or 'none'}",
        "",
    ]

    def pair(key: str, value: Any, full_key: str) -> str:
        return f"{key} = {value_text(value)}" + (f"  # {settings.origin(full_key)}" if origin else "")

    lines += [pair(one.name, getattr(settings, one.name), one.name) for one in config.SETTINGS]
    for name, thresholds in sorted(settings.checks.items()):
        lines += ["", f"[checks.{table_key(name)}]"]
        lines += [pair(table_key(key), value, f"checks.{name}.{key}") for key, value in thresholds.items()]
    if settings.expect:
        lines += ["", "[expect]", *(pair(key, value, f"expect.{key}") for key, value in settings.expect.items())]
    for name, table in sorted(settings.procedures.items()):
        lines += ["", f"[{name}]", *(pair(table_key(key), value, f"{name}.{key}") for key, value in table.items())]
    for mute in settings.mutes:
        lines += ["", "[[mute]]" + (f"  # {mute.origin}" if origin else "")]
        lines += [
            f"{key} = {value_text(value)}"
            for key in ("fingerprint", "check", "reason", "until")
            if (value := getattr(mute, key))
        ]
    return "\n".join(lines) + "\n"


def _as_dict(settings: config.Config) -> dict[str, Any]:
    return {
        "project_file": str(settings.project_file) if settings.project_file else None,
        "user_file": str(settings.user_file) if settings.user_file else None,
        "settings": {
            one.name: {"value": getattr(settings, one.name), "origin": settings.origin(one.name)}
            for one in config.SETTINGS
        },
        "checks": {
            name: {key: {"value": v, "origin": settings.origin(f"checks.{name}.{key}")} for key, v in table.items()}
            for name, table in settings.checks.items()
        },
        "expect": {
            key: {"value": value, "origin": settings.origin(f"expect.{key}")} for key, value in settings.expect.items()
        },
        **{
            name: {key: {"value": _plain(v), "origin": settings.origin(f"{name}.{key}")} for key, v in table.items()}
            for name, table in settings.procedures.items()
        },
        "mute": [
            {
                "fingerprint": mute.fingerprint,
                "check": mute.check,
                "reason": mute.reason,
                "until": mute.until.isoformat() if mute.until else None,
                "origin": mute.origin,
            }
            for mute in settings.mutes
        ],
    }


def _plain(value: Any) -> Any:
    """A value as JSON knows it: TOML's dates and times become texts."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, date | time) else value
