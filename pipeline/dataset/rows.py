"""Read the rows of a file: parquet, JSON Lines, JSON, CSV or TSV, told apart by their content."""

from __future__ import annotations

import codecs
import csv
import itertools
import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.base.errors import StudioError

Row = dict[str, Any]

_EXTENSIONS = {
    ".parquet": "parquet",
    ".jsonl": "JSON Lines",
    ".ndjson": "JSON Lines",
    ".json": "JSON",
    ".csv": "CSV",
    ".tsv": "TSV",
}
_BLANK = re.compile(r"[ \t\r\n]*")
_PIECE = 1 << 20  # bytes or characters of a file looked at at once
_SUPPORTED = "Supported are parquet, JSON Lines, JSON, CSV and TSV."
_FOREIGN = {
    b"PK\x03\x04": ("a zip archive or a spreadsheet", "Unpack it, or save the sheet as CSV."),
    b"\x1f\x8b": ("compressed with gzip", "Unpack it first."),
    b"\x28\xb5\x2f\xfd": ("compressed with zstandard", "Unpack it first."),
    b"ARROW1": ("an Arrow file", "Save it as parquet."),
    b"\xff\xfe": ("text in UTF-16", "Save it again as UTF-8."),
    b"\xfe\xff": ("text in UTF-16", "Save it again as UTF-8."),
}


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be a pair.

    Attributes:
        number: 1-based number of the row in its file (of the line, in JSON Lines; the header of CSV is not counted).
        reason: Why, in plain words.
    """

    number: int
    reason: str


@dataclass(frozen=True)
class Rows:
    """Rows as read, before anything is known about them.

    Attributes:
        columns: Column names in file order.
        rows: Readable rows.
        numbers: Number of each of `rows`; see `BadRow.number`.
        bad_rows: Rows that could not be read at all.
        format: What the content is: "parquet", "JSON Lines", "JSON", "CSV", "TSV", "sample" or "Hub dataset".
        notes: What the reader should know, sentences.
    """

    columns: list[str]
    rows: Sequence[Row]
    numbers: Sequence[int]
    bad_rows: list[BadRow] = field(default_factory=list)
    format: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Rows in the file, readable or not."""
        return len(self.rows) + len(self.bad_rows)


class TableRows(Sequence[Row]):
    """Rows kept as Arrow batches in a file of their own and made into dictionaries a few at a time.

    40,000 conversations take a gigabyte as dictionaries, a quarter of that in Arrow, and next to nothing here.
    """

    def __init__(self) -> None:
        # Without a name on the disk: it is gone when this object is, or the process.
        self._file = tempfile.TemporaryFile(prefix="align-studio-rows-")  # noqa: SIM115
        self._places: list[tuple[int, int, int]] = []  # of each table: position, bytes, rows
        self._length = 0
        self.columns: list[str] = []
        self.bytes = 0

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
                yield from table.slice(first, 200).to_pylist()

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
                return self._table(start, size).slice(at, 1).to_pylist()[0]
            at -= count
        raise IndexError(index)


def read_rows(path: Path) -> Rows:
    """Read a file's rows; its content decides about the format, its extension only about a note.

    Args:
        path: A parquet, JSON Lines, JSON, CSV or TSV file.

    Returns:
        Columns, rows, and what could not be read.

    Raises:
        StudioError: The file is missing, empty, damaged, not UTF-8 or in no supported format.
    """
    try:
        with path.open("rb") as file:
            head = file.read(1 << 16)
    except OSError as error:
        raise unreadable(path, f"{error.strerror}.", "Choose another file.") from error
    if not head.strip(b" \t\r\n\xef\xbb\xbf"):
        raise unreadable(path, "It is empty.", "Choose another file.")
    for magic, (kind, advice) in _FOREIGN.items():
        if head.startswith(magic):
            raise unreadable(path, f"It is {kind}.", advice)
    rows = _read_parquet(path) if head.startswith(b"PAR1") else _read_text(path, head)
    if not rows.rows:
        first = f" First reason: row {rows.bad_rows[0].number}: {rows.bad_rows[0].reason}." if rows.bad_rows else ""
        raise unreadable(path, f"It has no readable rows.{first}", "Choose another file.")
    expected = _EXTENSIONS.get(path.suffix.lower())
    if expected and expected != rows.format:
        rows.notes.append(f"{path.name} is named like {expected} but holds {rows.format}; it was read as that.")
    return rows


