"""Examinations of a project's exports, kept while export, base model and lengths stay as they are."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

from pipeline.base import words
from pipeline.base.memory import cached, version
from pipeline.base.pair import Pair, as_dicts
from pipeline.base.project import Project
from pipeline.engines.examined import Limits
from pipeline.export import exported
from pipeline.models import reference, sandbox, template
from pipeline.train.doctor.check import checks
from pipeline.train.doctor.examine import Progress, examine
from pipeline.train.doctor.finding import Report
from pipeline.train.options import TrainOptions
from pipeline.train.params import TrainParams

AT_ONCE = 1000  # pairs that are examined while a page waits: less than a second
_MOST_KEPT = 12
_FORM = 1  # raised when the same pairs would be reported otherwise


def report(project: Project, options: TrainOptions, params: TrainParams, most: int = AT_ONCE) -> Report | None:
    """Return the examination of what would be trained on; of few pairs it is made now, of more None until it was made.

    Args:
        project: Holds the export.
        options: Names export and base model.
        params: Gives the lengths.
        most: Pairs that are examined now.

    Raises:
        StudioError: A line of the export is no pair.
    """
    looked = _looked(project, options, params)
    if looked is None:
        return None
    file, _, place = looked
    if place.is_file():
        return _read(place)
    with file.open("rb") as lines:
        if sum(1 for _ in lines) > most:
            return None
    return made(project, options, params)


def made(project: Project, options: TrainOptions, params: TrainParams, told: Progress | None = None) -> Report | None:
    """Examine what would be trained on, and keep what was found; None where there is no such export.

    Args:
        project: Holds the export.
        options: Names export and base model.
        params: Gives the lengths.
        told: See `pipeline.train.doctor.examine.examine`.

    Raises:
        StudioError: A line of the export is no pair.
    """
    looked = _looked(project, options, params)
    if looked is None:
        return None
    file, of, place = looked
    context = reference.context(options.base_model)
    pairs = _pairs(file)
    if len(pairs) <= AT_ONCE:  # perhaps in a page's own process, which no template may hold up
        of = replace(of, problem=_too_much(of, pairs))
    found = examine(pairs, options.base_model, of, limits(params), told, context)
    _write(place, found)
    return found


def _too_much(of: template.Files, pairs: list[Pair]) -> str:
    """Return that a template that is the model's own takes too much for these pairs, in words; "" where it does not."""
    if of.template == template.DEFAULT:
        return ""
    talks = [as_dicts(pair.prompt + answer) for pair in pairs for answer in (pair.chosen, pair.rejected)]
    code = sandbox.tried(of.template, of.special, talks)
    return words.say(f"doctor.template.{code}", seconds=sandbox.SECONDS) if code else ""


def limits(params: TrainParams) -> Limits:
    """Return the lengths to which a training cuts."""
    return Limits(params.max_prompt_length, params.max_completion_length, params.block_size)


def _pairs(file: Path) -> list[Pair]:
    return cached("doctor", file, version(file), lambda: exported.read_pairs(file))


def _looked(project: Project, options: TrainOptions, params: TrainParams) -> tuple[Path, template.Files, Path] | None:
    """Return the file to train on, what the base model's files say, and where its examination is kept."""
    file = exported.split_file(project, options.dataset, "train")
    if file is None:
        return None
    of = template.files(options.base_model)
    return file, of, _place(project, file, of, params)


def _place(project: Project, file: Path, of: template.Files, params: TrainParams) -> Path:
    lengths = limits(params)
    names = [check.code for check in checks()]
    said = [_FORM, names, of.name, of.mark, file.parent.name, version(file), lengths.prompt, lengths.completion]
    mark = hashlib.sha256(json.dumps([*said, lengths.block]).encode()).hexdigest()[:16]
    return project.folder / "doctor" / f"{mark}.json"


def _read(place: Path) -> Report:
    return cached("report", place, version(place), lambda: Report.model_validate_json(place.read_bytes()))


def _write(place: Path, found: Report) -> None:
    place.parent.mkdir(mode=0o700, exist_ok=True)
    fresh = place.with_suffix(".new")
    fresh.write_text(found.model_dump_json(), encoding="utf-8")
    fresh.replace(place)
    older = sorted(place.parent.glob("*.json"), key=lambda file: file.stat().st_mtime, reverse=True)
    for file in older[_MOST_KEPT:]:
        file.unlink(missing_ok=True)
