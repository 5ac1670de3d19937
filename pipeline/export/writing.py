"""Kept pairs become a training set: what becomes of each verdict, the split, and a folder of files with their story.

The folder is a dataset repository as it stands: `train.jsonl` and `test.jsonl` for training, `data/*.parquet` for
`datasets.load_dataset`, a card, and `export.json`, which says the same to programs.
"""

from __future__ import annotations

import errno
import itertools
import json
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType

import pyarrow.parquet as pq

from pipeline.base.errors import StudioError, disk_full
from pipeline.base.message import message
from pipeline.base.pair import Pair
from pipeline.export import card, encoding
from pipeline.export.encoding import SCHEMA, new_file
from pipeline.export.options import ExportFile, ExportOptions, ExportPlan, ExportResult, Provenance, Row, Split
from pipeline.export.places import place
from pipeline.models.tokens import PairCounts
from pipeline.review.settle import Settled

Progress = Callable[[str, int, int], None]

__all__ = ["ExportFile", "ExportOptions", "ExportPlan", "ExportResult", "Provenance", "plan", "write"]

FORMAT = "align-studio-export/1"
REASONS = ("too_few", "undecided", "ties", "rejected_better")  # for which pairs are left out
_NONE: Mapping[str, bytes] = MappingProxyType({})
_CHUNK = 1000  # rows in memory at a time; also the parquet row group, small enough for the Hub's viewer


def plan(
    pairs: Sequence[Pair], settled: Mapping[str, Settled], options: ExportOptions, places: Mapping[str, bytes] = _NONE
) -> ExportPlan:
    """Count what an export would hold.

    Args:
        pairs: The pairs a recipe kept.
        settled: What reviewers said, by record id; a pair nobody reviewed may be missing and is exported as it is.
        options: The options of the export.
        places: See `write`.
    """
    return _prepare(pairs, settled, options, places)[1]


def write(
    pairs: Sequence[Pair],
    settled: Mapping[str, Settled],
    options: ExportOptions,
    folder: Path,
    provenance: Provenance,
    counts: Sequence[PairCounts] | None = None,
    on_progress: Progress | None = None,
    places: Mapping[str, bytes] = _NONE,
) -> ExportResult:
    """Write an export: whole or not at all.

    Everything is written to `<folder>.partial`, which gets its name at the end. Only one export of a name may be
    written at a time: what an interrupted one left there is thrown away.

    Args:
        pairs: The pairs a recipe kept.
        settled: What reviewers said, by record id.
        options: The options of the export.
        folder: The folder to make; its last part need not be the name of the export.
        provenance: Where the pairs come from.
        counts: Token counts, one per pair in the order of the pairs, for the card; None leaves them out.
        on_progress: Called with stage ("rows" or "card"), done and total.
        places: Where prompts stand by record id, as far as known: see `pipeline.export.places`.

    Returns:
        The folder, the plan and the files.

    Raises:
        StudioError: Nothing is left to export, the name is in use, or the folder cannot be written (a full disk, say).
    """
    rows, planned = _prepare(pairs, settled, options, places, counts)
    if not rows:
        raise _nothing_to_export(planned)
    if folder.exists():
        raise _name_in_use(options.name)
    report = on_progress or (lambda stage, done, total: None)
    partial = folder.with_name(folder.name + ".partial")
    try:
        if partial.exists():
            shutil.rmtree(partial)
        (partial / "data").mkdir(parents=True)
        files = _write_rows(partial, rows, report)
        report("card", 0, 1)
        with new_file(partial / "README.md") as file:
            file.write(card.render(rows, planned, options, provenance).encode())
        files.append(ExportFile("README.md", file.size, file.sha256, None))
        with new_file(partial / "export.json") as file:
            file.write(_record(planned, options, provenance, files).encode())
        report("card", 1, 1)
        partial.rename(folder)
    except OSError as error:
        raise _not_written(error, options.name) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # gone already when all went well
    return ExportResult(folder, planned, files)


def _prepare(
    pairs: Sequence[Pair],
    settled: Mapping[str, Settled],
    options: ExportOptions,
    places: Mapping[str, bytes],
    counts: Sequence[PairCounts] | None = None,
) -> tuple[list[Row], ExportPlan]:
    """Return the rows to export in the order of the pairs, and their plan."""
    if counts is not None and len(counts) != len(pairs):
        raise ValueError(f"{len(counts)} token counts for {len(pairs)} pairs.")
    dropped = dict.fromkeys(REASONS, 0)
    kept: list[tuple[Pair, PairCounts | None, Settled | None, bool]] = []
    keys: list[bytes] = []
    for pair, count in zip(pairs, itertools.repeat(None) if counts is None else counts, strict=counts is not None):
        verdict = settled.get(pair.record_id)
        became = becomes(verdict, options)
        if became in dropped:
            dropped[became] += 1
        else:
            turned = became == "swapped"
            kept.append((*_turned_around(pair, count), verdict, turned) if turned else (pair, count, verdict, False))
            keys.append(places.get(pair.record_id) or place(pair.prompt, options.seed))
    sizes = Counter(keys)
    held_out = _held_out(sizes, options.test_share)
    rows = [
        Row(pair, verdict, count, turned, "test" if key in held_out else "train")
        for (pair, count, verdict, turned), key in zip(kept, keys, strict=True)
    ]
    test = sum(row.split == "test" for row in rows)
    swapped = sum(row.swapped for row in rows)
    return rows, ExportPlan(len(pairs), len(rows), dropped, swapped, len(rows) - test, test, len(sizes))


