"""How long each user thinks before each request: known to pgbench and to us, so that it can be taken off exactly.

pgbench's log says how long a script took with its sleeps and not how long it slept.  Therefore the time to think is no
chance but a sequence that follows from the client's number and how many requests it has made: evenly spread between
half and one and a half times the wanted mean, different for all, and the same in pgbench's arithmetic and in ours.
The first request comes at a moment between zero and the mean, so that users do not arrive in step.
"""

from __future__ import annotations

from dataclasses import dataclass

MODULUS = 65_536
CLIENT_STEP = 40_503  # MODULUS / golden ratio: neighbours lie far apart
TURN_STEP = 25_717  # odd, so that a client goes through all of the spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacing:
    """The sequence for one mean time to think, in microseconds (pgbench's unit)."""

    mean_us: int

    def think_us(self, client: int, turn: int) -> int:
        """How long `client` sleeps before its request number `turn`, counted from 0."""
        if turn == 0:
            return client * CLIENT_STEP % MODULUS * self.mean_us // MODULUS
        spread = (client * CLIENT_STEP + turn * TURN_STEP) % MODULUS
        return self.mean_us // 2 + spread * self.mean_us // MODULUS

    def paced(self, script: str) -> str:
        """The script with the sleep before it, in pgbench's language; see `think_us`."""
        first = f"mod(:client_id * {CLIENT_STEP}, {MODULUS}) * {self.mean_us} / {MODULUS}"
        spread = f"mod(:client_id * {CLIENT_STEP} + :pgrb_turn * {TURN_STEP}, {MODULUS})"
        later = f"{self.mean_us // 2} + {spread} * {self.mean_us} / {MODULUS}"
        return (
            f"\\set pgrb_think_us case when :pgrb_turn = 0 then {first} else {later} end\n"
            "\\set pgrb_turn :pgrb_turn + 1\n"
            "\\sleep :pgrb_think_us us\n"
            f"{script}"
        )
