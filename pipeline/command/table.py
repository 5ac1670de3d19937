"""Aligned text for a terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence


def width(text: str) -> int:
    """Return the columns a text takes on a terminal; Chinese characters take two."""
    return sum(
        0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text
    )


def aligned(rows: Sequence[Sequence[object]], head: Sequence[str] = (), right: Sequence[int] = ()) -> str:
    """Return rows in columns.

    Args:
        rows: Their cells.
        head: Names of the columns; none: no line of names.
        right: Columns whose cells end at the same place, as numbers do.
    """
    lines = [[_one_line(cell) for cell in row] for row in ([head] if head else []) + list(rows)]
    if not lines:
        return ""
    widths = [max(width(line[column]) for line in lines) for column in range(len(lines[0]))]
    shown = []
    for line in lines:
        cells = []
        for column, cell in enumerate(line):
            gap = " " * (widths[column] - width(cell))
            cells.append(gap + cell if column in right else cell + gap)
        shown.append("  ".join(cells).rstrip())
    return "\n".join(shown)


def pairs(values: dict[str, object]) -> str:
    """Return names and values, one to a line; what is empty is left out."""
    return aligned([(name, value) for name, value in values.items() if value not in (None, "")])


def _one_line(value: object) -> str:
    text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    # Names come from data: a control character in one must not move the terminal's cursor.
    return "".join(sign if sign.isprintable() else " " for sign in text)
