"""Recognise the layout of preference data and turn its rows into pairs (design §3)."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from pipeline.base import message as said
from pipeline.base.errors import StudioError
from pipeline.base.message import message
from pipeline.base.pair import Messages, Pair, identify
from pipeline.dataset.layout import Look, Mapping, layout_of, layouts
from pipeline.dataset.rows import BadRow, Row, Rows
from pipeline.dataset.turns import Unusable, checked, clean

__all__ = ["Loaded", "Mapping", "normalise", "recognise"]


@dataclass(frozen=True)
class Loaded:
    """A preference dataset after loading.

    Attributes:
        pairs: Usable pairs in file order.
        bad_rows: Every row that is no pair, with its number and reason; pairs and bad rows add up to all rows.
        recognised: How the data was read.
        mapping: Which column was taken for what.
        columns: Column names in file order.
        format: Format of the content; see `Rows.format`.
        notes: What the reader should know.
    """

    pairs: list[Pair]
    bad_rows: list[BadRow]
    recognised: said.Message
    mapping: Mapping
    columns: list[str]
    format: str = ""
    notes: list[said.Message] = field(default_factory=list)


class NothingUsable(StudioError):
    """No row is a pair.

    Args:
        bad_rows: Every row.
        mapping: How they were read.
    """

    def __init__(self, bad_rows: list[BadRow], mapping: Mapping) -> None:
        if not bad_rows:
            super().__init__("layout.no_rows")
        else:
            first = [message("row.at", number=each.number, reason=each.reason) for each in bad_rows[:3]]
            reasons = functools.reduce(lambda one, other: message("row.and", one=one, other=other), first)
            super().__init__("layout.no_pair", count=len(bad_rows), recognised=mapping.sentence, reasons=reasons)
        self.bad_rows, self.mapping = bad_rows, mapping


def recognise(rows: Rows) -> Mapping | None:
    """Tell the layout of preference data from its column names and first values.

    Args:
        rows: Rows as read.

    Returns:
        The mapping, or None where a person has to say which column is what.
    """
    look = Look(rows)
    found = [answer for layout in layouts() if (answer := layout.sure(look)) is not None and answer[0] > 0]
    return max(found, key=lambda answer: answer[0])[1] if found else None


def normalise(rows: Rows, mapping: Mapping) -> Loaded:
    """Turn rows into pairs; a row that cannot be one is reported with its number and reason.

    System turns stay in the prompt, roles get their usual names, contents are left as they are.

    Args:
        rows: Rows as read.
        mapping: Which column is what.

    Returns:
        Pairs and bad rows, together as many as `rows.total`.

    Raises:
        StudioError: A column of the mapping is missing, or no row is usable.
    """
    for name in (mapping.prompt, mapping.chosen, mapping.rejected, mapping.system, mapping.source):
        if name and name not in rows.columns:
            raise StudioError("layout.no_column", name=name, columns=rows.columns[:20])
    layout, bad = layout_of(mapping), list(rows.bad_rows)
    parts: list[tuple[Messages, Messages, Messages]] = []
    others: list[tuple[str, dict[str, Any]]] = []
    for number, row in zip(rows.numbers, rows.rows, strict=True):
        try:
            part = checked(layout.pair(row, mapping))
        except Unusable as error:
            bad.append(BadRow(number, error.reason))
            continue
        parts.append(part)
        others.append((clean(str(row.get(mapping.source) or "")), _metadata(row, mapping, part)))
    bad.sort(key=lambda each: each.number)
    if not parts:
        raise NothingUsable(bad, mapping)
    ids = identify(parts)
    pairs = [Pair(i, *part, source, extra) for i, part, (source, extra) in zip(ids, parts, others, strict=True)]
    return Loaded(pairs, bad, mapping.sentence, mapping, rows.columns, rows.format, rows.notes)


def _metadata(row: Row, mapping: Mapping, part: tuple[Messages, Messages, Messages]) -> dict[str, Any]:
    """Return the other columns as JSON values; nulls and what merely repeats the pair are left out."""
    used = {mapping.prompt, mapping.chosen, mapping.rejected, mapping.system, mapping.source}
    spoken = {turn.content for messages in part for turn in messages}
    repeated = [row.get(mapping.chosen), row.get(mapping.rejected)]
    return {
        clean(str(name)): _json_value(value)
        for name, value in row.items()
        if name not in used and value is not None
        if not (isinstance(value, str) and value in spoken) and not (isinstance(value, list) and value in repeated)
    }


def _json_value(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float | Decimal):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {clean(str(key)): _json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_json_value(item) for item in value]
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return clean(str(value))
