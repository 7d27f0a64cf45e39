"""DSNs as they may be shown: without the passwords that they hold."""

from __future__ import annotations

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

_SECRET_KEYS = ("password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key")


def without_password(dsn: str) -> str:
    """The same DSN as the user wrote it, if it holds no secret; else without it, as key=value pairs.

    >>> without_password("postgresql://app@db/shop"), without_password("postgresql://app:s3cret@db/shop")
    ('postgresql://app@db/shop', 'user=app dbname=shop host=db')
    """
    try:
        parts = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        return ""
    if not any(key in parts for key in _SECRET_KEYS):
        return dsn
    return make_conninfo(**{key: str(value) for key, value in parts.items() if key not in _SECRET_KEYS})


def has_stray_at(dsn: str) -> bool:
    """Whether libpq would take a part of a URI's password, with its @ or / unescaped, for a host or database name.

    >>> has_stray_at("postgresql://app:s3c@ret@db/shop"), has_stray_at("postgresql://app:s3c/ret@db/shop")
    (True, True)
    >>> has_stray_at("postgresql://app:s3c%40ret@db/shop?application_name=a@b")
    False
    """
    scheme, _, rest = dsn.partition("://")
    if scheme not in {"postgresql", "postgres"}:
        return False
    before, at, after = rest.partition("@")
    place = after if at and "/" not in before else rest
    return "@" in place.partition("?")[0]
