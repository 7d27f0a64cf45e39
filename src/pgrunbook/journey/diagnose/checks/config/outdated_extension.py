"""An extension older than its files on the server.

Asks:    which installed extensions have another version than the one that would be installed today?
Source:  pg_available_extensions.
Says:    {object} is at version {installed_version}; the server has {default_version}.
Section: Maintenance Operations
Leads:   ALTER EXTENSION … UPDATE
"""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.extensions import AVAILABLE_EXTENSIONS
from pgrunbook.model import Advice, Finding, Kind, Severity, Verdict, literal, quote


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding an extension."""
    for extension in seen.rows(AVAILABLE_EXTENSIONS):
        installed, default = extension.installed_version, extension.default_version
        if installed is None or default is None or installed == default:
            continue
        name = quote(extension.name)
        yield Finding(
            severity=Severity.WARNING,
            kind=Kind.EXTENSION,
            object=name,
            evidence={"installed_version": installed, "default_version": default},
            advice=(
                Advice(
                    title=f"Update extension {name}",
                    sql=f"ALTER EXTENSION {name} UPDATE TO {literal(default)};",
                    risk="Few extensions have a way back to an older version; read its release notes.",
                ),
            ),
        )


CHECK = Check(needs=(AVAILABLE_EXTENSIONS,), judge=judge, limits=NoLimits())
