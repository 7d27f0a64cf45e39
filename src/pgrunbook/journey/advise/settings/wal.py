"""WAL and checkpoints: max_wal_size, checkpoint_timeout, checkpoint_completion_target, wal_compression, wal_buffers.

Prior: none; how much WAL a server writes is no matter of its size.  Evidence: checkpoints that came early, whole-page
images after each, sessions that had to write WAL themselves, and who writes dirty pages out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pgrunbook.journey.advise.change import bytes_value
from pgrunbook.journey.advise.settings.look import GB, MB, PAGE_BYTES, Look, Word
from pgrunbook.journey.advise.span import Span, span_of
from pgrunbook.journey.observe.checkpoints import CHECKPOINTS, Checkpoints
from pgrunbook.journey.observe.recovery import RECOVERY
from pgrunbook.journey.observe.write_work import BUFFER_WRITES, WAL_WORK, BufferWrites, WalWork
from pgrunbook.model import Blind
from pgrunbook.model.counsel import Ground
from pgrunbook.report.words import counted, duration, figure, size

AREA = "WAL and checkpoints"
COUNTED_MIN_S = 3600.0  # the timeout is minutes: in less time nothing is typical
WATCHED_MIN_S = 60.0
FORCED_MIN = 3  # a load of data now and then is no reason to keep more WAL for ever
FORCED_SHARE = 0.1
ROOM = 1.25
IMAGES_SHARE = 0.5  # of the WAL
IMAGES_RATE_BYTES = 256 * 1024.0  # a second; less costs nothing worth a change
LONGER_TIMEOUT_S = 900.0
TARGET = 0.9
FULL_PER_S = 1.0
SESSIONS_SHARE = 0.2
STOPS_PER_S = 0.05
_RISK = "pg_wal may grow to that size (look at its disk first), and recovery after a crash takes longer."


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How checkpoints come: how many the amount of WAL explains, and how much WAL there is."""

    timed: float
    requested: float
    forced: float
    wal_bytes_per_s: float
    span: Span

    @property
    def all(self) -> float:
        """Checkpoints altogether."""
        return self.timed + self.requested


def judge(look: Look) -> Iterator[Word]:
    """Nothing on a standby: it makes restart points at its primary's pace."""
    recovery = look.seen.rows_or_none(RECOVERY)
    if recovery and recovery[0].is_standby:
        yield Blind(reason="a standby writes no WAL and checkpoints at its primary's pace", cure="Ask the primary.")
        return
    pace, images = _pace(look), _images(look)
    if pace is None:
        yield Blind(
            reason=f"checkpoints have not been counted for {duration(COUNTED_MIN_S)} yet: too little to judge WAL by",
            cure="Ask again later.",
        )
    else:
        is_longer, words = _wants_longer(look, pace, images)
        timeout_s = LONGER_TIMEOUT_S if is_longer else look.number("checkpoint_timeout")
        yield from _max_wal_size(look, pace, timeout_s)
        yield from _timeout(look, pace, words, is_longer=is_longer)
    yield from _target(look)
    yield from _compression(look, images)
    yield from _wal_buffers(look)
    yield from _background_writer(look)


def _pace(look: Look) -> Pace | None:
    def figures(rows: Sequence[Checkpoints]) -> dict[str, float]:
        return {"timed": rows[0].timed, "requested": rows[0].requested, "wal_bytes": _brought(rows[0])}

    span = span_of(look.seen, CHECKPOINTS, figures, lambda rows: rows[0].counters_age_s, window_min_s=COUNTED_MIN_S)
    if span is None or span.seconds < COUNTED_MIN_S:
        return None
    trigger = look.number("max_wal_size") / (1 + look.number("checkpoint_completion_target"))
    explained = math.floor(span["wal_bytes"] / trigger) if trigger else 0
    return Pace(
        timed=span["timed"],
        requested=span["requested"],
        forced=min(span["requested"], explained),
        wal_bytes_per_s=span.per_s("wal_bytes"),
        span=span,
    )


def _brought(row: Checkpoints) -> float:
    """The WAL of the time for which checkpoints are counted: both were reset apart, perhaps."""
    if not row.counters_age_s or not row.wal_counters_age_s:
        return float(row.wal_bytes)
    return row.wal_bytes * row.counters_age_s / row.wal_counters_age_s


