"""Values of a row as they come from a file: what is empty, what says something, what JSON can hold."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

_SURROGATE = re.compile("[\ud800-\udfff]")
# What pandas and spreadsheets write into a table of text where there was nothing.
_NOTHING = frozenset(("nan", "NaN", "NULL", "null", "None", "N/A", "n/a", "NA", "<NA>", "#N/A", "NaT"))


class Missing(str):
    """A cell of a table of text with the word that stands for a missing value."""


def cell(text: str) -> str:
    """Return a cell of a table of text; see `Missing`."""
    return Missing(text) if text in _NOTHING else text


def blank(value: Any) -> bool:
    """Return whether a value is nothing: null, NaN, white space, an empty list, or the word for it in a table."""
    if isinstance(value, str):
        return isinstance(value, Missing) or not value.strip()
    return value is None or value == [] or value == {} or value == () or bool(value != value)


def says(value: Any) -> bool:
    """Return whether text or bytes are in a value, at any depth."""
    if isinstance(value, str):
        return bool(value.strip())
    if isinstance(value, dict):
        return any(says(item) for item in value.values())
    if isinstance(value, list | tuple):
        return any(says(item) for item in value)
    return isinstance(value, bytes) and bool(value)


def texts(value: Any) -> Iterator[str]:
    """Yield the texts in a value, at any depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from texts(item)
    elif isinstance(value, bytes):
        yield value.decode("utf-8", "replace")


def clean(text: str) -> str:
    """Return text with lone surrogates replaced: Arrow, SQLite and UTF-8 files refuse them."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def json_value(value: Any) -> Any:
    """Return a value as JSON has it: what JSON cannot hold becomes text, and NaN null."""
    if isinstance(value, str):
        return clean(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float | Decimal):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {clean(str(key)): json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [json_value(item) for item in value]
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return clean(str(value))
