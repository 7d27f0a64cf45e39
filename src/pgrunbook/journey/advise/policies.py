"""Row security: what each policy costs, the same policy said more cheaply, and policies that are one.

The rewrites are those of the checks, gathered a policy: who is calling is asked once a statement, a sub-select that
depends on the row is turned round, an array is searched by the operator that its index answers.  Policies are merged
only where that provably changes nothing: permissive ones for the same command and the same roles.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pgrunbook.journey.advise.given import Given
from pgrunbook.journey.advise.span import period_words, unread_blind
from pgrunbook.journey.diagnose.auth_calls import AuthFunctions, auth_functions, bare_calls
from pgrunbook.journey.diagnose.engine import choose, judge, questions_of
from pgrunbook.journey.diagnose.policies import ParsedPolicy, parsed_policies
from pgrunbook.journey.diagnose.policy_merging import merge
from pgrunbook.journey.diagnose.policy_rewrites import Trees, rewrite
from pgrunbook.journey.diagnose.query_texts import (
    COSTS,
    COSTS_LIKE,
    TEXTS,
    TEXTS_LIKE,
    query_texts,
    statement_costs,
)
from pgrunbook.journey.diagnose.row_subqueries import is_planners_choice, row_subselects, tables_read
from pgrunbook.journey.diagnose.seen import Seen
from pgrunbook.journey.observe.policies import Policy
from pgrunbook.journey.observe.policy_outlines import POLICY_OUTLINES
from pgrunbook.journey.observe.roles import ROLES
from pgrunbook.journey.observe.statements import STATEMENTS
from pgrunbook.journey.steps import advise
from pgrunbook.journey.steps.replace_policy import ReplacePolicy
from pgrunbook.journey.workload.costs import Cost
from pgrunbook.model import Finding, Kind, NotRead, Question, Value
from pgrunbook.model.counsel import Counsel, Ground, Input, Kept, Proposal, Takes
from pgrunbook.model.diagnosis import Diagnosis
from pgrunbook.report.words import clean, counted, duration, figure, one_line

COST = "What policies cost"
INDEXES = "Indexes that policies search by"
ONE = "Policies that are one"
ROLES_OF = "For whom policies are evaluated"
SHOWN_CHARS = 160
HELPER = (
    "By hand: a STABLE SECURITY DEFINER function that returns the keys that the caller may see, asked as"
    " key IN (SELECT that_function())."
)
_CHECKS = (
    "auth_function_per_row",
    "policy_subquery_per_row",
    "unindexed_policy_column",
    "multiple_permissive_policies",
    "policy_for_public",
)
STATEMENTS_MAX = 300  # the dearest; what the others read together is little
QUESTIONS: tuple[Question[Any], ...] = tuple(
    dict.fromkeys((*questions_of(choose(only=_CHECKS)), *COSTS, *COSTS_LIKE, *TEXTS, *TEXTS_LIKE))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What statements of roles under row security spent in which a table is read; `whole_ms` is that of all."""

    exec_ms: float
    calls: int
    whole_ms: float
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """A policy, what runs once a row in it, and the step that says it more cheaply, if one is known.

    `left` is what still runs once a row after the step: it depends on the row's own columns.
    """

    each: ParsedPolicy
    functions: tuple[str, ...]
    reads: tuple[str, ...]
    left: tuple[str, ...]
    step: ReplacePolicy | None
    load: Load | None = None

    @property
    def policy(self) -> Policy:
        """The policy as it is."""
        return self.each.policy

    @property
    def better(self) -> Policy:
        """The policy as it will be."""
        if self.step is None:
            return self.policy
        using, check = self.step.using, self.step.check
        return replace(
            self.policy,
            using_expression=using if using is not None else self.policy.using_expression,
            check_expression=check if check is not None else self.policy.check_expression,
        )

    @property
    def table_rows(self) -> int | None:
        """Rows of its table, as last counted."""
        rows = self.each.table.estimated_rows
        return round(rows) if rows >= 0 else None

    @property
    def is_dear(self) -> bool:
        """Whether something runs once a row."""
        return bool(self.functions or self.reads)


