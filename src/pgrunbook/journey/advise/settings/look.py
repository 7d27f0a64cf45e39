"""What all judges of settings look at: the machine, the settings, the load, and how a proposal is put into words."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

from pgrunbook.journey.advise import change
from pgrunbook.journey.advise.machine import Machine
from pgrunbook.journey.advise.span import Span, span_of
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.databases import DATABASES, Database
from pgrunbook.journey.observe.indexes import INDEXES
from pgrunbook.journey.observe.relations import RELATIONS
from pgrunbook.journey.observe.session_tally import SESSION_TALLY, SessionTally
from pgrunbook.journey.observe.settings import Setting
from pgrunbook.model import Blind, Kind, Value, quote
from pgrunbook.model.counsel import Ground, Kept, Proposal, Takes

MB = 1024**2
GB = 1024**3
PAGE_BYTES = 8192
_COUNTED = ("blocks_read", "blocks_hit", "temp_files", "temp_bytes", "commits", "rollbacks", "active_time_s")

Word: TypeAlias = Proposal | Kept | Blind


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One observation as the judges of settings see it."""

    seen: Seen
    machine: Machine
    settings: Mapping[str, Setting]

    def number(self, name: str) -> float:
        """A setting in bytes, seconds or plain; 0 where it does not exist."""
        found = self.settings.get(name)
        return found.number if found is not None else 0.0

    @property
    def major(self) -> int:
        """The server's major version."""
        return self.seen.server.major

    @property
    def data_bytes(self) -> int | None:
        """Tables with their TOAST and indexes of this database, as last counted."""
        relations, indexes = self.seen.rows_or_none(RELATIONS), self.seen.rows_or_none(INDEXES)
        if relations is None:
            return None
        tables = sum(r.size_bytes + (r.toast_pages or 0) * PAGE_BYTES for r in relations if r.has_storage)
        return tables + sum(index.size_bytes for index in indexes or () if index.table_kind != "t")

    @property
    def activity(self) -> Span | None:
        """What all databases together counted."""
        return span_of(self.seen, DATABASES, _sums, _age, whole=_brought_together)

    @property
    def peak_sessions(self) -> int:
        """The most client sessions that were seen at one time."""
        return self._peak(lambda tally: tally.sessions)

    @property
    def peak_active(self) -> int:
        """The most sessions at work that were seen at one time, or what their time amounts to on average."""
        span = self.activity
        average = math.ceil(span.per_s("active_time_s")) if span is not None else 0
        return max(self._peak(lambda tally: tally.active), average)

    @property
    def samples(self) -> int:
        """How often sessions were counted."""
        return len({tally.sampled_at for tally in self.seen.rows_or_none(SESSION_TALLY) or ()})

    def _peak(self, of: Callable[[SessionTally], int]) -> int:
        sums: dict[datetime, int] = {}
        for tally in self.seen.rows_or_none(SESSION_TALLY) or ():
            sums[tally.sampled_at] = sums.get(tally.sampled_at, 0) + of(tally)
        return max(sums.values(), default=0)

    def keep(self, area: str, name: str, reason: str) -> Kept:
        """The setting stays."""
        return Kept(area=area, object=name, value=change.shown(self.settings[name]), reason=reason)

    def propose(
        self,
        area: str,
        name: str,
        value: str,
        *,
        reason: str,
        effect: str,
        ground: Ground,
        risk: str = "",
        role: str | None = None,
        **evidence: Value,
    ) -> Proposal:
        """Another value for the server, or for the new sessions of one role."""
        setting = self.settings[name]
        if role is None:
            takes, advice = change.change(self.seen, setting, value)
            owners = change.overridden(self.seen, setting)
            risk = f"{risk}  It stays as it is for {owners}." if owners and takes is not Takes.NEW_SESSIONS else risk
        else:
            takes, advice = Takes.NEW_SESSIONS, change.for_role(self.seen, role, setting, value)
        if risk:
            advice = replace(advice, risk=" ".join(part for part in (advice.risk, risk) if part))
        return Proposal(
            area=area,
            kind=Kind.SETTING if role is None else Kind.ROLE,
            object=name if role is None else quote(role),
            title=f"Set {name} to {value}" + (f" for role {quote(role)}" if role is not None else ""),
            current=change.shown(setting),
            proposed=value,
            reason=reason,
            effect=effect,
            takes=takes,
            ground=ground,
            evidence=evidence,
            advice=(advice,),
        )


def _sums(rows: Sequence[Database]) -> Mapping[str, float]:
    return {name: sum(float(getattr(row, name)) for row in rows) for name in _COUNTED}


def _brought_together(rows: Sequence[Database]) -> Mapping[str, float]:
    """Sums of what each database counted in the time of the youngest counters: they were reset one by one."""
    age = _age(rows) or 0.0
    shares = {row.name: age / row.counters_age_s if row.counters_age_s else 0.0 for row in rows}
    return {name: sum(float(getattr(row, name)) * shares[row.name] for row in rows) for name in _COUNTED}


def _age(rows: Sequence[Database]) -> float | None:
    """How far back all of them reach."""
    return min((row.counters_age_s for row in rows if row.counters_age_s is not None), default=None)
