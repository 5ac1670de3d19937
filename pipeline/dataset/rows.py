"""Read the rows of a file: parquet, JSON Lines, JSON, CSV or TSV, told apart by their content."""

from __future__ import annotations

import codecs
import csv
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.base.errors import StudioError
from pipeline.base.message import Message, message, verbatim

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
_FOREIGN = {
    b"PK\x03\x04": "load.is.zip",
    b"\x1f\x8b": "load.is.gzip",
    b"\x28\xb5\x2f\xfd": "load.is.zstandard",
    b"ARROW1": "load.is.arrow",
    b"\xff\xfe": "load.is.utf16",
    b"\xfe\xff": "load.is.utf16",
}


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be a pair.

    Attributes:
        number: 1-based number of the row in its file (of the line, in JSON Lines; the header of CSV is not counted).
        reason: Why.
    """

    number: int
    reason: Message

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values; `from_dict` is the inverse."""
        return {"number": self.number, **self.reason.as_dict()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> BadRow:
        """Return the row of JSON values; {number, reason} of older homes is shown as it stands."""
        reason = verbatim(str(values["reason"])) if "reason" in values else Message.from_dict(values)
        return cls(int(values["number"]), reason)


@dataclass(frozen=True)
class Rows:
    """Rows as read, before anything is known about them.

    Attributes:
        columns: Column names in file order.
        rows: Readable rows.
        numbers: Number of each of `rows`; see `BadRow.number`.
        bad_rows: Rows that could not be read at all.
        format: What the content is: "parquet", "JSON Lines", "JSON", "CSV", "TSV", "sample" or "Hub dataset".
        notes: What the reader should know.
    """

    columns: list[str]
    rows: Sequence[Row]
    numbers: Sequence[int]
    bad_rows: list[BadRow] = field(default_factory=list)
    format: str = ""
    notes: list[Message] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Rows in the file, readable or not."""
        return len(self.rows) + len(self.bad_rows)


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
        raise unreadable(path, "load.not_opened", detail=error.strerror or str(error)) from error
    if not head.strip(b" \t\r\n\xef\xbb\xbf"):
        raise unreadable(path, "load.empty")
    for magic, code in _FOREIGN.items():
        if head.startswith(magic):
            raise unreadable(path, code)
    rows = _read_parquet(path) if head.startswith(b"PAR1") else _read_text(path, head)
    if not rows.rows:
        first = rows.bad_rows[0] if rows.bad_rows else None
        if first is None:
            raise unreadable(path, "load.no_readable_row")
        raise unreadable(path, "load.no_readable_rows", number=first.number, row=first.reason)
    expected = _EXTENSIONS.get(path.suffix.lower())
    if expected and expected != rows.format:
        rows.notes.append(message("load.note.extension", name=path.name, expected=expected, found=rows.format))
    return rows


def unreadable(path: Path, code: str, **values: Any) -> StudioError:
    """Return the error for a file that cannot be read.

    Args:
        path: The file.
        code: Why, and what to do.
        **values: What the words of `code` name.
    """
    return StudioError("load.unreadable", name=path.name, reason=message(code, **values))


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
        raise unreadable(path, "load.parquet_damaged") from error
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
        raise unreadable(path, "load.binary")
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
            raise unreadable(path, "load.not_utf8", line=line, byte=f"{error.object[error.start]:#04x}") from error


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
            bad.append(BadRow(number, message("row.not_json", detail=_short(error))))
            continue
        if isinstance(value, dict):
            rows.append(value)
            numbers.append(number)
        else:
            bad.append(BadRow(number, message("row.no_object_line")))
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
        code = "load.json_cut_off" if cut else "load.json_broken"
        raise unreadable(path, code, line=error.lineno, detail=error.msg) from error
    except (ValueError, RecursionError) as error:
        raise unreadable(path, "load.json_unreadable", detail=_short(error)) from error
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
        raise unreadable(path, "load.json_no_rows")
    no_object = message("row.no_object")
    bad = [BadRow(number, no_object) for number, item in enumerate(items, 1) if not isinstance(item, dict)]
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
                raise unreadable(path, "load.no_header")
            for number, cells in enumerate((cells for cells in reader if cells), 1):
                if len(cells) == len(header):
                    rows.append(dict(zip(header, cells, strict=True)))
                    numbers.append(number)
                else:
                    bad.append(BadRow(number, message("row.width", found=len(cells), expected=len(header))))
        except csv.Error as error:
            raise unreadable(path, "load.quoting", line=reader.line_num, detail=str(error)) from error
    return Rows(header, rows, numbers, bad, "TSV" if delimiter == "\t" else "CSV")


def _short(error: Exception) -> str:
    return error.msg if isinstance(error, json.JSONDecodeError) else str(error)[:100]
