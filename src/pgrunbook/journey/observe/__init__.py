"""Server → Snapshot.  Takes a DSN or a connection; gives typed readings.  Cannot harm, even during an incident.

One module per subject holds the rows and the Question; its SQL stands beside it.
"""

from pgrunbook.journey.observe.observer import Observer, observe

__all__ = ["Observer", "observe"]
