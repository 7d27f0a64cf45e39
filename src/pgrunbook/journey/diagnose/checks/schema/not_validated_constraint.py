"""A constraint that old rows were never checked against.

Asks:    which constraints are enforced for new rows only (NOT VALID)?
Source:  pg_constraint.convalidated.
Says:    {object} was added NOT VALID and never validated: rows from before may break it, and the planner trusts it not.
Section: Maintenance Operations
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.constraints import CONSTRAINT_DEFINITIONS, CONSTRAINTS, Constraint
from pgrunbook.journey.steps import advise
from pgrunbook.journey.steps.validate_constraint import ValidateConstraint
from pgrunbook.model import Advice, Finding, Kind, Severity, Verdict

WORDS = {"f": "foreign key", "c": "check", "n": "not null"}


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding a constraint as declared; inherited copies and constraints that are not enforced are none."""
    texts = {row.oid: row.definition for row in seen.rows_or_none(CONSTRAINT_DEFINITIONS) or ()}
    for constraint in seen.rows(CONSTRAINTS):
        if (
            constraint.kind in WORDS
            and not constraint.is_validated
            and constraint.is_enforced
            and constraint.is_local
            and constraint.parent_oid == 0
        ):
            yield _finding(constraint, texts)


def _finding(constraint: Constraint, texts: Mapping[int, str]) -> Finding:
    return Finding(
        severity=Severity.WARNING,
        kind=Kind.CONSTRAINT,
        object=constraint.qualified,
        related=(constraint.table, constraint.referenced) if constraint.kind == "f" else (constraint.table,),
        evidence={"table": constraint.table, "type": WORDS[constraint.kind], "columns": constraint.columns},
        advice=(_validate(constraint, texts.get(constraint.oid)),),
    )


def _validate(constraint: Constraint, definition: str | None) -> Advice:
    step = ValidateConstraint(
        schema=constraint.schema,
        table=constraint.table_name,
        name=constraint.name,
        definition=definition,
        is_domain=constraint.table_kind == "d",
    )
    return advise(step, title=f"Validate {constraint.qualified}")


CHECK = Check(needs=(CONSTRAINTS,), likes=(CONSTRAINT_DEFINITIONS,), judge=judge, limits=NoLimits())
