"""Advice that takes rights from the API's roles, and gives back exactly those that they held."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from pgrunbook.journey.diagnose.exposure import READING, Exposure
from pgrunbook.journey.observe.grants import Grant
from pgrunbook.journey.observe.relations import Relation
from pgrunbook.model import Advice, dotted, quote

_SHARED = "Everybody who has the right by way of PUBLIC or of the same group loses it, too."


def grantee_sql(name: str) -> str:
    """A grantee as GRANT wants it."""
    return "PUBLIC" if name == "public" else quote(name)


def revoke_relation(
    exposure: Exposure, relation: Relation, among: Collection[str] = READING, *, risk: str = ""
) -> tuple[Advice, ...]:
    """Take privileges on a table or view from the API; nothing where ownership or a predefined role gives them."""
    if not exposure.is_by_grants(relation):
        return ()
    grants = [*exposure.grants("relation", relation.oid), *exposure.grants("column", relation.oid)]
    forth: list[str] = []
    back: list[str] = []
    for grant in grants:
        words = _words(grant, among)
        if words:
            forth.append(f"REVOKE {words} ON TABLE {relation.qualified} FROM {grantee_sql(grant.grantee)};")
            back += _grant_again(grant, f"TABLE {relation.qualified}", among)
    if not forth:
        return ()
    return (
        Advice(
            title=f"Take {relation.qualified} from the API",
            sql="\n".join(forth),
            undo_sql="\n".join(back),
            risk=" ".join(
                part for part in (risk or "Clients that read it by way of the API fail.", _shared(grants)) if part
            ),
        ),
    )


def revoke_function(exposure: Exposure, oid: int, signature: str) -> tuple[list[str], list[str], list[Grant]]:
    """Statements that take EXECUTE on a function from the API and give it back, and the grants that they touch."""
    grants = [grant for grant in exposure.grants("function", oid) if "EXECUTE" in grant.privileges]
    forth = [f"REVOKE EXECUTE ON ROUTINE {signature} FROM {grantee_sql(grant.grantee)};" for grant in grants]
    back = [line for grant in grants for line in _grant_again(grant, f"ROUTINE {signature}", {"EXECUTE"})]
    return forth, back, grants


def _shared(grants: Iterable[Grant]) -> str:
    return _SHARED if any(grant.grantee not in {"anon", "authenticated"} for grant in grants) else ""


def _words(grant: Grant, among: Collection[str], *, only: Sequence[str] | None = None) -> str:
    held = [p for p in (grant.privileges if only is None else only) if p in among]
    column = f" ({dotted(grant.column_name)})" if grant.kind == "column" else ""
    return ", ".join(f"{privilege}{column}" for privilege in held)


def _grant_again(grant: Grant, target: str, among: Collection[str]) -> list[str]:
    plain = [privilege for privilege in grant.privileges if privilege not in grant.grantable]
    lines = []
    for privileges, option in ((plain, ""), (grant.grantable, " WITH GRANT OPTION")):
        words = _words(grant, among, only=privileges)
        if words:
            lines.append(f"GRANT {words} ON {target} TO {grantee_sql(grant.grantee)}{option};")
    return lines
