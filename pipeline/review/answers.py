"""What annotators answered: one row per record and annotator, as read back from the review server."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.base.errors import StudioError

Status = Literal["submitted", "draft", "discarded"]
Preference = Literal["chosen", "rejected", "tie"]


RELEVANCE, PREFERENCE = "relevance", "preference"  # the two questions whose answers decide what is exported


@dataclass(frozen=True, slots=True)
class Answer:
    """One annotator's answer to one record.

    Attributes:
        record_id: Id of the pair answered; see `pipeline.base.pair.identify`.
        annotator: Who answered: the user name on the review server.
        status: Only submitted answers are counted by `pipeline.review.settle`.
        relevance: The rating, 1 (worst) to 5 (best), or None when the question was left open.
        preference: The completion the annotator prefers, or None when the question was left open.
        updated_at: When the answer last changed, UTC.
        others: Values of the review's other questions by name, a JSON object; "" where there are none.

    Raises:
        ValueError: `updated_at` has no time zone, so answers could not be put in order.
    """

    record_id: str
    annotator: str
    status: Status
    relevance: float | None
    preference: Preference | None
    updated_at: datetime
    others: str = ""

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
    "others": pa.string(),
}
_LATER = {"others"}  # columns that older files lack

SCHEMA = pa.schema(_COLUMNS)


def answer_of(
    record_id: str, annotator: str, response: Mapping[str, Any], preferences: Mapping[str, Preference]
) -> Answer:
    """Return an annotator's response as an answer.

    Args:
        record_id: Id of the pair.
        annotator: User name.
        response: As Argilla's interface gives it: status, values, updated_at.
        preferences: What the options of the comparison mean.
    """
    values = {name: given.get("value") for name, given in (response["values"] or {}).items()}
    relevance, preference = values.pop(RELEVANCE, None), values.pop(PREFERENCE, None)
    return Answer(
        record_id,
        annotator,
        response["status"],
        float(relevance) if isinstance(relevance, int | float) else None,
        preferences.get(preference) if isinstance(preference, str) else None,
        moment(response["updated_at"]),
        json.dumps(values, ensure_ascii=False, sort_keys=True) if values else "",
    )


def moment(text: str) -> datetime:
    """Return one of Argilla's times; they are UTC, unsaid."""
    read = datetime.fromisoformat(text)
    return read.astimezone(UTC) if read.tzinfo else read.replace(tzinfo=UTC)


def save(answers: Iterable[Answer], path: Path) -> None:
    """Write answers as parquet of `SCHEMA`; a reader sees the old file or the new one, never half of one.

    Args:
        answers: All answers there are; they replace what the file held.
        path: The file to write; its folder is made when missing.
    """
    held = list(answers)
    columns = [pa.array([getattr(answer, name) for answer in held], kind) for name, kind in _COLUMNS.items()]
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        pq.write_table(pa.Table.from_arrays(columns, schema=SCHEMA), partial)
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
        table = pq.ParquetFile(path).read()
        for name in _LATER - set(table.column_names):
            table = table.append_column(name, pa.array([""] * len(table), pa.string()))
        table = table.select(SCHEMA.names).cast(SCHEMA)
    except (pa.ArrowInvalid, KeyError) as error:
        raise StudioError("answers.unreadable", name=path.name, detail=str(error)) from error
    columns = [table[name].to_pylist() for name in SCHEMA.names]
    return [Answer(*row) for row in zip(*columns, strict=True)]
