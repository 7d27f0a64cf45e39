"""The journal: chained, on disk before anything is changed, and closed to whatever cannot be written down."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pgrunbook.errors import Refused
from pgrunbook.model import StepSpec
from pgrunbook.model.plan import MeasuredQuery, PlannedStep, StepOutcome, StepState, TargetPrint
from pgrunbook.record import Hold, Journal, fold, folder_for, open_steps, read, verify
from pgrunbook.record.history import RunStep, undoable_steps, write_intent, write_outcome, write_undoing
from pgrunbook.record.journal import FILE, GENESIS, HEAD, state_home
from pgrunbook.surfaces.cli.main import run


def fill(folder: Path, count: int = 5) -> Path:
    with Journal(folder) as journal:
        for number in range(count):
            journal.append("note", text=f"note {number} – ü 🐘 \udcff")
    return folder / FILE


def intent(journal: Journal, step_id: str) -> None:
    run_id = step_id.split(".", maxsplit=1)[0]
    write_intent(
        journal,
        RunStep(
            step_id=step_id,
            run_id=run_id,
            planned=PlannedStep(
                step=StepSpec(kind="create_index", params={"keys": ("a", "b"), "where": None}),
                finding="f00d",
                queries=(MeasuredQuery(text="select $1", queryid=-7, role="app"),),
            ),
            title="Create index",
            statements=("CREATE INDEX",),
            reversible=True,
            at=datetime.now(UTC),
            before={"existed": False, "options": ("a=1",)},
            measured={"mean_ms": 1.5},
        ),
    )


def end(journal: Journal, step_id: str, state: StepState) -> None:
    outcome = StepOutcome(step_id=step_id, spec=StepSpec(kind="x", params={}), title="t", state=state, reason="because")
    write_outcome(journal, "r9", outcome)


def test_records_follow_each_other_by_their_hashes(tmp_path: Path) -> None:
    fill(tmp_path)
    records = read(tmp_path)
    assert [record["seq"] for record in records] == [1, 2, 3, 4, 5]
    assert [record["prev"] for record in records] == [GENESIS, *(record["sha256"] for record in records[:-1])]
    assert verify(tmp_path).records == 5
    assert verify(tmp_path).head == records[-1]["sha256"]


def test_a_later_writer_goes_on_where_the_earlier_one_stopped(tmp_path: Path) -> None:
    fill(tmp_path)
    fill(tmp_path)
    assert verify(tmp_path).records == 10


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        path = fill(tmp_path / "a" / "b")
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((path.parent / HEAD).stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("number", [0, 2, 4])
def test_an_edited_record_is_found(tmp_path: Path, number: int) -> None:
    path = fill(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[number] = lines[number].replace(b"note ", b"nope ")
    path.write_bytes(b"".join(lines))
    with pytest.raises(Refused, match=f"record {number + 1} was edited"):
        verify(tmp_path)
    with pytest.raises(Refused), Journal(tmp_path):
        pass


def test_a_record_edited_with_a_fitting_hash_breaks_the_chain(tmp_path: Path) -> None:
    path = fill(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    with Journal(tmp_path / "other") as other:
        other.append("note", text="forged")
    lines[1] = (tmp_path / "other" / FILE).read_bytes()
    path.write_bytes(b"".join(lines))
    with pytest.raises(Refused, match="does not follow"):
        verify(tmp_path)


@pytest.mark.parametrize("number", [0, 1, 3])
def test_a_removed_record_is_found(tmp_path: Path, number: int) -> None:
    path = fill(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    del lines[number]
    path.write_bytes(b"".join(lines))
    with pytest.raises(Refused, match="does not follow"):
        verify(tmp_path)


def test_a_cut_tail_is_found_by_the_head_file(tmp_path: Path) -> None:
    path = fill(tmp_path)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:3]))
    with pytest.raises(Refused, match="ends at record 3, but record 5 was written"):
        verify(tmp_path)


@pytest.mark.parametrize("action", ["show", "verify", "export"])
def test_a_cut_tail_is_refused_by_every_command(
    tmp_path: Path, action: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = fill(tmp_path)
    words = ["journal", action, "--folder", str(tmp_path)]
    assert run(words) == 0
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:3]))
    assert run(words) == 4
    assert "ends at record 3, but record 5 was written" in capsys.readouterr().err


def test_reformatting_a_record_is_an_edit(tmp_path: Path) -> None:
    path = fill(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = json.dumps(json.loads(lines[1])).encode() + b"\n"
    path.write_bytes(b"".join(lines))
    with pytest.raises(Refused, match="record 2 was edited"):
        verify(tmp_path)


@pytest.mark.parametrize("kept", [1, 20, -1])
def test_a_line_torn_by_a_crash_is_cut_off_with_a_note(tmp_path: Path, kept: int) -> None:
    path = fill(tmp_path, 3)
    whole = path.read_bytes()
    with Journal(tmp_path / "next") as other:
        other.append("note", text="never finished")
    line = (tmp_path / "next" / FILE).read_bytes()
    path.write_bytes(whole + line[:kept])
    assert verify(tmp_path).torn
    with Journal(tmp_path) as journal:
        journal.append("note", text="goes on")
    texts = [record["text"] for record in read(tmp_path)]
    assert texts[3].startswith("cut off a record of")
    assert texts[4] == "goes on"
    assert not verify(tmp_path).torn


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    with Journal(tmp_path), pytest.raises(Refused, match="another pgrunbook"), Journal(tmp_path):
        pass
    fill(tmp_path)  # and the lock is free again


def test_an_executor_and_an_emergency_write_in_turns(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from pgrunbook.record import Hold, Journal
with Journal(Path(sys.argv[1]), Hold[sys.argv[2]]) as journal:
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(100):
        journal.append("note", text=f"{sys.argv[2]} {number}")
"""
    with contextlib.ExitStack() as stack:
        writers = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", script, str(tmp_path), hold.name],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for hold in Hold
        ]
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
        for hold in Hold:
            with pytest.raises(Refused, match="another pgrunbook"), Journal(tmp_path, hold):
                pass
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write("go\n")
            writer.stdin.flush()
        while any(writer.poll() is None for writer in writers):
            verify(tmp_path)  # whoever reads meanwhile sees a whole journal
    assert [writer.returncode for writer in writers] == [0, 0]
    assert verify(tmp_path).records == 200
    for hold in Hold:
        mine = [record["text"] for record in read(tmp_path) if record["text"].startswith(hold.name)]
        assert mine == [f"{hold.name} {number}" for number in range(100)]


