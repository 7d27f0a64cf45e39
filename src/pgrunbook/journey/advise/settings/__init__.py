"""Settings: a prior from the machine's size and the database's role, corrected by what the server itself counted.

In: a snapshot with `QUESTIONS`, and what only a person knows.  Out: a Counsel: each setting either with another value,
the reason in figures, an estimate of the effect and the undo; or kept, and why; or what is missing to tell.
"""

from __future__ import annotations

from typing import Any

from pgrunbook.journey.advise.change import settings_of
from pgrunbook.journey.advise.given import Given
from pgrunbook.journey.advise.machine import machine_of
from pgrunbook.journey.advise.settings import bitmaps, connections, memory, parallel, planner, upkeep, wal, work_mem
from pgrunbook.journey.advise.settings.look import Look
from pgrunbook.journey.advise.span import period_words, unread_blind
from pgrunbook.journey.diagnose.autovacuum import NEEDS as UPKEEP
from pgrunbook.journey.diagnose.query_texts import COSTS, COSTS_LIKE
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.checkpoints import CHECKPOINTS
from pgrunbook.journey.observe.counters import COUNTERS
from pgrunbook.journey.observe.databases import DATABASES
from pgrunbook.journey.observe.indexes import INDEXES
from pgrunbook.journey.observe.machine import MACHINE
from pgrunbook.journey.observe.parallel_work import JIT_WORK, PARALLEL_WORK
from pgrunbook.journey.observe.plans import PLANS
from pgrunbook.journey.observe.processors import PROCESSORS
from pgrunbook.journey.observe.recovery import RECOVERY
from pgrunbook.journey.observe.session_tally import SESSION_TALLY
from pgrunbook.journey.observe.sessions import SESSIONS
from pgrunbook.journey.observe.settings import ROLE_SETTINGS
from pgrunbook.journey.observe.statements import STATEMENTS
from pgrunbook.journey.observe.vacuum_progress import VACUUM_PROGRESS
from pgrunbook.journey.observe.write_work import BUFFER_WRITES, WAL_WORK
from pgrunbook.model import Blind, Question
from pgrunbook.model.counsel import Counsel, Kept, Proposal

QUESTIONS: tuple[Question[Any], ...] = (
    *UPKEEP,
    *COSTS,
    *COSTS_LIKE,
    MACHINE,
    PROCESSORS,
    RECOVERY,
    CHECKPOINTS,
    COUNTERS,
    DATABASES,
    INDEXES,
    SESSIONS,
    SESSION_TALLY,
    ROLE_SETTINGS,
    VACUUM_PROGRESS,
    WAL_WORK,
    BUFFER_WRITES,
    PARALLEL_WORK,
    JIT_WORK,
)


_WITHOUT = "what single statements spill, read and compile is not known"


def advise_settings(seen: Seen, given: Given) -> Counsel:
    """Judge every setting that this advisor knows."""
    look = Look(seen=seen, machine=machine_of(seen, given), settings=seen.derived(settings_of))
    words = [
        word
        for judge in (
            memory.judge,
            work_mem.judge,
            connections.judge,
            wal.judge,
            parallel.judge,
            upkeep.judge,
            planner.judge,
        )
        for word in judge(look)
    ]
    words += bitmaps.judge(look, tuple(word for word in words if isinstance(word, Proposal)))
    return Counsel(
        topic="settings",
        server=seen.server,
        taken_at=seen.at,
        duration_s=seen.snapshot.duration_s,
        period=period_words(seen),
        inputs=look.machine.inputs,
        proposals=tuple(word for word in words if isinstance(word, Proposal)),
        kept=tuple(word for word in words if isinstance(word, Kept)),
        blind=(
            *look.machine.unknown,
            *unread_blind(seen, STATEMENTS, _WITHOUT),
            *(word for word in words if isinstance(word, Blind)),
        ),
        notes=() if seen.rows_or_none(PLANS) is not None else (bitmaps.NOTE,),
    )
