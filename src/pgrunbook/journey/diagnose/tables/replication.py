"""Who receives the WAL, how far each is behind, and what slots hold back."""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.recovery import RECOVERY, WAL_RECEIVER
from pgrunbook.journey.observe.replication import REPLICATION, Receiver
from pgrunbook.journey.observe.replication_slots import REPLICATION_SLOTS, ReplicationSlot
from pgrunbook.model import ServerRole, Unread, Value
from pgrunbook.report.table import Column, Table

NEEDS = (REPLICATION_SLOTS,)
LIKES = (REPLICATION, RECOVERY, WAL_RECEIVER)

COLUMNS = (
    Column(name="name"),
    Column(name="kind"),
    Column(name="slot"),
    Column(name="client"),
    Column(name="state"),
    Column(name="sync"),
    Column(name="lag_bytes", title="behind"),
    Column(name="lag_s", title="lag"),
    Column(name="retained_bytes", title="WAL kept"),
    Column(name="inactive_s", title="inactive for"),
    Column(name="wal_status", title="WAL status"),
)


def table(seen: Seen) -> Table:
    """On a standby what it follows; then the receivers of this server's WAL; then slots that nobody reads."""
    receivers = seen.rows_or_none(REPLICATION)
    slots = {slot.name: slot for slot in seen.rows(REPLICATION_SLOTS)}
    rows = [*_upstream(seen)]
    used: set[str] = set()
    for receiver in receivers or ():
        slot = slots.get(receiver.slot or "")
        used.add(receiver.slot or "")
        rows.append(_receiver(receiver, slot))
    rows += [_slot(slot) for name, slot in sorted(slots.items()) if name not in used]
    notes = []
    if receivers is None:
        unread = seen.snapshot.readings.get(REPLICATION.name)
        notes.append(f"Receivers are hidden: {unread.reason}.  {unread.cure}" if isinstance(unread, Unread) else "")
    return Table(
        name="replication",
        columns=COLUMNS,
        rows=tuple(rows),
        notes=tuple(note for note in notes if note),
        empty="Nobody receives this server's WAL, and there is no slot.",
    )


def _upstream(seen: Seen) -> Iterator[tuple[Value, ...]]:
    if seen.server.role is not ServerRole.STANDBY:
        return
    recovery = next(iter(seen.rows_or_none(RECOVERY) or ()), None)
    receiver = next(iter(seen.rows_or_none(WAL_RECEIVER) or ()), None)
    if recovery is None:
        return
    end = receiver.sender_end_position if receiver is not None else recovery.received_position
    replayed = recovery.replayed_position
    state = recovery.pause_state if recovery.is_paused else (receiver.status if receiver is not None else "no receiver")
    behind = max(0, end - replayed) if end is not None and replayed is not None else None
    yield (
        "this server",
        "standby",
        receiver.slot if receiver is not None else None,
        f"from {receiver.sender_host}:{receiver.sender_port}"
        if receiver is not None and receiver.sender_host
        else None,
        state,
        None,
        behind,
        None if behind == 0 or recovery.last_transaction_age_s is None else round(recovery.last_transaction_age_s, 1),
        None,
        None,
        None,
    )


def _receiver(receiver: Receiver, slot: ReplicationSlot | None) -> tuple[Value, ...]:
    behind = receiver.lag_bytes
    kind = "subscriber" if receiver.is_logical else "replica" if receiver.is_standby else "copy"
    return (
        receiver.application_name or str(receiver.pid),
        kind,
        receiver.slot,
        receiver.client_address or "local",
        receiver.state,
        receiver.sync_state,
        behind,
        0.0 if behind == 0 else (round(receiver.replay_lag_s, 3) if receiver.replay_lag_s is not None else None),
        slot.retained_bytes if slot is not None else None,
        None,
        slot.wal_status if slot is not None else None,
    )


def _slot(slot: ReplicationSlot) -> tuple[Value, ...]:
    state = "active" if slot.is_active else "synced copy" if slot.is_synced else "inactive"
    return (
        slot.name,
        f"{slot.type} slot",
        slot.name,
        None,
        "lost" if slot.is_lost else state,
        None,
        None,
        None,
        slot.retained_bytes,
        round(slot.inactive_s) if slot.inactive_s is not None else None,
        slot.wal_status,
    )
