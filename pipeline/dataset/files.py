"""Read the rows of a file, whatever holds them: its content tells, its name does not."""

from __future__ import annotations

from pathlib import Path

from pipeline.base.errors import StudioError
from pipeline.base.message import message
from pipeline.dataset.formats import arrow_table, csv_text, encoding, json_text, packed
from pipeline.dataset.formats.csv_text import refuse_twice
from pipeline.dataset.rows import Rows, refuse_wide, unreadable

_EXTENSIONS = {
    ".parquet": "parquet",
    ".jsonl": "JSON Lines",
    ".ndjson": "JSON Lines",
    ".json": "JSON",
    ".csv": "CSV",
    ".tsv": "TSV",
    ".arrow": "Arrow",
    ".feather": "Arrow",
}
SUFFIXES = (*_EXTENSIONS, ".txt", ".gz", ".bz2", ".xz", ".zst", ".lz4", ".zip")  # of files that can be read


def read_rows(path: Path) -> Rows:
    """Read a file's rows; its content decides about the format, its extension only about a note.

    Args:
        path: A parquet, Arrow, JSON Lines, JSON, CSV or TSV file, perhaps compressed or in a zip archive.

    Returns:
        Columns, rows, and what could not be read.

    Raises:
        StudioError: The file is missing, empty, damaged or in no supported format.
    """
    rows: Rows | None = None
    with packed.unpacked(path) as inner:
        try:
            rows = _read(inner)
        except MemoryError:
            pass  # what was read is let go here: clearing up what was unpacked takes memory too
        except StudioError as error:
            if inner == path or error.message.code != "load.unreadable":
                raise
            raise StudioError("load.unreadable", **{**error.message.values, "name": path.name}) from error
        expected = _EXTENSIONS.get(inner.suffix.lower())
    if rows is None:
        raise MemoryError(path.name)
    if not rows.rows:
        first = rows.bad_rows[0] if rows.bad_rows else None
        if first is None:
            raise unreadable(path, "load.no_readable_row")
        raise unreadable(path, "load.no_readable_rows", number=first.number, row=first.reason)
    refuse_wide(path, len(rows.columns))
    refuse_twice(path, rows.columns)
    if expected and expected != rows.format:
        rows.notes.append(message("load.note.extension", name=path.name, expected=expected, found=rows.format))
    return rows


def _read(path: Path) -> Rows:
    head = packed.start_of(path)
    if not head.strip(b" \t\r\n\xef\xbb\xbf"):
        raise unreadable(path, "load.empty")
    if head.startswith(b"PAR1"):
        return arrow_table.read_parquet(path)
    if head.startswith((b"ARROW1", arrow_table.STREAM)):
        return arrow_table.read_arrow(path, stream=not head.startswith(b"ARROW1"))
    text = encoding.text(path, head)
    return json_text.read(text) if json_text.begins(text) else csv_text.read(text)
