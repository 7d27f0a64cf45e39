"""Public storage bucket whose contents everybody can list.

Asks:    does a policy let the API read every row of storage.objects that belongs to a public bucket?
Source:  storage.buckets, and the policies of storage.objects, parsed.
Blind:   when storage.buckets cannot be read or its policies are locked.
Says:    {object} lets {roles} list all that lies in the public bucket {buckets}.  To fetch a file of a public bucket
         nobody needs a policy.
Section: Supabase-Specific Optimizations
"""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.exposure import NEEDS as EXPOSURE
from pgrunbook.journey.diagnose.exposure import is_supabase
from pgrunbook.journey.diagnose.policies import (
    NEEDS,
    ParsedPolicy,
    audience,
    create_policy,
    drop_policy,
    not_null_columns,
    parsed_policies,
)
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.tautology import is_always_true
from pgrunbook.journey.observe.columns import COLUMNS
from pgrunbook.journey.observe.storage_buckets import STORAGE_BUCKETS
from pgrunbook.journey.workload.conditions import conjuncts
from pgrunbook.journey.workload.expressions import constant_of
from pgrunbook.model import Advice, Finding, Kind, Lock, Severity, Verdict
from pgrunbook.pg.parse import Tree
from pgrunbook.pg.trees import names

OBJECTS = ("storage", "objects")


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding a policy."""
    if not is_supabase(seen):
        return
    public = {bucket.id for bucket in seen.rows(STORAGE_BUCKETS) if bucket.is_public}
    policies = seen.derived(parsed_policies)
    yield from (blind for blind in policies.unseen if (blind.object or "").startswith("storage.objects"))
    not_null = seen.derived(not_null_columns)
    for each in policies.parsed:
        policy = each.policy
        if (policy.schema, policy.table_name) != OBJECTS or not policy.is_permissive or "select" not in each.commands:
            continue
        roles = audience(seen, policy.roles)
        buckets = _listed(each, not_null.get(policy.table_oid, frozenset()))
        shown = sorted(public if buckets is None else public & buckets)
        if roles and shown and buckets != frozenset():
            yield Finding(
                severity=Severity.WARNING,
                kind=Kind.POLICY,
                object=policy.qualified,
                evidence={"roles": roles, "buckets": tuple(shown), "command": policy.command},
                advice=_advice(each),
            )


def _listed(each: ParsedPolicy, not_null: frozenset[str]) -> frozenset[str] | None:
    """The buckets of which the policy shows every row; None: of all; empty: some condition narrows it."""
    buckets: frozenset[str] | None = None
    for part in conjuncts(each.using) if each.using is not None else ():
        named = _buckets(part)
        if named is not None:
            buckets = named if buckets is None else buckets & named
        elif not is_always_true(part, not_null):
            return frozenset()
    return buckets


def _buckets(tree: Tree) -> frozenset[str] | None:
    """The constants that bucket_id is compared with."""
    node = tree.get("a_expr", {})
    left, right = node.get("lexpr", {}), node.get("rexpr", {})
    if names(node.get("name")) != ("=",):
        return None
    for column, value in ((left, right), (right, left)):
        inner = column.get("type_cast", {}).get("arg", column)
        if names(inner.get("column_ref", {}).get("fields")) != ("bucket_id",):
            continue
        items = value.get("type_cast", {}).get("arg", value)
        elements = items.get("a_array_expr", {}).get("elements") or items.get("list", {}).get("items") or [value]
        constants = [constant_of(element) for element in elements]
        if all(constant is not None for constant in constants):
            return frozenset((constant or "").strip("'").replace("''", "'") for constant in constants)
    return None


def _advice(each: ParsedPolicy) -> tuple[Advice, ...]:
    """Drop it where it is for reading only; one for all commands needs a person."""
    policy = each.policy
    if policy.command != "select":
        return ()
    return (
        Advice(
            title=f"Drop policy {policy.qualified}",
            sql=f"{drop_policy(policy)};",
            undo_sql=f"{create_policy(policy)};",
            lock=Lock.ACCESS_EXCLUSIVE,
            risk="Clients can no longer list the bucket, nor overwrite (upsert) a file in it; fetching goes on.",
        ),
    )


CHECK = Check(needs=(STORAGE_BUCKETS, COLUMNS, *NEEDS, *EXPOSURE), judge=judge, limits=NoLimits())
