"""max_connections: how many were really there, and whether more would help.

Raising it is hardly ever the cure: sessions at work beyond what the cores run only wait for each other.  Lowering it
frees shared memory for locks and snapshots, where nobody comes near it.
"""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.advise.settings.look import Look, Word
from pgrunbook.model.counsel import Ground
from pgrunbook.report.words import counted, figure

AREA = "Connections"
NAME = "max_connections"
FULL = 0.8
EMPTY = 0.2
MANY = 300  # fewer cost nothing worth a restart
SAMPLES_MIN = 20  # a moment says nothing of a peak


def judge(look: Look) -> Iterator[Word]:
    """Against the most sessions that were seen at one time in this look."""
    most, peak = round(look.number(NAME)), look.peak_sessions
    usable = most - round(look.number("superuser_reserved_connections") + look.number("reserved_connections"))
    seen = (
        f"{counted(peak, 'session')} at one time at most, {look.peak_active} at work ({counted(look.samples, 'count')})"
    )
    if peak >= FULL * usable:
        yield look.keep(
            AREA,
            NAME,
            f"{seen}, {figure('_ratio', peak / max(usable, 1))} of it: a pooler helps (advise pool), more do not",
        )
        return
    if most >= MANY and look.samples >= SAMPLES_MIN and peak <= EMPTY * usable:
        value = max(100, -(-2 * peak // 50) * 50)
        yield look.propose(
            AREA,
            NAME,
            str(value),
            reason=f"{seen[0].upper()}{seen[1:]}, but {most} may come.  Each place keeps shared memory for its"
            " locks and"
            " is looked at for each snapshot, and so many clients at once would take the server down rather"
            " than be served.",
            effect="a storm of clients is refused in part instead of exhausting memory",
            ground=Ground.EVIDENCE,
            risk="Standbys must not have fewer than their primary: lower the primary first, then them.  Look at"
            " a busy hour.",
            peak_sessions=peak,
            peak_active=look.peak_active,
            samples=look.samples,
        )
        return
    yield look.keep(AREA, NAME, seen)
