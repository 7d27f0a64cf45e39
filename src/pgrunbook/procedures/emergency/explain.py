"""The runbook page of each procedure, with the thresholds that hold here."""

from __future__ import annotations

from importlib.resources import files
from string import Template

from pgrunbook.procedures.emergency.limits import Limits, Procedure, keys
from pgrunbook.report.words import duration


def page(procedure: Procedure, limits: Limits) -> str:
    """The page as Markdown."""
    parts = [_text(procedure.value), _text("everyone"), _text("never")]
    return Template("\n".join(parts)).substitute(
        older_than=duration(limits.older_than_s),
        idle_for=duration(limits.idle_for_s),
        blocking_for=duration(limits.blocking_for_s),
        top=limits.top or "all",
        saturation=f"{limits.saturation_ratio * 100:.0f} %",
        max_sessions=limits.max_sessions,
        max_share=f"{limits.max_share_ratio * 100:.0f} %",
        cancel_wait=duration(limits.cancel_wait_s),
        cool_down=duration(limits.cool_down_s),
        statement_timeout=limits.statement_timeout,
        idle_timeout=limits.idle_timeout,
        keys=", ".join(f"`{key}`" for key in keys()),
        vacuum_tables=limits.vacuum_tables,
    )


def _text(name: str) -> str:
    return files(f"{__package__}.pages").joinpath(f"{name}.md").read_text(encoding="utf-8")
