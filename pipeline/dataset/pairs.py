"""A file of pairs: written, read, streamed."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.base.pair import SCHEMA, Pair, from_table, to_table
from pipeline.dataset.rows import unreadable

_BATCH = 1000  # rows between two reports of progress, and pairs written or read at once


def save(pairs: Iterable[Pair], path: Path) -> None:
    """Write pairs as parquet of `pipeline.base.pair.SCHEMA`; a reader sees the old file or the whole new one."""
    part = path.with_name(path.name + ".part")
    rest = iter(pairs)
    with pq.ParquetWriter(part, SCHEMA, compression="zstd") as writer:
        while batch := list(itertools.islice(rest, _BATCH)):
            writer.write_table(to_table(batch))
    part.replace(path)


def open_pairs(path: Path) -> list[Pair]:
    """Return the pairs `save` wrote.

    Raises:
        StudioError: The file is missing or damaged.
    """
    return list(stream_pairs(path))


def stream_pairs(path: Path) -> Iterator[Pair]:
    """Yield the pairs `save` wrote, a batch of them in memory at a time.

    Raises:
        StudioError: The file is missing or damaged.
    """
    try:
        with pq.ParquetFile(path) as file:
            batches = file.iter_batches(batch_size=_BATCH)
            for batch in batches:
                yield from from_table(pa.Table.from_batches([batch]))
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise unreadable(path, "load.pairs_damaged", detail=str(error)) from error
