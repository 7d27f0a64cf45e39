"""The machine's figures from a node exporter or a Supabase project, over HTTP from a server on loopback."""

from __future__ import annotations

import pytest
from tests.fix.exporter import exporter, supabase_text, text

from pgrunbook.journey.observe.exporter import Endpoint, ExporterWatch, Figures, figures_of, read, samples
from pgrunbook.model import Unread

SUPABASE = "/customer/v1/privileged/metrics"


def test_two_answers_give_the_shares_of_the_time_between_them() -> None:
    with exporter(lambda number: text(1000.0 * number)) as base:
        host = ExporterWatch(Endpoint(url=f"{base}/metrics")).look()
    assert host.cpu_ratio == pytest.approx(0.3, abs=1e-3)
    assert host.disk_wait_ratio == pytest.approx(0.15, abs=1e-3)
    assert host.memory_ratio == pytest.approx(0.75)
    assert (host.cores, host.memory_bytes, host.is_named) == (2, 4 << 30, True)
    assert host.where == f"the exporter at {base}/metrics"


def test_a_supabase_project_is_asked_with_its_key_and_only_its_database_counts() -> None:
    with exporter(lambda number: supabase_text(60.0 * number), password="sb_secret_1", path=SUPABASE) as base:
        host = ExporterWatch(Endpoint(url=base + SUPABASE, password="sb_secret_1")).look()
        assert host.cpu_ratio == pytest.approx(0.3, abs=1e-3)
        refused = ExporterWatch(Endpoint(url=base + SUPABASE, password="wrong")).look()
    assert (refused.cpu_ratio, refused.memory_ratio) == (None, None)
    assert "401" in refused.why
    assert "PGRUNBOOK_METRICS_PASSWORD" in refused.cure
    assert "wrong" not in refused.why + refused.where


def test_counters_that_did_not_move_tell_nothing_but_memory_does() -> None:
    with exporter(lambda _: text(500.0)) as base:
        host = ExporterWatch(Endpoint(url=f"{base}/metrics")).look()
    assert (host.cpu_ratio, host.disk_wait_ratio) == (None, None)
    assert host.memory_ratio == pytest.approx(0.75)
    assert "did not move" in host.why
    assert "--window" in host.cure


def test_a_restart_between_two_answers_is_no_figure() -> None:
    with exporter(lambda number: text(1000.0 / number)) as base:
        assert ExporterWatch(Endpoint(url=f"{base}/metrics")).look().cpu_ratio is None


@pytest.mark.parametrize(
    "body,why",
    [
        ("<html>Sign in</html>", "no figures of a node exporter"),
        ("", "no figures of a node exporter"),
        ('node_cpu_seconds_total{cpu="0",mode="idle"} 7\n', "no figures of processors and memory"),
        (text(1.0, ',instance="a"') + text(2.0, ',instance="b"'), "figures of 2 machines"),
    ],
)
def test_what_is_no_exporter_of_one_machine_is_blind_with_the_reason(body: str, why: str) -> None:
    found = figures_of(body, "http://x/metrics")
    assert isinstance(found, Unread)
    assert why in found.reason
    assert found.cure


def test_nobody_at_the_address_is_blind() -> None:
    with exporter(lambda _: "") as base:
        missing = read(Endpoint(url=f"{base}/nowhere"))
        moved = read(Endpoint(url=f"{base}/moved", password="secret"))
    gone = read(Endpoint(url=f"{base}/metrics"))
    assert isinstance(missing, Unread)
    assert "404" in missing.reason
    assert isinstance(moved, Unread)
    assert "302" in moved.reason
    assert isinstance(gone, Unread)
    assert "cannot be read" in gone.reason


def test_an_endless_answer_is_cut_off() -> None:
    with exporter(lambda _: "x" * (17 << 20)) as base:
        found = read(Endpoint(url=f"{base}/metrics"))
    assert isinstance(found, Unread)
    assert "more than 16 MB" in found.reason


def test_labels_with_quotes_and_braces_are_read() -> None:
    (sample,) = samples('a_b{c="say \\"x\\"\\n",d="{1}"} 2e3 1700000000000\nbroken{ 1\nnot a number x\n')
    assert (sample.name, dict(sample.labels), sample.value) == ("a_b", {"c": 'say "x"\n', "d": "{1}"}, 2000.0)


def test_the_address_is_shown_without_who_asks() -> None:
    assert Endpoint(url="https://me@db-1:9100/metrics?x=1").shown == "https://db-1:9100/metrics"
    assert isinstance(figures_of(text(9.0), "x"), Figures)
