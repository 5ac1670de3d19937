"""Parquet files of a dataset on the Hub, read in the thread that asks and in no other.

`datasets` reads them with pyarrow's scanner, whose own threads read on when nobody wants more: a process that ends
while one of them waits for Python hangs or is aborted (apache/arrow#45214).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.hub import client

PIECE = 1 << 20  # bytes of a column asked for at once where only the first rows of a large row group are wanted
LARGE = 32 << 20  # bytes of a row group that is not read whole for its first rows


def tables(name: str, config: str, split: str, revision: str, rows: int, some: bool) -> Generator[pa.Table]:
    """Yield the rows of a split whose files are parquet, cast to the columns that the dataset's card or first file has.

    Args:
        name: owner/name.
        config: Its configuration.
        split: Its split.
        revision: The commit.
        rows: Rows of a table at most.
        some: Whether only the first rows are wanted: of a large row group no more than them is downloaded.
    """
    from datasets import DownloadConfig, Features, load_dataset_builder  # noqa: PLC0415
    from datasets.table import table_cast  # noqa: PLC0415
    from datasets.utils.file_utils import xopen  # noqa: PLC0415

    token = client.token() or False
    builder = load_dataset_builder(name, config, revision=revision, token=token)
    files = {str(each): found for each, found in (builder.config.data_files or {}).items()}
    if split not in files:
        raise ValueError(f"Unknown split {split}")
    schema = builder.info.features.arrow_schema if builder.info.features else None
    for url in files[split]:
        with xopen(url, "rb", download_config=DownloadConfig(token=token)) as file, _opened(file, some) as parquet:
            schema = schema or Features.from_arrow_schema(parquet.schema_arrow).arrow_schema
            for batch in parquet.iter_batches(rows, use_threads=False):
                yield table_cast(pa.Table.from_batches([batch]), schema)


@contextmanager
def _opened(file: Any, some: bool) -> Iterator[pq.ParquetFile]:
    """Open a parquet file: one in large row groups, of which only the first rows are wanted, to be read in pieces."""
    with pq.ParquetFile(file, pre_buffer=False) as parquet:
        metadata = parquet.metadata
        first = metadata.row_group(0) if metadata.num_row_groups else None
        size = sum(first.column(at).total_compressed_size for at in range(first.num_columns)) if first else 0
        if not some or size <= LARGE:
            yield parquet
            return
        # Without a cache: it reads ahead behind every piece, and the next piece is another column's.
        with (
            file.fs.open(file.path, "rb", cache_type="none") as pieces,
            pq.ParquetFile(pieces, metadata=metadata, pre_buffer=False, buffer_size=PIECE) as parquet,
        ):
            yield parquet
