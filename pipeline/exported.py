"""A project's exports as later steps find them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pipeline.errors import StudioError
from pipeline.pair import Pair, as_messages
from pipeline.project import Project

Split = Literal["train", "test"]


def names(project: Project) -> list[str]:
    """Return the names of the finished exports, the newest first."""
    found = project.exports.glob("*/export.json")
    return [file.parent.name for file in sorted(found, key=lambda file: file.stat().st_mtime, reverse=True)]


def split_file(project: Project, name: str, split: Split) -> Path | None:
    """Return the JSONL file of one split, or None when there is none of it.

    Args:
        project: Holds the export.
        name: The export.
        split: Which of its files.
    """
    file = project.exports / name / f"{split}.jsonl"
    return file if name and file.is_file() else None


def read_pairs(file: Path) -> list[Pair]:
    """Return the pairs of a split's JSONL file.

    Args:
        file: See `split_file`.

    Raises:
        StudioError: A line is no pair.
    """
    pairs = []
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
                prompt, chosen, rejected = (as_messages(row[part]) for part in ("prompt", "chosen", "rejected"))
                pairs.append(Pair(str(row["record_id"]), prompt, chosen, rejected, source=str(row.get("source") or "")))
            except (KeyError, TypeError, ValueError) as error:
                raise StudioError(
                    f"Line {number} of {file.parent.name}/{file.name} is no pair.", repr(error), "Export again."
                ) from error
    return pairs
