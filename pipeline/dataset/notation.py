"""Lists and turns that were written into a text: as JSON, as Python's str() or as numpy's."""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from collections.abc import Iterable
from typing import Any

_NUMBER = re.compile(r"\s*[-+]?[\d.]+(?:[eE][-+]?\d+)?\s*")
_LOOKS = re.compile(r"\s*(?:array\()?[\[{(]")
# What numpy writes that Python does not read as it was: elements without commas between them.
_SIDE_BY_SIDE = re.compile(r"['\"}\])]\s+['\"{\[(a]")
_EMPTY = re.compile(r"\s*(?:\[\s*\]|\{\s*\}|\(\s*\))\s*")
_LOOKED_AT = 200  # cells
_NAMES = {
    "None": None,
    "True": True,
    "False": False,
    "nan": None,
    "NaN": None,
    "null": None,
    "true": True,
    "false": False,
}
_LAYOUT_OF_SOURCE = (tokenize.NEWLINE, tokenize.NL, tokenize.ENDMARKER, tokenize.INDENT, tokenize.DEDENT)


def parsed(text: str) -> Any:
    """Return the list or dictionary that a text writes down, or the text itself where it is none.

    Nothing of the text is run: Python's notation is read by `ast.literal_eval`.

    Args:
        text: Any text.
    """
    if not _LOOKS.match(text):
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = _python(text)
    return value if isinstance(value, list | dict) else text


def _python(text: str) -> Any:
    """Return the list or dictionary that Python or numpy wrote so; None where they did not."""
    try:
        source = _with_commas(text) if _SIDE_BY_SIDE.search(text) else text
        value = _value(ast.parse(source.strip(), mode="eval").body)
    except (ValueError, SyntaxError, RecursionError, MemoryError, tokenize.TokenError):
        return None
    return list(value) if isinstance(value, tuple) else value


def _value(node: ast.expr) -> Any:
    """Return what a literal stands for; array(…) of numpy is its list.

    Raises:
        ValueError: It is anything else, a shortened list among them.
    """
    match node:
        case ast.Constant(value=value) if value is not ...:
            return value
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_value(item) for item in items]
        case ast.Dict(keys=keys, values=values) if all(isinstance(key, ast.Constant) for key in keys):
            return {_value(key): _value(value) for key, value in zip(keys, values, strict=True) if key is not None}
        case ast.Name(id=name) if name in _NAMES:
            return _NAMES[name]
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return -number
        case ast.Call(func=ast.Name(id="array"), args=[items, *_]):
            return _value(items)
    raise ValueError(ast.dump(node)[:40])


def _with_commas(text: str) -> str:
    """Return numpy's notation with commas between its elements.

    str() of a list never puts two texts side by side, and Python would read them as one.
    """
    pieces: list[str] = []
    ended = False
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        word = token.string
        if token.type in _LAYOUT_OF_SOURCE:
            continue
        if ended and (token.type in (tokenize.STRING, tokenize.NAME) or word in ("{", "[", "(")):
            pieces.append(",")
        pieces.append(word)
        ended = word in ("}", "]", ")") or token.type == tokenize.STRING or word in _NAMES
    return " ".join(pieces)


def lists(cells: list[Any]) -> list[Any] | None:
    """Return what the cells of a column of text hold, where the column was written as lists or turns.

    A table of text has no lists: they were written down by str(), and their brackets are no part of an answer.

    Args:
        cells: The cells of one column.

    Returns:
        Lists and dictionaries where cells hold them, the other cells as they were; None where the column is text.
    """
    return [held(cell) for cell in cells] if are_lists(cells) else None


def are_lists(cells: Iterable[Any]) -> bool:
    """Return whether a column of text was written as lists or turns.

    Half of the cells decide, so that a text with brackets among others stays one; empty lists say nothing about it.

    Args:
        cells: The cells of one column, or the first of them.
    """
    filled = [cell for cell in cells if isinstance(cell, str) and cell.strip() and not _NUMBER.fullmatch(cell)]
    told = [cell for cell in filled if not _EMPTY.fullmatch(cell)]
    looked_at = told[:_LOOKED_AT]
    if 2 * sum(bool(_LOOKS.match(cell)) for cell in looked_at) < len(looked_at):
        return False
    return bool(filled) and 2 * sum(_of_texts(parsed(cell)) for cell in told) >= len(told)


def held(cell: Any) -> Any:
    """Return the list or dictionary that a cell of such a column holds, else the cell."""
    if not isinstance(cell, str):
        return cell
    value = [] if _EMPTY.fullmatch(cell) else parsed(cell)
    return value if value == [] or _of_texts(value) else cell


def _of_texts(value: Any) -> bool:
    """Whether a value is a list of texts, of turns or of exchanges, or a turn: nothing that an answer shows."""
    if isinstance(value, dict):
        return any(key in value for key in ("role", "from", "speaker", "messages", "content", "full_text"))
    if not isinstance(value, list):
        return False
    return bool(value) and all(isinstance(item, str) or isinstance(item, dict | list) and item for item in value)