def test_what_the_other_writer_tore_when_it_was_killed_is_cut_off_by_the_next_record(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.append("note", text="first")
        with Journal(tmp_path, Hold.EMERGENCY) as other:
            other.append("note", text="second")
        with (tmp_path / FILE).open("ab") as file:
            file.write(b'{"seq":3')
        journal.append("note", text="fourth")
    texts = [record["text"] for record in read(tmp_path)]
    assert texts[:2] + texts[3:] == ["first", "second", "fourth"]
    assert "torn" in texts[2]
    assert not verify(tmp_path).torn


def test_a_writer_that_hangs_in_its_turn_is_not_waited_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pgrunbook.record.journal.TURN_S", 0.05)
    with Journal(tmp_path) as journal, (tmp_path / FILE).open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(Refused, match="has been writing one record"):
            journal.append("note", text="not written")
    assert read(tmp_path) == ()


def test_a_full_disk_refuses_and_leaves_the_journal_whole(tmp_path: Path) -> None:
    path = fill(tmp_path, 3)
    script = """
import resource, sys
from pathlib import Path
from pgrunbook.errors import Refused
from pgrunbook.record import Journal
folder = Path(sys.argv[1])
with Journal(folder) as journal:
    limit = (folder / "journal.jsonl").stat().st_size + 200
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        journal.append("note", text="x" * 1000)
    except Refused as refused:
        print(refused.message)
"""
    before = path.read_bytes()
    said = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "cannot be written: File too large; without it nothing is changed" in said.stdout
    assert path.read_bytes() == before
    assert verify(tmp_path).records == 3


def test_a_folder_that_cannot_be_made_refuses(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match="cannot be opened"), Journal(tmp_path / "file" / "state"):
        pass


def test_a_head_file_that_cannot_be_written_takes_the_record_back(tmp_path: Path) -> None:
    fill(tmp_path, 2)
    with Journal(tmp_path) as journal:
        (tmp_path / f"{HEAD}.partial").mkdir()
        with pytest.raises(Refused):
            journal.append("note", text="not written")
        (tmp_path / f"{HEAD}.partial").rmdir()
        journal.append("note", text="written")
    assert [record["text"] for record in read(tmp_path)][2:] == ["written"]
    assert verify(tmp_path).records == 3


def test_an_interrupt_between_writing_and_noting_it_is_healed(tmp_path: Path) -> None:
    fill(tmp_path, 2)
    with Journal(tmp_path) as journal:
        journal.append("note", text="third")
        written = (journal._size, journal._seq, journal._head)
        journal.append("note", text="fourth")
        journal._size, journal._seq, journal._head = written  # as if Ctrl-C had come before they were set
        journal.append("note", text="fifth")
    assert verify(tmp_path).records == 5


@pytest.mark.parametrize(
    "name", ["shop", "..", ".", "a/b", "a b", "ÄÖ", "🐘", "x" * 63, "%41", "A", "\udcff", "a\nb", "-rf"]
)
def test_any_database_name_makes_one_safe_folder(tmp_path: Path, name: str) -> None:
    folder = folder_for(TargetPrint(system_identifier="7", database=name, user="u"), tmp_path)
    assert folder.parent == tmp_path / "7"
    assert folder.name not in {"", ".", ".."}
    assert folder.name.isascii()
    fill(folder, 1)


def test_no_two_database_names_share_a_folder() -> None:
    names = ["a/b", "a%2Fb", "a b", "a%20b", "a", "A", ".", "%2E", "ä"]
    folders = {folder_for(TargetPrint(system_identifier="7", database=name, user="u")) for name in names}
    assert len(folders) == len(names)


def test_state_lives_where_xdg_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state_home() == tmp_path / "pgrunbook"
    monkeypatch.setenv("XDG_STATE_HOME", "relative/is/not/allowed")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert state_home() == tmp_path / "home" / ".local" / "state" / "pgrunbook"


def test_history_tells_what_became_of_each_step(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        for step_id in ("r1.1", "r1.2", "r1.3", "r1.4"):
            intent(journal, step_id)
        end(journal, "r1.1", StepState.KEPT)
        end(journal, "r1.2", StepState.KEPT)
        write_undoing(journal, "r2", "r1.2", "undone on request")
        end(journal, "r1.3", StepState.UNDONE)
    history = fold(read(tmp_path))
    assert [step.step_id for step in open_steps(history)] == ["r1.4", "r1.2"]
    assert [step.step_id for step in undoable_steps(history, "all")] == ["r1.2", "r1.1"]
    assert [step.step_id for step in undoable_steps(history, "r1.1")] == ["r1.1"]
    first = history.steps[0]
    assert first.before == {"existed": False, "options": ("a=1",)}
    assert first.planned.step.params["keys"] == ("a", "b")
    assert first.planned.queries == (MeasuredQuery(text="select $1", queryid=-7, role="app"),)
    assert first.reason == "because"


def test_lines_that_nest_without_end_are_damage(tmp_path: Path) -> None:
    path = fill(tmp_path, 1)
    (tmp_path / HEAD).write_text("[" * 100_000)
    with pytest.raises(Refused, match="head file"):
        verify(tmp_path)
    path.write_bytes(path.read_bytes() + b"[" * 100_000 + b"\n")
    with pytest.raises(Refused, match="record 2 was edited"):
        read(tmp_path)
