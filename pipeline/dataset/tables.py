"""Rows of tables, kept on the disk."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, overload

import pyarrow as pa

from pipeline.dataset.formats.arrow_table import values
from pipeline.dataset.rows import Row

_PIECE = 1 << 20  # bytes copied at once


class TableRows(Sequence[Row]):
    """Rows kept as Arrow batches in a file of their own and made into dictionaries a few at a time.

    40,000 conversations take a gigabyte as dictionaries, a quarter of that in Arrow, and next to nothing here.
    """

    def __init__(self) -> None:
        # Without a name on the disk: it is gone when this object is, or the process.
        self._file: IO[bytes] = tempfile.TemporaryFile(prefix="align-studio-rows-")  # noqa: SIM115
        self._places: list[tuple[int, int, int]] = []  # of each table: position, bytes, rows
        self._length = 0
        self.columns: list[str] = []
        self.bytes = 0

    @classmethod
    def opened(cls, path: Path, places: Iterable[Iterable[int]], columns: list[str]) -> TableRows:
        """Return the rows that `save` wrote.

        Args:
            path: Its file.
            places: What it returned.
            columns: Names of the columns.
        """
        rows = cls()
        rows._file.close()
        rows._file = path.open("rb")
        for start, size, count in places:
            rows._places.append((start, size, count))
            rows._length += count
            rows.bytes += size
        rows.columns = columns
        return rows

    def save(self, path: Path) -> list[tuple[int, int, int]]:
        """Write the rows to a file and return where its tables are, for `opened`."""
        self._file.seek(0)
        with path.open("wb") as file:
            shutil.copyfileobj(self._file, file, _PIECE)
        return list(self._places)

    def append(self, table: pa.Table) -> None:
        """Add a table's rows; its columns may differ from those of the others.

        Args:
            table: Some rows.
        """
        if not table.num_rows:
            return
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
            writer.write_table(table)
        written = sink.getvalue()
        start = self._file.tell()
        self._file.write(written)
        self._file.flush()
        self._places.append((start, written.size, table.num_rows))
        self._length += table.num_rows
        self.bytes += written.size
        self.columns += [name for name in table.column_names if name not in self.columns]

    def _table(self, start: int, size: int) -> pa.Table:
        return pa.ipc.open_stream(os.pread(self._file.fileno(), size, start)).read_all()

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Row]:
        for start, size, count in self._places:
            table = self._table(start, size)
            for first in range(0, count, 200):
                yield from values(table.slice(first, 200))

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step < 0:
                return [self[each] for each in range(start, stop, step)]
            return list(itertools.islice(self, start, stop, step))
        at = index + len(self) if index < 0 else index
        for start, size, count in self._places:
            if 0 <= at < count:
                return values(self._table(start, size).slice(at, 1))[0]
            at -= count
        raise IndexError(index)
