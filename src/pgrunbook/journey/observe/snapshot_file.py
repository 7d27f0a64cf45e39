"""A snapshot as a file: versioned JSON (gzipped if its name ends in .gz) that gives every row back exactly.

In: a Snapshot.  Out: bytes, and the Snapshot again.  A row whose columns this version reads otherwise becomes Unread,
never a guess; a file that is broken, foreign or newer is a UsageError.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pgrunbook import __version__
from pgrunbook.errors import UsageError
from pgrunbook.model import Extension, Question, Reading, Server, ServerRole, Service, Snapshot, Unread

FORMAT = 1
_MARK = "pgrunbook_snapshot"
_GZIP = b"\x1f\x8b"


def to_bytes(snapshot: Snapshot, *, compress: bool = False) -> bytes:
    """The file's content."""
    text = json.dumps({_MARK: FORMAT, "version": __version__, **_snapshot(snapshot)}, separators=(",", ":"))
    data = text.encode("ascii") + b"\n"
    return gzip.compress(data, mtime=0) if compress else data


def load(path: Path, questions: Iterable[Question[Any]]) -> Snapshot:
    """Read a file; `questions` says of which rows each reading consists."""
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise UsageError(f"cannot read the snapshot {path}: {exc.strerror or exc}") from exc
    return from_bytes(data, questions, name=str(path))


def from_bytes(data: bytes, questions: Iterable[Question[Any]], *, name: str = "the snapshot") -> Snapshot:
    """The snapshot that these bytes hold."""
    try:
        text = gzip.decompress(data) if data.startswith(_GZIP) else data
        content = json.loads(text)
    except (OSError, EOFError, zlib.error, ValueError) as exc:
        raise UsageError(f"{name} is broken or no snapshot: {exc}", hint="pgrunbook snapshot save writes one.") from exc
    if not isinstance(content, dict) or not isinstance(content.get(_MARK), int):
        raise UsageError(f"{name} is no snapshot of pgrunbook", hint="pgrunbook snapshot save writes one.")
    if content[_MARK] > FORMAT:
        raise UsageError(
            f"{name} was written by a newer pgrunbook ({content.get('version')}, format {content[_MARK]})",
            hint=f"This is pgrunbook {__version__}, which reads formats up to {FORMAT}: update it.",
        )
    known = {question.name: question for question in questions}
    try:
        return _snapshot_again(content, known)
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise UsageError(f"{name} is a broken snapshot: {type(exc).__name__}: {exc}") from exc


def _snapshot(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "taken_at": snapshot.taken_at.isoformat(),
        "duration_s": snapshot.duration_s,
        "server": _server(snapshot.server),
        "readings": {name: _reading(reading) for name, reading in snapshot.readings.items()},
        "earlier": None if snapshot.earlier is None else _snapshot(snapshot.earlier),
    }


def _server(server: Server) -> dict[str, Any]:
    values = {
        field.name: _cell(getattr(server, field.name))
        for field in dataclasses.fields(server)
        if field.name not in {"memberships", "extensions"}
    }
    values["memberships"] = sorted(server.memberships)
    values["extensions"] = {name: [one.version, one.schema] for name, one in server.extensions.items()}
    return values


def _reading(reading: Reading[object] | Unread) -> dict[str, Any]:
    if isinstance(reading, Unread):
        return {"unread": reading.reason, "cure": reading.cure}
    columns = [field.name for field in dataclasses.fields(reading.rows[0])] if reading.rows else []  # type: ignore[arg-type]  # rows are dataclasses
    return {
        "taken_at": reading.taken_at.isoformat(),
        "duration_s": reading.duration_s,
        "skipped": sorted(reading.skipped),
        "columns": columns,
        "rows": [[_cell(getattr(row, column)) for column in columns] for row in reading.rows],
    }


def _cell(value: Any) -> Any:
    """JSON has no times, no infinities and no tuples: the first two are marked, a list is always a tuple."""
    if isinstance(value, datetime):
        return {"time": value.isoformat()}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if isinstance(value, tuple):
        return [_cell(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"a row holds a {type(value).__name__}, which a snapshot cannot keep")


def _cell_again(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_cell_again(item) for item in value)
    if isinstance(value, dict):
        return datetime.fromisoformat(value["time"]) if "time" in value else float(value["float"])
    return value


def _snapshot_again(content: Mapping[str, Any], known: Mapping[str, Question[Any]]) -> Snapshot:
    version = str(content.get("version", ""))
    earlier = content["earlier"]
    return Snapshot(
        server=_server_again(content["server"]),
        taken_at=datetime.fromisoformat(content["taken_at"]),
        duration_s=float(content["duration_s"]),
        readings={
            name: _reading_again(known[name], stored, version)
            for name, stored in content["readings"].items()
            if name in known
        },
        earlier=None if earlier is None else _snapshot_again({"version": version, **earlier}, known),
    )


def _server_again(stored: Mapping[str, Any]) -> Server:
    values = {name: _cell_again(value) for name, value in stored.items() if name not in {"memberships", "extensions"}}
    values["role"] = ServerRole(values["role"])
    values["service"] = Service(values["service"])
    return Server(
        **{field.name: values[field.name] for field in dataclasses.fields(Server) if field.name in values},
        memberships=frozenset(stored["memberships"]),
        extensions={name: Extension(version=v, schema=s) for name, (v, s) in stored["extensions"].items()},
    )


def _reading_again(question: Question[Any], stored: Mapping[str, Any], version: str) -> Reading[Any] | Unread:
    if "unread" in stored:
        return Unread(reason=stored["unread"], cure=stored["cure"])
    columns: Sequence[str] = stored["columns"]
    if stored["rows"] and set(columns) != {field.name for field in dataclasses.fields(question.row)}:
        return Unread(
            reason=f"the snapshot was taken by pgrunbook {version}, which read other columns of {question.name}",
            cure="Take a new one: pgrunbook snapshot save FILE",
        )
    return Reading(
        rows=tuple(question.row(**dict(zip(columns, map(_cell_again, row), strict=True))) for row in stored["rows"]),
        taken_at=datetime.fromisoformat(stored["taken_at"]),
        duration_s=float(stored["duration_s"]),
        skipped=frozenset(stored["skipped"]),
    )