def _images(look: Look) -> Span | None:
    def figures(rows: Sequence[WalWork]) -> dict[str, float]:
        return {
            "image_bytes": rows[0].page_images * float(PAGE_BYTES),
            "wal_bytes": rows[0].wal_bytes,
            "records": rows[0].records,
            "buffers_full": rows[0].buffers_full,
        }

    return _long_enough(span_of(look.seen, WAL_WORK, figures, lambda rows: rows[0].counters_age_s))


def _long_enough(span: Span | None) -> Span | None:
    """A load of data fills a short time, and says nothing of the rest."""
    if span is None or span.seconds < (WATCHED_MIN_S if span.is_window else COUNTED_MIN_S):
        return None
    return span


def wanted_bytes(wal_bytes_per_s: float, timeout_s: float, target: float) -> int:
    """The max_wal_size with which the clock, not the amount of WAL, starts checkpoints; whole gigabytes.

    One interval's WAL and its spread, and a quarter of room.

    >>> wanted_bytes(4 * 1024**2, 300.0, 0.9) // 1024**3
    3
    """
    return math.ceil(wal_bytes_per_s * timeout_s * (1 + target) * ROOM / GB) * GB


def _max_wal_size(look: Look, pace: Pace, timeout_s: float) -> Iterator[Word]:
    name, now = "max_wal_size", look.number("max_wal_size")
    rate = figure("_bytes_per_s", pace.wal_bytes_per_s)
    wanted = wanted_bytes(pace.wal_bytes_per_s, timeout_s, look.number("checkpoint_completion_target"))
    is_forced = pace.forced >= FORCED_MIN and pace.forced > FORCED_SHARE * pace.all
    if not is_forced and (timeout_s <= look.number("checkpoint_timeout") or wanted <= now):
        yield look.keep(
            AREA,
            name,
            f"{pace.forced:.0f} of {counted(round(pace.all), 'checkpoint')} came early {pace.span.words};"
            f" {rate} of WAL",
        )
        return
    value = max(wanted, 2 * math.ceil(now / GB) * GB) if is_forced else wanted
    free = look.seen.expectations.get("wal_disk_free_bytes")
    if isinstance(free, int) and value - now > 0.5 * free:
        yield look.keep(AREA, name, f"{size(value)} would suit {rate} of WAL, but its disk has only {size(free)} free")
        return
    interval = pace.span.seconds / max(pace.all, 1.0)
    yield look.propose(
        AREA,
        name,
        bytes_value(value),
        reason=f"{pace.forced:.0f} of {counted(round(pace.all), 'checkpoint')} {pace.span.words} came early, for"
        f" {size(now)} of WAL was written before the clock ran out: one every {duration(interval)} instead of every"
        f" {duration(look.number('checkpoint_timeout'))}.  The server writes {rate} of WAL."
        if is_forced
        else f"At {rate} of WAL, {duration(timeout_s)} between checkpoints need {size(value)}.",
        effect=f"a checkpoint every {duration(timeout_s)} instead of every {duration(interval)}, and as much fewer"
        " whole-page images",
        ground=Ground.EVIDENCE,
        risk=_RISK,
        forced=round(pace.forced),
        checkpoints=round(pace.all),
        wal_bytes_per_s=round(pace.wal_bytes_per_s),
    )


def _wants_longer(look: Look, pace: Pace, images: Span | None) -> tuple[bool, str]:
    """Whether whole-page images are so much of the WAL that checkpoints should come less often."""
    if images is None or not images["wal_bytes"]:
        return False, ""
    share = min(1.0, images["image_bytes"] / images["wal_bytes"])
    words = f"whole-page images are {figure('_ratio', share)} of the WAL"
    is_much = share >= IMAGES_SHARE and pace.wal_bytes_per_s >= IMAGES_RATE_BYTES
    return is_much and look.number("checkpoint_timeout") < LONGER_TIMEOUT_S, words


