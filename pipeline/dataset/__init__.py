"""Load a preference dataset from a file, the bundled sample or the Hub, and say what was found."""

from __future__ import annotations

import contextlib
import itertools
import re
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.dataset.recognise import Layout, Loaded, Mapping, normalise, recognise
from pipeline.dataset.rows import BadRow, Row, Rows, TableRows, read_rows, unreadable
from pipeline.errors import StudioError
from pipeline.hub import datasets as hub
from pipeline.hub.datasets import Chosen
from pipeline.pair import SCHEMA, Messages, Pair, from_table, text_of, to_table

__all__ = [
    "DEFAULT_DATASET",
    "MOST_BYTES",
    "SAMPLE",
    "BadRow",
    "Layout",
    "LayoutUnknown",
    "Lengths",
    "Loaded",
    "Mapping",
    "Row",
    "Rows",
    "Summary",
    "load_file",
    "load_rows",
    "load_sample",
    "normalise",
    "open_pairs",
    "read_hub",
    "read_rows",
    "recognise",
    "save",
    "stream_pairs",
    "summarise",
]

DEFAULT_DATASET = "mlabonne/orpo-dpo-mix-40k"
SAMPLE = Path(__file__).resolve().parents[2] / "samples" / "preferences.jsonl"

Progress = Callable[[int, int | None], None]

MOST_BYTES = 2 << 30  # of rows read from the Hub, compressed
_BATCH = 1000  # rows between two reports of progress, and pairs written or read at once


class LayoutUnknown(StudioError):
    """The rows were read but a person has to say which column is what.

    Args:
        rows: The rows, for the column pickers and a preview.
    """

    def __init__(self, rows: Rows) -> None:
        super().__init__(
            "The layout of this dataset is not known.",
            f"Its columns are {', '.join(rows.columns[:20])}.",
            "Choose the columns of prompt, chosen and rejected.",
        )
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


def load_sample() -> Loaded:
    """Load the preference pairs that come with Align Studio."""
    return load_file(SAMPLE)


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
                    f"{chosen.name} is too large to be read whole.",
                    f"After {len(rows):,} rows it takes more than {MOST_BYTES >> 30} GiB.",
                    f"Set “Rows at most” to {len(rows) // 2:,} or less.",
                )
    return Rows(rows.columns, rows, range(1, len(rows) + 1), format="Hub dataset")


def save(pairs: Iterable[Pair], path: Path) -> None:
    """Write pairs as parquet of `pipeline.pair.SCHEMA`; a reader sees the old file or the whole new one."""
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
        raise unreadable(path, f"{error}.", "Load the dataset again.") from error


@dataclass(frozen=True)
class Lengths:
    """Lengths of one part of all pairs, in characters."""

    shortest: int
    median: float
    longest: int


@dataclass(frozen=True)
class Summary:
    """What a dataset holds, for the preview.

    Attributes:
        pairs: Number of pairs.
        sources: Pairs per source, most first.
        turns: Pairs per number of user turns in the prompt.
        scripts: Pairs per writing system of prompt and chosen: "Latin", "Chinese", "Japanese", "Korean", "Cyrillic",
            "Arabic" or "other". It tells languages apart by their letters alone.
        with_system: Pairs whose prompt has a system turn.
        duplicates: Pairs that repeat another one exactly.
        lengths: Per prompt, chosen and rejected.
    """

    pairs: int
    sources: dict[str, int]
    turns: dict[int, int]
    scripts: dict[str, int]
    with_system: int
    duplicates: int
    lengths: dict[str, Lengths]


def summarise(pairs: list[Pair]) -> Summary:
    """Count what a dataset holds."""
    parts = {"prompt": [p.prompt for p in pairs], "chosen": [p.chosen for p in pairs]}
    parts["rejected"] = [p.rejected for p in pairs]
    return Summary(
        pairs=len(pairs),
        sources=dict(Counter(pair.source for pair in pairs).most_common()),
        turns=dict(sorted(Counter(sum(turn.role == "user" for turn in pair.prompt) for pair in pairs).items())),
        scripts=dict(Counter(_script(pair) for pair in pairs).most_common()),
        with_system=sum(pair.prompt[0].role == "system" for pair in pairs),
        duplicates=sum("-" in pair.record_id for pair in pairs),
        lengths={name: _lengths(values) for name, values in parts.items()},
    )


def _lengths(parts: list[Messages]) -> Lengths:
    sizes = [len(text_of(messages)) for messages in parts] or [0]
    return Lengths(min(sizes), statistics.median(sizes), max(sizes))


_SCRIPTS = {
    "Japanese": re.compile("[\u3040-\u30ff]"),  # kana: before Chinese, whose characters Japanese uses too
    "Korean": re.compile("[\uac00-\ud7af]"),
    "Chinese": re.compile("[\u3400-\u4dbf\u4e00-\u9fff]"),
    "Cyrillic": re.compile("[\u0400-\u04ff]"),
    "Arabic": re.compile("[\u0600-\u06ff]"),
    "Latin": re.compile("[A-Za-z\u00c0-\u024f]"),
}


def _script(pair: Pair) -> str:
    text = pair.prompt[-1].content[:300] + pair.chosen[0].content[:300]
    if text.isascii():
        return "Latin" if _SCRIPTS["Latin"].search(text) else "other"
    letters = sum(character.isalpha() for character in text)
    # A tenth of the letters: a quoted word in another script does not decide; a Chinese text full of code does.
    return next((name for name, script in _SCRIPTS.items() if 10 * len(script.findall(text)) > letters), "other")
