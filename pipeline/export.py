"""Kept pairs become a training set: what becomes of each verdict, the split, and a folder of files with their story.

The folder is a dataset repository as it stands: `train.jsonl` and `test.jsonl` for training, `data/*.parquet` for
`datasets.load_dataset`, a card, and `export.json`, which says the same to programs.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import IO, Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, Field, field_validator

from pipeline.errors import StudioError
from pipeline.filter import NO_SOURCE, PARTS, RuleEffect
from pipeline.pair import SCHEMA as PAIR_SCHEMA
from pipeline.pair import Messages, Pair, as_dicts, text_of
from pipeline.settle import Settled
from pipeline.tokens import PairCounts

Split = Literal["train", "test"]
Progress = Callable[[str, int, int], None]

FORMAT = "align-studio-export/1"
_CHUNK = 1000  # rows in memory at a time; also the parquet row group, small enough for the Hub's viewer

# Files carry no Arrow or datasets feature metadata: datasets 3.2, which AutoTrain pins, stops at the "List" feature
# that datasets 5 writes with "TypeError: must be called with a dataclass type or instance".
SCHEMA = pa.schema(
    [
        *(PAIR_SCHEMA.field(name) for name in ("record_id", "prompt", "chosen", "rejected", "source", "swapped")),
        pa.field("relevance", pa.float64()),
        pa.field("answers", pa.int64()),
    ]
)

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"))  # the Hub's size categories

_COLUMNS = {
    "record_id": "Id of the pair, the same in every export of it",
    "prompt": "The turns both completions share, a list of `{role, content}`",
    "chosen": "The preferred completion, a list of `{role, content}` without the prompt",
    "rejected": "The other completion, in the same form",
    "source": "Where the pair comes from",
    "swapped": "Whether reviewers preferred what was the rejected completion, so that the two were exchanged",
    "relevance": "Rating by the reviewers, 1 to 5, or null; in the JSONL files only when every pair has one",
    "answers": "Number of reviewers who answered",
}


class ExportOptions(BaseModel, extra="forbid"):
    """What an export is called, what becomes of pairs without a clear preference, and how they are split."""

    name: str = Field(
        max_length=64,
        pattern=r"^[A-Za-z0-9_-]+$",
        description="Name of the export and of its folder: letters, digits, hyphens and underscores.",
    )
    undecided: Literal["drop", "keep"] = Field(
        "drop", description="Pairs on which the reviewers disagree, no option having the most votes."
    )
    ties: Literal["drop", "keep"] = Field("drop", description="Pairs whose completions most reviewers find equal.")
    rejected_better: Literal["drop", "keep", "swap"] = Field(
        "swap", description="Pairs whose rejected completion most reviewers prefer; swap exchanges the two."
    )
    test_share: float = Field(
        0.1,
        ge=0,
        le=0.5,
        description="Share of the pairs held out for evaluation; all pairs of one prompt go to the same side.",
        json_schema_extra={"unit": "share"},
    )
    seed: int = Field(42, ge=0, description="Seed of the split: the same seed and prompts give the same split.")

    @field_validator("name")
    @classmethod
    def _name_fits_a_repository(cls, name: str) -> str:
        if name[:1] in "-_" or name[-1:] in "-_" or "--" in name:
            raise ValueError("A name begins and ends with a letter or digit and has no two hyphens in a row.")
        return name


class Provenance(BaseModel, extra="forbid"):
    """Where an export comes from, as its card and `export.json` tell it."""

    dataset: str = Field(description="Name of the source dataset, never a path.")
    kind: str = Field(description="Kind of the source: file, sample or Hub.")
    sha256: str | None = Field(None, description="SHA-256 of the source file, if it is one file.")
    languages: list[str] = Field(default_factory=list, description="ISO 639 codes of its languages, if known.")
    recipe: dict[str, Any] = Field(description="The filter recipe.")
    rule_effects: list[RuleEffect] = Field(default_factory=list, description="What each rule removed.")
    settle_policy: dict[str, Any] = Field(description="How several answers became one.")
    annotators: int = Field(ge=0, description="Number of annotators who answered.")
    token_unit: str = Field("tokens", description="What the counts count: see `pipeline.tokens.TokenCounter.unit`.")
    created: str = Field(description="When the export was made, ISO 8601.")
    studio_version: str = Field(description="Version of Align Studio.")


@dataclass(frozen=True)
class ExportPlan:
    """What an export will hold, known before anything is written.

    Attributes:
        total: Pairs that came from the filter.
        kept: Pairs that are exported.
        dropped: Pairs left out by reason: undecided, ties, rejected_better; zeros included.
        swapped: Pairs of those kept whose chosen and rejected are exchanged.
        train: Pairs in the train split.
        test: Pairs in the test split.
        prompts: Different prompts among the pairs kept.
    """

    total: int
    kept: int
    dropped: dict[str, int]
    swapped: int
    train: int
    test: int
    prompts: int


@dataclass(frozen=True)
class ExportFile:
    """One file of an export: its path within the folder, size in bytes, SHA-256, and rows if it holds pairs."""

    path: str
    bytes: int
    sha256: str
    rows: int | None


@dataclass(frozen=True)
class ExportResult:
    """A finished export: its folder, the plan it followed and its files, all but `export.json`, which lists them."""

    folder: Path
    plan: ExportPlan
    files: list[ExportFile]


@dataclass(frozen=True)
class _Row:
    """A pair to export, already turned around if it must be."""

    pair: Pair
    verdict: Settled | None
    counts: PairCounts | None
    swapped: bool = False
    split: Split = "train"


def plan(pairs: Sequence[Pair], settled: Mapping[str, Settled], options: ExportOptions) -> ExportPlan:
    """Count what an export would hold.

    Args:
        pairs: The pairs a recipe kept.
        settled: What reviewers said, by record id; a pair nobody reviewed may be missing and is exported as it is.
        options: The options of the export.
    """
    return _prepare(pairs, settled, options)[1]


def write(
    pairs: Sequence[Pair],
    settled: Mapping[str, Settled],
    options: ExportOptions,
    folder: Path,
    provenance: Provenance,
    counts: Sequence[PairCounts] | None = None,
    on_progress: Progress | None = None,
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

    Returns:
        The folder, the plan and the files.

    Raises:
        StudioError: Nothing is left to export, the name is in use, or the folder cannot be written (a full disk, say).
    """
    rows, planned = _prepare(pairs, settled, options, counts)
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
        with _new_file(partial / "README.md") as file:
            file.write(_card(rows, planned, options, provenance).encode())
        files.append(_describe(partial, "README.md", None))
        with _new_file(partial / "export.json") as file:
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
    counts: Sequence[PairCounts] | None = None,
) -> tuple[list[_Row], ExportPlan]:
    """Return the rows to export in the order of the pairs, and their plan."""
    if counts is not None and len(counts) != len(pairs):
        raise ValueError(f"{len(counts)} token counts for {len(pairs)} pairs.")
    dropped = {"undecided": 0, "ties": 0, "rejected_better": 0}
    rows = []
    for index, pair in enumerate(pairs):
        verdict = settled.get(pair.record_id)
        row = _Row(pair, verdict, counts[index] if counts is not None else None)
        match verdict.preference if verdict is not None else None:
            case "undecided" if options.undecided == "drop":
                dropped["undecided"] += 1
            case "tie" if options.ties == "drop":
                dropped["ties"] += 1
            case "rejected" if options.rejected_better == "drop":
                dropped["rejected_better"] += 1
            case "rejected" if options.rejected_better == "swap":
                rows.append(_turned_around(row))
            case _:
                rows.append(row)
    keys = [_prompt_key(row.pair.prompt) for row in rows]
    held_out = _held_out(Counter(keys), options.test_share, options.seed)
    rows = [replace(row, split="test") if key in held_out else row for row, key in zip(rows, keys, strict=True)]
    test = sum(row.split == "test" for row in rows)
    swapped = sum(row.swapped for row in rows)
    return rows, ExportPlan(len(pairs), len(rows), dropped, swapped, len(rows) - test, test, len(set(keys)))


