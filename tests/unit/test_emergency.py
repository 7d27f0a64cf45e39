"""Who is touched and why the others are not, from rows alone."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pgrunbook.errors import Unreachable, UsageError
from pgrunbook.journey.observe.locks import Waiter
from pgrunbook.journey.observe.sessions import Backend
from pgrunbook.journey.observe.settings import RoleSetting
from pgrunbook.journey.steps.session_guard import Leave
from pgrunbook.model import Server, ServerRole, Service
from pgrunbook.model.emergency import Action, EmergencyReport
from pgrunbook.procedures.emergency.choosing import Choice, Wish, choose, picture
from pgrunbook.procedures.emergency.exhausted import patiently
from pgrunbook.procedures.emergency.following import Following
from pgrunbook.procedures.emergency.limits import Limits, Procedure, limits_for, seconds
from pgrunbook.procedures.emergency.pooler import resume_forgotten
from pgrunbook.procedures.emergency.prevention import prevention
from pgrunbook.procedures.emergency.situation import Situation
from pgrunbook.procedures.emergency.waits import Waits
from pgrunbook.report import emergency
from pgrunbook.report.lines import Lines

AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
SERVER = Server(
    database="shop", version="18.6", major=18, version_num=180006, role=ServerRole.PRIMARY, service=Service.PLAIN,
    user="operator", is_superuser=False, memberships=frozenset({"pg_monitor", "pg_read_all_stats"}),
)  # fmt: skip
MAY = Leave(never=None, may_signal=True)


def session(pid: int, state: str = "active", age_s: float = 400.0, **more: Any) -> Backend:
    """A client's session that has been in its state for so long."""
    since = AT - timedelta(seconds=age_s)
    fields: dict[str, Any] = {
        "pid": pid, "is_self": False, "backend_type": "client backend", "database": "shop", "role": "app",
        "application": "web", "client": "local", "state": state, "backend_started_at": AT - timedelta(hours=1),
        "transaction_started_at": None if state == "idle" else since, "query_started_at": since,
        "state_changed_at": since, "backend_age_s": 3600.0, "transaction_age_s": age_s, "query_age_s": age_s,
        "state_age_s": age_s, "wait_event_type": None, "wait_event": None, "xid_age": None, "xmin_age": None,
        "leader_pid": None, "query_id": None, "query": "select ?",
    }  # fmt: skip
    return Backend(**{**fields, **more})


def waits(pid: int, *blocked_by: int, waiting_s: float = 60.0, gids: tuple[str, ...] = ()) -> Waiter:
    return Waiter(
        pid=pid, blocked_by=blocked_by, prepared_gids=gids, lock_type="relation", mode="x", schema=None, name=None,
        waiting_s=waiting_s,
    )  # fmt: skip


def situation(*sessions: Backend, waiters: tuple[Waiter, ...] = (), usable: int = 100, **never: str) -> Situation:
    """`never` names reasons by the session's pid: p7="superuser"."""
    leave = {one.pid: Leave(never=never.get(f"p{one.pid}"), may_signal=True) for one in sessions}
    return Situation(
        server=SERVER, at=AT, sessions=sessions, waits=Waits(waiters), leave=leave,
        advisory=frozenset(), usable=usable,
    )  # fmt: skip


def decide(seen: Situation, procedure: Procedure = Procedure.OVERLOAD, **limits: Any) -> dict[int, Choice]:
    """The choices by pid, in their order."""
    wish = Wish(procedure=procedure, limits=replace(limits_for(procedure, {}, {}, origin=""), **limits))
    return {choice.backend.pid: choice for choice in choose(seen, wish)}


def chosen(choices: dict[int, Choice]) -> list[tuple[int, Action]]:
    return [(pid, choice.action) for pid, choice in choices.items() if choice.is_chosen]


def test_blockers_come_first_then_the_oldest_and_idle_ones_last() -> None:
    seen = situation(
        session(1, age_s=500), session(2, age_s=900), session(3, "idle in transaction", 5),
        session(4, "idle", 700), session(5, "idle in transaction", 400), session(6, age_s=60),
        waiters=(waits(6, 3),), usable=7,
    )  # fmt: skip
    assert chosen(decide(seen, max_share_ratio=1.0)) == [
        (3, Action.END), (2, Action.CANCEL), (1, Action.CANCEL), (5, Action.END), (4, Action.END),
    ]  # fmt: skip


def test_idle_ones_stay_while_connections_are_free() -> None:
    choices = decide(situation(session(1, "idle", 700)))
    assert choices[1].action is Action.LEAVE
    assert choices[1].reason == "idle for 11 min 40 s; 1 % of the connections are taken, idle ones go from 80 % on"


def test_a_statement_that_only_waits_is_a_victim_however_long_it_lasted() -> None:
    seen = situation(
        session(1, "idle in transaction", 5), session(2, age_s=4000), waiters=(waits(2, 1, waiting_s=4000),)
    )
    choices = decide(seen)
    assert chosen(choices) == [(1, Action.END)]
    assert choices[2].reason == "waits for 1: a victim"


