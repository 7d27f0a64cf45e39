"""What could not be looked at, told once a reason: thirty checks that lack one GRANT are one paragraph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pgrunbook.model import Blind


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindGroup:
    """Checks that share reason and cure, each with the objects it could not judge; none: it could not judge at all."""

    reason: str
    cure: str
    subjects: tuple[tuple[str, tuple[str, ...]], ...]


def grouped(blind: Sequence[Blind]) -> tuple[BlindGroup, ...]:
    """The groups in the order in which their reasons first appear."""
    groups: dict[tuple[str, str], dict[str, list[str]]] = {}
    for one in blind:
        objects = groups.setdefault((one.reason, one.cure), {}).setdefault(one.check, [])
        if one.object is not None:
            objects.append(one.object)
    return tuple(
        BlindGroup(reason=reason, cure=cure, subjects=tuple((check, tuple(names)) for check, names in by_check.items()))
        for (reason, cure), by_check in groups.items()
    )
