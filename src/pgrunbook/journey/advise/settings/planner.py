"""The planner's constants: random_page_cost, effective_io_concurrency, jit.

Prior: by the storage, which only a person knows.  Evidence: how many blocks are read from the system at all, how long
a scattered read takes (with track_io_timing), and what the just-in-time compiler costs against all execution time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pgrunbook.journey.advise.given import Storage
from pgrunbook.journey.advise.settings.look import Look, Word
from pgrunbook.journey.advise.span import span_of
from pgrunbook.journey.diagnose.query_texts import statement_costs
from pgrunbook.journey.observe.parallel_work import JIT_WORK, JitWork
from pgrunbook.model import Blind, NotRead
from pgrunbook.model.counsel import Ground
from pgrunbook.report.words import counted, duration, figure

AREA = "Planner"
DEFAULT_COST = 4.0  # made for a disk that turns
FLASH_COST = 1.1
CACHED_HITS = 0.99
BLOCKS_MIN = 10_000
SCATTERED_BLOCKS = 50.0  # a call that reads no more jumps rather than scans
SCATTERED_MIN = 1000
FLASH_READ_MS = 0.5  # a turning disk takes 4 to 10 ms for a scattered block
DISK_READ_MS = 3.0
IO_ON_FLASH = 200
JIT_SHARE = 0.1
JIT_MIN_MS = 10_000.0
ASYNC_SINCE = 18  # asynchronous reads, with 16 ahead by default


@dataclass(frozen=True, slots=True, kw_only=True)
class Reads:
    """Scattered reads, as statements waited for them."""

    blocks: int
    mean_ms: float


def judge(look: Look) -> Iterator[Word]:
    """Everything that decides between plans."""
    yield from _random_page_cost(look)
    yield from _read_ahead(look)
    yield from _jit(look)


def _hits(look: Look) -> tuple[float | None, str]:
    span = look.activity
    if span is None:
        return None, ""
    touched = span["blocks_hit"] + span["blocks_read"]
    if touched < BLOCKS_MIN:
        return None, f"only {counted(round(touched), 'block')} were touched {span.words}"
    ratio = span["blocks_hit"] / touched
    return ratio, f"{figure('_ratio', ratio)} of the blocks were found in shared_buffers {span.words}"


def scattered_reads(look: Look) -> Reads | None:
    """How long scattered reads took; None without track_io_timing, or with too few of them."""
    try:
        costs = look.seen.derived(statement_costs)
    except NotRead:
        return None
    few = [c for c in costs.toplevel if c.read_blocks and c.read_blocks / max(c.calls, 1) <= SCATTERED_BLOCKS]
    blocks, waited = sum(c.read_blocks for c in few), sum(c.block_read_ms for c in few)
    if blocks < SCATTERED_MIN or waited <= 0:
        return None
    return Reads(blocks=blocks, mean_ms=waited / blocks)


def _random_page_cost(look: Look) -> Iterator[Word]:
    name, now = "random_page_cost", look.number("random_page_cost")
    ratio, hit_words = _hits(look)
    reads = scattered_reads(look)
    read_words = (
        f"{counted(reads.blocks, 'scattered block')} took {duration(reads.mean_ms / 1000)} each to read"
        if reads is not None
        else ""
    )
    storage = look.machine.storage
    is_slow = storage is Storage.HDD or (storage is None and reads is not None and reads.mean_ms >= DISK_READ_MS)
    is_cached = ratio is not None and ratio >= CACHED_HITS
    is_fast = storage in {Storage.SSD, Storage.NETWORK} or (reads is not None and reads.mean_ms <= FLASH_READ_MS)
    told = "; ".join(words for words in (read_words, hit_words) if words)
    if is_slow and not is_cached:
        if now < 0.6 * DEFAULT_COST:
            yield look.propose(
                AREA,
                name,
                f"{DEFAULT_COST:.0f}",
                reason=f"It says that a scattered read costs {now:g} times a sequential one, as on flash."
                f"  {told[:1].upper()}{told[1:]}{'.' if told else ''}",
                effect="fewer plans that jump over the disk where a scan would be faster",
                ground=Ground.EVIDENCE if reads is not None else Ground.RULE,
                scattered_read_ms=round(reads.mean_ms, 3) if reads is not None else None,
            )
        else:
            yield look.keep(AREA, name, told or "a disk that turns")
        return
    if now < 2.0 or not (is_fast or is_cached):
        if now >= 2.0:
            yield Blind(
                object=name,
                reason=f"{name} is {now:g}, right for a disk that turns and wrong for flash, and nobody knows"
                " which it is" + (f" ({told})" if told else ""),
                cure="Ask again with --storage ssd|hdd|network; track_io_timing = on would let the reads tell.",
            )
        else:
            yield look.keep(AREA, name, told or "as for flash or cached data")
        return
    why = f"the storage is {storage.value}" if storage is not None else "reads are as fast as from flash or a cache"
    yield look.propose(
        AREA,
        name,
        f"{FLASH_COST}",
        reason=f"It says that a scattered read costs {now:g} times a sequential one, as on a disk that turns; "
        + (
            f"{told}."
            if is_cached or reads is not None
            else f"{why}.  {told[:1].upper()}{told[1:]}{'.' if told else ''}"
        ),
        effect="indexes are used where the planner now takes a sequential scan for cheaper",
        ground=Ground.EVIDENCE if is_cached or reads is not None else Ground.RULE,
        risk="Plans change: compare the slowest statements before and after.",
        hit_ratio=round(ratio, 4) if ratio is not None else None,
        scattered_read_ms=round(reads.mean_ms, 3) if reads is not None else None,
    )


def _read_ahead(look: Look) -> Iterator[Word]:
    name, now = "effective_io_concurrency", look.number("effective_io_concurrency")
    ratio, words = _hits(look)
    if ratio is not None and ratio >= CACHED_HITS:
        yield look.keep(AREA, name, f"{words}: hardly anything is read ahead")
    elif look.machine.storage in {Storage.SSD, Storage.NETWORK} and look.major < ASYNC_SINCE and now < 16:
        yield look.propose(
            AREA,
            name,
            str(IO_ON_FLASH),
            reason=f"A bitmap scan asks for {counted(round(now), 'block')} ahead; {look.machine.storage}"
            " storage answers"
            f" hundreds at a time." + (f"  {words[:1].upper()}{words[1:]}." if words else ""),
            effect="bitmap scans of what is not cached wait less",
            ground=Ground.RULE,
            hit_ratio=round(ratio, 4) if ratio is not None else None,
        )
    elif look.machine.storage is not None:
        yield look.keep(AREA, name, f"{look.machine.storage.value} storage" + (f"; {words}" if words else ""))


def _jit(look: Look) -> Iterator[Word]:
    if not look.settings["jit"].is_on:
        return

    def figures(rows: Sequence[JitWork]) -> dict[str, float]:
        return {"compile_ms": rows[0].compile_ms, "exec_ms": rows[0].exec_ms, "functions": rows[0].functions}

    rows = look.seen.rows_or_none(JIT_WORK)
    span = span_of(look.seen, JIT_WORK, figures, lambda _: _statements_age_s(look))
    if span is None or not rows:
        return
    share = span["compile_ms"] / span["exec_ms"] if span["exec_ms"] else 0.0
    words = f"compiling took {duration(span['compile_ms'] / 1000)}, {figure('_ratio', share)} of all execution time"
    if share < JIT_SHARE or span["compile_ms"] < JIT_MIN_MS:
        yield look.keep(AREA, "jit", f"{words} {span.words}" if span["functions"] else f"nothing compiled {span.words}")
        return
    yield look.propose(
        AREA,
        "jit",
        "off",
        reason=f"{words[0].upper()}{words[1:]} {span.words}, in {counted(rows[0].statements, 'statement')}: plans whose"
        " cost is overestimated are compiled for nothing.",
        effect=f"up to {figure('_ratio', share)} of the execution time",
        ground=Ground.EVIDENCE,
        risk="A long statement that gains from it can SET jit = on for itself.",
        compile_ms=round(span["compile_ms"]),
        exec_ms=round(span["exec_ms"]),
    )


def _statements_age_s(look: Look) -> float | None:
    """Where nobody knows since when statements are counted, the year of the server's counters must do."""
    try:
        return look.seen.derived(statement_costs).period_s
    except NotRead:
        return None