def _timeout(look: Look, pace: Pace, words: str, *, is_longer: bool) -> Iterator[Word]:
    name, rate = "checkpoint_timeout", figure("_bytes_per_s", pace.wal_bytes_per_s)
    if not is_longer:
        yield look.keep(AREA, name, f"{words or 'no whole-page images counted'}; {rate} of WAL")
        return
    now = look.number(name)
    yield look.propose(
        AREA,
        name,
        "15min",
        reason=f"{words[0].upper()}{words[1:]}, at {rate}: each page is written whole the first time that it changes"
        f" after a checkpoint, which comes every {duration(now)}.",
        effect=f"up to {figure('_ratio', 1 - now / LONGER_TIMEOUT_S)} fewer whole-page images, where the same"
        " pages change"
        " again and again",
        ground=Ground.EVIDENCE,
        risk="Recovery after a crash may take three times as long as before.",
        wal_bytes_per_s=round(pace.wal_bytes_per_s),
    )


def _target(look: Look) -> Iterator[Word]:
    name, now = "checkpoint_completion_target", look.number("checkpoint_completion_target")
    if now >= TARGET - 0.1:
        return
    yield look.propose(
        AREA,
        name,
        str(TARGET),
        reason=f"A checkpoint hurries to be done after {figure('_ratio', now)} of its interval and rests for the other"
        f" {figure('_ratio', 1 - now)}; since version 14 the default is {TARGET}.",
        effect=f"each checkpoint writes {figure('_ratio', 1 - now / TARGET)} slower, at the same amount",
        ground=Ground.RULE,
    )


def _compression(look: Look, images: Span | None) -> Iterator[Word]:
    name = "wal_compression"
    if images is None or look.settings[name].value != "off":
        return
    rate = images.per_s("image_bytes")
    if rate < IMAGES_RATE_BYTES:
        yield look.keep(AREA, name, f"only {figure('_bytes_per_s', rate)} of whole-page images {images.words}")
        return
    yield look.propose(
        AREA,
        name,
        "on",
        reason=f"{figure('_bytes_per_s', rate)} of whole-page images, {size(images['image_bytes'])} {images.words}, go"
        " into the WAL as they are.",
        effect="about half of it, for a little processor time"
        + ("; lz4 takes less of that where the server was built with it" if look.major >= 15 else ""),
        ground=Ground.EVIDENCE,
        image_bytes_per_s=round(rate),
    )


def _wal_buffers(look: Look) -> Iterator[Word]:
    name, work = "wal_buffers", _images(look)
    if work is None:
        return
    now = look.number(name)
    if work.per_s("buffers_full") < FULL_PER_S:
        yield look.keep(AREA, name, f"full {counted(round(work['buffers_full']), 'time')} {work.words}")
    elif now < 64 * MB:
        yield look.propose(
            AREA,
            name,
            "64MB",
            reason=f"Sessions found them full {counted(round(work['buffers_full']), 'time')} {work.words} and had to"
            " write WAL out themselves before they could go on.",
            effect="sessions that change much wait for the disk at their commit only",
            ground=Ground.EVIDENCE,
            buffers_full_per_s=round(work.per_s("buffers_full"), 2),
        )


def _background_writer(look: Look) -> Iterator[Word]:
    name = "bgwriter_lru_maxpages"

    def figures(rows: Sequence[BufferWrites]) -> dict[str, float]:
        row = rows[0]
        return {
            "checkpoint": row.checkpoint_pages,
            "background": row.background_pages,
            "sessions": row.session_pages,
            "stops": row.background_stops,
        }

    span = _long_enough(span_of(look.seen, BUFFER_WRITES, figures, lambda rows: rows[0].counters_age_s))
    if span is None:
        return
    written = span["checkpoint"] + span["background"] + span["sessions"]
    share = span["sessions"] / written if written else 0.0
    words = f"{figure('_ratio', share)} of {counted(round(written), 'page')} were written by sessions {span.words}"
    if share < SESSIONS_SHARE or span.per_s("stops") < STOPS_PER_S or written < 10_000:
        yield look.keep(AREA, name, words)
        return
    yield look.propose(
        AREA,
        name,
        f"{min(1000, round(look.number(name) * 4))}",
        reason=f"{words[0].upper()}{words[1:]}, because they found no clean one; the background writer stopped at its"
        f" limit {counted(round(span['stops']), 'time')}.",
        effect=f"up to {figure('_bytes_per_s', span.per_s('sessions') * PAGE_BYTES)} written before a session must",
        ground=Ground.EVIDENCE,
        session_pages=round(span["sessions"]),
        background_stops=round(span["stops"]),
    )
