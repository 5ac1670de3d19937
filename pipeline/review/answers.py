"""What annotators answered: one row per record and annotator, as read back from the review server."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.base.errors import StudioError

Status = Literal["submitted", "draft", "discarded"]
Preference = Literal["chosen", "rejected", "tie"]


@dataclass(frozen=True)
class Answer:
    """One annotator's answer to one record.

    Attributes:
        record_id: Id of the pair answered; see `pipeline.base.pair.identify`.
        annotator: Who answered: the user name on the review server.
        status: Only submitted answers are counted by `pipeline.review.settle`.
        relevance: The rating, 1 (worst) to 5 (best), or None when the question was left open.
        preference: The completion the annotator prefers, or None when the question was left open.
        updated_at: When the answer last changed, UTC.

    Raises:
        ValueError: `updated_at` has no time zone, so answers could not be put in order.
    """

    record_id: str
    annotator: str
    status: Status
    relevance: float | None
    preference: Preference | None
    updated_at: datetime

    def __post_init__(self) -> None:
        if self.updated_at.tzinfo is None:
            raise ValueError(f"The answer of {self.annotator} to {self.record_id} has a time without time zone.")


_COLUMNS: dict[str, pa.DataType] = {
    "record_id": pa.string(),
    "annotator": pa.string(),
    "status": pa.string(),
    "relevance": pa.float64(),
    "preference": pa.string(),
    "updated_at": pa.timestamp("us", tz="UTC"),
}

SCHEMA = pa.schema(_COLUMNS)


def save(answers: Iterable[Answer], path: Path) -> None:
    """Write answers as parquet of `SCHEMA`; a reader sees the old file or the new one, never half of one.

    Args:
        answers: All answers there are; they replace what the file held.
        path: The file to write; its folder is made when missing.
    """
    rows = [{**vars(answer), "updated_at": answer.updated_at.astimezone(UTC)} for answer in answers]
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def open_answers(path: Path) -> list[Answer]:
    """Read the answers written by `save`.

    Args:
        path: The file; none there yet means nobody has answered yet.

    Returns:
        The answers in the order they were saved.

    Raises:
        StudioError: The file is not one that `save` wrote.
    """
    if not path.exists():
        return []
    try:
        rows = pq.ParquetFile(path).read().select(SCHEMA.names).cast(SCHEMA).to_pylist()
    except (pa.ArrowInvalid, KeyError) as error:
        raise StudioError("answers.unreadable", name=path.name, detail=str(error)) from error
    return [Answer(**row) for row in rows]
