"""Both forms of an operation read and write the same, on sick and healthy rows alike."""

from __future__ import annotations

import pytest
from tests.fix.quizmentor import SIZE, USERS, application, perform

from pgrunbook.demo.operations import Form

USER = 100_000_000_001 + 7 * SIZE.step % USERS  # an active one, who only reads
WRITER = USER + 1
FAR_FUTURE_S = 4_102_444_800
LAST_ID = 9_223_372_036_854_775_807


@pytest.fixture(scope="module")
def forms(quizmentors):
    """Connections of the application to a sick and a healthy QuizMentor."""
    connections = [application(dsn) for dsn in (quizmentors.sick, quizmentors.healthy)]
    yield connections
    for conn in connections:
        conn.close()


def both(conn, name, **drawn):
    return perform(conn, name, Form.BAD, **drawn), perform(conn, name, Form.GOOD, **drawn)


def test_both_forms_read_the_same_rows(forms):
    answers = []
    for conn in forms:
        seen = {
            "search": both(conn, "search", subject=1003),
            "shared": both(conn, "shared", user=USER),
            "review": both(conn, "review", user=USER, month_ago_s=1_738_000_000),
            "activity": both(conn, "activity", skipped=0, before_s=FAR_FUTURE_S, before_id=LAST_ID),
        }
        for name, (bad, good) in seen.items():
            assert bad == good, name
            assert bad[0], f"{name} found nothing to compare"
        same = [
            perform(conn, name, Form.BAD, user=USER, month_ago_s=1_738_000_000, subject=1003, course=1)
            for name in ("feed", "timeline", "progress", "results", "course", "similar")
        ]
        assert all(result[0] for result in same)
        answers.append((seen, same))
    assert answers[0] == answers[1]


def test_a_later_page_is_the_same_by_counting_and_from_the_last_row_on(forms):
    for conn in forms:
        before = perform(conn, "activity", Form.BAD, skipped=5)[0]
        last = perform(conn, "activity", Form.BAD, skipped=4)[0][0]
        cursor = {"before_s": last[-1].timestamp(), "before_id": last[0]}
        assert perform(conn, "activity", Form.GOOD, **cursor)[0] == before
        assert len(before) == 20


def test_the_dashboard_is_the_same_in_one_query_and_in_many(forms):
    for conn in forms:
        many, one = both(conn, "dashboard", user=USER)
        quizzes, questions = many[0::2], many[1::2]
        assert len(quizzes) == 5
        piecemeal = [
            (*quiz[0], [{"id": q[0], "position": q[1], "question_text": q[2]} for q in asked])
            for quiz, asked in zip(quizzes, questions, strict=True)
        ]
        assert piecemeal == one[0]


def test_a_login_finds_the_same_user_and_begins_a_session(forms):
    for conn in forms:
        count = "select count(*) from user_sessions"
        began = conn.execute(count).fetchone()[0]
        bad, good = both(conn, "login", user=USER, number=USER - 100_000_000_000)
        assert bad == good
        assert len(bad[0]) == 1
        assert conn.execute(count).fetchone()[0] == began + 2


def test_five_answers_are_the_same_one_by_one_and_at_once(forms):
    first = SIZE.questions - 10
    drawn = {f"question_{n}": first + n for n in range(1, 6)} | {f"given_{n}": 1 + n % 4 for n in range(1, 6)}
    changed = {f"given_{n}": 1 + (n + 1) % 4 for n in range(1, 6)}
    written = f"""
        select question_id, value, is_correct from answers
        where user_id = '0190a000-0000-7000-8000-{WRITER}' and question_id between {first + 1} and {first + 5}
        order by question_id
    """
    for conn in forms:
        kept = []
        for form in Form:
            conn.execute(written.replace("select question_id, value, is_correct", "delete").split("order")[0])
            for given in (drawn, drawn | changed):  # the second time they are there already
                perform(conn, "submit", form, user=WRITER, **given)
                kept.append(conn.execute(written).fetchall())
        assert kept[:2] == kept[2:]
        assert [len(each) for each in kept] == [5] * 4
        assert kept[0] != kept[1]


def test_a_touch_and_a_track_write_what_they_say(forms):
    for conn in forms:
        perform(conn, "touch", Form.BAD, session=100_000_000_001)
        seen = "select last_seen_at > now() - interval '1 minute' from user_sessions where id = 1"
        assert conn.execute(seen).fetchone()[0]
        counts = "select (select count(*) from events), (select count(*) from audit_logs)"
        events, logs = conn.execute(counts).fetchone()
        perform(conn, "track", Form.GOOD, user=WRITER, quiz=3, duration_ms=20)
        assert conn.execute(counts).fetchone() == (events + 1, logs + 1)


def test_the_policies_hide_what_is_not_ones_own(forms):
    for conn in forms:
        (mine,) = perform(conn, "review", Form.BAD, user=USER, month_ago_s=0)
        (others,) = perform(conn, "review", Form.BAD, user=USER + 1, month_ago_s=0)
        assert mine
        assert not {row[0] for row in mine} & {row[0] for row in others}
        nobody = conn.execute("begin; set local role authenticated; select count(*) from answers")
        while nobody.nextset():
            pass
        assert nobody.fetchone() == (0,)
        conn.execute("rollback")
