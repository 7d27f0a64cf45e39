"""Asks the readings that the chosen checks need, lets each check judge, and sorts what they say."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pgrunbook.errors import UsageError
from pgrunbook.journey.diagnose.check import NamedCheck, all_checks
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.settle import settle
from pgrunbook.journey.observe import observe
from pgrunbook.journey.observe.memory import collector_resting
from pgrunbook.model import Blind, Finding, NotRead, Question, Snapshot
from pgrunbook.model.diagnosis import Diagnosis
from pgrunbook.pg.connect import Session
from pgrunbook.pg.parse import Parser
from pgrunbook.report.words import sentences


def choose(only: Sequence[str] = (), skip: Sequence[str] = (), *, plans: bool = False) -> tuple[NamedCheck, ...]:
    """The checks of these names or families, in a stable order.  Raises UsageError for a name that does not exist.

    Those that look at plans are chosen by name, by family, or with `plans`.
    """
    known = all_checks()
    families = {named.family for named in known.values()}
    for name in (*only, *skip):
        if name not in known and name not in families:
            raise UsageError(f"there is no check or family named {name!r}", hint="pgrunbook checks lists them.")
    return tuple(
        named
        for _, named in sorted(known.items())
        if (not only or named.name in only or named.family in only)
        and named.name not in skip
        and named.family not in skip
        and (plans or not named.is_on_request or named.name in only or named.family in only)
    )


def questions_of(chosen: Iterable[NamedCheck]) -> tuple[Question[Any], ...]:
    """Every question that these checks need or like, once each."""
    return tuple(dict.fromkeys(q for named in chosen for q in (*named.check.needs, *named.check.likes)))


def diagnose(
    dsn_or_conn: str | Session,
    *,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    limits: Mapping[str, Mapping[str, Any]] | None = None,
) -> Diagnosis:
    """Observe and judge in one go."""
    chosen = choose(only, skip)
    return judge(observe(dsn_or_conn, questions_of(chosen)), chosen, limits=limits)


def judge(
    snapshot: Snapshot,
    chosen: Sequence[NamedCheck],
    *,
    limits: Mapping[str, Mapping[str, Any]] | None = None,
    expectations: Mapping[str, Any] | None = None,
) -> Diagnosis:
    """Let each check judge the snapshot.  `limits` overrides thresholds by check name."""
    started = time.monotonic()
    findings: list[Finding] = []
    blind: list[Blind] = []
    ok: list[str] = []
    with Parser() as parser, collector_resting():
        seen = Seen(snapshot=snapshot, parser=parser, expectations=expectations or {})
        for named in chosen:
            found, unseen = _ask(named, seen, (limits or {}).get(named.name, {}))
            findings += found
            blind += unseen
            if not found and not unseen:
                ok.append(named.name)
    settled = settle(findings)
    return Diagnosis(
        server=snapshot.server,
        taken_at=snapshot.taken_at,
        duration_s=round(snapshot.duration_s + time.monotonic() - started, 3),
        findings=tuple(sorted(settled, key=lambda f: (f.severity.rank, f.check, f.object))),
        blind=tuple(sorted(blind, key=lambda b: (b.check, b.object or ""))),
        ok=tuple(ok),
    )


def _ask(named: NamedCheck, seen: Seen, overrides: Mapping[str, Any]) -> tuple[list[Finding], list[Blind]]:
    findings: list[Finding] = []
    blind: list[Blind] = []
    try:
        for need in named.check.needs:
            seen.reading(need)
        for verdict in named.check.judge(seen, limits_of(named, overrides)):
            if isinstance(verdict, Finding):
                findings.append(_worded(named, verdict))
            else:
                blind.append(dataclasses.replace(verdict, check=named.name))
    except NotRead as exc:
        blind.append(Blind(check=named.name, reason=exc.unread.reason, cure=exc.unread.cure))
    return findings, blind


def _worded(named: NamedCheck, finding: Finding) -> Finding:
    words = {
        **finding.evidence,
        **(finding.effect.figures if finding.effect else {}),
        "object": finding.object,
        "related": finding.related or None,
    }
    return dataclasses.replace(
        finding,
        check=named.name,
        title=finding.title or named.title,
        detail=finding.detail or sentences(named.says, words),
        section=finding.section or named.section,
    )


def limits_of(named: NamedCheck, overrides: Mapping[str, Any]) -> Any:
    """The check's thresholds with these changed.  UsageError for one it does not have or of another type."""
    known = {field.name: field for field in dataclasses.fields(named.check.limits)}
    for key, value in overrides.items():
        if key not in known:
            raise UsageError(
                f"[checks.{named.name}] has no threshold {key!r}",
                hint=f"pgrunbook checks show {named.name} lists: {', '.join(known) or 'none'}.",
            )
        default = getattr(named.check.limits, key)
        if isinstance(value, bool) != isinstance(default, bool) or not isinstance(
            value, (int, float) if isinstance(default, float) else type(default)
        ):
            raise UsageError(f"[checks.{named.name}] {key} must be of type {type(default).__name__}, not {value!r}")
    return dataclasses.replace(named.check.limits, **overrides)
