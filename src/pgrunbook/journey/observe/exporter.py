"""The server's machine as a node exporter sees it: its own, or the one behind a Supabase project's metrics endpoint.

In: the address from the configuration.  Out: a Host, or why there is none.  Counters are read twice, as everywhere; an
endpoint that did not move in between (Supabase refreshes its own once a minute) tells nothing, and that is said.
"""

from __future__ import annotations

import base64
import http.client
import re
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pgrunbook.journey.observe.host import Host
from pgrunbook.model import Unread

TIMEOUT_S = 10.0
SIZE_MAX_BYTES = 16 << 20  # a busy exporter sends about one megabyte
SUPABASE_USER = "service_role"
PASSWORD_VARIABLE = "PGRUNBOOK_METRICS_PASSWORD"  # noqa: S105 - the name of a variable
SUPABASE_PATH = "/customer/v1/privileged/metrics"

_SAMPLE = re.compile(r"^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})?\s+(?P<value>\S+)(?:\s+-?\d+)?\s*$")
_LABEL = re.compile(r'\s*([a-zA-Z_]\w*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*,?')
_ESCAPED = {"\\n": "\n", '\\"': '"', "\\\\": "\\"}
_OF_ONE_PROCESSOR = {"cpu", "mode"}
_COUNTED_ELSEWHERE = {"guest", "guest_nice"}  # Linux counts guests within user and nice


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where to ask.  The password stands in no file of ours."""

    url: str
    password: str = ""

    @property
    def shown(self) -> str:
        """The address without what may identify somebody."""
        parts = urlsplit(self.url)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"

    def headers(self) -> dict[str, str]:
        """Basic authentication, as Supabase and most proxies before an exporter ask for it."""
        if not self.password:
            return {}
        pair = f"{urlsplit(self.url).username or SUPABASE_USER}:{self.password}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One line of the text: a name, its labels, a value."""

    name: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one answer says of one machine.  Seconds are of all processors together, since the machine started."""

    seconds_of: Mapping[str, float]
    cores: int
    memory_bytes: int
    available_bytes: int | None


class ExporterWatch:
    """Asks when it is made; `look` asks again and says what happened since."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._began = time.monotonic()
        self._before = read(endpoint)

    def look(self) -> Host:
        """What the machine did since the watch began; a Host without figures says why."""
        before, now = self._before, read(self._endpoint)
        seconds = time.monotonic() - self._began
        where = f"the exporter at {self._endpoint.shown}"
        if isinstance(now, Unread):
            return Host(where=where, is_named=True, why=now.reason, cure=now.cure, seconds=seconds)
        shares = _shares(before.seconds_of, now.seconds_of) if isinstance(before, Figures) else None
        memory = now.available_bytes / now.memory_bytes if now.available_bytes is not None else None
        return Host(
            where=where,
            is_named=True,
            cpu_ratio=shares[0] if shares is not None else None,
            disk_wait_ratio=shares[1] if shares is not None else None,
            memory_ratio=min(1.0, max(0.0, 1 - memory)) if memory is not None else None,
            memory_bytes=now.memory_bytes,
            cores=now.cores,
            seconds=seconds,
            why="" if shares is not None else f"its counters did not move in {seconds:.0f} s",
            cure="" if shares is not None else "Watch for longer than it takes to refresh: --window 90.",
        )


def read(endpoint: Endpoint) -> Figures | Unread:
    """Ask the endpoint once."""
    try:
        text = _get(endpoint)
    except urllib.error.HTTPError as exc:
        with exc:
            cure = f"Set {PASSWORD_VARIABLE} to the service_role key." if exc.code in {401, 403} else ""
            return Unread(reason=f"{endpoint.shown} answered {exc.code} {exc.reason}", cure=cure)
    except (OSError, ValueError, http.client.HTTPException) as exc:
        reason = getattr(exc, "reason", None) or exc
        return Unread(reason=f"{endpoint.shown} cannot be read: {reason}", cure="See metrics_url in pgrunbook.toml.")
    return figures_of(text, endpoint.shown)


