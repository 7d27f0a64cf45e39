"""What `pgrunbook mute` does: append one [[mute]] to the project's file and keep the rest as it stands."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import Path

from pgrunbook import config
from pgrunbook.errors import UsageError
from pgrunbook.journey.diagnose.check import all_checks
from pgrunbook.report.toml import value_text
from pgrunbook.surfaces.cli.command import Invocation
from pgrunbook.surfaces.cli.output import note, write_file

_FINGERPRINT = re.compile(rf"[0-9a-f]{{{config.FINGERPRINT_MIN_CHARS},16}}\Z")


def run(invocation: Invocation, what: str, *, reason: str, until: date | None) -> None:
    """Write it down, or say that it already is."""
    if until is not None and until < datetime.now(UTC).date():
        raise UsageError(f"--until {until} has passed; a mute needs a day to come")
    if not reason.strip():
        raise UsageError("--reason is empty; say why, for those who read the file")
    key = "check" if what in all_checks() else "fingerprint"
    if key == "fingerprint" and not _FINGERPRINT.match(what):
        raise UsageError(
            f"{what!r} is neither a check nor a fingerprint of {config.FINGERPRINT_MIN_CHARS} to 16 hex digits",
            hint="pgrunbook checks lists the checks; diagnose --format json gives the fingerprints.",
        )
    named = invocation.config_file
    path = named or config.find_project_file(Path.cwd()) or Path.cwd() / config.FILE_NAME
    text = config.read_text(path) if path.exists() else ""
    if path.exists():
        _refuse_twice(config.load(file=path), key, what, path)
    entry = ["[[mute]]", f"{key} = {value_text(what)}", f"reason = {value_text(reason)}"]
    if until is not None:
        entry.append(f"until = {value_text(until)}")
    separator = "" if not text else "\n" if text.endswith("\n") else "\n\n"
    changed = text + separator + "\n".join(entry) + "\n"
    config.parse(changed, path)
    write_file(path, changed)
    end = f"until {until}" if until is not None else "without end"
    note(invocation, f"muted {key} {what} {end} in {path}; it is still counted, and shown by diagnose --all")


def _refuse_twice(settings: config.Config, key: str, what: str, path: Path) -> None:
    for mute in settings.mutes:
        if mute.origin == str(path) and getattr(mute, key) == what:
            raise UsageError(f"{path} already mutes {key} {what}: {mute.reason}", hint=f"Change it there: {path}")
