"""Load a preference dataset from a file, the bundled sample or the Hub, and say what was found."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from pipeline.base.errors import StudioError
from pipeline.base.message import Option
from pipeline.dataset.files import read_rows
from pipeline.dataset.guess import why_not
from pipeline.dataset.recognise import Loaded, Mapping, normalise, recognise
from pipeline.dataset.rows import Rows
from pipeline.dataset.tables import TableRows
from pipeline.hub import datasets as hub
from pipeline.hub.datasets import Chosen

DEFAULT_DATASET = "mlabonne/orpo-dpo-mix-40k"
SAMPLE = Path(__file__).resolve().parents[2] / "samples" / "preferences.jsonl"

# Called with the number of rows read so far, and of all rows where that is known.
Progress = Callable[[int, int | None], None]

MOST_BYTES = 2 << 30  # of rows read from the Hub, compressed


class LayoutUnknown(StudioError):
    """The rows were read but a person has to say which column is what.

    Args:
        rows: The rows, for the column pickers and a preview.
    """

    def __init__(self, rows: Rows) -> None:
        self.reason = why_not(rows)
        super().__init__("layout.unknown", columns=rows.columns[:20], reason=self.reason)
        self.rows = rows


def load_rows(rows: Rows, mapping: Mapping | None = None) -> Loaded:
    """Turn rows into pairs, with the mapping given or the one recognised.

    Raises:
        LayoutUnknown: No mapping is given and none is recognised.
        StudioError: No row is usable.
    """
    found = mapping or recognise(rows)
    if found is None:
        raise LayoutUnknown(rows)
    return normalise(rows, found)


def load_file(path: Path, mapping: Mapping | None = None) -> Loaded:
    """Load a preference dataset from a local file.

    Args:
        path: A file that `read_rows` can read.
        mapping: Which column is what; None: recognise it.

    Raises:
        LayoutUnknown: The layout is not recognised and no mapping is given.
        StudioError: The file cannot be read, or none of its rows is a pair.
    """
    return load_rows(read_rows(path), mapping)


def read_hub(chosen: Chosen, progress: Progress | None = None) -> Rows:
    """Stream rows of a dataset on the Hugging Face Hub.

    Args:
        chosen: Which rows; see `pipeline.hub.datasets.choose`.
        progress: Called with rows read and the rows expected, before and after every table; what it raises ends the
            reading.

    Raises:
        StudioError: The Hub is not reached any more, a file cannot be read, or the rows are too many.
    """
    rows = TableRows()
    if progress:
        progress(0, chosen.expected)
    with contextlib.closing(hub.stream(chosen)) as stream:
        for table in stream:
            rows.append(table)
            if progress:
                progress(len(rows), chosen.expected)
            if rows.bytes > MOST_BYTES:
                raise StudioError(
                    "load.too_large",
                    name=chosen.name,
                    rows=len(rows),
                    limit=MOST_BYTES >> 30,
                    option=Option("limit", "dataset"),
                    most=len(rows) // 2,
                )
    return Rows(rows.columns, rows, range(1, len(rows) + 1), format="Hub dataset")
