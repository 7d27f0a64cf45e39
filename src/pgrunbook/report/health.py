"""The scorecard as JSON and Markdown, and the words that all its forms share."""

from __future__ import annotations

from typing import Any

from pgrunbook import __version__
from pgrunbook.model.health import Capacity, Health, Mark, Metric, Practice
from pgrunbook.report import json
from pgrunbook.report.markdown import code, plain
from pgrunbook.report.words import duration, figure, number

SCHEMA_VERSION = 1


def render_json(health: Health) -> str:
    """JSON text."""
    return json.dumps(as_dict(health))


def as_dict(health: Health) -> dict[str, Any]:
    """The scorecard as one JSON object."""
    server = health.server
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": "pgrunbook",
        "version": __version__,
        "taken_at": json.utc(health.taken_at),
        "duration_s": health.duration_s,
        "window_s": health.window_s,
        "server": {
            "database": server.database,
            "version": server.version,
            "major": server.major,
            "role": server.role.value,
            "service": server.service.value,
        },
        "metrics": [_metric(metric) for metric in health.metrics],
        "capacity": _capacity(health.capacity),
        "practices": [_practice(practice) for practice in health.practices],
    }


def _metric(metric: Metric) -> dict[str, Any]:
    return {
        "name": metric.name,
        "title": metric.title,
        "value": metric.value,
        "target": metric.target,
        "bound": "above" if metric.is_floor else "below",
        "mark": metric.mark.value,
        "basis": metric.basis.value if metric.value is not None else None,
        "source": metric.source or None,
        "why": metric.why or None,
        "cure": metric.cure or None,
    }


def _capacity(capacity: Capacity) -> dict[str, Any]:
    return {
        "formula": "connections * queries_per_connection_per_s * hit_ratio",
        "kind": "rule of thumb",
        "connections": capacity.connections,
        "queries_per_connection_per_s": capacity.queries_per_connection_per_s,
        "hit_ratio": capacity.hit_ratio,
        "queries_per_s": _rounded(capacity.queries_per_s),
        "sources": list(capacity.sources),
    }


def _rounded(value: float | None) -> float | None:
    return round(value, 1) if value is not None else None


def _practice(practice: Practice) -> dict[str, Any]:
    return {
        "number": practice.number,
        "title": practice.title,
        "advice": practice.advice,
        "mark": practice.mark.value,
        "evidence": practice.evidence,
        "cure": practice.cure or None,
    }


def target_words(metric: Metric) -> str:
    """The bound with its unit: `< 100 ms`."""
    return f"{'>' if metric.is_floor else '<'} {figure(metric.name, metric.target)}"


def value_words(metric: Metric) -> str:
    """The value with its unit; an estimate is marked as one."""
    if metric.value is None:
        return "unknown"
    about = "≈ " if metric.basis.value == "estimated" else ""
    return about + figure(metric.name, metric.value)


def source_words(metric: Metric) -> str:
    """Where the figure comes from, or why there is none."""
    if metric.value is None:
        return metric.why
    return f"estimated from {metric.source}" if metric.basis.value == "estimated" else metric.source


def formula_words(capacity: Capacity) -> str:
    """The formula with its inputs."""
    inputs = (
        f"{capacity.connections:,} connections" if capacity.connections is not None else "connections (unknown)",
        f"{number(capacity.queries_per_connection_per_s)} queries each a second"
        if capacity.queries_per_connection_per_s is not None
        else "queries each a second (unknown)",
        f"cache hit ratio {capacity.hit_ratio:.3f}" if capacity.hit_ratio is not None else "cache hit ratio (unknown)",
    )
    result = (
        f"{number(round(capacity.queries_per_s, 1))} queries/s" if capacity.queries_per_s is not None else "unknown"
    )
    return f"{' × '.join(inputs)} = {result}"


def counts(health: Health) -> str:
    """How many of the ten are met."""
    marks = [practice.mark for practice in health.practices]
    return ", ".join(f"{marks.count(mark)} {mark.value}" for mark in Mark)


def window_words(health: Health) -> str:
    """For what time the figures hold."""
    if health.window_s is None:
        return "cumulative figures, since the counters began"
    return f"watched for {duration(health.window_s)}"


def render_markdown(health: Health) -> str:
    """The scorecard for a wiki or an issue."""
    server = health.server
    head = f"PostgreSQL {plain(server.version)}, {server.role.value}, {window_words(health)}."
    metrics = [
        f"| {plain(m.title)} | {target_words(m)} | {value_words(m)} | {m.mark.value} | {plain(source_words(m))} |"
        for m in health.metrics
    ]
    practices = [
        f"| {p.number} | {plain(p.title)} | {p.mark.value} | {plain(p.evidence)} |"
        + (f" {code(p.cure).replace('|', chr(92) + '|')} |" if p.cure else " |")
        for p in health.practices
    ]
    parts = [
        f"# {plain(server.database)}: health",
        head,
        "## Key metrics",
        "\n".join(["| Metric | Target | Now | | Source |", "|---|---|---|---|---|", *metrics]),
        "## Load capacity",
        f"Rule of thumb: {plain(formula_words(health.capacity))}",
        "\n".join(f"- {plain(source)}" for source in health.capacity.sources),
        f"## Best practices: {counts(health)}",
        "\n".join(["| | Practice | | Evidence | Cure |", "|---|---|---|---|---|", *practices]),
        f"---\npgrunbook {__version__}, {json.utc(health.taken_at)}",
    ]
    return "\n\n".join(parts) + "\n"