def _turned_around(row: _Row) -> _Row:
    """Return the row with its completions exchanged and its id kept; a pair turned around twice is as it was."""
    pair, counts = row.pair, row.counts
    pair = replace(pair, chosen=pair.rejected, rejected=pair.chosen, swapped=not pair.swapped)
    if counts is not None:
        counts = replace(counts, chosen=counts.rejected, rejected=counts.chosen)
    return replace(row, pair=pair, counts=counts, swapped=True)


def _prompt_key(prompt: Messages) -> str:
    """Return the prompt's text without what does not make it another prompt: case, spacing, Unicode form."""
    return " ".join(unicodedata.normalize("NFKC", text_of(prompt)).casefold().split())


def _held_out(sizes: Mapping[str, int], test_share: float, seed: int) -> set[str]:
    """Choose the prompts of the test split.

    Prompts are visited in the order of SHA-256(seed, prompt), so neither the order of rows nor other prompts decide
    where one stands, and a prompt goes to the test split whenever that brings the split nearer to its share.

    Args:
        sizes: Number of pairs of each prompt.
        test_share: Share of the pairs wanted, 0 to 0.5.
        seed: Seed of the order.

    Returns:
        Keys of the prompts held out: at least one if a share is wanted and there are two prompts, never all.
    """
    if not test_share or len(sizes) < 2:
        return set()
    wanted = test_share * sum(sizes.values())
    order = sorted(sizes, key=lambda key: hashlib.sha256(f"{seed}\n{key}".encode("utf-8", "surrogatepass")).digest())
    held_out, taken = set(), 0
    for key in order:
        if abs(taken + sizes[key] - wanted) < abs(taken - wanted):
            held_out.add(key)
            taken += sizes[key]
    return held_out or {min(order, key=lambda key: sizes[key])}


