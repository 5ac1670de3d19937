"""The rows in a JSON document: a list of them, columns, pandas' shapes, splits, the pages of the Hub's viewer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pipeline.base.message import Message, message
from pipeline.dataset import names
from pipeline.dataset.rows import BadRow

_SPLITS = ("train", "training", "test", "testing", "validation", "valid", "val", "dev", "eval")
_TRAIN = ("train", "training")
_DEPTH = 3  # {"data": {"train": [rows]}} is two


@dataclass
class Shaped:
    """Rows as found in a document.

    Attributes:
        items: Rows, what stands in place of one, or why one cannot be read.
        wrapped: Whether the document is more than a list of rows, or one row.
        notes: What the reader should know.
    """

    items: list[Any]
    wrapped: bool = True
    notes: list[Message] = field(default_factory=list)


def shaped(value: Any, depth: int = 0) -> Shaped | None:
    """Return the rows of a document; None where there are none in it.

    Args:
        value: What JSON says.
        depth: How many wrappings are around it.
    """
    if isinstance(value, list):
        return Shaped(_with_header(value), wrapped=depth > 0)
    if not isinstance(value, dict) or depth > _DEPTH:
        return None
    for read in (_viewer, _pandas_split, _columns, _index, _inside):
        if (found := read(value, depth)) is not None:
            return found
    return Shaped([value], wrapped=False) if depth == 0 else None


def _known(keys: Any) -> int:
    """Return how many names say which part of a pair something is."""
    known = names.all_known()
    return sum(isinstance(key, str) and names.plain(key) in known for key in keys)


def _is_row(value: dict[str, Any]) -> bool:
    """Whether a dictionary is one row: its names are those of a row, and its values those of one."""
    if _known(value) < 2 or _columns(value, 0) is not None:
        return False
    return any(_is_cell(item) for key, item in value.items() if _known((key,)))


def _is_cell(value: Any) -> bool:
    """Whether a value is one cell: text, or turns."""
    if isinstance(value, list):
        return bool(value) and all(isinstance(item, dict) for item in value)
    return isinstance(value, str) or isinstance(value, dict) and bool(value) and not _by_index(value)


def _with_header(items: list[Any]) -> list[Any]:
    """Return rows of lists whose first is the header as dictionaries; others as they are."""
    first = items[0] if items else None
    if not isinstance(first, list) or not all(isinstance(name, str) for name in first) or _known(first) < 2:
        return items
    return [dict(zip(first, row, strict=True)) if _wide(row, first) else row for row in items[1:]]


def _wide(row: Any, header: list[Any]) -> bool:
    return isinstance(row, list) and len(row) == len(header)


def _viewer(value: dict[str, Any], depth: int) -> Shaped | None:
    """Read what the Hub's viewer answers: {"rows": [{"row_idx", "row", "truncated_cells"}]}."""
    rows = value.get("rows")
    if not isinstance(rows, list) or not rows or not all(isinstance(each, dict) and "row" in each for each in rows):
        return None
    items: list[Any] = []
    for each in rows:
        cut = each.get("truncated_cells") or []
        reason = message("row.cut_by_viewer", columns=[str(name)[:40] for name in cut][:5])
        items.append(BadRow(0, reason) if cut else each["row"])
    found, total = Shaped(items), value.get("num_rows_total")
    if isinstance(total, int) and total > len(rows):
        found.notes.append(message("load.note.part", rows=len(rows), total=total))
    return found


def _pandas_split(value: dict[str, Any], depth: int) -> Shaped | None:
    """Read pandas' orient="split" and "table", and a header with rows of cells beside it."""
    columns, data = value.get("columns"), value.get("data", value.get("rows"))
    if isinstance(data, list) and isinstance(columns, list) and all(isinstance(name, str) for name in columns):
        return Shaped([dict(zip(columns, row, strict=True)) if _wide(row, columns) else row for row in data])
    if isinstance(data, list) and isinstance(value.get("schema"), dict):
        index = value["schema"].get("primaryKey") or []
        return Shaped([_without(row, index) if isinstance(row, dict) else row for row in data])
    return None