class _NoDetour(urllib.request.HTTPRedirectHandler):
    """Follows nobody elsewhere: the password is for this address only."""

    def redirect_request(self, *_: Any) -> None:
        """Refuse; the answer 30x then is the error."""


def _get(endpoint: Endpoint) -> str:
    parts = urlsplit(endpoint.url)
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    request = urllib.request.Request(bare, headers={"Accept": "text/plain", **endpoint.headers()})  # noqa: S310 - config allows http and https only
    with urllib.request.build_opener(_NoDetour).open(request, timeout=TIMEOUT_S) as answer:
        body: bytes = answer.read(SIZE_MAX_BYTES + 1)
    if len(body) > SIZE_MAX_BYTES:
        raise ValueError(f"it sent more than {SIZE_MAX_BYTES >> 20} MB")
    return body.decode("utf-8", "replace")


def figures_of(text: str, where: str) -> Figures | Unread:
    """The machine's figures in an exporter's text; Unread where there are none, or those of several machines."""
    machines: dict[tuple[tuple[str, str], ...], list[Sample]] = defaultdict(list)
    for sample in samples(text):
        if sample.name in {"node_cpu_seconds_total", "node_memory_MemTotal_bytes", "node_memory_MemAvailable_bytes"}:
            ours = {key: value for key, value in sample.labels.items() if key not in _OF_ONE_PROCESSOR}
            machines[tuple(sorted(ours.items()))].append(sample)
    databases = {key: found for key, found in machines.items() if ("service_type", "db") in key}
    chosen = databases or machines
    if not chosen:
        return Unread(reason=f"{where} sends no figures of a node exporter", cure="Name a node exporter's /metrics.")
    if len(chosen) > 1:
        return Unread(
            reason=f"{where} sends the figures of {len(chosen)} machines",
            cure="Name the exporter of this server's own.",
        )
    return _figures(next(iter(chosen.values())), where)


def _figures(found: list[Sample], where: str) -> Figures | Unread:
    seconds: dict[str, float] = defaultdict(float)
    for sample in found:
        if sample.name == "node_cpu_seconds_total":
            seconds[sample.labels.get("mode", "")] += sample.value
    memory = {sample.name: round(sample.value) for sample in found if sample.name.startswith("node_memory_")}
    total = memory.get("node_memory_MemTotal_bytes", 0)
    if not seconds or total <= 0:
        return Unread(reason=f"{where} sends no figures of processors and memory", cure="Enable cpu and meminfo there.")
    return Figures(
        seconds_of={mode: spent for mode, spent in seconds.items() if mode not in _COUNTED_ELSEWHERE},
        cores=len({sample.labels.get("cpu") for sample in found if sample.name == "node_cpu_seconds_total"}),
        memory_bytes=total,
        available_bytes=memory.get("node_memory_MemAvailable_bytes"),
    )


def _shares(before: Mapping[str, float], now: Mapping[str, float]) -> tuple[float, float] | None:
    """The shares of work and of waiting for disks in the processors' time; None when nothing moved, or backwards."""
    moved = {mode: spent - before.get(mode, 0.0) for mode, spent in now.items()}
    waited, idled = moved.get("iowait", 0.0), moved.get("idle", 0.0)
    whole = sum(moved.values())
    if whole <= 0 or idled < 0:
        return None
    waited = max(0.0, waited)  # the kernel itself calls it unreliable
    return min(1.0, max(0.0, 1 - (idled + waited) / whole)), min(1.0, waited / whole)


def samples(text: str) -> Iterator[Sample]:
    """The samples of a Prometheus text (https://prometheus.io/docs/instrumenting/exposition_formats/)."""
    for line in text.splitlines():
        match = _SAMPLE.match(line) if line and not line.startswith("#") else None
        if match is None:
            continue
        try:
            value = float(match["value"])
        except ValueError:
            continue
        labels = {key: _unescaped(quoted) for key, quoted in _LABEL.findall(match["labels"] or "")}
        yield Sample(name=match["name"], labels=labels, value=value)


def _unescaped(quoted: str) -> str:
    return re.sub(r'\\[n"\\]', lambda match: _ESCAPED[match[0]], quoted)
