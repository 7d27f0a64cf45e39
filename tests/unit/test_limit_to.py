from __future__ import annotations

import dataclasses
from datetime import date

from tests.fix import diagnoses

from pgrunbook.config import Mute
from pgrunbook.journey.diagnose.limit_to import within_schemas, without_muted
from pgrunbook.model import Finding, Kind, Severity

TODAY = date(2026, 11, 24)


def test_without_a_schema_nothing_is_left_out() -> None:
    assert within_schemas(diagnoses.sick(), ()) == diagnoses.sick()


def test_objects_of_other_schemas_go_and_what_lives_in_none_stays() -> None:
    left = within_schemas(diagnoses.sick(), ("audit",))
    assert [finding.check for finding in left.findings] == ["idle_in_transaction"]
    assert [blind.check for blind in left.blind] == ["slow_queries", "blocked_sessions"]
    assert {"missing_index", "duplicate_index", "auth_function_per_row"} <= set(left.ok)


def test_a_check_that_is_blind_for_an_object_of_the_schema_is_not_ok() -> None:
    left = within_schemas(dataclasses.replace(diagnoses.sick(), findings=()), ("public",))
    assert "missing_index" not in left.ok


def test_a_schema_is_compared_as_postgresql_quotes_it() -> None:
    finding = Finding(severity=Severity.WARNING, kind=Kind.TABLE, object='"my.app"."T"', check="dead_rows")
    diagnosis = dataclasses.replace(diagnoses.clean(), findings=(finding,))
    assert within_schemas(diagnosis, ("my.app",)).findings == (finding,)
    assert within_schemas(diagnosis, ("my",)).findings == ()


def test_a_mute_by_fingerprint_or_check_moves_the_finding_aside() -> None:
    diagnosis = diagnoses.sick()
    held, duplicate = diagnosis.findings[0], diagnosis.findings[2]
    mutes = (
        Mute(fingerprint=held.fingerprint[:8], reason="known", until=TODAY),
        Mute(check="duplicate_index", reason="later"),
    )
    left = without_muted(diagnosis, mutes, today=TODAY)
    assert held not in left.findings
    assert duplicate not in left.findings
    assert [(one.reason, one.until) for one in left.muted[1:]] == [("known", "2026-11-24"), ("later", "")]
    assert len(left.findings) + len(left.muted) == len(diagnosis.findings) + len(diagnosis.muted)


def test_a_mute_whose_day_has_passed_counts_no_more() -> None:
    mute = Mute(check="duplicate_index", reason="later", until=date(2026, 11, 23))
    assert without_muted(diagnoses.sick(), (mute,), today=TODAY) == diagnoses.sick()
