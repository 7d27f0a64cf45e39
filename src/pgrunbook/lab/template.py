"""A fresh data directory: from initdb, or quicker as a copy of one that initdb made before, with its own identity.

initdb costs half a second of processor time (many seconds on a busy machine), a copy a tenth of that.  Two servers with
one system identifier would be taken for one database, so a copy gets a new one: in pg_control, which ends with a
checksum (CRC-32C), and in the header of its WAL segment.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import struct
import time
from pathlib import Path

from pgrunbook.errors import ServerError, Unsupported
from pgrunbook.lab.account import Account
from pgrunbook.lab.binaries import Binaries
from pgrunbook.lab.cache import cache_folder, keep

SUPERUSER = "postgres"
LOCALES = ("C.UTF-8", "C")  # musl and old systems have no C.UTF-8
FIRST_MAJOR_WITH_CHECKSUMS = 18
WAL_SYSTEM_ID_OFFSET = 24  # XLogLongPageHeaderData.xlp_sysid
CONTROL_CRC_LIMIT = 512  # ControlFileData is written in one disk sector, its checksum last
SEGMENT_NAME = re.compile(r"[0-9A-F]{24}")


def make_data_directory(target: Path, *, binaries: Binaries, account: Account, checksums: bool) -> None:
    """Fill the empty directory `target`, which `account` owns, with a data directory that trusts every client."""
    name = _template_name(binaries, checksums=checksums)
    cache = cache_folder()
    if (cache / name).is_dir() and _copy(cache / name, target, account):
        return
    _initdb(target, binaries=binaries, account=account, checksums=checksums)
    try:
        keep(cache, name, lambda partial: _store(target, partial), account=account)
    except (OSError, Unsupported):
        return  # no place for a cache: the next server costs an initdb again


def _template_name(binaries: Binaries, *, checksums: bool) -> str:
    """Name a template by all that initdb's result depends on."""
    program = binaries.postgres.stat()
    libc = os.confstr("CS_GNU_LIBC_VERSION") if "CS_GNU_LIBC_VERSION" in os.confstr_names else ""
    origin = f"{binaries.postgres}\0{program.st_size}\0{program.st_mtime_ns}\0{libc}"
    key = hashlib.sha256(origin.encode()).hexdigest()[:12]
    return f"data-{binaries.version}-{'checksums' if checksums else 'plain'}-{key}"


def _initdb(target: Path, *, binaries: Binaries, account: Account, checksums: bool) -> None:
    argv: list[str | Path] = [binaries.bin / "initdb", "--pgdata", target, "--no-sync", "--username", SUPERUSER]
    argv += ["--encoding=UTF8", "--auth=trust"]
    if checksums:
        argv.append("--data-checksums")
    elif binaries.major >= FIRST_MAJOR_WITH_CHECKSUMS:
        argv.append("--no-data-checksums")
    said = []
    for locale in LOCALES:
        done = account.run([*argv, f"--locale={locale}"], cwd=target)
        if done.returncode == 0:
            return
        said.append(done.stdout.strip())
    raise ServerError(
        f"initdb of PostgreSQL {binaries.version} in {target} failed:\n" + "\n".join(said),
        hint="is there space left, and can the server's user write there?",
    )


def _store(data_dir: Path, template: Path) -> None:
    shutil.copytree(data_dir, template)


def _copy(template: Path, target: Path, account: Account) -> bool:
    """Copy as the account, whose umask closes the copy to others; False leaves `target` empty again."""
    done = account.run(["cp", "-R", f"{template}/.", target], cwd=target)
    if done.returncode == 0 and renew_identity(target):
        return True
    for entry in target.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    return False


def renew_identity(data_dir: Path) -> bool:
    """Give a data directory that has never been started a new system identifier; False when its layout is unknown."""
    control_file = data_dir / "global" / "pg_control"
    control = bytearray(control_file.read_bytes())
    (old,) = struct.unpack_from("=Q", control)
    crc_offset = _crc_offset(bytes(control))
    segments = [path for path in (data_dir / "pg_wal").iterdir() if SEGMENT_NAME.fullmatch(path.name)]
    if crc_offset is None or not segments:
        return False
    new = (int(time.time()) << 32) | secrets.randbits(32)  # as initdb does: the time, and something of chance
    for segment in segments:
        with segment.open("r+b") as wal:
            wal.seek(WAL_SYSTEM_ID_OFFSET)
            if wal.read(8) != struct.pack("=Q", old):
                return False
            wal.seek(WAL_SYSTEM_ID_OFFSET)
            wal.write(struct.pack("=Q", new))
    struct.pack_into("=Q", control, 0, new)
    struct.pack_into("=I", control, crc_offset, crc32c(bytes(control[:crc_offset])))
    control_file.write_bytes(control)
    return True


def _crc_offset(control: bytes) -> int | None:
    """Find the checksum of pg_control: the number that is the checksum of all before it."""
    crc = 0
    for offset in range(0, min(len(control), CONTROL_CRC_LIMIT) - 4, 4):
        if offset > 0 and struct.unpack_from("=I", control, offset) == (crc,):
            return offset
        crc = crc32c(control[offset : offset + 4], crc)
    return None


def crc32c(data: bytes, crc: int = 0) -> int:
    """Return the Castagnoli checksum of `data`, or of what had the checksum `crc` and is followed by `data`.

    >>> hex(crc32c(b"123456789")), hex(crc32c(b"6789", crc32c(b"12345")))
    ('0xe3069283', '0xe3069283')
    """
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
