"""Policy that believes what users write about themselves.

Asks:    does a policy, or a function that it calls, look at user_metadata in the token or at raw_user_meta_data?
Source:  pg_policy and pg_proc, parsed.
Blind:   policies of a table that is locked; expressions that do not parse.
Says:    {object} decides by user_metadata, which every user can change at will.  It does so by way of {functions}.
Section: Supabase-Specific Optimizations
Leads:   replace_policy
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from pgrunbook.journey.diagnose.check import Check, NoLimits
from pgrunbook.journey.diagnose.exposure import NEEDS as EXPOSURE
from pgrunbook.journey.diagnose.exposure import is_supabase
from pgrunbook.journey.diagnose.policies import NEEDS, ParsedPolicy, parsed_policies
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.diagnose.user_claims import trusting_functions, trusts_users, with_server_claims
from pgrunbook.journey.observe.functions import FUNCTIONS
from pgrunbook.journey.observe.policy_outlines import POLICY_OUTLINES
from pgrunbook.journey.steps import advise
from pgrunbook.journey.steps.replace_policy import ReplacePolicy
from pgrunbook.model import Advice, Finding, Kind, Severity, Verdict


def judge(seen: Seen, limits: NoLimits) -> Iterator[Verdict]:  # noqa: ARG001 - no thresholds
    """One finding a policy."""
    if not is_supabase(seen):
        return
    policies, functions = seen.derived(parsed_policies), seen.derived(trusting_functions)
    yield from policies.unseen
    called = {outline.oid: outline.function_oids for outline in seen.rows(POLICY_OUTLINES)}
    for each in policies.parsed:
        by_way = [functions[oid].qualified for oid in called.get(each.policy.oid, ()) if oid in functions]
        itself = any(trusts_users(tree) for tree in each.trees.values())
        if itself or by_way:
            yield Finding(
                severity=Severity.CRITICAL,
                kind=Kind.POLICY,
                object=each.policy.qualified,
                related=(each.policy.table,),
                evidence={
                    "functions": tuple(by_way) or None,
                    "command": each.policy.command,
                    "roles": each.policy.roles,
                },
                advice=() if by_way else (_advice(seen, each),),
            )


def _advice(seen: Seen, each: ParsedPolicy) -> Advice:
    """Ask the claims that only the server writes; where a function asks, a person must change the function."""
    policy = each.policy
    texts = {
        clause: seen.parser.text(with_server_claims(tree)) for clause, tree in each.trees.items() if trusts_users(tree)
    }
    step = ReplacePolicy(
        schema=policy.schema,
        table=policy.table_name,
        name=policy.name,
        using=texts.get("using"),
        check=texts.get("check"),
        old_using=policy.using_expression,
        old_check=policy.check_expression,
    )
    advice = advise(step, title=f"Let {policy.qualified} decide by app_metadata")
    return dataclasses.replace(
        advice, risk="Nobody passes until the server has written the claim to the app_metadata of those who may."
    )


CHECK = Check(needs=(POLICY_OUTLINES, *NEEDS, *EXPOSURE), likes=(FUNCTIONS,), judge=judge, limits=NoLimits())
