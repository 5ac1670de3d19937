"""What the Dataset step keeps in a project: its pairs, the rows that are none, their lengths."""

from __future__ import annotations

import hashlib
import json
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.base import project
from pipeline.base.home import Home
from pipeline.base.memory import cached, version
from pipeline.base.message import Message, verbatim
from pipeline.base.pair import Pair
from pipeline.base.project import DatasetRecord, Project, Record
from pipeline.dataset import pairs, summary
from pipeline.dataset.recognise import Loaded
from pipeline.dataset.rows import BadRow
from pipeline.hub.datasets import Chosen
from pipeline.models import tokens

Kind = Literal["file", "sample", "hub"]


@dataclass(frozen=True)
class Counted:
    """Token counts of a project's pairs.

    Attributes:
        counts: One per pair, in the order of the pairs.
        name: The tokenizer's name.
        unit: tokens, or words (estimate).
    """

    counts: list[tokens.PairCounts]
    name: str
    unit: str


def start_project(
    home: Home, loaded: Loaded, kind: Kind, name: str, sha256: str = "", chosen: Chosen | None = None
) -> Project:
    """Make a project of a loaded dataset, named after it.

    Args:
        home: The studio's home.
        loaded: Pairs and bad rows.
        kind: Where it comes from.
        name: File name or Hub id.
        sha256: SHA-256 of the file, if it is one.
        chosen: Configuration, split and commit, if it is a Hub dataset.

    Raises:
        StudioError: The project cannot be written; nothing of it is left behind.
    """
    fresh = project.create(home, Path(name).stem if kind == "file" else name)
    try:
        pairs.save(loaded.pairs, fresh.pairs)
        fresh.bad_rows.write_text(json.dumps([row.as_dict() for row in loaded.bad_rows], ensure_ascii=False))
        record = DatasetRecord(
            kind=kind,
            name=name,
            sha256=sha256,
            recognised=loaded.recognised.as_dict(),
            rows=len(loaded.pairs) + len(loaded.bad_rows),
            pairs=len(loaded.pairs),
            bad_rows=len(loaded.bad_rows),
            config=chosen.config if chosen else "",
            split=chosen.split if chosen else "",
            revision=chosen.revision if chosen else "",
            limit=chosen.limit if chosen else None,
            unused=loaded.unused,
        )

        def change(of: Record) -> None:
            of.dataset = record

        fresh.update(change)
    except BaseException as error:
        project.discard(fresh)
        if isinstance(error, OSError):
            raise project.not_made(error) from error
        raise
    return fresh


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def pairs_of(of: Project) -> list[Pair]:
    """Return the project's pairs, in file order."""
    return cached("pairs", of.folder, version(of.pairs), lambda: pairs.open_pairs(of.pairs))


def bad_rows_of(of: Project) -> list[BadRow]:
    """Return the rows of the project's dataset that are no pairs."""
    if not of.bad_rows.exists():
        return []
    return [BadRow.from_dict(row) for row in json.loads(of.bad_rows.read_text())]


def recognised_of(record: DatasetRecord) -> Message:
    """Return how a project's dataset was read."""
    said = record.recognised
    return verbatim(said) if isinstance(said, str) else Message.from_dict(said)


def counts_of(of: Project) -> Counted:
    """Return the token counts of the project's pairs, by the tokenizer of its base model."""
    base_model = of.read().base_model
    counter = tokens.counter(base_model)  # the estimate while the Hub is out of reach, the tokenizer later

    def count() -> Counted:
        return Counted(tokens.pair_counts(pairs_of(of), counter), counter.name, counter.unit)

    return cached("counts", of.folder, (version(of.pairs), base_model, counter.name), count)


def summary_of(of: Project) -> summary.Summary:
    """Return what the project's dataset holds."""
    return cached("summary", of.folder, version(of.pairs), lambda: summary.summarise(pairs_of(of)))


def lengths_of(of: Project) -> dict[str, summary.Lengths]:
    """Return the lengths of prompts, chosen and rejected, in the unit of `counts_of`."""
    counts = counts_of(of).counts
    found = {}
    for part in ("prompt", "chosen", "rejected"):
        sizes = [getattr(each, part) for each in counts]
        found[part] = summary.Lengths(min(sizes), statistics.median(sizes), max(sizes))
    return found
