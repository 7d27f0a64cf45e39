"""A DSN is told in words without its password, also where libpq takes a part of the password for something else."""

from __future__ import annotations

import pytest

from pgrunbook.errors import UsageError
from pgrunbook.pg.connect import connect, describe

UNESCAPED = (
    "postgresql://app:s3cret@tail@127.0.0.1:1/shop",
    "postgres://app:s3cret/tail@127.0.0.1:1/shop",
    "postgresql://app:s3cret?x@tail@127.0.0.1:1/shop",
    "postgresql://app@cloud:tail@127.0.0.1:1/shop",
)


@pytest.mark.parametrize("dsn", UNESCAPED)
def test_a_password_with_unescaped_signs_is_not_shown(dsn: str) -> None:
    assert describe(dsn) == "the given DSN"
    with pytest.raises(UsageError) as caught:
        connect(dsn, station="test", timeout_s=1)
    told = f"{caught.value.message} {caught.value.hint}"
    assert "tail" not in told
    assert "s3cret" not in told
    assert "%40" in told


def test_what_is_not_named_is_said_to_be_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGHOST", "PGPORT", "PGUSER", "PGDATABASE"):
        monkeypatch.delenv(name, raising=False)
    assert describe("") == "the default database on the default host:5432"
    assert describe("postgresql://app:s3c%40ret@db-1/shop?application_name=a@b") == "database shop on db-1:5432 as app"