def becomes(verdict: Settled | None, options: ExportOptions) -> str:
    """Return what an export makes of a pair: one of `REASONS` it is left out for, "swapped", or "kept"."""
    match verdict.preference if verdict is not None else None:
        case "too_few" if options.too_few == "drop":
            return "too_few"
        case "undecided" if options.undecided == "drop":
            return "undecided"
        case "tie" if options.ties == "drop":
            return "ties"
        case "rejected" if options.rejected_better == "drop":
            return "rejected_better"
        case "rejected" if options.rejected_better == "swap":
            return "swapped"
    return "kept"


def _turned_around(pair: Pair, counts: PairCounts | None) -> tuple[Pair, PairCounts | None]:
    """Return a pair with its completions exchanged and its id kept; one turned around twice is as it was."""
    turned = Pair(
        pair.record_id, pair.prompt, pair.rejected, pair.chosen, pair.source, pair.metadata, swapped=not pair.swapped
    )
    return turned, None if counts is None else PairCounts(counts.prompt, counts.rejected, counts.chosen)


def _held_out(sizes: Mapping[bytes, int], test_share: float) -> set[bytes]:
    """Choose the prompts of the test split.

    Prompts are visited in the order of their places, so neither the order of rows nor other prompts decide where one
    stands, and a prompt goes to the test split whenever that brings the split nearer to its share.

    Args:
        sizes: Number of pairs of each prompt, by its place.
        test_share: Share of the pairs wanted, 0 to 0.5.

    Returns:
        Places of the prompts held out: at least one if a share is wanted and there are two prompts, never all.
    """
    if not test_share or len(sizes) < 2:
        return set()
    wanted = test_share * sum(sizes.values())
    order = sorted(sizes)
    held_out, taken = set(), 0
    for key in order:
        if abs(taken + sizes[key] - wanted) < abs(taken - wanted):
            held_out.add(key)
            taken += sizes[key]
    return held_out or {min(order, key=lambda key: sizes[key])}


def _write_rows(folder: Path, rows: Sequence[Row], report: Progress) -> list[ExportFile]:
    """Write both forms of each split that has rows.

    Relevance is in the JSONL files only when every pair has one. JSON has no types: where a file begins with nulls,
    datasets (3.2 and 5.2) takes the column for null and fails with DatasetGenerationError at the first number.
    """
    rated = all(row.verdict is not None and row.verdict.relevance is not None for row in rows)
    files, done = [], 0
    splits: tuple[Split, ...] = ("train", "test")
    for split in splits:
        part = [row for row in rows if row.split == split]
        if not part:
            continue
        named = f"{split}.jsonl", f"data/{split}-00000-of-00001.parquet"
        with new_file(folder / named[0]) as jsonl, new_file(folder / named[1]) as parquet:
            with pq.ParquetWriter(parquet, SCHEMA) as writer:
                for start in range(0, len(part), _CHUNK):
                    some = part[start : start + _CHUNK]
                    jsonl.writelines(encoding.lines(some, rated))
                    writer.write_table(encoding.table(some))
                    done += len(some)
                    report("rows", done, len(rows))
        files += [
            ExportFile(name, file.size, file.sha256, len(part))
            for name, file in zip(named, (jsonl, parquet), strict=True)
        ]
    return files


def _record(planned: ExportPlan, options: ExportOptions, provenance: Provenance, files: Sequence[ExportFile]) -> str:
    """Return the text of export.json."""
    record = {
        "format": FORMAT,
        "options": options.model_dump(mode="json"),
        "counts": asdict(planned),
        "files": [asdict(file) for file in files],
        "provenance": provenance.model_dump(mode="json"),
    }
    return json.dumps(record, ensure_ascii=False, indent=2) + "\n"


def _nothing_to_export(planned: ExportPlan) -> StudioError:
    if not planned.total:
        return StudioError("export.nothing_kept")
    dropped = [message(f"export.dropped.{reason}", count=count) for reason, count in planned.dropped.items() if count]
    return StudioError("export.all_dropped", count=planned.total, dropped=dropped)


def _name_in_use(name: str) -> StudioError:
    return StudioError("export.name_in_use", name=name)


def _not_written(error: OSError, name: str) -> StudioError:
    """Say why the folder could not be written."""
    if error.errno in (errno.EEXIST, errno.ENOTEMPTY):  # made by somebody else while this one was being written
        return _name_in_use(name)
    code = "export.disk_full" if disk_full(error) else "export.not_written"
    return StudioError(code, name=name, detail=error.strerror or str(error))
