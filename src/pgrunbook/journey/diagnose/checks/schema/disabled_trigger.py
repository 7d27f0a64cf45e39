"""A trigger that somebody has switched off.

Asks:    which triggers are disabled, those included by which foreign keys are enforced?
Source:  pg_trigger.tgenabled.
Says:    {object} is disabled: its function {function} does not run.  Foreign key {constraint} is not enforced while
         it is.
Section: Maintenance Operations
"""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.trees import table_trees
from pgrunbook.journey.observe.relations import RELATIONS
from pgrunbook.journey.observe.triggers import TRIGGERS, Trigger
from pgrunbook.model import Advice, Finding, Kind, Lock, Severity, Verdict, dotted, quote


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding a trigger; clones on partitions count with their parent, the two inner ones of a foreign key once."""
    trees = seen.derived(table_trees)
    off: dict[str, list[Trigger]] = {}
    for trigger in seen.rows(TRIGGERS):
        tree = trees.get(trigger.table_oid)
        if trigger.enabled != "D" or tree is None or tree.root.of_extension:
            continue
        name = trigger.constraint_name if trigger.is_internal and trigger.constraint_name else trigger.name
        whose = tree.root if trigger.parent_oid else None
        schema, table = (whose.schema, whose.name) if whose is not None else (trigger.schema, trigger.table_name)
        off.setdefault(dotted(schema, table, name), []).append(trigger)
    for name, triggers in off.items():
        yield _finding(name, triggers)


def _finding(name: str, triggers: list[Trigger]) -> Finding:
    first = triggers[0]
    parents = {trigger.oid for trigger in triggers}
    tops = [trigger for trigger in triggers if trigger.parent_oid not in parents]
    return Finding(
        severity=Severity.WARNING,
        kind=Kind.TRIGGER,
        object=name,
        related=tuple(dict.fromkeys(trigger.table for trigger in triggers)),
        evidence={
            "table": first.table,
            "function": dotted(first.function_schema, first.function_name),
            "constraint": first.constraint_name if first.is_internal else None,
            "triggers": len(triggers),
        },
        advice=(
            Advice(
                title=f"Enable trigger {name}",
                sql="\n".join(f"{_alter(one)} ENABLE TRIGGER {quote(one.name)};" for one in tops),
                undo_sql="\n".join(f"{_alter(one)} DISABLE TRIGGER {quote(one.name)};" for one in tops),
                lock=Lock.SHARE_ROW_EXCLUSIVE,
                risk="What was written meanwhile did not pass through it.",
            ),
        ),
    )


def _alter(trigger: Trigger) -> str:
    return f"ALTER TABLE {trigger.table}"


CHECK = Check(needs=(TRIGGERS, RELATIONS), judge=judge, limits=NoLimits())