def _write_rows(folder: Path, rows: Sequence[_Row], report: Progress) -> list[ExportFile]:
    """Write both forms of each split that has rows.

    Relevance is in the JSONL files only when every pair has one. JSON has no types: where a file begins with nulls,
    datasets (3.2 and 5.2) takes the column for null and fails with DatasetGenerationError at the first number.
    """
    rated = all(row.verdict is not None and row.verdict.relevance is not None for row in rows)
    columns = [name for name in SCHEMA.names if rated or name != "relevance"]
    files, done = [], 0
    splits: tuple[Split, ...] = ("train", "test")
    for split in splits:
        part = [row for row in rows if row.split == split]
        if not part:
            continue
        lines, table = f"{split}.jsonl", f"data/{split}-00000-of-00001.parquet"
        with _new_file(folder / lines) as jsonl, _new_file(folder / table) as parquet:
            with pq.ParquetWriter(parquet, SCHEMA) as writer:
                for start in range(0, len(part), _CHUNK):
                    values = [_as_dict(row) for row in part[start : start + _CHUNK]]
                    jsonl.writelines(_line({name: value[name] for name in columns}) for value in values)
                    writer.write_table(pa.Table.from_pylist(values, schema=SCHEMA))
                    done += len(values)
                    report("rows", done, len(rows))
        files += [_describe(folder, lines, len(part)), _describe(folder, table, len(part))]
    return files


def _as_dict(row: _Row) -> dict[str, Any]:
    """Return the row as `SCHEMA` has it."""
    pair, verdict = row.pair, row.verdict
    return {
        "record_id": pair.record_id,
        **{part: as_dicts(getattr(pair, part)) for part in PARTS},
        "source": pair.source,
        "swapped": pair.swapped,
        "relevance": verdict.relevance if verdict is not None else None,
        "answers": verdict.answers if verdict is not None else 0,
    }


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