def _without(row: dict[str, Any], names_left: Any) -> dict[str, Any]:
    left = [names_left] if isinstance(names_left, str) else names_left
    return {key: item for key, item in row.items() if key not in left}


def _columns(value: dict[str, Any], depth: int) -> Shaped | None:
    """Read columns: {"prompt": [...]} of equal lengths, or {"prompt": {"0": ...}} as pandas writes them."""
    if len(value) < 2:
        return None
    cells = list(value.values())
    if all(isinstance(each, list) for each in cells) and len({len(each) for each in cells}) == 1:
        if not cells[0] or _hold_turns(value):
            return None
        return Shaped([dict(zip(value, row, strict=True)) for row in zip(*cells, strict=True)])
    if not all(isinstance(each, dict) and each and each.keys() == cells[0].keys() for each in cells):
        return None
    numbered = _by_index(cells[0]) and not _by_index(value)
    if not numbered and (_known(value) < 2 or _known(cells[0])):
        return None
    return Shaped([{name: column[key] for name, column in value.items()} for key in cells[0]])


def _index(value: dict[str, Any], depth: int) -> Shaped | None:
    """Read pandas' orient="index": {"0": row}; any names of rows will do where each is a row."""
    cells = list(value.values())
    if not cells or not all(isinstance(each, dict) for each in cells):
        return None
    numbered = _by_index(value) and not any(_by_index(each) for each in cells)
    if numbered or all(_is_row(each) for each in cells) and not _known(value):
        return Shaped(cells)
    return None


def _by_index(value: dict[str, Any]) -> bool:
    return all(str(key).lstrip("-").isdigit() for key in value)


def _hold_turns(value: dict[str, list[Any]]) -> bool:
    """Whether lists are the turns of a single row, or the rows of splits, and not the columns of many rows."""
    cells = [cell for column in value.values() for cell in column if isinstance(cell, dict)]
    return any(_is_turn(cell) or _known(cell) >= 2 for cell in cells)


def _is_turn(cell: dict[str, Any]) -> bool:
    return any(isinstance(cell.get(key), str) for key in ("role", "from", "speaker"))


def _are_rows(items: list[Any], around: dict[str, Any]) -> bool:
    """Whether what is found in a document are its rows, and not a cell of the one row that it is."""
    if not any(isinstance(each, dict | BadRow) for each in items):
        return False
    told = any(isinstance(each, dict) and _known(each) >= 2 for each in items)
    if not told and all(isinstance(each, dict) and _is_turn(each) for each in items):
        return False  # a conversation
    return told or not any(isinstance(cell, str) and _known((name,)) for name, cell in around.items())


def _inside(value: dict[str, Any], depth: int) -> Shaped | None:
    """Read rows one level down: under one name, or under the names of splits."""
    if _is_row(value):
        return None
    found: dict[str, Shaped] = {}
    for key, item in value.items():
        lists = isinstance(item, list) and item and any(isinstance(each, dict | list) for each in item)
        rows = shaped(item, depth + 1) if lists or isinstance(item, dict) else None
        if rows is not None and _are_rows(rows.items, value):
            found[key] = rows
    if not found:
        return None
    train = next((key for key in found if key.lower() in _TRAIN), "")
    if not train and len(found) > 1 and all(key.lower() in _SPLITS for key in found):
        train = next(iter(found))
    items: list[Any] = []
    notes = [note for rows in found.values() for note in rows.notes]
    for key, rows in found.items():
        other = bool(train) and key != train
        left = message("row.other_split", split=key[:40], read=train)
        items += [BadRow(0, left) for _ in rows.items] if other else rows.items
    if len(found) > 1 and not train:
        notes.append(message("load.note.together", names=[key[:40] for key in found][:20]))
    elif len(found) > 1:
        notes.append(
            message("load.note.split", split=train[:40], others=[key[:40] for key in found if key != train][:20])
        )
    return Shaped(items, notes=notes)
