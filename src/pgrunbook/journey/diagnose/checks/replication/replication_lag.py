"""A replica that is behind, or cut off.

Asks:    on a server that sends WAL: how far is each receiver behind?  On a standby: how far is replay behind what was
         received and what the sender has, is replay paused, does anybody send?
Unit:    lag_bytes of WAL; lag_s is certain (the replica is at least so far behind), lag_at_most_s is not: it is the age
         of the last replayed transaction, which also grows while the primary is idle.  Without bytes there is no lag.
Source:  pg_stat_replication; pg_stat_wal_receiver, pg_last_wal_receive_lsn and its kin; two readings, where there are
         two, show whether replay reached in the second what existed in the first.  Findings of a sending server are
         named by the replica's application_name (by its slot or address where several share it), those of a standby are
         about `server`.  Subscribers and archives are judged by bytes alone: they confirm when it suits them.
         recovery_min_apply_delay is meant: on the standby only what exceeds it counts (its primary cannot know).
Blind:   without pg_read_all_stats; on a standby that only restores from an archive.
Says:    Replica {object} is {lag_bytes} of WAL behind, most of it {waits_at}.  That is {lag_s} at least.
         It has not answered for {silent_s}.
         Replay is paused on this standby, and {paused_lag_bytes} of WAL wait.
         This standby is {standby_lag_bytes} of WAL behind.  It is behind for at least {standby_lag_s}.
         Nobody sends WAL to this standby, for {cut}.
         The last transaction that it replayed was committed {lag_at_most_s} ago.
         Replay waits for {waits_for}.
Section: Read Replica Implementation
Leads:   resume replay; mend the connection; look where the WAL waits
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pgrunbook.journey.diagnose import replicas
from pgrunbook.journey.diagnose.check import Check
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.recovery import RECOVERY, WAL_RECEIVER, Recovery, WalReceiver
from pgrunbook.journey.observe.replication import REPLICATION, Receiver
from pgrunbook.model import Advice, Blind, Finding, Kind, NotRead, Severity, Value, Verdict

MIB = 1024**2
ARRIVING = frozenset({"RecoveryWalStream", "RecoveryRetrieveRetryInterval", "RecoveryWalAll"})  # nothing to replay


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The runbook wants less than 1 s and calls more than 10 s critical; a warning comes half-way, beyond the spikes.

    100 MiB and 1 GiB are what pganalyze warns at.  A replica is silent after three of its reports (10 s each) failed to
    come.  A standby that is paused or cut off is worth a warning at once; it is critical when its last transaction is
    older than five minutes, in which a primary would have restarted.
    """

    warning_s: float = 5.0
    critical_s: float = 10.0
    warning_bytes: int = 100 * MIB
    critical_bytes: int = 1024 * MIB
    silent_s: float = 30.0
    held_critical_s: float = 300.0

    def severity(self, lag_bytes: int, lag_s: float) -> Severity | None:
        """How bad it is; None when it is no lag worth a word."""
        if lag_bytes >= self.critical_bytes or lag_s > self.critical_s:
            return Severity.CRITICAL
        if lag_bytes >= self.warning_bytes or lag_s > self.warning_s:
            return Severity.WARNING
        return None


def judge(seen: Seen, limits: Limits) -> Iterator[Verdict]:
    """A cascading standby is judged as both: as a replica, and for its own replicas."""
    (recovery,) = seen.rows(RECOVERY)
    if recovery.is_standby:
        yield from _standby(seen, recovery, limits)
    yield from _receivers(seen, limits)


# --- as the sender sees its receivers ---------------------------------------------------------------------------------


def _receivers(seen: Seen, limits: Limits) -> Iterator[Finding]:
    receivers = [receiver for receiver in seen.rows(REPLICATION) if receiver.state not in {"backup", "startup"}]
    names, stuck = replicas.names(receivers), _stuck_s(seen)
    for receiver in receivers:
        lag_bytes = receiver.lag_bytes or 0
        if lag_bytes == 0:
            continue
        silent_s = receiver.reply_age_s or 0.0
        lag_s = 0.0
        if receiver.is_standby:
            lag_s = max(receiver.replay_lag_s or 0.0, stuck.get(receiver.pid, 0.0))
            lag_s = max(lag_s, silent_s if silent_s >= limits.silent_s else 0.0)
        severity = limits.severity(lag_bytes, lag_s)
        if severity is not None:
            yield Finding(
                severity=severity,
                kind=Kind.SERVER,
                object=names[receiver.pid],
                evidence={
                    "lag_bytes": lag_bytes,
                    "lag_s": round(lag_s, 1) or None,
                    "waits_at": _waits_at(receiver),
                    "silent_s": round(silent_s, 1) if silent_s >= limits.silent_s else None,
                    "slot": receiver.slot,
                    "address": receiver.client_address,
                    "sync_state": receiver.sync_state,
                },
                advice=(
                    replicas.look("See where the WAL waits: on the way, for the replica's disk, or for its replay"),
                ),
            )


def _stuck_s(seen: Seen) -> Mapping[int, float]:
    """Receivers that in the second reading had not reached what existed in the first, and since when at least."""
    window = replicas.window(seen)
    if window is None:
        return {}
    wanted = {row.pid: row.end_position for row in window.before}
    return {
        row.pid: window.seconds
        for row in window.after
        if row.replayed_position is not None and row.replayed_position < (wanted.get(row.pid) or 0)
    }


