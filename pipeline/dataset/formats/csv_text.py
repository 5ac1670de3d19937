"""Tables of text: CSV, TSV and their kin, however their fields are kept apart."""

from __future__ import annotations

import csv
import itertools
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from pipeline.base.errors import StudioError
from pipeline.base.message import Message, message
from pipeline.dataset import names, notation
from pipeline.dataset.formats.encoding import Text
from pipeline.dataset.rows import BadRow, Row, Rows, refuse_wide, unreadable
from pipeline.dataset.values import cell

SEPARATORS = ",\t;|^~\x1f\x01"  # the last two are ASCII's own, which Hive and others use
_SAID = re.compile(r"\ufeff?\"?sep=(.)\"?\s*", re.IGNORECASE)  # how Excel is told a file's separator
_ESCAPES = re.compile(r"\\(.?)", re.DOTALL)  # a backslash and what it stands before
_SAMPLE = 1 << 16  # characters by which the separator is told
_LOOKED_AT = 50  # rows of them


def read(text: Text) -> Rows:
    """Read a table of text.

    Args:
        text: The file.

    Raises:
        StudioError: It has no header, two columns of one name, or broken quotes.
    """
    csv.field_size_limit(1 << 30)  # Python's default of 128 KiB is less than a long conversation
    with text.open(newline="") as file:
        separator, skipped = _separator(file.read(_SAMPLE))
    (header, cells, numbers, bad), escaped = _told(text, separator, skipped)
    columns, cells = _named(text.path, header, cells)
    if len(columns) < 2:
        raise unreadable(text.path, "load.no_header")
    for at in range(len(columns)):
        if (found := notation.lists([row[at] for row in cells])) is not None:
            for row, value in zip(cells, found, strict=True):
                row[at] = value
    rows: list[Row] = [dict(zip(columns, row, strict=True)) for row in cells]
    notes: list[Message] = [*text.notes, *([message("load.note.backslash")] if escaped else [])]
    if separator not in ",\t;":
        notes.append(
            message("load.note.separator", separator=separator if separator.isprintable() else repr(separator))
        )
    return Rows(columns, rows, numbers, bad, "TSV" if separator == "\t" else "CSV", notes)


def _separator(sample: str) -> tuple[str, int]:
    """Return what keeps fields apart, and the lines before the header.

    The header counts most: one with names that we know, then one that as many fields follow in every row.
    """
    said = _SAID.fullmatch(sample.lstrip("\r\n").splitlines()[0]) if sample.strip() else None
    if said:
        return said.group(1), 1
    return max(SEPARATORS, key=lambda separator: _fits(sample, separator)), 0


def _fits(sample: str, separator: str) -> tuple[int, float, int]:
    try:
        read = csv.reader(sample.splitlines(keepends=True), delimiter=separator)
        found = list(itertools.islice((cells for cells in read if cells), _LOOKED_AT))
    except csv.Error:
        return 0, 0.0, 0
    header = found[0] if found else []
    if len(header) < 2:
        return 0, 0.0, 0
    widths = Counter(len(cells) for cells in found[1:])
    known = sum(names.plain(name) in names.all_known() for name in header)
    return known, widths[len(header)] / max(1, len(found) - 1), len(header)


_Cells = tuple[list[str], list[list[object]], list[int], list[BadRow]]


def _told(text: Text, separator: str, skipped: int) -> tuple[_Cells, bool]:
    """Return what `_cells` does, and whether quotes within fields are written with a backslash.

    Raises:
        StudioError: The quoting is broken in either way of writing it.
    """
    try:
        return _cells(text, separator, skipped), False
    except StudioError:
        try:
            found = _cells(text, separator, skipped, _escapes(text))
        except StudioError:
            found = None
        if found is None or found[3]:  # a row of another width: it is broken, not written otherwise
            raise
        return found, True


def _escapes(text: Text) -> str:
    """Return what a backslash stands before to be an escape: quotes, and itself where none stands alone."""
    with text.open(newline="") as file:
        before = {each for line in file for each in _ESCAPES.findall(line)}
    return '"\\' if before <= {'"', "\\"} else '"'


def _cells(text: Text, separator: str, skipped: int, escapes: str = "") -> _Cells:
    """Return header, rows of the header's width with their numbers, and rows of another one.

    Args:
        text: The file.
        separator: What keeps fields apart.
        skipped: Lines before the header.
        escapes: What a backslash before it makes a part of the text.
    """
    rows: list[list[object]] = []
    numbers: list[int] = []
    bad: list[BadRow] = []
    with text.open(newline="") as file:
        lines: Iterable[str] = file
        if escapes:  # csv would take any backslash for an escape
            lines = (_ESCAPES.sub(lambda at: at[0] if at[1] in escapes else _literal(at[0]), line) for line in file)
        reader = csv.reader(lines, delimiter=separator, strict=True, escapechar="\\" if escapes else None)
        try:
            filled = (cells for cells in reader if cells)
            header = [name.strip() for name in next(itertools.islice(filled, skipped, None), [])]
            refuse_wide(text.path, len(header))
            for number, found in enumerate(filled, 1):
                cells = _as_wide(found, header)
                if len(cells) == len(header):
                    rows.append([cell(each) for each in cells])
                    numbers.append(number)
                else:
                    bad.append(BadRow(number, message("row.width", found=len(cells), expected=len(header))))
        except csv.Error as error:
            raise unreadable(text.path, "load.quoting", line=reader.line_num, detail=str(error)) from error
    return header, rows, numbers, bad


def _literal(text: str) -> str:
    """Return text with its backslashes written so that they are no escapes."""
    return text.replace("\\", "\\\\")


def _as_wide(cells: list[str], header: list[str]) -> list[str]:
    """Return a row as wide as the header where only an empty end makes the difference."""
    wide = len(header)
    while len(cells) > wide and not cells[-1].strip():
        cells = cells[:-1]
    missing = header[len(cells) :]
    return [*cells, *("" for _ in missing)] if missing and not any(missing) else cells


def _named(path: Path, header: list[str], rows: list[list[object]]) -> tuple[list[str], list[list[object]]]:
    """Return the columns' names, and the rows without columns that are an index or empty and have no name.

    Raises:
        StudioError: Two columns have one name.
    """
    kept = [at for at, name in enumerate(header) if name or _says_something(row[at] for row in rows)]
    columns = [header[at] or f"column {at + 1}" for at in kept]
    refuse_twice(path, columns)
    return columns, rows if len(kept) == len(header) else [[row[at] for at in kept] for row in rows]


def _says_something(cells: Iterable[object]) -> bool:
    """Whether a column without a name is more than the numbers of its rows, or nothing."""
    return any(not (str(each).strip() == "" or str(each).strip().isdigit()) for each in cells)


def refuse_twice(path: Path, columns: list[str]) -> None:
    """Refuse columns of one name, and a column that means what another one means.

    Raises:
        StudioError: There are such columns; it names them.
    """
    known = names.all_known()
    alike: dict[str, list[str]] = {}
    for name in columns:
        low = names.plain(name)
        alike.setdefault(low if low in known else name, []).append(name)
    twice = [name for found in alike.values() if len(found) > 1 for name in found]
    if twice:
        raise unreadable(path, "load.columns_twice", names=list(dict.fromkeys(twice))[:5])