def advise_policies(seen: Seen, given: Given) -> Counsel:  # noqa: ARG001 - one form for all topics
    """Each policy: rewritten, merged, indexed, or kept."""
    diagnosis = judge(seen.snapshot, choose(only=_CHECKS), expectations=seen.expectations)
    weighed = _weighed(seen)
    proposals = [*_rewrites(weighed), *_indexes(diagnosis)]
    groups = list(_groups(seen, weighed))
    proposals += [_merge(group) for group in groups]
    merged = {each.policy.qualified for group in groups for each in group}
    proposals += [_for_signed_in(f) for f in _of(diagnosis, "policy_for_public") if f.object not in merged]
    spoken_of = {name for f in diagnosis.findings for name in (f.object, *f.related)} | merged
    return Counsel(
        topic="policies",
        server=seen.server,
        taken_at=seen.at,
        duration_s=seen.snapshot.duration_s,
        period=period_words(seen),
        inputs=(
            Input(
                name="policies",
                value=str(len(weighed)),
                source=f"on {counted(len({w.policy.table_oid for w in weighed}), 'table')} with row security on",
            ),
        ),
        proposals=tuple(proposals),
        kept=tuple(_kept(each) for each in weighed if not each.is_dear and each.policy.qualified not in spoken_of),
        blind=(*diagnosis.blind, *unread_blind(seen, STATEMENTS, "what statements spend on each table is not known")),
    )


def _weighed(seen: Seen) -> tuple[Weighed, ...]:
    try:
        policies, functions = seen.derived(parsed_policies), seen.derived(auth_functions)
    except NotRead:
        return ()
    loads = _loads(seen)
    return tuple(
        replace(_weigh(seen, each, functions), load=loads.get(each.policy.table_oid)) for each in policies.parsed
    )


def _loads(seen: Seen) -> Mapping[int, Load]:
    """Of each table the statements that read it, as roles that row security holds for; {} where nobody counts."""
    try:
        costs, texts = seen.derived(statement_costs), seen.derived(query_texts)
        exempt = {role.name for role in seen.rows(ROLES) if role.bypasses_rls or role.is_superuser}
        spent: dict[int, list[Cost]] = {}
        for cost in costs.toplevel[:STATEMENTS_MAX]:
            found = texts.accesses(cost) if set(cost.roles) - exempt else None
            for oid in {access.table_oid for access in found.accesses} if found is not None else ():
                spent.setdefault(oid, []).append(cost)
    except NotRead:
        return {}
    period = duration(costs.period_s) if costs.period_s else ""
    words = f"in the {period} watched" if costs.is_window else f"in {period}" if period else "since they were counted"
    return {
        oid: Load(
            exec_ms=sum(cost.exec_ms for cost in mine),
            calls=sum(cost.calls for cost in mine),
            whole_ms=costs.exec_ms,
            words=words,
        )
        for oid, mine in spent.items()
    }


def _weigh(seen: Seen, each: ParsedPolicy, functions: AuthFunctions) -> Weighed:
    called, reads = _once_a_row(each.trees, functions)
    left, step = (*called, *reads), None
    if left:
        after: list[tuple[str, ...]] = []

        def mends(better: Trees) -> bool:
            still = tuple(name for found in _once_a_row({**each.trees, **better}, functions) for name in found)
            after.append(still)
            return len(still) < len(left)

        step = rewrite(seen, each, mends)
        left = after[-1] if step is not None else left
    return Weighed(each=each, functions=called, reads=reads, left=left, step=step)


