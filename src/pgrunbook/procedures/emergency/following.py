"""What to do about the sessions of a plan, round by round, from what is seen after each.

Nobody is touched who was not listed: a session is known by pid and the time of its start, and what follows in the
list is still in the transaction in which it was seen.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from typing import TypeAlias

from pgrunbook.journey.observe.sessions import Backend
from pgrunbook.journey.steps import Step
from pgrunbook.journey.steps.cancel_query import CancelQuery
from pgrunbook.journey.steps.end_session import EndSession
from pgrunbook.model.emergency import Action
from pgrunbook.procedures.emergency.choosing import Choice, action_for
from pgrunbook.procedures.emergency.limits import Limits
from pgrunbook.procedures.emergency.situation import Situation

GRACE_S = 2.0  # for one whose blocker has just gone: most commit within that time

Key: TypeAlias = tuple[int, datetime | None]


class Following:
    """Follows the listed sessions.  At most one cancel and one end each, so that it comes to an end."""

    def __init__(self, choices: Sequence[Choice], limits: Limits, most: int) -> None:
        self._limits = limits
        self._most = most
        self._listed = {key_of(choice.backend): choice for choice in choices if choice.action is not Action.LEAVE}
        self._cancelled: dict[Key, Backend] = {}
        self._ended: dict[Key, Backend] = {}
        self._free_since: dict[Key, float] = {}

    @property
    def touched(self) -> frozenset[Key]:
        """Everyone who was signalled, or would have been if it had not gone on."""
        return frozenset(self._cancelled) | frozenset(self._ended)

    @property
    def has_work(self) -> bool:
        """Whether anybody is to be touched at once."""
        return any(choice.is_chosen for choice in self._listed.values())

    def first(self) -> list[Step]:
        """The first round: all that is chosen."""
        return [self._step(choice.backend, choice.action) for choice in self._listed.values() if choice.is_chosen]

    def next(self, situation: Situation) -> list[Step]:
        """The next round: those who did not react, and those who hold others up now that their own blocker is gone."""
        steps: list[Step] = []
        for key, choice in self._listed.items():
            backend = _now(situation, key)
            if backend is None or key in self._ended:
                continue
            if key in self._cancelled:
                if self._goes_on(situation, choice, backend):
                    steps.append(self._step(backend, Action.END))
            elif (
                choice.action is Action.LATER
                and self._holds_up(situation, choice, backend)
                and len(self.touched) < self._most
            ):
                steps.append(self._step(backend, action_for(backend)))
        return steps

    def is_pending(self, situation: Situation) -> bool:
        """Whether somebody of the list may still have to be touched."""
        return any(
            choice.action is Action.LATER
            and key not in self._ended
            and (backend := _now(situation, key)) is not None
            and backend.transaction_started_at == choice.backend.transaction_started_at
            and situation.waits.has_victims(backend.pid)
            for key, choice in self._listed.items()
        )

    def remaining(self, situation: Situation) -> tuple[int, ...]:
        """Those who were to be stopped and still do what they did."""
        left = []
        for key, backend in {**self._cancelled, **self._ended}.items():
            now = _now(situation, key)
            if now is not None and (key in self._ended or _is_same(now, backend)):
                left.append(backend.pid)
        return tuple(sorted(left))

    def _goes_on(self, situation: Situation, choice: Choice, backend: Backend) -> bool:
        """A statement that did not end, or a transaction that holds others up although its statement was cancelled."""
        if _is_same(backend, self._cancelled[key_of(backend)]):
            return True
        is_same_transaction = backend.transaction_started_at == choice.backend.transaction_started_at
        return is_same_transaction and situation.waits.has_victims(backend.pid)

    def _holds_up(self, situation: Situation, choice: Choice, backend: Backend) -> bool:
        key = key_of(backend)
        is_same_transaction = backend.transaction_started_at == choice.backend.transaction_started_at
        if not is_same_transaction or backend.pid in situation.waiters or not situation.waits.has_victims(backend.pid):
            self._free_since.pop(key, None)
            return False
        since = self._free_since.setdefault(key, time.monotonic())
        return time.monotonic() - since >= min(GRACE_S, self._limits.blocking_for_s)

    def _step(self, backend: Backend, action: Action) -> Step:
        spared = {
            "spared_roles": self._limits.spared_roles,
            "spared_applications": self._limits.spared_applications,
        }
        if action is Action.CANCEL:
            self._cancelled[key_of(backend)] = backend
            return CancelQuery.of(backend, wait_s=self._limits.cancel_wait_s, **spared)
        self._ended[key_of(backend)] = backend
        return EndSession.of(backend, **spared)


def key_of(backend: Backend) -> Key:
    """What makes it that session: a pid is used again."""
    return backend.pid, backend.backend_started_at


def _now(situation: Situation, key: Key) -> Backend | None:
    found = situation.session(key[0])
    return found if found is not None and key_of(found) == key else None


def _is_same(backend: Backend, other: Backend) -> bool:
    """Whether it is still at the same statement, or idles in the same way."""
    return (backend.query_started_at, backend.state_changed_at, backend.state) == (
        other.query_started_at,
        other.state_changed_at,
        other.state,
    )
