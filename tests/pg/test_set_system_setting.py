"""Settings of the server: what is refused, what is restored, and what waits for a restart."""

from __future__ import annotations

import dataclasses

import psycopg
import pytest
from tests.fix.server import FreshDatabase

from pgrunbook.errors import Refused
from pgrunbook.journey.observe.observer import Observer
from pgrunbook.journey.steps.runner import Ran, run_step, take_back
from pgrunbook.journey.steps.set_system_setting import SetSystemSetting
from pgrunbook.model import ServerRole
from pgrunbook.pg.connect import connect


def run(database: FreshDatabase, step: SetSystemSetting, *, role: str = "postgres", standby: bool = False) -> Ran:
    with connect(database.dsn_as(role), station="test") as conn:
        server = Observer(conn).server
        return run_step(step, conn, dataclasses.replace(server, role=ServerRole.STANDBY) if standby else server)


def in_file(database: FreshDatabase) -> dict[str, str]:
    query = "select name, setting from pg_file_settings where sourcefile like '%/postgresql.auto.conf'"
    with psycopg.connect(database.dsn) as conn:
        return dict(conn.execute(query).fetchall())


@pytest.mark.parametrize(
    "step, words",
    [
        (SetSystemSetting(name="shared_buffers", value="64MB"), "only after a restart"),
        (SetSystemSetting(name="listen_addresses", value="x"), "only after a restart"),
        (SetSystemSetting(name="hba_file", value="/x", after_restart=True), "lock everybody out"),
        (SetSystemSetting(name="session_preload_libraries", value="x"), "lock everybody out"),
        (SetSystemSetting(name="fsync", value="off"), "lock everybody out"),
        (SetSystemSetting(name="primary_conninfo", value="password=x"), "may hold a secret"),
        (SetSystemSetting(name="block_size", value="4096"), "cannot be changed"),
        (SetSystemSetting(name="no_such_setting", value="1"), "there is no setting"),
        (SetSystemSetting(name="work_mem", value="many"), "the server refused"),
        (SetSystemSetting(name="local_preload_libraries", value="", may_lock_out=True), "empty"),
    ],
)
def test_what_could_lock_out_or_would_not_hold_is_refused_and_nothing_written(
    server18: FreshDatabase, step: SetSystemSetting, words: str
) -> None:
    before = in_file(server18)
    with pytest.raises(Refused, match=words):
        run(server18, step)
    assert in_file(server18) == before


def test_a_standby_is_refused_unless_told(server18: FreshDatabase) -> None:
    step = SetSystemSetting(name="work_mem", value="5MB")
    with pytest.raises(Refused, match="standby"):
        run(server18, step, standby=True)
    assert not run(server18, dataclasses.replace(step, on_standby=True), standby=True).already


def test_a_role_without_the_right_is_told_the_grant(server18: FreshDatabase) -> None:
    server18.role("tuner")
    step = SetSystemSetting(name="work_mem", value="5MB")
    with pytest.raises(Refused) as refused:
        run(server18, step, role="tuner")
    server18.execute("grant alter system on parameter work_mem to tuner")
    with pytest.raises(Refused) as again:
        run(server18, step, role="tuner")
    server18.execute(*again.value.hint.removesuffix(";").split("; "))
    assert not run(server18, step, role="tuner").already
    assert "GRANT ALTER SYSTEM ON PARAMETER work_mem TO tuner" in refused.value.hint


def test_one_that_waits_for_a_restart_says_so_and_its_undo_takes_it_back(server18: FreshDatabase) -> None:
    step = SetSystemSetting(name="max_wal_senders", value="11", after_restart=True)
    ran = run(server18, step)
    assert "restart" in step.title
    with connect(server18.dsn, station="test") as conn:
        pending = "select pending_restart from pg_settings where name = 'max_wal_senders'"
        assert conn.execute(pending).fetchone() == (True,)
        assert run(server18, step).already
        take_back(step, conn, ran.before)
    assert "max_wal_senders" not in in_file(server18)


def test_a_value_in_other_words_and_a_list_come_back_as_they_were_written(server18: FreshDatabase) -> None:
    server18.execute("alter system set work_mem = '8192kB'", "alter system set temp_tablespaces = 'pg_default', 'X y'")
    server18.execute("select pg_reload_conf()")
    held = in_file(server18)
    for step in (
        SetSystemSetting(name="work_mem", value="16384"),
        SetSystemSetting(name="temp_tablespaces", value="pg_default"),
        SetSystemSetting(name="work_mem"),
    ):
        ran = run(server18, step)
        assert in_file(server18) != held
        with connect(server18.dsn, station="test") as conn:
            take_back(step, conn, ran.before)
        assert in_file(server18) == held


def test_a_broken_line_in_the_files_is_named_because_no_reload_would_be_taken(server18: FreshDatabase) -> None:
    conf = server18.cluster.data_dir / "postgresql.conf"
    text = conf.read_text()
    conf.write_text(text + "no_such_setting = 1\n")
    try:
        with pytest.raises(Refused, match=r"postgresql\.conf, line \d+"):
            run(server18, SetSystemSetting(name="random_page_cost", value="1.1"))
    finally:
        conf.write_text(text)
        server18.execute("select pg_reload_conf()")
