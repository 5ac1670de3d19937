"""Parquet and Arrow files: their rows, whatever a column holds that Python has no value for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.dataset.rows import Row, Rows, refuse_wide, unreadable

_BATCH = 1000
# SystemError: pyarrow 26.0.1 where a damaged file says that a text ends before it begins.
_BROKEN = (pa.ArrowException, OSError, ValueError, SystemError)
_INDEX = "__index_level_"  # pandas stores its index as a column of this name; it is no column of the dataset
STREAM = b"\xff\xff\xff\xff"  # how an Arrow stream begins, such as `datasets` writes to the disk


def read_parquet(path: Path) -> Rows:
    """Read a parquet file.

    Raises:
        StudioError: It is damaged, or two columns have one name.
    """
    try:
        with pq.ParquetFile(path) as file:
            columns = _columns(path, file.schema_arrow.names)
            rows = _rows(file.iter_batches(batch_size=_BATCH, columns=columns))
    except MemoryError:  # pyarrow's is an ArrowException too
        raise
    except _BROKEN as error:
        raise unreadable(path, "load.parquet_damaged") from error
    return Rows(columns, rows, list(range(1, len(rows) + 1)), format="parquet")


def read_arrow(path: Path, stream: bool) -> Rows:
    """Read an Arrow file, or a stream of tables in one.

    Args:
        path: The file.
        stream: Whether it is a stream.

    Raises:
        StudioError: It is damaged, or two columns have one name.
    """
    try:
        with pa.OSFile(str(path), "rb") as source:
            if stream:
                reader = pa.ipc.open_stream(source)
                columns = _columns(path, reader.schema.names)
                rows = _rows(piece for batch in reader for piece in _pieces(batch))
            else:
                file = pa.ipc.open_file(source)
                columns = _columns(path, file.schema.names)
                batches = (file.get_batch(number) for number in range(file.num_record_batches))
                rows = _rows(piece for batch in batches for piece in _pieces(batch))
    except MemoryError:
        raise
    except _BROKEN as error:
        raise unreadable(path, "load.arrow_damaged") from error
    return Rows(columns, rows, list(range(1, len(rows) + 1)), format="Arrow")


def _pieces(batch: pa.RecordBatch) -> Iterable[pa.RecordBatch]:
    """Return a batch in pieces, once it is known that what it says of itself leads nowhere outside.

    Raises:
        pa.ArrowInvalid: It does. Bytes that are not UTF-8 are not this function's to refuse: they cost a row.
    """
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid as error:
        if "UTF8" not in str(error):
            raise
    return (batch.slice(first, _BATCH) for first in range(0, batch.num_rows, _BATCH))


def _columns(path: Path, names: list[str]) -> list[str]:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise unreadable(path, "load.columns_twice", names=twice[:5])
    refuse_wide(path, len(names))
    return [name for name in names if not name.startswith(_INDEX)]


def _rows(batches: Iterable[pa.RecordBatch]) -> list[Row]:
    rows: list[Row] = []
    for batch in batches:
        found = values(batch)
        for row in found if any(name.startswith(_INDEX) for name in batch.schema.names) else ():
            for name in [name for name in row if name.startswith(_INDEX)]:
                del row[name]
        rows.extend(found)
    return rows


def values(table: pa.RecordBatch | pa.Table) -> list[Row]:
    """Return the rows of a table.

    A value that Python cannot have, such as a date in the year 10000, becomes its text; text that is not UTF-8 stays
    bytes. Neither stops the other columns.

    Args:
        table: Some rows.
    """
    try:
        rows: list[Row] = table.to_pylist()
        return rows
    except (OverflowError, ValueError, pa.ArrowException):
        columns = {name: _column(table.column(at)) for at, name in enumerate(table.schema.names)}
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def _column(column: Any) -> list[Any]:
    try:
        found: list[Any] = column.to_pylist()
        return found
    except (OverflowError, ValueError, pa.ArrowException):
        pass
    try:
        return [_decoded(value) for value in column.cast(_as_bytes(column.type)).to_pylist()]
    except (OverflowError, ValueError, TypeError, pa.ArrowException):
        return [_value(value) for value in column]


def _value(scalar: Any) -> Any:
    """Return one value, its text where Python has none for it, or null."""
    try:
        return scalar.as_py()
    except (OverflowError, ValueError, pa.ArrowException):
        pass
    if isinstance(scalar, pa.StructScalar):
        return {name: _value(scalar[name]) for name in scalar}
    if isinstance(scalar, pa.ListScalar | pa.LargeListScalar):
        return None if scalar.values is None else [_value(item) for item in scalar.values]
    try:
        return scalar.cast(pa.string()).as_py()
    except (OverflowError, ValueError, TypeError, pa.ArrowException):
        return None


def _as_bytes(kind: pa.DataType) -> pa.DataType:
    """Return a type with bytes in place of text, at any depth."""
    if pa.types.is_string(kind):
        return pa.binary()
    if pa.types.is_large_string(kind):
        return pa.large_binary()
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _as_bytes(field.type)) for field in kind.fields])
    if pa.types.is_large_list(kind):
        return pa.large_list(_as_bytes(kind.value_type))
    if pa.types.is_list(kind):
        return pa.list_(_as_bytes(kind.value_type))
    return kind


def _decoded(value: Any) -> Any:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value
    if isinstance(value, dict):
        return {key: _decoded(item) for key, item in value.items()}
    return [_decoded(item) for item in value] if isinstance(value, list) else value