def _waits_at(receiver: Receiver) -> str:
    """Where most of the WAL between the sender and the replay is."""
    end, sent = receiver.end_position or 0, receiver.sent_position or 0
    if not receiver.is_standby or receiver.flushed_position is None or receiver.replayed_position is None:
        return "not sent yet" if end - sent > (receiver.lag_bytes or 0) / 2 else "not confirmed"
    parts = {
        "not sent yet": end - sent,
        "not stored by it": sent - receiver.flushed_position,
        "stored but not replayed": receiver.flushed_position - receiver.replayed_position,
    }
    return max(parts, key=parts.__getitem__)


# --- as the standby sees itself ---------------------------------------------------------------------------------------


def _standby(seen: Seen, recovery: Recovery, limits: Limits) -> Iterator[Verdict]:
    receivers = seen.rows(WAL_RECEIVER)
    cut = _cut(recovery, receivers)
    streams = recovery.follows_primary if recovery.follows_primary is not None else recovery.received_position
    if not streams and not receivers:
        yield Blind(
            reason="this standby only restores from an archive; how far its primary is, it cannot know",
            cure="Compare pg_last_wal_replay_lsn() here with pg_current_wal_lsn() on the primary.",
        )
        return
    lag_bytes = _lag_bytes(recovery, receivers)
    lag_s = _lag_s(seen, recovery, receivers) if lag_bytes > 0 else 0.0
    is_delayed = bool(recovery.min_apply_delay_s) and not recovery.is_paused
    severity = limits.severity(0 if is_delayed else lag_bytes, lag_s)
    is_paused = recovery.is_paused and lag_bytes > 0
    if is_paused or cut:
        is_old = (recovery.last_transaction_age_s or 0.0) >= limits.held_critical_s
        severity = Severity.CRITICAL if is_old else severity or Severity.WARNING
    if severity is not None:
        yield Finding(
            severity=severity,
            kind=Kind.SERVER,
            object="server",
            evidence=_evidence(recovery, lag_bytes, lag_s, cut),
            advice=_advice(is_paused=is_paused, cut=cut),
        )


def _cut(recovery: Recovery, receivers: Sequence[WalReceiver]) -> str | None:
    """Why nothing can arrive; None while somebody sends.

    A receiver asks its sender for a sign of life after half of wal_receiver_timeout and gives up after all of it.
    """
    if not receivers:
        return "it has no connection to the server that it follows"
    (receiver,) = receivers
    timeout_s = recovery.receiver_timeout_s or 0.0
    if timeout_s and (receiver.silence_s or 0.0) > 0.75 * timeout_s:
        return "the server that it follows does not answer"
    return None


def _lag_bytes(recovery: Recovery, receivers: Sequence[WalReceiver]) -> int:
    known = [recovery.received_position or 0, *(receiver.sender_end_position or 0 for receiver in receivers)]
    return max(0, max(known) - (recovery.replayed_position or 0))


def _lag_s(seen: Seen, recovery: Recovery, receivers: Sequence[WalReceiver]) -> float:
    """At least so long: since the sender's WAL last grew, or for the whole window; a delay that is meant taken off."""
    ages = [receiver.sender_end_age_s or 0.0 for receiver in receivers]
    stuck_s = 0.0
    try:
        window = seen.window(RECOVERY)
    except NotRead:
        window = None
    if window is not None and (recovery.replayed_position or 0) < (window.before[0].received_position or 0):
        stuck_s = window.seconds
    meant_s = 0.0 if recovery.is_paused else recovery.min_apply_delay_s or 0.0
    return max(0.0, max([stuck_s, *ages]) - meant_s)


def _evidence(recovery: Recovery, lag_bytes: int, lag_s: float, cut: str | None) -> dict[str, Value]:
    is_paused = recovery.is_paused and lag_bytes > 0
    age_s = recovery.last_transaction_age_s
    waits_for = recovery.startup_waits_for
    return {
        "paused_lag_bytes": lag_bytes if is_paused else None,
        "standby_lag_bytes": lag_bytes if lag_bytes and not is_paused else None,
        "standby_lag_s": round(lag_s, 1) or None,
        "lag_at_most_s": round(age_s, 1) if age_s is not None else None,
        "cut": cut,
        "waits_for": waits_for if waits_for not in ARRIVING and not is_paused else None,
        "min_apply_delay_s": recovery.min_apply_delay_s or None,
    }


def _advice(*, is_paused: bool, cut: str | None) -> tuple[Advice, ...]:
    resume = Advice(
        title="Resume replay on this standby",
        sql="SELECT pg_wal_replay_resume();",
        undo_sql="SELECT pg_wal_replay_pause();",
        risk="If it was paused for a reason (a dump, a look at the past), that is over.",
    )
    connect = Advice(
        title="See whom this standby is told to follow; its log says why it cannot",
        sql="SHOW primary_conninfo;\nSHOW primary_slot_name;",
        risk="primary_conninfo may show a password.",
    )
    watch = Advice(
        title="See what replay waits for",
        sql="SELECT wait_event_type, wait_event FROM pg_stat_activity WHERE backend_type = 'startup';\n"
        "SELECT * FROM pg_stat_database_conflicts WHERE datname = current_database();",
    )
    if is_paused or cut:
        return tuple(advice for advice, fits in ((resume, is_paused), (connect, bool(cut))) if fits)
    return (watch,)


CHECK = Check(needs=(RECOVERY,), likes=(REPLICATION, WAL_RECEIVER), judge=judge, limits=Limits())