def test_one_in_the_middle_waits_for_its_turn() -> None:
    seen = situation(
        session(1, "idle in transaction"), session(2), session(3), waiters=(waits(2, 1), waits(3, 2)),
    )  # fmt: skip
    choices = decide(seen)
    assert [choices[pid].action for pid in (1, 2, 3)] == [Action.END, Action.LATER, Action.LEAVE]
    assert list(choices) == [1, 2, 3]


def test_below_a_root_that_is_never_touched_the_next_takes_its_place() -> None:
    seen = situation(session(1), session(2), session(3), waiters=(waits(2, 1), waits(3, 2)), p1="tool")
    choices = decide(seen)
    assert chosen(choices) == [(2, Action.CANCEL)]
    assert choices[1].reason == "never touched: a backup or maintenance program"


def test_a_prepared_transaction_is_named_and_its_victims_stay() -> None:
    seen = situation(session(1), waiters=(waits(1, 0, gids=("order 7",)),))
    assert decide(seen)[1].reason == "waits for prepared transaction order 7: a victim"


def test_who_blocks_for_a_moment_is_left_alone() -> None:
    seen = situation(session(1, age_s=3), session(2), waiters=(waits(2, 1, waiting_s=3),))
    assert decide(seen)[1].reason == "blocks 1 session, one for 3 s: less than 10 s"


def test_a_deadlock_is_left_to_the_server() -> None:
    seen = situation(session(1), session(2), waiters=(waits(1, 2), waits(2, 1)))
    assert chosen(decide(seen)) == []


@pytest.mark.parametrize(
    "procedure,expected",
    [
        (Procedure.OVERLOAD, {1: Action.CANCEL, 2: Action.END, 3: Action.LEAVE}),
        (Procedure.RUNAWAY, {1: Action.CANCEL, 2: Action.LEAVE, 3: Action.LEAVE}),
        (Procedure.IDLE, {1: Action.LEAVE, 2: Action.END, 3: Action.LEAVE}),
        (Procedure.EXHAUSTION, {1: Action.LEAVE, 2: Action.LEAVE, 3: Action.LEAVE}),
    ],
)
def test_each_procedure_has_its_own_aim(procedure: Procedure, expected: dict[int, Action]) -> None:
    seen = situation(session(1, age_s=650), session(2, "idle in transaction", 650), session(3, "idle", 650))
    assert {pid: choice.action for pid, choice in sorted(decide(seen, procedure).items())} == expected


def test_when_connections_run_out_no_more_are_ended_than_needed() -> None:
    seen = situation(*[session(pid, "idle", 600 + pid) for pid in range(1, 11)], usable=10)
    assert chosen(decide(seen, Procedure.EXHAUSTION, max_share_ratio=1.0)) == [
        (pid, Action.END) for pid in (10, 9, 8)
    ]  # fmt: skip


def test_one_run_touches_no_more_than_its_cap() -> None:
    seen = situation(*[session(pid) for pid in range(1, 6)], usable=10)
    assert len(chosen(decide(seen, max_sessions=2))) == 2
    assert len(chosen(decide(seen, max_share_ratio=0.3))) == 3
    assert "beyond the 2 sessions" in decide(seen, max_sessions=2)[5].reason


def test_a_queue_of_five_hundred_is_judged_and_drawn_without_naming_every_pair() -> None:
    """Behind one who idles, everybody in the queue waits for all that came before."""
    people = [session(1, "idle in transaction"), *(session(pid) for pid in range(2, 502))]
    seen = situation(*people, waiters=tuple(waits(pid, *range(1, pid)) for pid in range(2, 502)))
    choices = decide(seen)
    assert chosen(choices) == [(1, Action.END)]
    assert choices[1].reason == "blocks 500 sessions, one for 1 min"
    assert {choices[pid].action for pid in range(2, 501)} == {Action.LATER}
    report = EmergencyReport(
        procedure="overload", server=SERVER, limits={}, before=picture(seen, tuple(choices.values()), Limits())
    )
    console = Console(file=io.StringIO(), width=100, force_terminal=False)
    emergency.plan(Lines(console), report)
    assert "… and 461 more" in console.file.getvalue()  # type: ignore[attr-defined]
    assert len(emergency.render_json(report)) < 1_000_000


def test_sessions_of_other_databases_are_left_alone() -> None:
    seen = situation(session(1, database="other"))
    assert "in database other" in decide(seen)[1].reason
    wish = Wish(procedure=Procedure.OVERLOAD, limits=Limits(), all_databases=True)
    assert [choice.action for choice in choose(seen, wish)] == [Action.CANCEL]


def test_one_that_came_while_we_looked_is_left_alone() -> None:
    seen = replace(situation(session(1)), leave={})
    assert decide(seen)[1].action is Action.LEAVE


