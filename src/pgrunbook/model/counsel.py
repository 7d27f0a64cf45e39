"""What an advisor says of settings, policies, vacuum or pools: what to change, what to keep, what it cannot tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from pgrunbook.model.server import Server
from pgrunbook.model.verdict import Advice, Blind, Kind, StepSpec, Value


class Takes(StrEnum):
    """What must happen before a change counts."""

    AT_ONCE = "at once"
    RELOAD = "after a reload"
    RESTART = "after a restart"
    NEW_SESSIONS = "for new sessions"
    CONFIGURATION = "where it is configured"


class Ground(StrEnum):
    """What a proposal rests on.  A rule of thumb knows the machine; evidence is what this server itself counted."""

    RULE = "rule of thumb"
    EVIDENCE = "evidence"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One change.  `reason` is in sentences with their figures; `evidence` has the same figures for machines.

    `effect` is an estimate, always; nothing here was tried.  The first advice is the one to take, others are instead.
    """

    area: str
    kind: Kind
    object: str
    title: str
    current: str
    proposed: str
    reason: str
    effect: str
    takes: Takes
    ground: Ground
    evidence: Mapping[str, Value] = field(default_factory=dict)
    advice: tuple[Advice, ...] = ()

    @property
    def step(self) -> StepSpec | None:
        """The step that makes the change, where there is one of ours."""
        return next((advice.step for advice in self.advice if advice.step is not None), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What was looked at and is to stay as it is, and why."""

    area: str
    object: str
    value: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """A figure that the advice was reckoned with, and where it comes from."""

    name: str
    value: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """A piece of another program's configuration, ready to be saved under `name`."""

    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Counsel:
    """All that one advisor has to say.  `period` says for what time its figures hold."""

    topic: str
    server: Server
    taken_at: datetime
    duration_s: float
    period: str
    inputs: tuple[Input, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    kept: tuple[Kept, ...] = ()
    blind: tuple[Blind, ...] = ()
    notes: tuple[str, ...] = ()
    fragments: tuple[Fragment, ...] = ()

    @property
    def steps(self) -> tuple[StepSpec, ...]:
        """The steps of all proposals that have one."""
        return tuple(proposal.step for proposal in self.proposals if proposal.step is not None)
