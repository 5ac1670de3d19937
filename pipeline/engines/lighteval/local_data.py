"""Read a task's data from a local file and check it against the schema the task's prompt function reads.

Standard library only, but for Parquet, which needs the engine's pyarrow.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

Rows = list[dict[str, Any]]

_TARGETS = ("mc1_targets", "mc2_targets")
SCHEMAS = {"truthfulqa:mc": ("question", *_TARGETS)}


def read(task: str, file: Path) -> Rows:
    """Return the rows of a task's local file.

    Args:
        task: `reviewed_pairs`, or a task of SCHEMAS.
        file: .jsonl, .json, .parquet or .csv (nested columns as JSON text).

    Raises:
        ValueError: Naming the file and what is missing or malformed.
    """
    if task == "reviewed_pairs":
        return _check_pairs(file, _read_lines(file))
    if task not in SCHEMAS:
        raise ValueError(f"A local file is supported for {', '.join(SCHEMAS)} and reviewed_pairs, not for {task}.")
    rows = _read_any(file)
    missing = [name for name in SCHEMAS[task] if not rows or name not in rows[0]]
    if missing:
        found = ", ".join(rows[0]) if rows else "no rows"
        raise ValueError(f"{file.name} lacks the columns {', '.join(missing)} of {task}; found {found}.")
    return [_check_truthfulqa(file, number, row) for number, row in enumerate(rows, 1)]


def _read_any(file: Path) -> Rows:
    if file.suffix == ".parquet":
        import pyarrow.parquet as parquet

        return list(parquet.read_table(file).to_pylist())
    if file.suffix == ".csv":
        with file.open(encoding="utf-8", newline="") as stream:
            return [dict(row) for row in csv.DictReader(stream)]
    if file.suffix == ".json":
        rows = _parse(file, 1, file.read_text("utf-8"))
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ValueError(f"{file.name} is not a list of objects.")
        return rows
    return _read_lines(file)


def _read_lines(file: Path) -> Rows:
    rows = []
    # Not splitlines(): text may hold U+2028 and its like, which are no line ends in JSONL.
    for number, line in enumerate(file.read_text("utf-8").split("\n"), 1):
        if line.strip():
            row = _parse(file, number, line)
            if not isinstance(row, dict):
                raise ValueError(f"{file.name} line {number} is not a JSON object.")
            rows.append(row)
    return rows


def _parse(file: Path, number: int, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{file.name} line {number} is not JSON: {error}.") from error


def _check_truthfulqa(file: Path, number: int, row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of TruthfulQA's multiple-choice schema, its nested columns parsed."""
    checked = {"question": row["question"]}
    if not isinstance(row["question"], str) or not row["question"].strip():
        raise ValueError(f"{file.name} row {number} has no question.")
    for name in _TARGETS:
        value = _parse(file, number, row[name]) if isinstance(row[name], str) else row[name]
        choices, labels = (value.get("choices"), value.get("labels")) if isinstance(value, dict) else (None, None)
        if not choices or not isinstance(labels, list) or len(choices) != len(labels) or 1 not in labels:
            needs = "choices and as many labels, one of them 1"
            raise ValueError(f"{file.name} row {number}: {name} needs {needs}; it is {str(value)[:200]}.")
        checked[name] = {"choices": list(choices), "labels": labels}
    return checked


def _check_pairs(file: Path, rows: Rows) -> Rows:
    """Return rows with a record_id of their own and three chat lists."""
    seen: set[str] = set()
    for number, row in enumerate(rows, 1):
        missing = [name for name in ("record_id", "prompt", "chosen", "rejected") if not row.get(name)]
        if missing:
            raise ValueError(
                f"{file.name} row {number} lacks {', '.join(missing)}; found {', '.join(row) or 'nothing'}."
            )
        for name in ("prompt", "chosen", "rejected"):
            if not _is_chat(row[name]):
                raise ValueError(f"{file.name} row {number}: {name} is not a list of turns with role and content.")
        if row["record_id"] in seen:
            raise ValueError(f"{file.name} row {number}: record_id {row['record_id']} occurs twice.")
        seen.add(row["record_id"])
    if not rows:
        raise ValueError(f"{file.name} holds no pairs.")
    return rows


def _is_chat(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(turn, dict) and isinstance(turn.get("role"), str) and isinstance(turn.get("content"), str)
        for turn in value
    )
