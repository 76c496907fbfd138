"""Reading the rows of a damaged SQLite file page by page, without SQLite (io).

Law: it looks at leaf pages only and trusts nothing: not the header, not the tree above, not the schema. Damage to one page costs
the rows on it (and those whose long values run through it), whatever else is broken. Pages that the pointer map calls free or
overflow are skipped, so that rows removed long ago do not come back. Source: SQLite's file format, https://sqlite.org/fileformat2.html.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

_TABLE_LEAF = 0x0D
_INDEX_LEAF = 0x0A
_FREE, _OVERFLOW_FIRST, _OVERFLOW_NEXT = 2, 3, 4
_WAL_MAGIC = (0x377F0682, 0x377F0683)
_PAGE_BYTES = frozenset(512 << n for n in range(7))
_MAX_VALUE_BYTES = 64 << 20

Row = tuple[int | None, list[Any]]
"""(rowid, or None for a row of an index-organised table; values)."""


class Pages:
    """The file with its write-ahead log laid over it."""

    def __init__(self, path: Path, default_page_bytes: int) -> None:
        self._file: BinaryIO = path.open("rb")
        head = self._file.read(100)
        size = int.from_bytes(head[16:18], "big") if len(head) == 100 else 0
        self.size = size if head[:16] == b"SQLite format 3\0" and size in _PAGE_BYTES else default_page_bytes
        self.count = (path.stat().st_size + self.size - 1) // self.size
        self._log: BinaryIO | None = None
        self._frames: dict[int, int] = {}
        log = path.with_name(path.name + "-wal")
        if log.exists():
            self._log = log.open("rb")
            self._read_log()

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        if self._log is not None:
            self._log.close()

    def page(self, number: int) -> bytes:
        """A page by its number from 1; empty if there is none."""
        if (offset := self._frames.get(number)) is not None and self._log is not None:
            self._log.seek(offset)
            return self._log.read(self.size)
        self._file.seek((number - 1) * self.size)
        return self._file.read(self.size)

    def rows(self) -> Iterator[Row]:
        """Every row that can be read, in no particular order."""
        for number in range(1, self.count + 1):
            content = self.page(number)
            start = 100 if number == 1 else 0
            if len(content) < self.size or content[start] not in {_TABLE_LEAF, _INDEX_LEAF}:
                continue
            if self._kind(number) in {_FREE, _OVERFLOW_FIRST, _OVERFLOW_NEXT}:
                continue
            yield from self._leaf(content, start)

    def _kind(self, number: int) -> int:
        """What the pointer map says about a page; 0 = nothing."""
        span = self.size // 5 + 1
        if number < 3:
            return 0
        map_page = (number - 2) // span * span + 2
        if map_page == number:
            return _FREE
        content = self.page(map_page)
        at = (number - map_page - 1) * 5
        return content[at] if at < len(content) else 0

    def _leaf(self, content: bytes, start: int) -> Iterator[Row]:
        table = content[start] == _TABLE_LEAF
        cells = min(int.from_bytes(content[start + 3 : start + 5], "big"), (self.size - start - 8) // 2)
        for pointer in struct.unpack_from(f">{cells}H", content, start + 8):
            try:
                yield self._cell(content, pointer, table=table)
            except (IndexError, ValueError, struct.error):
                continue

    def _cell(self, content: bytes, at: int, *, table: bool) -> Row:
        size, at = _varint(content, at)
        rowid = None
        if table:
            rowid, at = _varint(content, at)
        if size > _MAX_VALUE_BYTES:
            raise ValueError("size")
        # How much of a row lies on its leaf; the rest follows in a chain of overflow pages.
        largest = self.size - 35 if table else (self.size - 12) * 64 // 255 - 23
        least = (self.size - 12) * 32 // 255 - 23
        if size <= largest:
            return rowid, _values(content[at : at + size], size)
        local = least + (size - least) % (self.size - 4)
        if local > largest:
            local = least
        parts = [content[at : at + local]]
        following = int.from_bytes(content[at + local : at + local + 4], "big")
        left = size - local
        while left > 0:
            if not 1 < following <= self.count:
                raise ValueError("overflow")
            page = self.page(following)
            parts.append(page[4 : 4 + left])
            left -= self.size - 4
            following = int.from_bytes(page[:4], "big")
        return rowid, _values(b"".join(parts), size)

    def _read_log(self) -> None:
        """Index the log's newest committed copy of each page."""
        log = self._log
        if log is None:
            return
        head = log.read(32)
        if len(head) < 32:
            return
        magic, _, size, _, *salts = struct.unpack(">6I", head[:24])
        if magic not in _WAL_MAGIC or size not in _PAGE_BYTES:
            return
        self.size = size
        pending: dict[int, int] = {}
        offset = 32
        while len(frame := log.read(24)) == 24:
            number, commit, *frame_salts = struct.unpack(">4I", frame[:16])
            if frame_salts != salts:
                break
            pending[number] = offset + 24
            if commit:
                self._frames.update(pending)
                pending = {}
                self.count = commit
            offset += 24 + size
            log.seek(offset)


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = 0
    for number in range(9):
        byte = content[at + number]
        if number == 8:
            value = value << 8 | byte
            return (value - (1 << 64) if value >> 63 else value), at + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + number + 1
    raise ValueError("varint")


_FIXED_BYTES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


def _values(record: bytes, size: int) -> list[Any]:
    if len(record) != size:
        raise ValueError("short")
    head_size, at = _varint(record, 0)
    body = head_size
    values: list[Any] = []
    while at < head_size:
        kind, at = _varint(record, at)
        length = 0
        value: Any = None
        if kind in _FIXED_BYTES:
            length = _FIXED_BYTES[kind]
            value = int.from_bytes(record[body : body + length], "big", signed=True)
        elif kind == 7:
            length = 8
            (value,) = struct.unpack_from(">d", record, body)
        elif kind in {8, 9}:
            value = kind - 8
        elif kind >= 12:
            length = (kind - 12) // 2
            raw = record[body : body + length]
            value = raw.decode() if kind % 2 else raw
        elif kind:
            raise ValueError("type")
        body += length
        if body > size:
            raise ValueError("length")
        values.append(value)
    if body != size:
        raise ValueError("length")
    return values
