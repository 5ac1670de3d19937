"""Rows as read from a file, before anything is known about them, and those that are none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.base.errors import StudioError
from pipeline.base.message import Message, message, verbatim

Row = dict[str, Any]
MOST_COLUMNS = 2_000


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
        format: What the content is: "parquet", "JSON Lines", "JSON", "CSV", "TSV", "Arrow" or "Hub dataset".
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


def unreadable(path: Path, code: str, **values: Any) -> StudioError:
    """Return the error for a file that cannot be read.

    Args:
        path: The file.
        code: Why, and what to do.
        **values: What the words of `code` name.
    """
    return StudioError("load.unreadable", name=path.name, reason=message(code, **values))


def refuse_wide(path: Path, columns: int) -> None:
    """Refuse a table with more columns than anybody names: they are looked at one by one, and in pairs.

    Raises:
        StudioError: There are too many.
    """
    if columns > MOST_COLUMNS:
        raise unreadable(path, "load.too_wide", count=columns, most=MOST_COLUMNS)


def columns_of(rows: Iterable[Row]) -> list[str]:
    """Return the names of all columns in order of first appearance."""
    return list(dict.fromkeys(name for row in rows for name in row))