def _once_a_row(trees: Trees, functions: AuthFunctions) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Functions that are called, and tables that sub-selects read, for each row."""
    called = frozenset[str]().union(*(bare_calls(tree, functions) for tree in trees.values()))
    using = trees.get("using")
    inner = row_subselects(using) if using is not None else ()
    reads = [name for link in inner if not is_planners_choice(link) for name in tables_read(link)]
    return tuple(sorted(f"{name}()" for name in called)), tuple(dict.fromkeys(reads))


def _rewrites(weighed: Sequence[Weighed]) -> Iterator[Proposal]:
    for each in sorted(weighed, key=_urgency):
        if each.is_dear:
            yield _rewritten(each)


def _urgency(each: Weighed) -> tuple[float, int, str]:
    """What statements spend on its table comes first, then its size."""
    return (-(each.load.exec_ms if each.load is not None else 0.0), -(each.table_rows or 0), each.policy.qualified)


def _rewritten(each: Weighed) -> Proposal:
    policy, rows = each.policy, each.table_rows
    of_rows = f"For each of the {counted(rows, 'row')}" if rows is not None else "For each row"
    costs = []
    if each.functions:
        costs.append(f"{' and '.join(each.functions)} {'runs' if len(each.functions) == 1 else 'run'}")
    if each.reads:
        costs.append(f"a sub-select reads {' and '.join(each.reads)}")
    reason = f"{of_rows} of {policy.table} that a statement looks at, {' and '.join(costs)}."
    if each.load is not None and each.load.whole_ms > 0:
        share = figure("_ratio", each.load.exec_ms / each.load.whole_ms)
        reason += (
            f"  Statements that read it took {duration(each.load.exec_ms / 1000)} {each.load.words}, {share} of all"
            f" execution time ({counted(each.load.calls, 'call')})."
        )
    if each.left:
        reason += (
            f"  {' and '.join(each.left)} {_depends(each)}: no rewrite is known that provably means the same.  {HELPER}"
        )
    return Proposal(
        area=COST,
        kind=Kind.POLICY,
        object=policy.qualified,
        title=f"Ask once a statement in {policy.qualified}",
        current=_expressions(policy),
        proposed=_expressions(each.better) if each.step is not None else "by hand",
        reason=reason,
        effect=_saves(each, rows),
        takes=Takes.AT_ONCE,
        ground=Ground.EVIDENCE,
        evidence=_evidence(each),
        advice=(advise(each.step),) if each.step is not None else (),
    )


def _saves(each: Weighed, rows: int | None) -> str:
    if each.step is None:
        return ""
    times, left = len(each.functions) + len(each.reads), len(each.left)
    what = "calls" if not each.reads else "look-ups" if not each.functions else "calls and look-ups"
    if rows is None:
        return f"{times - left} of {times} {what} once a statement instead of once a row"
    after = times - left + left * rows
    return f"{after:,} instead of {times * rows:,} {what} in a statement that reads the whole table"


def _depends(each: Weighed) -> str:
    verb = "depends" if len(each.left) == 1 else "depend"
    return f"{verb} on the row's own columns" + (" and stays" if each.step is not None else "")


def _evidence(each: Weighed) -> Mapping[str, Value]:
    return {
        "functions": each.functions,
        "reads": each.reads,
        "command": each.policy.command,
        "roles": each.policy.roles,
        "table": each.policy.table,
        "table_rows": each.table_rows,
        "statements_ms": round(each.load.exec_ms, 1) if each.load is not None else None,
        "calls": each.load.calls if each.load is not None else None,
    }


def _expressions(policy: Policy) -> str:
    """Both clauses as they are written."""
    parts = [
        f"{word} {text}"
        for word, text in (("USING", policy.using_expression), ("WITH CHECK", policy.check_expression))
        if text is not None
    ]
    return " ".join(clean(" ".join(parts)).split())


def _of(diagnosis: Diagnosis, check: str) -> list[Finding]:
    return [finding for finding in diagnosis.findings if finding.check == check]


def _indexes(diagnosis: Diagnosis) -> Iterator[Proposal]:
    for finding in _of(diagnosis, "unindexed_policy_column"):
        table, columns = str(finding.evidence.get("table")), finding.evidence.get("columns")
        names = ", ".join(map(str, columns)) if isinstance(columns, tuple) else ""
        yield Proposal(
            area=INDEXES,
            kind=Kind.TABLE,
            object=table,
            title=f"Let an index answer {names} of {table}",
            current="each statement reads the whole table",
            proposed="an index search",
            reason=finding.detail + (f"  So does {', '.join(finding.related)}." if finding.related else ""),
            effect="rows of one user found by index, as far as the statement's own conditions do not find fewer",
            takes=Takes.AT_ONCE,
            ground=Ground.EVIDENCE,
            evidence=finding.evidence,
            advice=finding.advice,
        )


def _groups(seen: Seen, weighed: Sequence[Weighed]) -> Iterator[list[Weighed]]:
    """Permissive policies of one table, command and roles, all of them known."""
    try:
        exempt = {role.name for role in seen.rows(ROLES) if role.bypasses_rls or role.is_superuser}
        known = len(seen.rows(POLICY_OUTLINES))
    except NotRead:
        return
    groups: dict[tuple[int, str, tuple[str, ...]], list[Weighed]] = {}
    for each in weighed:
        policy = each.policy
        if policy.is_permissive and not set(policy.roles) <= exempt:
            groups.setdefault((policy.table_oid, policy.command, policy.roles), []).append(each)
    outlined: dict[tuple[int, str, tuple[str, ...]], int] = {}
    for outline in seen.rows(POLICY_OUTLINES) if known else ():
        if outline.is_permissive:
            key = (outline.table_oid, outline.command, outline.roles)
            outlined[key] = outlined.get(key, 0) + 1
    for key, group in groups.items():
        if len(group) > 1 and outlined.get(key) == len(group):
            yield group


def _merge(group: list[Weighed]) -> Proposal:
    first = group[0]
    policy, table = first.policy, first.each.table
    advice = merge(table, [[each.better for each in group]])
    names = ", ".join(one_line(each.policy.name) for each in group)
    roles = ", ".join(policy.roles)
    rewritten = any(each.step is not None for each in group)
    return Proposal(
        area=ONE,
        kind=Kind.TABLE,
        object=table.qualified,
        title=f"Merge {counted(len(group), 'policy', 'policies')} of {table.qualified} for {policy.command}",
        current=names,
        proposed=one_line(policy.name),
        reason=f"{names} all hold for {policy.command} by {roles}: any of them lets a row through, which is"
        " what one policy"
        " with their conditions joined by OR says, provably the same."
        + ("  Rewrite them first, as above: the SQL has the rewritten conditions." if rewritten else ""),
        effect="one condition tells who may do what; each row is tested once",
        takes=Takes.AT_ONCE,
        ground=Ground.EVIDENCE,
        evidence={
            "policies": tuple(each.policy.name for each in group),
            "command": policy.command,
            "roles": policy.roles,
        },
        advice=(advice,),
    )


def _for_signed_in(finding: Finding) -> Proposal:
    return Proposal(
        area=ROLES_OF,
        kind=Kind.POLICY,
        object=finding.object,
        title=finding.advice[0].title if finding.advice else finding.title,
        current="for everybody",
        proposed="for those who are signed in",
        reason=finding.detail,
        effect="statements of anonymous visitors do not evaluate it",
        takes=Takes.AT_ONCE,
        ground=Ground.EVIDENCE,
        evidence=finding.evidence,
        advice=finding.advice,
    )


def _kept(each: Weighed) -> Kept:
    rows = f"; {counted(each.table_rows, 'row')}" if each.table_rows is not None else ""
    text = one_line(_expressions(each.policy))
    return Kept(
        area=COST,
        object=each.policy.qualified,
        value=text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…",
        reason=f"nothing runs once a row for {each.policy.command}{rows}",
    )
