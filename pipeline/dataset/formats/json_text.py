"""JSON: lines, a list, and the shapes in which libraries wrap one."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

from pipeline.base.errors import StudioError
from pipeline.base.message import message
from pipeline.dataset.formats.encoding import PIECE, Text
from pipeline.dataset.formats.json_shapes import shaped
from pipeline.dataset.rows import BadRow, Row, Rows, columns_of, unreadable

_BLANK = re.compile(r"[ \t\r\n]*")


class _Twice:
    """Keys that stand twice in an object; JSON's readers keep the last one in silence."""

    def __init__(self) -> None:
        self.found = ""

    def __call__(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            names = [name for name, _ in pairs]
            self.found = next(name for name in names if names.count(name) > 1)
        return made

    def taken(self) -> str:
        """Return the key found since it was last asked for, "" where there is none."""
        found, self.found = self.found, ""
        return found


def begins(text: Text) -> bool:
    """Return whether a file is JSON: a document, or lines with objects among its first ones."""
    first = next((line for _, line in text.lines()), "").lstrip("\ufeff").lstrip()
    return first.startswith(("{", "[")) or _has_object_line(text)


def read(text: Text) -> Rows:
    """Read a JSON document or lines of JSON.

    Raises:
        StudioError: It is broken, cut off, or holds no rows.
    """
    first = next(line for _, line in text.lines()).lstrip()
    if first.startswith("{") and _is_object(first):
        return _lines(text)
    if first.startswith(("{", "[")):
        try:
            return _document(text)
        except StudioError:
            if not _has_object_line(text):
                raise
    return _lines(text)  # a broken first line in front of good ones


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _has_object_line(text: Text) -> bool:
    """Whether one of the first lines is a whole JSON object; indented ones belong to a pretty-printed document."""
    return any(line.startswith("{") and _is_object(line) for _, line in itertools.islice(text.lines(), 50))


def _lines(text: Text) -> Rows:
    rows: list[Row] = []
    numbers: list[int] = []
    bad: list[BadRow] = []
    twice = _Twice()
    decode = json.JSONDecoder(object_pairs_hook=twice).decode
    for number, line in text.lines():
        try:
            value = decode(line.strip())
        except (ValueError, RecursionError) as error:
            twice.taken()
            bad.append(BadRow(number, message("row.not_json", detail=_short(error))))
            continue
        if key := twice.taken():
            bad.append(BadRow(number, message("row.key_twice", key=key[:40])))
        elif isinstance(value, dict):
            rows.append(value)
            numbers.append(number)
        else:
            bad.append(BadRow(number, message("row.no_object_line")))
    if len(rows) == 1 and not bad:  # a document on a single line, perhaps
        return _rows(text, rows[0], "JSON Lines", [])
    return Rows(columns_of(rows), rows, numbers, bad, "JSON Lines", [*text.notes])


def _document(text: Text) -> Rows:
    twice = _Twice()
    found = _items(text, twice)
    if found is not None:
        items, keys = found
        return _rows(text, items, "JSON", keys)
    with text.open() as file:
        words = file.read()
    try:
        value = json.loads(words, object_pairs_hook=twice)
    except json.JSONDecodeError as error:
        cut = error.pos >= len(words.rstrip()) or error.msg.startswith("Unterminated")
        code = "load.json_cut_off" if cut else "load.json_broken"
        raise unreadable(text.path, code, line=error.lineno, detail=error.msg) from error
    except (ValueError, RecursionError) as error:
        raise unreadable(text.path, "load.json_unreadable", detail=_short(error)) from error
    if key := twice.taken():
        raise unreadable(text.path, "load.columns_twice", names=[key[:40]])
    return _rows(text, value, "JSON", [])


def _items(text: Text, twice: _Twice) -> tuple[list[Any], list[tuple[int, str]]] | None:
    """Return the items of a JSON list piece by piece, and places of those with a key twice; None: it is no list.

    A list of 44,000 conversations parsed whole took 2 GB: one emoji makes Python hold the text in 4 bytes a character.
    """
    items: list[Any] = []
    keys: list[tuple[int, str]] = []
    decode = json.JSONDecoder(object_pairs_hook=twice).raw_decode
    with text.open() as file:
        words, at, ended = file.read(PIECE).lstrip("\ufeff").lstrip(), 1, False
        if not words.startswith("["):
            return None
        while True:
            at = _skip(words, at)
            if words.startswith("]", at):
                return None if words[at + 1 :].strip() or file.read().strip() else (items, keys)
            try:
                item, end = decode(words, at)
                end = _skip(words, end)
            except (ValueError, RecursionError):
                end = len(words)
            key = twice.taken()
            if words[end : end + 1] in ("]", ","):
                if key:
                    keys.append((len(items), key))
                items.append(item)
                at = end + (words[end] == ",")
            elif ended:
                return None
            else:  # perhaps an item that goes on in the next piece
                piece = file.read(max(PIECE, len(words) - at))
                words, at, ended = words[at:] + piece, 0, not piece


def _skip(text: str, at: int) -> int:
    """Return the position of the next character that is not white space."""
    found = _BLANK.match(text, at)
    return found.end() if found else at


def _rows(text: Text, value: Any, format: str, twice: list[tuple[int, str]]) -> Rows:
    """Return the rows of a JSON document."""
    found = shaped(value)
    if found is None:
        raise unreadable(text.path, "load.json_no_rows")
    bad = [
        BadRow(number, message("row.key_twice", key=key[:40])) for number, key in ((at + 1, key) for at, key in twice)
    ]
    known = {each.number for each in bad}
    rows: list[Row] = []
    numbers: list[int] = []
    for number, item in enumerate(found.items, 1):
        if number in known:
            continue
        if isinstance(item, BadRow):
            bad.append(BadRow(number, item.reason))
        elif isinstance(item, dict):
            rows.append(item)
            numbers.append(number)
        else:
            bad.append(BadRow(number, message("row.no_object")))
    bad.sort(key=lambda each: each.number)
    notes = [*text.notes, *found.notes]
    return Rows(columns_of(rows), rows, numbers, bad, "JSON" if found.wrapped else format, notes)


def _short(error: Exception) -> str:
    return error.msg if isinstance(error, json.JSONDecodeError) else str(error)[:100]
