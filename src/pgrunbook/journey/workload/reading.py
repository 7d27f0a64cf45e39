"""The whole way from a snapshot to a choice of indexes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pgrunbook.journey.observe.extensions import AVAILABLE_EXTENSIONS
from pgrunbook.journey.observe.hidden_constants import HIDDEN_CONSTANTS, HiddenConstants
from pgrunbook.journey.observe.policies import POLICIES
from pgrunbook.journey.observe.roles import ROLES
from pgrunbook.journey.observe.settings import ROLE_SETTINGS
from pgrunbook.journey.observe.statements import STATEMENTS, STATEMENTS_INFO
from pgrunbook.journey.workload import facts as table_facts
from pgrunbook.journey.workload.candidates import Choice, Thresholds, choose
from pgrunbook.journey.workload.demand import TextStatement, Workload, workload_of, workload_of_texts
from pgrunbook.journey.workload.facts import Facts
from pgrunbook.journey.workload.hidden import Hidden
from pgrunbook.journey.workload.proposals import Extensions
from pgrunbook.model import NotRead, Question, Service, Snapshot
from pgrunbook.pg.parse import Parser

NEEDS: tuple[Question[Any], ...] = (STATEMENTS, *table_facts.NEEDS)
LIKES: tuple[Question[Any], ...] = (
    *table_facts.LIKES,
    STATEMENTS_INFO,
    POLICIES,
    ROLES,
    ROLE_SETTINGS,
    AVAILABLE_EXTENSIONS,
    HIDDEN_CONSTANTS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reckoned:
    """A choice with what it was reckoned from."""

    choice: Choice
    workload: Workload
    facts: Facts


def reckon(
    snapshot: Snapshot,
    parser: Parser,
    *,
    thresholds: Thresholds,
    max_width: int = 3,
    statements: Sequence[TextStatement] | None = None,
    facts: Facts | None = None,
) -> Reckoned:
    """Choose indexes for the statements that the server has counted, or for those given.

    `facts` are those of the snapshot, where somebody has gathered them already.
    Raises NotRead when one of NEEDS is missing (STATEMENTS is not needed for given ones).
    """
    facts = facts if facts is not None else Facts(snapshot, parser)
    if statements is None:
        hidden = Hidden.of(_hidden(snapshot), facts.search_configuration)
        workload = workload_of(
            snapshot, parser, facts.catalog, hidden, calls_min=thresholds.calls_min, blocks_min=thresholds.pages_min
        )
    else:
        workload = workload_of_texts(statements, parser, facts.catalog)
    choice = choose(
        workload,
        facts,
        extensions_of(snapshot, facts),
        thresholds=thresholds,
        max_width=max_width,
        counted_s=_counted_s(snapshot),
    )
    return Reckoned(choice=choice, workload=workload, facts=facts)


def _hidden(snapshot: Snapshot) -> tuple[HiddenConstants, ...]:
    try:
        return snapshot.rows(HIDDEN_CONSTANTS)
    except NotRead:
        return ()


def _counted_s(snapshot: Snapshot) -> float | None:
    """How long the statements have been counted; None when nobody says."""
    try:
        (info,) = snapshot.rows(STATEMENTS_INFO)
    except (NotRead, ValueError):
        return None
    return max(0.0, (info.read_at - info.stats_reset).total_seconds()) if info.stats_reset is not None else None


def extensions_of(snapshot: Snapshot, facts: Facts) -> Extensions:
    """Where trigrams are, or would be put."""
    to_be = None
    if facts.trigram_schema is None and _has_trigrams_on_disk(snapshot):
        to_be = "extensions" if snapshot.server.service is Service.SUPABASE else "public"
    return Extensions(
        trigram_schema=facts.trigram_schema,
        trigram_schema_to_be=to_be,
    )


def _has_trigrams_on_disk(snapshot: Snapshot) -> bool:
    try:
        return any(row.name == "pg_trgm" for row in snapshot.rows(AVAILABLE_EXTENSIONS))
    except NotRead:
        return False
