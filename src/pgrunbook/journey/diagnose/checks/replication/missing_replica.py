"""Fewer replicas are connected than there should be.

Asks:    how many standbys stream from this primary, and how many should?
Unit:    standbys that are connected and replay; no subscribers, backups or archives.
Source:  pg_stat_replication; the number expected is [expect] replicas in pgrunbook.toml (without it nothing is asked).
Blind:   on a standby; without pg_read_all_stats.
Says:    {connected} of {expected} replicas are connected.  There are {replicas}.
         No standby reads from {waiting_slots}.
Section: Read Replica Implementation
Leads:   look at the missing standby: its log says why it does not connect
"""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.diagnose import replicas
from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.recovery import RECOVERY
from pgrunbook.journey.observe.replication import REPLICATION
from pgrunbook.journey.observe.replication_slots import REPLICATION_SLOTS
from pgrunbook.model import Blind, Finding, Kind, Severity, Verdict, quote


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """At most one finding.  A standby that still catches up is connected."""
    expected = seen.expectations.get("replicas")
    if expected is None:
        return
    (recovery,) = seen.rows(RECOVERY)
    if recovery.is_standby:
        yield Blind(reason="this server is a standby; only the primary knows its replicas", cure="Ask the primary.")
        return
    receivers = seen.rows(REPLICATION)
    names = replicas.names(receivers)
    connected = tuple(names[receiver.pid] for receiver in receivers if receiver.is_standby)
    if len(connected) < expected:
        slots = seen.rows_or_none(REPLICATION_SLOTS) or ()
        waiting = tuple(quote(s.name) for s in slots if s.type == "physical" and not s.is_active and not s.is_lost)
        yield Finding(
            severity=Severity.WARNING,
            kind=Kind.SERVER,
            object="server",
            evidence={
                "expected": expected,
                "connected": len(connected),
                "replicas": connected or None,
                "waiting_slots": waiting or None,
            },
            advice=(replicas.look("See which replicas are connected; the missing one's log says why it is not"),),
        )


CHECK = Check(needs=(RECOVERY,), likes=(REPLICATION, REPLICATION_SLOTS), judge=judge, limits=NoLimits())
