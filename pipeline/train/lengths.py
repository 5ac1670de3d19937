"""The lengths of the pairs that would be trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.base.errors import StudioError
from pipeline.base.message import Message, message
from pipeline.base.project import Project
from pipeline.export import exported
from pipeline.models import tokens
from pipeline.models.tokens import PairCounts
from pipeline.train.options import TrainOptions

_KEPT = 4  # splits whose lengths are remembered
_counted: dict[tuple[Path, int, int, str], list[PairCounts]] = {}


def of_split(file: Path, counter: tokens.TokenCounter) -> list[PairCounts]:
    """Return the lengths of a split's pairs, without what a chat template adds; counted once per file and counter.

    Args:
        file: The split's JSONL.
        counter: Counts.
    """
    status = file.stat()
    key = (file, status.st_mtime_ns, status.st_size, counter.name)
    if key not in _counted:
        if len(_counted) >= _KEPT:
            _counted.pop(next(iter(_counted)), None)
        _counted[key] = tokens.pair_counts(exported.read_pairs(file), counter)
    return _counted[key]


def of_export(
    project: Project, options: TrainOptions, counter: tokens.TokenCounter
) -> tuple[Sequence[PairCounts], Message | None]:
    """Return the lengths of an export's train split, and what is wrong with it.

    Args:
        project: Holds the export.
        options: Names it.
        counter: Counts.
    """
    if not options.dataset:
        return [], message("training.no_dataset")
    file = exported.split_file(project, options.dataset, "train")
    if file is None:
        return [], message("training.no_export", export=options.dataset)
    try:
        return of_split(file, counter), None
    except StudioError as error:
        return [], error.message