def unreadable(path: Path, why: str, next: str) -> StudioError:
    """Return the error for a file that cannot be read."""
    return StudioError(f"{path.name} cannot be read.", why, next)


def columns_of(rows: Iterable[Row]) -> list[str]:
    """Return the names of all columns in order of first appearance."""
    return list(dict.fromkeys(name for row in rows for name in row))


def _read_parquet(path: Path) -> Rows:
    rows: list[Row] = []
    try:
        with pq.ParquetFile(path) as file:
            # pandas stores its index as a column of this name; it is no column of the dataset.
            columns = [name for name in file.schema_arrow.names if not name.startswith("__index_level_")]
            for batch in file.iter_batches(batch_size=1000, columns=columns):
                rows.extend(batch.to_pylist())
    except (pa.ArrowException, OSError, ValueError) as error:
        raise unreadable(path, "It is a parquet file that is cut off or damaged.", "Copy it again.") from error
    return Rows(columns, rows, list(range(1, len(rows) + 1)), format="parquet")


def _read_text(path: Path, head: bytes) -> Rows:
    """Read JSON Lines, JSON, CSV or TSV, whichever the text is."""
    _check_utf8(path, head)
    start = head.decode("utf-8-sig", "replace").lstrip()
    if start.startswith("{") and _is_object(_first_line(path)):
        return _read_json_lines(path)
    if start.startswith(("{", "[")):
        try:
            return _read_json(path)
        except StudioError:
            if not _has_object_line(path):
                raise
            return _read_json_lines(path)  # a broken first line in front of good ones
    return _read_json_lines(path) if _has_object_line(path) else _read_csv(path)


