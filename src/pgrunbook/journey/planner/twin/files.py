"""Relation files of a size without content: sparse, with the few bytes that the planner reads.

The planner asks a file for its length and a B-tree's metapage for its height; get_actual_variable_range even descends
the tree, so the metapage leads to a sound chain of empty pages.  Layouts: bufpage.h, nbtree.h, ginblock.h, brin_page.h.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pgrunbook.journey.planner.sizes import PAGE_BYTES, Btree, Gin
from pgrunbook.journey.planner.twin.leaves import Ends, index_tuples, visible_first_page
from pgrunbook.lab.account import Account

SEGMENT_PAGES: Final = 131_072  # RELSEG_SIZE: a gigabyte
PAGE_HEADER: Final = 24
BTREE_SPECIAL: Final = 16
BTREE_META_OFFSET: Final = 32  # btm_root, btm_level, btm_fastroot, btm_fastlevel follow magic and version
GIN_META_OFFSET: Final = 48  # nTotalPages, nEntryPages, nDataPages; then, aligned, nEntries
GIN_ENTRIES_OFFSET: Final = 64
BRIN_REVMAP_OFFSET: Final = 36  # lastRevmapPage
BTP_LEAF, BTP_ROOT = 1, 2
LAYOUT_VERSION: Final = 4  # of pages, from 8.3 on
PIVOT_BYTES: Final = 8
PIVOT_FLAG: Final = 0x2000  # INDEX_AM_RESERVED_BIT: t_tid holds a child's number and how many keys follow, none here


class Files:
    """The data directory of a server that runs as `account`.  Only for relations that no backend has dirty pages of."""

    def __init__(self, data_dir: Path, account: Account) -> None:
        self._data_dir = data_dir
        self._account = account

    def set_pages(self, path: str, pages: int) -> None:
        """Make a relation's file so many pages long, in as many segments as that takes."""
        segment = 0
        while True:
            file = self._segment(path, segment)
            length = max(0, min(SEGMENT_PAGES, pages - segment * SEGMENT_PAGES))
            if segment > 0 and length == 0:
                if not file.exists():
                    return
                file.unlink()
            else:
                self._truncate(file, length * PAGE_BYTES)
            segment += 1

    def set_first_segment(self, path: str, pages: int) -> None:
        """Make the first segment as long as it is in a relation of so many pages; further segments stay as they are."""
        self._truncate(self._segment(path, 0), min(pages, SEGMENT_PAGES) * PAGE_BYTES)

    def shape_btree(self, path: str, shape: Btree, ends: Ends | None = None) -> None:
        """Give an empty B-tree a size, a height and, where they are known, its first and its last key."""
        pages = shape.pages
        if shape.levels > 0 or ends is not None:
            keys = index_tuples(ends) if ends is not None else []
            chain = [
                _btree_page(shape.levels - depth, depth == 0, depth + 2, keys) for depth in range(shape.levels + 1)
            ]
            with self._segment(path, 0).open("r+b") as file:
                meta = bytearray(file.read(PAGE_BYTES))
                struct.pack_into("=IIII", meta, BTREE_META_OFFSET, 1, shape.levels, 1, shape.levels)
                file.seek(0)
                file.write(bytes(meta) + b"".join(chain))
            pages = max(pages, len(chain) + 1)
        self.set_pages(path, pages)

    def make_first_page_visible(self, path: str) -> None:
        """Let the planner believe the tuples that `shape_btree` makes."""
        file = self._segment(f"{path}_vm", 0)
        self._truncate(file, PAGE_BYTES)
        file.write_bytes(visible_first_page())

    def shape_gin(self, path: str, shape: Gin) -> None:
        """Give an empty GIN index a size, and its metapage the numbers that VACUUM would leave there."""
        with self._segment(path, 0).open("r+b") as file:
            file.seek(GIN_META_OFFSET)
            file.write(struct.pack("=III", shape.pages, shape.entry_pages, shape.data_pages))
            file.seek(GIN_ENTRIES_OFFSET)
            file.write(struct.pack("=q", shape.entries))
        self.set_pages(path, shape.pages)

    def shape_brin(self, path: str, pages: int, revmap_pages: int) -> None:
        """Give an empty BRIN index a size and a map of so many pages."""
        with self._segment(path, 0).open("r+b") as file:
            file.seek(BRIN_REVMAP_OFFSET)
            file.write(struct.pack("=I", revmap_pages))
        self.set_pages(path, max(pages, revmap_pages + 2))

    def _segment(self, path: str, number: int) -> Path:
        return self._data_dir / (path if number == 0 else f"{path}.{number}")

    def _truncate(self, file: Path, length: int) -> None:
        if not file.exists():
            fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            os.close(fd)
            self._account.give(file)
        os.truncate(file, length)


def _btree_page(level: int, is_root: bool, child: int, keys: Sequence[bytes]) -> bytes:  # noqa: FBT001 - of one page
    """A leaf with these keys, or an inner page whose only tuple, lower than every key, points at the block `child`."""
    page = bytearray(PAGE_BYTES)
    lower, upper, special = PAGE_HEADER, PAGE_BYTES - BTREE_SPECIAL, PAGE_BYTES - BTREE_SPECIAL
    if level > 0:
        upper -= PIVOT_BYTES
        line_pointer = upper | (1 << 15) | (PIVOT_BYTES << 17)  # offset, LP_NORMAL, length
        struct.pack_into("=I", page, PAGE_HEADER, line_pointer)
        struct.pack_into("=HHHH", page, upper, child >> 16, child & 0xFFFF, 0, PIVOT_FLAG | PIVOT_BYTES)
        lower += 4
    for key in keys if level == 0 else ():
        upper -= len(key)
        page[upper : upper + len(key)] = key
        struct.pack_into("=I", page, lower, upper | (1 << 15) | (len(key) << 17))
        lower += 4
    struct.pack_into("=HHHHH", page, 10, 0, lower, upper, special, PAGE_BYTES | LAYOUT_VERSION)
    flags = (BTP_LEAF if level == 0 else 0) | (BTP_ROOT if is_root else 0)
    struct.pack_into("=IIIHH", page, special, 0, 0, level, flags, 0)
    return bytes(page)
