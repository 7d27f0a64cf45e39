"""Memory settings that do not fit the machine.

Asks:    do shared_buffers, work_mem, maintenance_work_mem and effective_cache_size fit the machine's memory?
Unit:    bytes, and their share of the memory.
Source:  pg_settings; the machine's memory from [expect] memory_bytes in pgrunbook.toml, else from its kernel
         (/proc/meminfo and the limit of the container, read by the server: Linux, superusers only).
Blind:   where the size of the machine is not known.
Says:    {object} is {value_bytes}, {memory_ratio} of the machine's {memory_bytes}.
         With every connection sorting at once it comes to {worst_bytes}.  {advised_bytes} would suit it.
Section: Resource Requirements by User Scale
Leads:   ALTER SYSTEM SET
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pgrunbook.journey.diagnose import mending
from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.machine import MACHINE
from pgrunbook.journey.observe.relations import RELATIONS
from pgrunbook.journey.observe.settings import SETTINGS, Setting, by_name
from pgrunbook.model import Blind, Finding, Kind, Severity, Verdict

MB = 1024**2
PAGE_BYTES = 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The manual's rules of thumb, with room on both sides.

    shared_buffers: a quarter of the memory is the manual's start; above `buffers_max_ratio` the system's cache starves,
    a warning, as is less than `buffers_min_bytes` on any machine; below `buffers_min_ratio` of a machine whose tables
    do not fit into them, a notice.
    work_mem: every connection may take it several times over; if once each, beside shared_buffers, is more than the
    machine has, the kernel kills the server one day: a warning.  maintenance_work_mem is taken by every autovacuum
    worker; more than `maintenance_max_ratio` is a notice.  effective_cache_size beyond the machine misleads plans where
    the tables do not fit into the memory: a notice.
    """

    buffers_max_ratio: float = 0.5
    buffers_min_ratio: float = 0.1
    buffers_min_bytes: int = 16 * MB
    maintenance_max_ratio: float = 0.25


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """One finding a setting."""
    memory = _memory_bytes(seen)
    if memory is None:
        yield Blind(reason="the memory of the server's machine is not known", cure=MACHINE.cure)
        return
    settings = by_name(seen.rows(SETTINGS))
    data = sum(r.size_bytes + (r.toast_pages or 0) * PAGE_BYTES for r in seen.rows_or_none(RELATIONS) or ())
    yield from _buffers(settings, memory, data, limits)
    yield from _work_mem(settings, memory)
    yield from _maintenance(settings, memory, limits)
    cache = settings["effective_cache_size"]
    if cache.number > memory and data > memory:
        yield _finding(cache, Severity.NOTICE, memory, advised=memory * 3 // 4)


def _memory_bytes(seen: Seen) -> int | None:
    """What the configuration says, else what the kernel says."""
    expected = seen.expectations.get("memory_bytes")
    if isinstance(expected, int) and expected > 0:
        return expected
    machine = seen.rows_or_none(MACHINE)
    return machine[0].usable_bytes if machine else None


def _buffers(settings: Mapping[str, Setting], memory: int, data: int, limits: Limits) -> Iterator[Finding]:
    buffers = settings["shared_buffers"]
    is_tiny = buffers.number < min(limits.buffers_min_bytes, memory // 8)
    if buffers.number > limits.buffers_max_ratio * memory or is_tiny:
        yield _finding(buffers, Severity.WARNING, memory, advised=memory // 4)
    elif buffers.number < limits.buffers_min_ratio * memory and data > buffers.number:
        yield _finding(buffers, Severity.NOTICE, memory, advised=memory // 4)


def _work_mem(settings: Mapping[str, Setting], memory: int) -> Iterator[Finding]:
    work, buffers = settings["work_mem"], settings["shared_buffers"].number
    connections = settings["max_connections"].number
    worst = buffers + work.number * connections
    if worst > memory and buffers < memory:
        advised = max(MB, round((memory - buffers) / connections / 4))
        yield _finding(work, Severity.WARNING, memory, advised=min(advised, round(work.number)), worst=round(worst))


def _maintenance(settings: Mapping[str, Setting], memory: int, limits: Limits) -> Iterator[Finding]:
    own = settings["autovacuum_work_mem"]
    used = own if own.number >= 0 else settings["maintenance_work_mem"]
    workers = settings["autovacuum_max_workers"].number
    worst = used.number * workers
    if worst > limits.maintenance_max_ratio * memory:
        advised = round(limits.maintenance_max_ratio * memory / max(workers, 1.0) / 2)
        yield _finding(used, Severity.NOTICE, memory, advised=advised, worst=round(worst))


def _finding(setting: Setting, severity: Severity, memory: int, *, advised: int, worst: int | None = None) -> Finding:
    return Finding(
        severity=severity,
        kind=Kind.SETTING,
        object=setting.name,
        evidence={
            "value_bytes": round(setting.number),
            "memory_bytes": memory,
            "memory_ratio": round(setting.number / memory, 3),
            "worst_bytes": worst,
            "advised_bytes": advised,
        },
        advice=(mending.set_system(setting, f"{max(1, advised // MB)}MB"),),
    )


CHECK = Check(needs=(SETTINGS,), likes=(MACHINE, RELATIONS), judge=judge, limits=Limits())
