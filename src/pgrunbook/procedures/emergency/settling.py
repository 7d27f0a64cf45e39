"""Takes the listed sessions round by round until nobody of them has to be touched any more, or time is up."""

from __future__ import annotations

import time

from pgrunbook.journey.act import Rounds
from pgrunbook.model.plan import StepState
from pgrunbook.procedures.emergency.following import Following
from pgrunbook.procedures.emergency.limits import Limits
from pgrunbook.procedures.emergency.situation import Situation, look

POLL_S = 0.25


def settle(rounds: Rounds, following: Following, limits: Limits) -> Situation:
    """Act, look, and go on from what is seen; returns the last look.

    Stops when a step left something behind, for then a person must look.
    """
    deadline = time.monotonic() + limits.settle_s
    steps = following.first()
    while True:
        ended = rounds.take(steps)
        situation = look(rounds.conn, limits)
        if any(step.state is StepState.FAILED for step in ended):
            return situation
        steps = following.next(situation)
        if steps:
            continue
        if not following.is_pending(situation) or time.monotonic() >= deadline:
            return situation
        time.sleep(POLL_S)
