"""Rows of an export as bytes: lines of JSON, and Arrow columns.

A line is what `json.dumps(row, ensure_ascii=False)` gives, byte for byte: exports made earlier keep their checksums.
Only the texts are encoded, by orjson, which writes strings alike and a hundred times as fast.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from pipeline.base.pair import SCHEMA as PAIR_SCHEMA
from pipeline.base.pair import Messages
from pipeline.export.options import Row

# Files carry no Arrow or datasets feature metadata: datasets 3.2, which AutoTrain pins, stops at the "List" feature
# that datasets 5 writes with "TypeError: must be called with a dataclass type or instance".
SCHEMA = pa.schema(
    [
        *(PAIR_SCHEMA.field(name) for name in ("record_id", "prompt", "chosen", "rejected", "source", "swapped")),
        pa.field("relevance", pa.float64()),
        pa.field("answers", pa.int64()),
    ]
)
_BUFFER = 1 << 20  # bytes


def lines(rows: Sequence[Row], rated: bool) -> Iterator[bytes]:
    """Yield rows as lines of JSON.

    Args:
        rows: Some rows.
        rated: Whether their relevance is in them.
    """
    ratings: dict[float | None, bytes] = {}  # a few values, as Python writes them
    for row in rows:
        pair, verdict = row.pair, row.verdict
        pieces = [b'{"record_id": ', orjson.dumps(pair.record_id)]
        for key, turns in ((b"prompt", pair.prompt), (b"chosen", pair.chosen), (b"rejected", pair.rejected)):
            pieces += (b', "', key, b'": ')
            _turns(turns, pieces)
        pieces += (b', "source": ', orjson.dumps(pair.source), b', "swapped": ', b"true" if pair.swapped else b"false")
        if rated:
            relevance = verdict.relevance if verdict is not None else None
            if relevance not in ratings:
                ratings[relevance] = json.dumps(relevance).encode()
            pieces += (b', "relevance": ', ratings[relevance])
        pieces.append(b', "answers": %d}\n' % (verdict.answers if verdict is not None else 0))
        yield b"".join(pieces)


def _turns(turns: Messages, pieces: list[bytes]) -> None:
    """Append the pieces of a list of turns."""
    before = b'[{"role": '
    for turn in turns:
        pieces += (before, orjson.dumps(turn.role), b', "content": ', orjson.dumps(turn.content), b"}")
        before = b', {"role": '
    pieces.append(b"]" if turns else b"[]")


def table(rows: Sequence[Row]) -> pa.Table:
    """Return rows as a table of `SCHEMA`."""
    verdicts = [row.verdict for row in rows]
    columns = [
        pa.array([row.pair.record_id for row in rows], pa.string()),
        *(_messages([getattr(row.pair, part) for row in rows]) for part in ("prompt", "chosen", "rejected")),
        pa.array([row.pair.source for row in rows], pa.string()),
        pa.array([row.pair.swapped for row in rows], pa.bool_()),
        pa.array([verdict.relevance if verdict is not None else None for verdict in verdicts], pa.float64()),
        pa.array([verdict.answers if verdict is not None else 0 for verdict in verdicts], pa.int64()),
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def _messages(column: Sequence[Messages]) -> pa.ListArray[Any]:
    kind = SCHEMA.field("prompt").type
    ends = itertools.accumulate(map(len, column), initial=0)
    turns = list(itertools.chain.from_iterable(column))
    texts = [pa.array([getattr(turn, name) for turn in turns], pa.string()) for name in ("role", "content")]
    inside = pa.StructArray.from_arrays(texts, fields=list(kind.value_type))
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), inside, type=kind)


class NewFile(io.BufferedWriter):
    """A new file; its size and SHA-256 are counted as it is written, so that it need not be read again.

    Args:
        path: The file; it must not be there.
    """

    def __init__(self, path: Path) -> None:
        self._hashed = _Hashed(path, "xb")
        super().__init__(self._hashed, _BUFFER)

    @property
    def size(self) -> int:
        """Bytes written; see `sha256`."""
        return self._hashed.size

    @property
    def sha256(self) -> str:
        """SHA-256 of what is written, hexadecimal; whole once it is flushed."""
        return self._hashed.sha256.hexdigest()


class _Hashed(io.FileIO):
    """Counts the checksum of what goes to the disk."""

    def __init__(self, path: Path, mode: str) -> None:
        super().__init__(path, mode)
        self.size, self.sha256 = 0, hashlib.sha256()

    def write(self, data: object, /) -> int:
        """Write what fits, as `io.RawIOBase.write`."""
        written = super().write(data)  # type: ignore[arg-type]  # whatever the buffer hands on
        self.size += written
        self.sha256.update(memoryview(data)[:written])  # type: ignore[arg-type]
        return written


@contextmanager
def new_file(path: Path) -> Iterator[NewFile]:
    """Open a new file whose content is on the disk, not in a cache, when the block ends."""
    with NewFile(path) as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
