"""Who was granted what: tables and views, their columns, functions, schemas; and what new objects will be granted.

Read from the catalog's access lists, without looking at any relation.  An owner's own rights are not listed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pgrunbook.model import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What one grantee holds on one object; `kind` is relation, column, function or schema.

    `oid` is the relation's for a column, too.  Grantee `public` is everybody.  Functions that only triggers call, and
    those of extensions, are left out.
    """

    kind: str
    oid: int
    column_name: str
    grantee: str
    privileges: tuple[str, ...]
    grantable: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultPrivilege:
    """What `grantee` gets on each object that `owner` will make; `schema` is None where it holds in all of them.

    `object_type` as pg_default_acl has it: r tables, S sequences, f functions, T types, n schemas.
    """

    owner: str
    schema: str | None
    object_type: str
    grantee: str
    privileges: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRole:
    """A role as which PostgREST serves requests, and every role whose rights it has (itself among them)."""

    name: str
    acts_as: tuple[str, ...]
    is_superuser: bool
    bypasses_rls: bool


_HERE = Path(__file__).parent
GRANTS = Question(name="grants", row=Grant, folder=_HERE)
DEFAULT_PRIVILEGES = Question(name="default_privileges", row=DefaultPrivilege, folder=_HERE)
API_ROLES = Question(name="api_roles", row=ApiRole, folder=_HERE)
