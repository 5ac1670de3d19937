"""Load a preference dataset from a file, the bundled sample or the Hub, and say what was found."""

from __future__ import annotations

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
from pipeline.dataset.rows import BadRow, Row, Rows, columns_of, read_rows, unreadable
from pipeline.errors import StudioError
from pipeline.pair import SCHEMA, Messages, Pair, from_table, text_of, to_table

__all__ = [
    "DEFAULT_DATASET",
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
    "load_hub",
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

_BATCH = 1000  # rows between two reports of progress, and pairs written or read at once
_HUB_TIMEOUT_S = 8.0


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


def load_hub(
    dataset_id: str,
    split: str = "train",
    limit: int | None = None,
    token: str | None = None,
    mapping: Mapping | None = None,
    progress: Progress | None = None,
) -> Loaded:
    """Load a preference dataset from the Hugging Face Hub; for the arguments see `read_hub`.

    Raises:
        LayoutUnknown: The layout is not recognised and no mapping is given.
        StudioError: The Hub is not reached, or the dataset is missing, gated or unusable.
    """
    return load_rows(read_hub(dataset_id, split, limit, token, progress), mapping)


def read_hub(
    dataset_id: str,
    split: str = "train",
    limit: int | None = None,
    token: str | None = None,
    progress: Progress | None = None,
) -> Rows:
    """Stream rows of a dataset on the Hugging Face Hub.

    Args:
        dataset_id: owner/name.
        split: Its split.
        limit: Read at most this many rows; None: all.
        token: The user's access token; None: anonymous, whatever token the machine has stored.
        progress: Called with rows read and the limit now and then.

    Raises:
        StudioError: The Hub is not reached (within seconds), or the dataset is missing, gated or unreadable.
    """
    # huggingface_hub 2.4 speaks through httpx2, older ones through httpx: this name of the base error holds for both.
    from huggingface_hub.errors import HTTPError  # noqa: PLC0415

    try:
        _ask_hub(dataset_id, token)
    except (HTTPError, OSError, ValueError) as error:
        raise _hub_error(dataset_id, split, error) from error

    # Imported on use: `datasets` takes seconds to import, and a file or the sample does not need it.
    from datasets import load_dataset  # noqa: PLC0415
    from datasets.exceptions import DatasetsError  # noqa: PLC0415

    try:
        stream = load_dataset(dataset_id, split=split, streaming=True, token=token or False)
        rows: list[Row] = []
        for row in itertools.islice(stream, limit):
            rows.append(row)
            if progress and len(rows) % _BATCH == 0:
                progress(len(rows), limit)
    except (HTTPError, DatasetsError, OSError, ValueError, pa.ArrowException) as error:
        raise _hub_error(dataset_id, split, error) from error
    if progress:
        progress(len(rows), limit)
    return Rows(columns_of(rows), rows, list(range(1, len(rows) + 1)), format="Hub dataset")


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


def _ask_hub(dataset_id: str, token: str | None) -> None:
    """Ask for the dataset once with a short limit: `datasets` 5.2 itself retries for minutes before it gives up."""
    from huggingface_hub import HfApi  # noqa: PLC0415

    HfApi(token=token or False).dataset_info(dataset_id, timeout=_HUB_TIMEOUT_S)


def _hub_error(dataset_id: str, split: str, error: Exception) -> StudioError:
    """Say which of the things that go wrong with a dataset on the Hub has gone wrong."""
    from huggingface_hub import errors  # noqa: PLC0415

    causes = _causes(error)
    status = next((c.response.status_code for c in causes if isinstance(c, errors.HfHubHTTPError)), 0)
    what = f"{dataset_id} could not be loaded from the Hugging Face Hub."
    if isinstance(error, errors.HFValidationError):
        return StudioError(what, "A dataset's name looks like owner/name.", "Correct the name.")
    gated = any(isinstance(c, errors.GatedRepoError) for c in causes)
    if not gated and any(isinstance(c, errors.RepositoryNotFoundError) for c in causes):
        return StudioError(what, "It does not exist, or it is private.", "Check the name, or sign in to see it.")
    if gated or "gated dataset" in str(error):  # datasets 5.2 says so in words where its own check comes first
        advice = f"Sign in, and accept its terms on the page of {dataset_id}."
        return StudioError(what, "It is gated: its owner asks for consent first.", advice)
    if status:
        return StudioError(what, f"The Hub answered with status {status}.", "Try again in a few minutes.")
    if isinstance(error, errors.HTTPError | errors.OfflineModeIsEnabled | ConnectionError | TimeoutError):
        why = f"The Hub is not reached ({str(error)[:150] or type(error).__name__})."
        return StudioError(what, why, "Check the connection, or load a file or the bundled sample.")
    if isinstance(error, ValueError) and "split" in str(error).lower():
        return StudioError(what, f"It has no split “{split}” ({str(error)[:200]}).", "Choose another split.")
    return StudioError(what, str(error)[:300], "Download a file of it, and load that.")


def _causes(error: BaseException | None) -> list[BaseException]:
    """Return an error and everything it was raised from."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found
