"""Parallelism: how many workers there may be, at all, for queries, and for one query.

Prior: as many workers as cores, and no more than half of them for one query.  Evidence: workers that plans asked for
and did not get (18 and up), and whether the sessions at work fill the cores anyway.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pgrunbook.journey.advise.given import Workload
from pgrunbook.journey.advise.settings.look import Look, Word
from pgrunbook.journey.advise.span import Span, span_of
from pgrunbook.journey.observe.parallel_work import PARALLEL_WORK, ParallelWork
from pgrunbook.model.counsel import Ground
from pgrunbook.report.words import counted, figure

AREA = "Parallelism"
WANTED_MIN = 100  # workers; fewer tell nothing
MISSED_SHARE = 0.2
PER_QUERY_MAX = 4


def judge(look: Look) -> Iterator[Word]:
    """Workers of the server, of queries and of one query, against the cores."""
    cores = look.machine.cores
    work = _work(look)
    if cores is None:
        if work is not None:
            yield look.keep(AREA, "max_parallel_workers", f"{_missed_words(work)}; cores unknown")
        return
    yield from _workers(look, cores, work)
    yield from _per_query(look, cores)


def _work(look: Look) -> Span | None:
    rows = look.seen.rows_or_none(PARALLEL_WORK)
    if not rows or rows[0].workers_wanted is None:
        return None

    def figures(found: Sequence[ParallelWork]) -> dict[str, float]:
        return {"wanted": found[0].workers_wanted or 0, "launched": found[0].workers_launched or 0}

    return span_of(look.seen, PARALLEL_WORK, figures, lambda found: found[0].counters_age_s)


def _missed_words(work: Span) -> str:
    missed = work["wanted"] - work["launched"]
    return f"{missed:,.0f} of {counted(round(work['wanted']), 'worker')} that plans asked for were missing {work.words}"


def _workers(look: Look, cores: int, work: Span | None) -> Iterator[Word]:
    name, now, processes = "max_parallel_workers", look.number("max_parallel_workers"), "max_worker_processes"
    is_short = work is not None and work["wanted"] >= WANTED_MIN
    missed = 1 - work["launched"] / work["wanted"] if work is not None and is_short else 0.0
    told = f"{_missed_words(work)}; " if work is not None and work["wanted"] else ""
    if missed > MISSED_SHARE and now < cores:
        if look.number(processes) < cores + 4:
            yield look.propose(
                AREA,
                processes,
                str(cores + 4),
                reason=f"All background workers together, {look.number(processes):.0f}, must hold the"
                f" {counted(cores, 'parallel worker')} proposed below, and those of replication and extensions.",
                effect="room for the parallel workers",
                ground=Ground.EVIDENCE,
                cores=cores,
            )
        yield look.propose(
            AREA,
            name,
            str(cores),
            reason=f"{told[0].upper()}{told[1:-2]}.  The machine has {counted(cores, 'core')}.",
            effect=f"up to {figure('_ratio', missed)} of the workers that plans ask for no longer missing",
            ground=Ground.EVIDENCE,
            workers_wanted=round(work["wanted"]) if work is not None else None,
            workers_launched=round(work["launched"]) if work is not None else None,
            cores=cores,
        )
    elif now > 2 * cores and look.machine.workload is Workload.WEB and look.peak_active >= cores:
        yield look.propose(
            AREA,
            name,
            str(cores),
            reason=f"{counted(round(now), 'parallel worker')} may run on {counted(cores, 'core')}, while"
            f" {counted(look.peak_active, 'session')} were at work at one time.",
            effect="short statements wait less for a core behind a long one's workers",
            ground=Ground.EVIDENCE,
            cores=cores,
            peak_active=look.peak_active,
        )
    else:
        yield look.keep(AREA, name, f"{told}{counted(cores, 'core')}")


def _per_query(look: Look, cores: int) -> Iterator[Word]:
    name, now = "max_parallel_workers_per_gather", look.number("max_parallel_workers_per_gather")
    half = max(1, min(PER_QUERY_MAX, cores // 2))
    if look.machine.workload is Workload.WAREHOUSE:
        half = max(1, cores // 2)
        if now < half and look.peak_active <= max(1, cores // half):
            yield look.propose(
                AREA,
                name,
                str(half),
                reason=f"Long statements are what this database is for, {counted(look.peak_active, 'session')} at work"
                f" at one time, and {counted(cores, 'core')}: a query may use half of them.",
                effect=f"a long scan or aggregate up to {(half + 1) / (now + 1):.1f} times as fast, if the disk"
                " keeps up",
                ground=Ground.RULE,
                cores=cores,
            )
            return
    elif now > half and look.peak_active >= cores:
        yield look.propose(
            AREA,
            name,
            str(half),
            reason=f"{counted(look.peak_active, 'session')} were at work at one time on"
            f" {counted(cores, 'core')}: a query"
            f" with {counted(round(now), 'worker')} takes them from the others.",
            effect="less waiting for a core where many are at work",
            ground=Ground.EVIDENCE,
            cores=cores,
            peak_active=look.peak_active,
        )
        return
    yield look.keep(
        AREA, name, f"{counted(cores, 'core')}, {counted(look.peak_active, 'session')} at work at one time at most"
    )
