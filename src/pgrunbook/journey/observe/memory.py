"""Reading a large catalog makes millions of small values that all live on and refer to each other in one direction.

Python's collector of reference cycles goes through all of them again and again and finds nothing: with 50,000 indexes
that was half of the time.  So it rests meanwhile.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_resting() -> Iterator[None]:
    """Let the collector of reference cycles rest; reference counting goes on."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