def _check_utf8(path: Path, head: bytes) -> None:
    """Refuse what is not UTF-8 text, naming the line."""
    control = sum(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in head)
    if control * 20 > len(head):
        raise unreadable(path, "It is not text and not parquet.", _SUPPORTED)
    decoder, newlines = codecs.getincrementaldecoder("utf-8")(), 0
    with path.open("rb") as file:
        try:
            while piece := file.read(_PIECE):  # not line by line: JSON can be a single line of any length
                decoder.decode(piece)
                newlines += piece.count(b"\n")
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            # The bytes may begin with some kept from the piece before: parts of a character, never a line's end.
            line = newlines + error.object.count(b"\n", 0, error.start) + 1
            why = f"Line {line} is not UTF-8 (byte {error.object[error.start]:#04x})."
            raise unreadable(path, why, "Save it again as UTF-8; parquet needs no encoding.") from error


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield number and text of every line that is not blank."""
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield number, line


def _first_line(path: Path) -> str:
    return next(_lines(path))[1]


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _has_object_line(path: Path) -> bool:
    """Whether one of the first lines is a whole JSON object; indented ones belong to a pretty-printed document."""
    return any(line.startswith("{") and _is_object(line) for _, line in itertools.islice(_lines(path), 50))


def _read_json_lines(path: Path) -> Rows:
    rows, numbers, bad = [], [], []
    for number, line in _lines(path):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            bad.append(BadRow(number, f"the line cannot be parsed as JSON ({_short(error)})"))
            continue
        if isinstance(value, dict):
            rows.append(value)
            numbers.append(number)
        else:
            bad.append(BadRow(number, "the line is JSON but not an object with columns"))
    if len(rows) == 1 and not bad:  # a document on a single line, perhaps
        return _json_rows(path, rows[0], "JSON Lines")
    return Rows(columns_of(rows), rows, numbers, bad, "JSON Lines")


def _read_json(path: Path) -> Rows:
    items = _json_items(path)
    if items is not None:
        return _json_rows(path, items, "JSON")
    text = path.read_text(encoding="utf-8-sig")
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        cut = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated")
        why = f"Its JSON {'is cut off' if cut else 'is broken'} at line {error.lineno}: {error.msg}."
        raise unreadable(path, why, "Copy it again, or correct that line.") from error
    except (ValueError, RecursionError) as error:
        raise unreadable(path, f"Its JSON cannot be read: {_short(error)}.", "Correct the file.") from error
    return _json_rows(path, value, "JSON")


def _json_items(path: Path) -> list[Any] | None:
    """Return the items of a JSON list piece by piece, or None where the document is something else or broken.

    A list of 44,000 conversations parsed whole took 2 GB: one emoji makes Python hold the text in 4 bytes a character.
    """
    items: list[Any] = []
    decode = json.JSONDecoder().raw_decode
    with path.open(encoding="utf-8-sig") as file:
        text, at, ended = file.read(_PIECE).lstrip(), 1, False
        if not text.startswith("["):
            return None
        while True:
            at = _skip(text, at)
            if text.startswith("]", at):
                return None if text[at + 1 :].strip() or file.read().strip() else items
            try:
                item, end = decode(text, at)
                end = _skip(text, end)
            except (ValueError, RecursionError):
                end = len(text)
            if text[end : end + 1] in ("]", ","):
                items.append(item)
                at = end + (text[end] == ",")
            elif ended:
                return None
            else:  # perhaps an item that goes on in the next piece
                piece = file.read(max(_PIECE, len(text) - at))
                text, at, ended = text[at:] + piece, 0, not piece


def _skip(text: str, at: int) -> int:
    """Return the position of the next character that is not white space."""
    found = _BLANK.match(text, at)
    return found.end() if found else at


def _json_rows(path: Path, value: Any, format: str) -> Rows:
    """Return the rows of a JSON document: a list of rows, {"data": [rows]}, columns of lists, or one row."""
    items = value
    if isinstance(value, dict):
        items = [value]
        lists = [item for item in value.values() if isinstance(item, list)]
        if isinstance(value.get("data"), list) and not value.keys() & {"chosen", "rejected"}:
            items, format = value["data"], "JSON"
        elif len(lists) == len(value) > 1 and len({len(column) for column in lists}) == 1 and not _hold_turns(lists):
            items, format = [dict(zip(value, cells, strict=True)) for cells in zip(*lists, strict=True)], "JSON"
    if not isinstance(items, list):
        raise unreadable(path, "Its JSON is neither a list of rows nor columns.", "Save one object per row.")
    bad = [BadRow(n, "not an object with columns") for n, item in enumerate(items, 1) if not isinstance(item, dict)]
    numbers = [number for number, item in enumerate(items, 1) if isinstance(item, dict)]
    rows = [item for item in items if isinstance(item, dict)]
    return Rows(columns_of(rows), rows, numbers, bad, format)


def _hold_turns(lists: list[list[Any]]) -> bool:
    """Whether lists are the messages of a single row and not the columns of many."""
    return any(isinstance(cell, dict) for column in lists for cell in column)


def _read_csv(path: Path) -> Rows:
    csv.field_size_limit(1 << 30)  # Python's default of 128 KiB is less than a long conversation
    delimiter = max("\t,;", key=lambda character: _first_line(path).count(character))
    rows, numbers, bad = [], [], []
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            header = [name.strip() for name in next(reader)]
            if len(header) < 2 or len(set(header)) < len(header) or not all(header):
                why = "It is neither parquet nor JSON, and its first line is no list of distinct column names."
                raise unreadable(path, why, _SUPPORTED)
            for number, cells in enumerate((cells for cells in reader if cells), 1):
                if len(cells) == len(header):
                    rows.append(dict(zip(header, cells, strict=True)))
                    numbers.append(number)
                else:
                    bad.append(BadRow(number, f"{len(cells)} fields where the header has {len(header)}"))
        except csv.Error as error:
            why = f"Its quoting is broken at line {reader.line_num} or before: {error}."
            raise unreadable(path, why, "Correct the quotes, or use JSON Lines.") from error
    return Rows(header, rows, numbers, bad, "TSV" if delimiter == "\t" else "CSV")


def _short(error: Exception) -> str:
    return error.msg if isinstance(error, json.JSONDecodeError) else str(error)[:100]
