"""How large the server is, on what it stores, and what it is for: as far as that is known, with the source of each.

Nothing is guessed: the command line first, then the configuration, the server's kernel, this machine when the server
runs on it, and what a managed service tells by its own formulas.  The rest is unknown and asked for by its flag.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pgrunbook.journey.advise.given import Given, Storage, Workload
from pgrunbook.journey.diagnose.query_texts import statement_costs
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.machine import MACHINE
from pgrunbook.journey.observe.processors import PROCESSORS
from pgrunbook.journey.observe.settings import SETTINGS, Setting, by_name
from pgrunbook.journey.workload.costs import Costs
from pgrunbook.model import Blind, NotRead, Service
from pgrunbook.model.counsel import Input
from pgrunbook.report.words import duration, figure, size

GB = 1024**3
CALLS_MIN = 1000  # fewer statements do not tell what a database is for
SHORT_MS = 100.0
LONG_MS = 1000.0
# Supabase's compute sizes by their max_connections (its documentation): memory and cores.  60 and 500 stand for two
# sizes each, so they tell nothing.
_SUPABASE: Mapping[int, tuple[int, int]] = {
    90: (2 * GB, 2),
    120: (4 * GB, 2),
    160: (8 * GB, 2),
    240: (16 * GB, 4),
    380: (32 * GB, 8),
    480: (64 * GB, 16),
    490: (128 * GB, 32),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What is known; None is unknown.  `inputs` say the same with their sources, `unknown` what to give."""

    memory_bytes: int | None
    cores: int | None
    storage: Storage | None
    workload: Workload
    inputs: tuple[Input, ...]
    unknown: tuple[Blind, ...]


def machine_of(seen: Seen, given: Given) -> Machine:
    """Everything that is known of the server's machine."""
    memory, memory_source = _memory(seen, given)
    cores, cores_source = _cores(seen, given)
    workload, workload_source = _workload(seen, given)
    storage_source = "--storage" if given.storage is not None else "no SQL tells; give --storage ssd|hdd|network"
    return Machine(
        memory_bytes=memory,
        cores=cores,
        storage=given.storage,
        workload=workload,
        inputs=(
            Input(name="memory", value=size(memory) if memory else "unknown", source=memory_source),
            Input(name="cores", value=str(cores) if cores else "unknown", source=cores_source),
            Input(name="storage", value=given.storage or "unknown", source=storage_source),
            Input(name="role", value=workload.value, source=workload_source),
        ),
        unknown=tuple(_unknown(memory, cores)),
    )


def _unknown(memory: int | None, cores: int | None) -> Iterator[Blind]:
    if memory is None:
        yield Blind(
            reason="the memory of the server's machine is not known, and nothing that depends on it is proposed",
            cure="Ask again with --memory, such as --memory 16GB.",
        )
    if cores is None:
        yield Blind(
            reason="the number of its cores is not known, and nothing that depends on it is proposed",
            cure="Ask again with --cores, such as --cores 4.",
        )


def _memory(seen: Seen, given: Given) -> tuple[int | None, str]:
    if given.memory_bytes is not None:
        return given.memory_bytes, "--memory"
    expected = seen.expectations.get("memory_bytes")
    if isinstance(expected, int) and expected > 0:
        return expected, "pgrunbook.toml"
    rows = seen.rows_or_none(MACHINE)
    if rows and rows[0].usable_bytes:
        limit = rows[0].group_limit_bytes
        is_limited = limit is not None and rows[0].usable_bytes == limit
        return rows[0].usable_bytes, "the limit of its container" if is_limited else "the server's kernel"
    if given.host is not None and given.host.memory_bytes is not None:
        return given.host.memory_bytes, given.host.where
    compute = _compute(seen)
    if compute is not None:
        return compute[0], compute[2]
    return None, "the server does not tell this role; give --memory 16GB"


def _cores(seen: Seen, given: Given) -> tuple[int | None, str]:
    if given.cores is not None:
        return given.cores, "--cores"
    rows = seen.rows_or_none(PROCESSORS)
    if rows and rows[0].cores > 0:
        return rows[0].cores, "the server's kernel"
    if given.host is not None and given.host.cores is not None:
        return given.host.cores, given.host.where
    compute = _compute(seen)
    if compute is not None and compute[1] is not None:
        return compute[1], compute[2]
    return None, "the server does not tell this role; give --cores 4"


def _compute(seen: Seen) -> tuple[int, int | None, str] | None:
    """Memory and cores of a managed server whose settings still stand as its service reckons them."""
    try:
        settings = by_name(seen.rows(SETTINGS))
    except NotRead:
        return None
    if seen.server.service is Service.SUPABASE:
        connections = round(settings["max_connections"].number)
        known = _SUPABASE.get(connections)
        source = f"Supabase's compute size with {connections} connections"
        return (*known, source) if known is not None else None
    if seen.server.service is Service.RDS:
        return _rds(settings)
    return None


def _rds(settings: Mapping[str, Setting]) -> tuple[int, None, str] | None:
    """RDS gives a quarter of the memory to shared_buffers and half to effective_cache_size, unless somebody changed it.

    Only where both still say the same of the memory is it taken for what they say.
    """
    buffers, cache = settings["shared_buffers"].number, settings["effective_cache_size"].number
    if buffers > GB / 8 and abs(cache - 2 * buffers) < 0.02 * cache:
        return round(4 * buffers), None, "the instance class, by RDS's formula for shared_buffers"
    return None


def _workload(seen: Seen, given: Given) -> tuple[Workload, str]:
    if given.workload is not None:
        return given.workload, "--role"
    try:
        costs = seen.derived(statement_costs)
    except NotRead:
        return Workload.MIXED, "assumed, as statements cannot be read; give --role web|mixed|warehouse"
    if costs.calls < CALLS_MIN or costs.exec_ms <= 0:
        return Workload.MIXED, f"assumed: {costs.calls} calls tell nothing; give --role web|mixed|warehouse"
    return _by_statements(costs)


def _by_statements(costs: Costs) -> tuple[Workload, str]:
    """Where the execution time goes: into short statements or into long ones."""
    short = sum(cost.exec_ms for cost in costs.toplevel if cost.mean_ms < SHORT_MS) / costs.exec_ms
    long = sum(cost.exec_ms for cost in costs.toplevel if cost.mean_ms >= LONG_MS) / costs.exec_ms
    if long >= 0.6:
        share = figure("_ratio", long)
        return (
            Workload.WAREHOUSE,
            f"{share} of the execution time is in statements of {duration(LONG_MS / 1000)} and more",
        )
    share = figure("_ratio", short)
    words = f"{share} of the execution time is in statements below {duration(SHORT_MS / 1000)}"
    return (Workload.WEB if short >= 0.6 else Workload.MIXED), words
