"""Read a task's data from a local file and check it against the schema the task's prompt function reads.

Used by the evaluation's worker and, before that is started, by the app. Standard library alone, but for Parquet, which
needs pyarrow; both environments have it.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

if __package__:  # of the app; in an engine's environment the files of this folder are modules of their own
    from pipeline.engines.protocol import Problem
else:
    from protocol import Problem  # type: ignore[import-not-found, no-redef]

Rows = list[dict[str, Any]]

_TARGETS = ("mc1_targets", "mc2_targets")
SCHEMAS = {"truthfulqa:mc": ("question", *_TARGETS)}


def read(task: str, file: Path) -> Rows:
    """Return the rows of a task's local file.

    Args:
        task: `reviewed_pairs`, or a task of SCHEMAS.
        file: .jsonl, .json, .parquet or .csv (nested columns as JSON text).

    Raises:
        Problem: Names the file and what is missing or malformed.
    """
    if task == "reviewed_pairs":
        return _check_pairs(file, _read_lines(file))
    if task not in SCHEMAS:
        raise Problem("engines.data_unsupported", task=task, known=[*SCHEMAS, "reviewed_pairs"])
    rows = _read_any(file)
    missing = [name for name in SCHEMAS[task] if not rows or name not in rows[0]]
    if missing:
        raise Problem("engines.data_columns", file=file.name, missing=missing, task=task, found=_names(rows[:1]))
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
            raise Problem("engines.data_no_list", file=file.name)
        return rows
    return _read_lines(file)


def _read_lines(file: Path) -> Rows:
    rows = []
    # Not splitlines(): text may hold U+2028 and its like, which are no line ends in JSONL.
    for number, line in enumerate(file.read_text("utf-8").split("\n"), 1):
        if line.strip():
            row = _parse(file, number, line)
            if not isinstance(row, dict):
                raise Problem("engines.data_no_object", file=file.name, line=number)
            rows.append(row)
    return rows


def _parse(file: Path, number: int, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise Problem("engines.data_no_json", file=file.name, line=number, detail=error) from error


def _check_truthfulqa(file: Path, number: int, row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of TruthfulQA's multiple-choice schema, its nested columns parsed."""
    checked = {"question": row["question"]}
    if not isinstance(row["question"], str) or not row["question"].strip():
        raise Problem("engines.data_no_question", file=file.name, row=number)
    for name in _TARGETS:
        value = _parse(file, number, row[name]) if isinstance(row[name], str) else row[name]
        choices, labels = (value.get("choices"), value.get("labels")) if isinstance(value, dict) else (None, None)
        if not choices or not isinstance(labels, list) or len(choices) != len(labels) or 1 not in labels:
            raise Problem("engines.data_choices", file=file.name, row=number, column=name, given=str(value)[:200])
        checked[name] = {"choices": list(choices), "labels": labels}
    return checked


def _check_pairs(file: Path, rows: Rows) -> Rows:
    """Return rows with a record_id of their own and three chat lists."""
    seen: set[str] = set()
    for number, row in enumerate(rows, 1):
        missing = [name for name in ("record_id", "prompt", "chosen", "rejected") if not row.get(name)]
        if missing:
            found = _names([row])
            raise Problem("engines.pair_columns", file=file.name, row=number, missing=missing, found=found)
        for name in ("prompt", "chosen", "rejected"):
            if not _is_chat(row[name]):
                raise Problem("engines.pair_no_chat", file=file.name, row=number, column=name)
        if row["record_id"] in seen:
            raise Problem("engines.pair_twice", file=file.name, row=number, id=row["record_id"])
        seen.add(row["record_id"])
    if not rows:
        raise Problem("engines.no_pairs_there", file=file.name)
    return rows


def _names(rows: Rows) -> str:
    return ", ".join(rows[0]) if rows and rows[0] else "–"


def _is_chat(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(turn, dict) and isinstance(turn.get("role"), str) and isinstance(turn.get("content"), str)
        for turn in value
    )