def test_a_blocker_that_took_a_new_statement_after_its_cancel_is_ended_and_another_transaction_is_not() -> None:
    before = situation(session(1), session(2), waiters=(waits(2, 1),))
    following = Following(tuple(decide(before).values()), Limits(), 9)
    assert [step.kind for step in following.first()] == ["cancel_query"]
    goes_on = session(1, "idle in transaction (aborted)", 1, transaction_started_at=before.sessions[0].query_started_at)
    still = situation(goes_on, session(2), waiters=(waits(2, 1),))
    other = situation(session(1, age_s=1), session(2), waiters=(waits(2, 1),))
    assert following.next(other) == []
    assert [step.kind for step in following.next(still)] == ["end_session"]
    assert following.next(still) == []
    assert following.remaining(still) == (1,)
    assert following.remaining(situation(session(2))) == ()


def test_thresholds_come_from_the_runbook_the_file_and_the_flags_in_this_order() -> None:
    section = {"older_than": "7min", "max_share": "25 %", "spared_roles": ["billing"], "runaway": {"top": 3}}
    limits = limits_for(Procedure.RUNAWAY, section, {"top": None, "spared_roles": ("etl",)}, origin="file")
    assert (limits.older_than_s, limits.top, limits.max_share_ratio) == (420.0, 3, 0.25)
    assert limits.spared_roles == ("billing", "etl")
    assert limits_for(Procedure.RUNAWAY, {}, {}, origin="") == replace(Limits(), older_than_s=120.0, top=5)
    assert limits_for(Procedure.OVERLOAD, section, {"older_than": "90s"}, origin="").older_than_s == 90.0


@pytest.mark.parametrize(
    "section,words",
    [
        ({"older_then": 5}, "file: emergency.older_then"),
        ({"older_than": "soon"}, "a length of time"),
        ({"older_than": True}, "a length of time"),
        ({"max_sessions": -1}, "a whole number"),
        ({"saturation": 3}, "a share"),
        ({"spared_roles": [1]}, "a list of names"),
        ({"statement_timeout": "later"}, "a length of time"),
        ({"overlode": {"top": 1}}, "no procedure"),
        ({"idle": {"tap": 1}}, "emergency.idle.tap"),
    ],
)
def test_a_threshold_that_cannot_be_read_is_refused(section: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words.replace("[", r"\[")):
        limits_for(Procedure.OVERLOAD, section, {}, origin="file")
    with pytest.raises(UsageError):
        seconds("5 parsecs", "--older-than")


def test_roles_get_the_limit_that_they_lacked_and_keep_a_stricter_one() -> None:
    touched = [session(1), session(2, "idle in transaction"), session(3, role="strict"), session(4, database="other")]
    given = [
        RoleSetting(role="strict", database=None, name="statement_timeout", value="5s"),
        RoleSetting(role=None, database="shop", name="statement_timeout", value="2min"),
        RoleSetting(role="app", database="shop", name="idle_in_transaction_session_timeout", value="0"),
    ]
    steps = prevention(touched, given, Limits(), "shop")
    assert [(step.role, step.database, step.settings) for step in steps] == [
        ("app", "shop", ("idle_in_transaction_session_timeout=60s", "statement_timeout=30s"))
    ]


def test_only_exhausted_connections_are_waited_for() -> None:
    tried: list[int] = []

    def enter(text: str) -> str:
        tried.append(1)
        if len(tried) < 2:
            raise Unreachable(f"cannot connect: FATAL:  {text}")
        return "in"

    assert patiently(lambda: enter("sorry, too many clients already"), wait_s=5) == "in"
    tried.clear()
    with pytest.raises(Unreachable, match="password"):
        patiently(lambda: enter("password authentication failed"), wait_s=5)
    tried.clear()
    with pytest.raises(Unreachable, match="up, but exhausted"):
        patiently(lambda: enter("remaining connection slots are reserved"), wait_s=0)


def test_a_record_of_a_pause_that_was_cut_short_is_cleared_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert resume_forgotten() == ()
    folder = tmp_path / "pgrunbook" / "paused"
    folder.mkdir(parents=True)
    (folder / "0.json").write_text('{"dsn": "postgres', encoding="utf-8")
    (one,) = resume_forgotten()
    assert one.resumed
    assert not list(folder.iterdir())


def test_hostile_names_break_no_report() -> None:
    evil = session(1, application="x\x1b[31m|<script>\n", role="a|b", query="select '\u202e'")
    seen = situation(evil)
    report = EmergencyReport(
        procedure="overload", server=SERVER, limits={}, before=picture(seen, tuple(decide(seen).values()), Limits())
    )
    console = Console(file=io.StringIO(), width=100, force_terminal=False)
    emergency.plan(Lines(console), report)
    drawn = console.file.getvalue()  # type: ignore[attr-defined]
    assert "cancel 1 a|b x" in drawn
    for text in (drawn, emergency.render_markdown(report)):
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert "<script>" not in emergency.render_markdown(report)
    assert report.exit_code == 0
