"""Reading a schema over TLS with a pg_dump that has none."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from tests.fix.server import unavailable

from pgrunbook.errors import Unreachable, Unsupported
from pgrunbook.lab import Cluster, debian_binaries, start_cluster
from pgrunbook.lab.schema import copy_schema, plain_dump, programs
from pgrunbook.lab.schema.dump import dump_schema
from pgrunbook.lab.schema.programs import pg_dump_for, source_of
from pgrunbook.pg.connect import connect


def make_certificate(folder: Path, name: str) -> Path:
    openssl = shutil.which("openssl")
    if openssl is None:
        unavailable("openssl is not installed")
    argv = [openssl, "req", "-new", "-x509", "-days", "2", "-nodes", "-subj", f"/CN={name}"]
    argv += ["-out", f"{folder}/{name}.crt", "-keyout", f"{folder}/{name}.key"]
    subprocess.run(argv, check=True, capture_output=True)
    return folder / f"{name}.crt"


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Path]]:
    """A server that speaks TLS (the wheel's cannot), with a table, and its certificate."""
    try:
        binaries = debian_binaries()
    except Unsupported as exc:
        unavailable(exc.message)
    certificate = make_certificate(tmp_path_factory.mktemp("tls"), "localhost")
    with start_cluster(binaries=binaries, settings={"shared_buffers": "16MB"}, tcp=True, prefix="pgrb-test") as cluster:
        for suffix in ("crt", "key"):
            place = cluster.data_dir / f"server.{suffix}"
            place.write_bytes(certificate.with_suffix(f".{suffix}").read_bytes())
            place.chmod(0o600)
            cluster.home.account.give(place)
        cluster.restart({"ssl": "on"})
        with psycopg.connect(cluster.dsn(), autocommit=True) as conn:
            conn.execute("create table wanted (i int)")
        yield cluster, certificate


@pytest.fixture
def without_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine that has the wheel's pg_dump only."""
    monkeypatch.setattr(programs, "_can_encrypt", lambda _: False)


def test_the_password_and_the_schema_travel_encrypted(encrypted: tuple[Cluster, Path], without_tls: None) -> None:
    cluster, certificate = encrypted
    checked = {"sslmode": "verify-full", "sslrootcert": str(certificate), "hostaddr": "127.0.0.1"}
    dsn = cluster.dsn(**checked).replace("@127.0.0.1:", "@localhost:")
    passfile = cluster.home.path / "passfile"
    known = passfile.read_text()
    passfile.write_text(known + known.replace("127.0.0.1:", "localhost:"))
    with connect(dsn, station="test") as conn, start_cluster(prefix="pgrb-test") as scratch:
        assert pg_dump_for(source_of(conn)).needs_tunnel
        assert "CREATE TABLE public.wanted" in plain_dump(copy_schema(conn, scratch))


def test_a_certificate_that_cannot_be_checked_ends_it(
    encrypted: tuple[Cluster, Path], without_tls: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster, _ = encrypted
    stranger = make_certificate(tmp_path, "stranger")
    with connect(cluster.dsn(sslmode="require"), station="test") as conn:
        source = source_of(conn)
        strict = {**source.parameters, "sslmode": "verify-ca", "sslrootcert": str(stranger)}
        monkeypatch.setattr(
            "pgrunbook.lab.schema.dump.source_of",
            lambda _: programs.Source(parameters=strict, password=source.password, major=15, uses_tls=True),
        )
        with pytest.raises(Unreachable, match="certificate verify failed"):
            dump_schema(conn)


def test_channel_binding_cannot_be_had_through_a_tunnel(encrypted: tuple[Cluster, Path], without_tls: None) -> None:
    cluster, _ = encrypted
    with (
        connect(cluster.dsn(sslmode="require", channel_binding="require"), station="test") as conn,
        pytest.raises(Unsupported, match="channel_binding"),
    ):
        dump_schema(conn)


def test_a_pg_dump_with_tls_needs_no_tunnel(encrypted: tuple[Cluster, Path]) -> None:
    cluster, _ = encrypted
    with connect(cluster.dsn(sslmode="require"), station="test") as conn:
        program = pg_dump_for(source_of(conn))
        assert not program.needs_tunnel
        assert dump_schema(conn).program == program.path
