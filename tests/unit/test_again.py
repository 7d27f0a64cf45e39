"""What became of findings, according to a later diagnosis."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from pgrunbook.journey.verify.again import Now, compare
from pgrunbook.model import Blind, Finding, Kind, Server, ServerRole, Service, Severity
from pgrunbook.model.diagnosis import Diagnosis, Muted

SERVER = Server(
    database="shop",
    version="18.6",
    major=18,
    version_num=180006,
    role=ServerRole.PRIMARY,
    service=Service.PLAIN,
    user="app",
    is_superuser=False,
)
LATER = Diagnosis(
    server=SERVER, taken_at=datetime(2026, 1, 1, tzinfo=UTC), duration_s=1.0, findings=(), blind=(), ok=()
)
FINDING = Finding(
    severity=Severity.WARNING,
    kind=Kind.TABLE,
    object="public.orders",
    check="missing_index",
    evidence={"columns": ("customer_id",), "calls": 10},
)


def now(later: Diagnosis) -> Now:
    (rechecked,) = compare([FINDING], later)
    return rechecked.now


def test_gone_when_its_check_looked_and_found_nothing() -> None:
    assert now(replace(LATER, ok=("missing_index",))) is Now.GONE


def test_gone_when_its_check_found_something_else() -> None:
    other = replace(FINDING, evidence={"columns": ("amount",)})
    assert now(replace(LATER, findings=(other,))) is Now.GONE


def test_still_there_whatever_its_figures_are_by_now() -> None:
    assert now(replace(LATER, findings=(replace(FINDING, evidence={"columns": ("customer_id",)}),))) is Now.STILL_THERE
    assert now(replace(LATER, muted=(Muted(finding=FINDING, reason="known", until="2027-01-01"),))) is Now.STILL_THERE


def test_unknown_when_its_check_is_blind_for_it() -> None:
    for blind in (
        Blind(check="missing_index", reason="no right"),
        Blind(check="missing_index", reason="locked", object="public.orders"),
    ):
        (rechecked,) = compare([FINDING], replace(LATER, blind=(blind,)))
        assert (rechecked.now, rechecked.reason) == (Now.UNKNOWN, blind.reason)


def test_gone_when_its_check_is_blind_for_another_object_only() -> None:
    assert (
        now(replace(LATER, blind=(Blind(check="missing_index", reason="locked", object="public.users"),))) is Now.GONE
    )


def test_unknown_when_its_check_was_not_asked() -> None:
    assert now(LATER) is Now.UNKNOWN