@contextmanager
def _new_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a new file whose content is on the disk, not in a cache, when the block ends."""
    with path.open("xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _describe(folder: Path, path: str, rows: int | None) -> ExportFile:
    with (folder / path).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return ExportFile(path, (folder / path).stat().st_size, digest, rows)


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


def _card(rows: Sequence[_Row], planned: ExportPlan, options: ExportOptions, provenance: Provenance) -> str:
    """Return the dataset card: front matter that the Hub and `datasets` read, then what a person wants to know."""
    who = f"{provenance.annotators} annotator{'' if provenance.annotators == 1 else 's'}"
    return "\n\n".join(
        [
            _front_matter(planned, options, provenance),
            f"# {options.name}",
            "Preference pairs in TRL's conversational format with an explicit prompt, for ORPO and its like. "
            f"Made with Align Studio {provenance.studio_version} on {provenance.created}, reviewed by {who}.",
            "```python\nfrom datasets import load_dataset\n\n"
            f"pairs = load_dataset({json.dumps(options.name)})  # this folder, or its repository on the Hub\n```",
            "## Content",
            *_content(rows, planned, options, provenance.token_unit),
            "## Origin",
            *_origin(planned, options, provenance),
            "## License",
            "Whoever publishes this states the license; the source dataset's own license applies to its texts.",
            "",
        ]
    )


def _front_matter(planned: ExportPlan, options: ExportOptions, provenance: Provenance) -> str:
    """Return the YAML block; strings are written as JSON, which is YAML."""
    size = next((label for limit, label in _SIZES if planned.kept < limit), "100K<n<1M")
    splits = ["train", "test"] if planned.test else ["train"]
    return "\n".join(
        [
            "---",
            f"pretty_name: {json.dumps(options.name)}",
            "license: unknown",
            *([f"language: {json.dumps(provenance.languages)}"] if provenance.languages else []),
            "tags: [preference, orpo, align-studio]",
            f"size_categories: [{size}]",
            "configs:",
            "- config_name: default",
            "  data_files:",
            *(f"  - split: {split}\n    path: data/{split}-*.parquet" for split in splits),
            "---",
        ]
    )


def _content(rows: Sequence[_Row], planned: ExportPlan, options: ExportOptions, unit: str) -> list[str]:
    """Return what the files hold: pairs by source and split, columns, lengths."""
    found = Counter((row.pair.source or NO_SOURCE, row.split) for row in rows)
    by_source = Counter(row.pair.source or NO_SOURCE for row in rows)
    pairs = [
        (source, count, found[source, "train"], found[source, "test"]) for source, count in by_source.most_common()
    ]
    parts = [
        _table(["Source", "Pairs", "Train", "Test"], [*pairs, ("all", planned.kept, planned.train, planned.test)]),
        f"{planned.prompts} different prompts, none of them in both splits (seed {options.seed}).",
        _table(["Column", "Meaning"], list(_COLUMNS.items())),
    ]
    counts = [row.counts for row in rows if row.counts is not None]
    if counts:
        lengths = [(part, [getattr(count, part) for count in counts]) for part in PARTS]
        table = [(part, f"{median(values):g}", max(values), sum(values)) for part, values in lengths]
        parts.append(_table([f"Length in {unit}", "Median", "Longest", "All"], table))
    return parts


def _origin(planned: ExportPlan, options: ExportOptions, provenance: Provenance) -> list[str]:
    """Return how the pairs came here: source, filter, settling, what became of each verdict."""
    source = [("Source dataset", provenance.dataset), ("Kind", provenance.kind)]
    if provenance.sha256:
        source.append(("SHA-256 of its file", provenance.sha256))
    effects = [(effect.label, effect.removes_alone, effect.removes_first) for effect in provenance.rule_effects]
    verdicts = [
        ("undecided", options.undecided, planned.dropped["undecided"]),
        ("tie", options.ties, planned.dropped["ties"]),
        ("rejected is better", options.rejected_better, planned.dropped["rejected_better"] or planned.swapped),
    ]
    policy = [(of.replace("_", " "), str(how).replace("_", " ")) for of, how in provenance.settle_policy.items()]
    return [
        _table(["", ""], source),
        *([_table(["Rule", "Pairs removed alone", "After the rules above"], effects)] if effects else []),
        f"Filter recipe:\n\n```json\n{json.dumps(provenance.recipe, ensure_ascii=False, indent=2)}\n```",
        *([_table(["Several answers became one", "By"], policy)] if policy else []),
        _table(["Reviewers say", "What was done", "Pairs dropped or exchanged"], verdicts),
    ]


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table; text from data cannot end a cell or begin HTML."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(value) for value in line)} |" for line in lines)


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|").replace("<", "&lt;")


def _nothing_to_export(planned: ExportPlan) -> StudioError:
    reasons = [f"{count} {reason.replace('_', ' ')}" for reason, count in planned.dropped.items() if count]
    if not planned.total:
        return StudioError("There is nothing to export.", "The filter keeps no pair.", "Loosen its rules.")
    return StudioError(
        "There is nothing to export.",
        f"All {planned.total} pairs are dropped: {', '.join(reasons)}.",
        "Keep or swap some of them in the options of the export, or review more pairs.",
    )


def _name_in_use(name: str) -> StudioError:
    return StudioError(
        f"The export “{name}” was not written.", "An export of this name is there already.", "Choose another name."
    )


def _not_written(error: OSError, name: str) -> StudioError:
    """Say why the folder could not be written."""
    if error.errno in (errno.EEXIST, errno.ENOTEMPTY):  # made by somebody else while this one was being written
        return _name_in_use(name)
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return StudioError(
        f"The export “{name}” was not written; nothing of it is left behind.",
        f"{'The disk is full' if full else 'Its folder cannot be written'}: {error.strerror or error}.",
        "Free some space, then export again." if full else "Check the folder's permissions, then export again.",
    )
