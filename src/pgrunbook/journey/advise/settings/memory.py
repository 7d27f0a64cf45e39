"""Memory: shared_buffers, effective_cache_size, work_mem, maintenance_work_mem.

Prior: a quarter of the memory for shared_buffers, three quarters as what the planner may expect in caches, and for
work_mem what is left divided among those who are at work.  Corrected by cache misses, temporary files and who wrote
them, and by what VACUUM and index builds really need.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.advise.change import bytes_value
from pgrunbook.journey.advise.given import Workload
from pgrunbook.journey.advise.settings.look import GB, MB, PAGE_BYTES, Look, Word
from pgrunbook.journey.observe.indexes import INDEXES
from pgrunbook.journey.observe.table_activity import TABLE_ACTIVITY
from pgrunbook.journey.observe.vacuum_progress import VACUUM_PROGRESS
from pgrunbook.model.counsel import Ground
from pgrunbook.report.words import counted, figure, size

AREA = "Memory"
BLOCKS_MIN = 10_000  # fewer make no hit ratio worth believing
GOOD_HITS = 0.99
POOR_HITS = 0.95
BUFFERS_MAX = 0.4  # the manual: more than 40 % of the memory hardly ever helps
DEAD_ROW_BYTES = 6  # what VACUUM remembers of a dead row, up to 16
COMPACT_SINCE = 17  # VACUUM remembers dead rows in a twentieth of that


def judge(look: Look) -> Iterator[Word]:
    """Everything about memory but work_mem, which has a module of its own."""
    yield from _buffers(look)
    yield from _cache(look)
    yield from _maintenance(look)


def _buffers(look: Look) -> Iterator[Word]:
    name, memory, now = "shared_buffers", look.machine.memory_bytes, look.number("shared_buffers")
    data, span = look.data_bytes, look.activity
    touched = span["blocks_hit"] + span["blocks_read"] if span is not None else 0.0
    hits = span["blocks_hit"] / touched if span is not None and touched >= BLOCKS_MIN else None
    found = f"{figure('_ratio', hits)} of the blocks were found in it {span.words}" if hits and span else ""
    if memory is not None and now > BUFFERS_MAX * memory:
        yield look.propose(
            AREA,
            name,
            bytes_value(prior_buffers(memory)),
            reason=f"It takes {figure('_ratio', now / memory)} of the {size(memory)} of memory: the system's own cache,"
            " sessions and their sorts must live on the rest." + (f"  {found[0].upper()}{found[1:]}." if found else ""),
            effect=f"{size(now - prior_buffers(memory))} more for the system's cache and for sessions",
            ground=Ground.RULE,
            memory_bytes=memory,
            hit_ratio=hits,
        )
        return
    if data is not None and data <= 0.9 * now:
        yield look.keep(AREA, name, f"the tables and indexes of this database, {size(data)}, fit into it")
        return
    if hits is not None and hits >= GOOD_HITS:
        yield look.keep(AREA, name, found)
        return
    if memory is None:
        yield look.keep(
            AREA, name, "cannot be judged without the memory of the machine" + (f"; {found}" if found else "")
        )
        return
    prior = prior_buffers(memory)
    if now >= 0.8 * prior:
        more = "; more memory would help, or fewer blocks read" if hits is not None and hits < POOR_HITS else ""
        yield look.keep(AREA, name, f"about a quarter of {size(memory)}" + (f"; {found}" if found else "") + more)
        return
    misses = span.per_s("blocks_read") if span is not None else 0.0
    yield look.propose(
        AREA,
        name,
        bytes_value(prior),
        reason=(f"{found[0].upper()}{found[1:]}.  " if found else "Too few blocks were read to tell by counters.  ")
        + (f"Tables and indexes of this database take {size(data)}.  " if data is not None else "")
        + f"A quarter of {size(memory)} is {size(prior)}.",
        effect=f"up to {figure('_bytes_per_s', misses * PAGE_BYTES)} no longer read from the system's cache or the disk"
        if hits is not None
        else "more blocks found without asking the system",
        ground=Ground.EVIDENCE if hits is not None else Ground.RULE,
        risk="Huge pages, where they are configured, must be enough for it.",
        hit_ratio=round(hits, 4) if hits is not None else None,
        data_bytes=data,
        memory_bytes=memory,
    )


def prior_buffers(memory_bytes: int) -> int:
    """A quarter of the memory, in whole megabytes.

    >>> prior_buffers(16 * 1024**3) // 1024**2
    4096
    """
    return memory_bytes // 4 // MB * MB


def _cache(look: Look) -> Iterator[Word]:
    name, memory, now = "effective_cache_size", look.machine.memory_bytes, look.number("effective_cache_size")
    if memory is None:
        return
    prior, data = memory * 3 // 4 // MB * MB, look.data_bytes
    if 0.5 * memory <= now <= memory:
        yield look.keep(AREA, name, f"{figure('_ratio', now / memory)} of {size(memory)}")
    elif data is not None and data <= min(now, memory):
        yield look.keep(AREA, name, f"the data, {size(data)}, is smaller: the planner takes all of it for cached")
    else:
        is_low = now < prior
        yield look.propose(
            AREA,
            name,
            bytes_value(prior),
            reason=f"The planner takes {size(now)} for the size of all caches; the machine has {size(memory)}, about"
            f" three quarters of which cache data.",
            effect="plans by index become cheaper in the planner's eyes, where the data is cached anyway"
            if is_low
            else "the planner no longer counts on blocks that cannot be cached",
            ground=Ground.RULE,
            memory_bytes=memory,
            data_bytes=data,
        )


def _maintenance(look: Look) -> Iterator[Word]:
    """What VACUUM and index builds may take; autovacuum takes it once a worker, unless it has its own."""
    name, now, memory = "maintenance_work_mem", look.number("maintenance_work_mem"), look.machine.memory_bytes
    passes = [p for p in look.seen.rows_or_none(VACUUM_PROGRESS) or () if (p.index_passes or 0) > 1]
    dead = max((row.dead_rows for row in look.seen.rows_or_none(TABLE_ACTIVITY) or ()), default=0)
    per_row = DEAD_ROW_BYTES if look.major < COMPACT_SINCE else DEAD_ROW_BYTES / 20
    wanted_dead = dead * per_row
    largest = max((index.size_bytes for index in look.seen.rows_or_none(INDEXES) or ()), default=0)
    needs = (
        f"{counted(dead, 'dead row')} at most in one table are remembered in {size(wanted_dead)}"
        if dead
        else "no table has dead rows to be remembered"
    )
    if memory is None:
        if wanted_dead <= now and not passes:
            yield look.keep(AREA, name, f"VACUUM needs one pass: {needs}")
        return
    prior = _prior_maintenance(look, memory)
    workers = max(look.number("autovacuum_max_workers"), 1.0)
    own = look.settings.get("autovacuum_work_mem")
    is_shared = own is None or own.number < 0
    if is_shared and now * workers > memory / 4:
        yield look.propose(
            AREA,
            "autovacuum_work_mem",
            bytes_value(max(64 * MB, memory // 16 // workers // MB * MB)),
            reason=f"{counted(round(workers), 'autovacuum worker')} may each take maintenance_work_mem, {size(now)}:"
            f" {size(now * workers)} of {size(memory)}.",
            effect=f"autovacuum takes {size(memory / 16)} at most; index builds keep {size(now)}",
            ground=Ground.RULE,
            worst_bytes=round(now * workers),
            memory_bytes=memory,
        )
    if prior > 1.5 * now and (passes or wanted_dead > now or largest > now):
        why = (
            "A VACUUM that runs now goes over its indexes for the"
            f" {counted((passes[0].index_passes or 0) + 1, 'time')}."
            if passes
            else f"{needs[0].upper()}{needs[1:]}."
            if wanted_dead > now
            else f"The largest index takes {size(largest)}, and building it sorts in {size(now)}."
        )
        yield look.propose(
            AREA,
            name,
            bytes_value(prior),
            reason=f"{why}  A {'eighth' if look.machine.workload is Workload.WAREHOUSE else 'sixteenth'} of"
            f" {size(memory)} is {size(prior)}.",
            effect="index builds sort in fewer passes, and VACUUM goes over each index once",
            ground=Ground.EVIDENCE if passes or wanted_dead > now else Ground.RULE,
            largest_index_bytes=largest,
            dead_rows=dead,
            memory_bytes=memory,
        )
    elif not (is_shared and now * workers > memory / 4):
        yield look.keep(AREA, name, f"VACUUM needs one pass: {needs}; the largest index takes {size(largest)}")


def _prior_maintenance(look: Look, memory: int) -> int:
    share = 8 if look.machine.workload is Workload.WAREHOUSE else 16
    ceiling = GB if look.major < COMPACT_SINCE else 8 * GB  # VACUUM used no more than one before 17
    return max(64 * MB, min(ceiling, memory // share // MB * MB))
