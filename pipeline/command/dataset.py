"""Datasets: check a file, make a project of it, and say what a project holds."""

from __future__ import annotations

import argparse
import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from pipeline.base import words
from pipeline.base.errors import StudioError
from pipeline.command import table
from pipeline.command.frame import DONE, FAILED, Call, Command, Misuse, project_argument
from pipeline.dataset import reading, sources
from pipeline.dataset.guess import guess, why_not
from pipeline.dataset.reading import LayoutUnknown
from pipeline.dataset.recognise import Loaded, Mapping, NothingUsable
from pipeline.dataset.rows import BadRow
from pipeline.dataset.sources import Source
from pipeline.export import exported
from pipeline.hub import datasets as hub
from pipeline.review.project import answers_of
from pipeline.train import trainings
from pipeline.visit import FILES

SHOWN = 20  # unusable rows that people are shown; programs get all
COLUMNS = ("prompt", "chosen", "rejected", "system", "source")


class UnusableRow(BaseModel):
    """A row that is no pair."""

    number: int = Field(description="1-based; of the line in JSON Lines, the header of CSV not counted.")
    reason: str = Field(description="Why, in words.")
    code: str = Field(description="Key of these words.")
    values: dict[str, Any] = Field(description="What the words name.")


class Checked(BaseModel):
    """What was found in a source."""

    name: str = Field(description="File name or Hub id.")
    kind: str = Field(description="file, sample or hub.")
    format: str = Field(description="What the content is: parquet, JSON Lines, JSON, CSV, TSV or Hub dataset.")
    layout: str | None = Field(description="Name of the layout; columns where they were named; null: unknown.")
    recognised: str = Field(description="How the rows are read, one sentence; empty where the layout is unknown.")
    mapping: dict[str, str | list[str]] = Field(
        description="Column by part: prompt (a list where several make it), chosen, rejected, system, source, decides "
        "(a list: what says which answer is preferred). Where the layout is unknown, a proposal."
    )
    rows: int
    pairs: int
    unusable: list[UnusableRow] = Field(description="Every row that is no pair.")
    columns_used: list[str] = Field(description="Columns that pairs are made of.")
    columns_unused: list[str] = Field(
        description="The others; they go along with the pairs, nothing is trained on them. A name like input.tools is "
        "a key inside a column that is used."
    )
    text_unused: list[str] = Field(description="Those of them with text in them that no pair has.")
    notes: list[str] = Field(description="What the reader should know.")


class LoadedProject(Checked):
    """A project that was made."""

    project: str = Field(description="Its name.")


class Shown(BaseModel):
    """What a project holds."""

    project: str
    created: str = Field(description="ISO 8601.")
    base_model: str = Field(description="The model whose tokens are counted.")
    dataset: dict[str, Any] | None = Field(description="Where its pairs come from: kind, name, rows, pairs, …")
    review: dict[str, Any] | None = Field(description="Its dataset in Argilla: server, dataset_id, plan.")
    recipe: dict[str, Any] | None = Field(description="Its filter; null until one is saved.")
    answers: int = Field(description="Answers read back from Argilla.")
    exports: list[str] = Field(description="Newest first.")
    models: list[str] = Field(description="Trained models, newest first.")


class Listed(BaseModel):
    """All projects."""

    projects: list[str] = Field(description="The one worked on last first.")


def _source_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(words.say("command.group.source"))
    group.add_argument("file", nargs="?", metavar="FILE", help=words.say("command.option.file"))
    group.add_argument("--sample", action="store_true", help=words.say("command.option.sample"))
    group.add_argument("--hub", metavar="ID", help=words.say("command.option.hub"))
    for name in ("config", "split", "revision"):
        group.add_argument(f"--{name}", metavar="NAME", help=words.say(f"command.option.{name}"))
    group.add_argument("--limit", type=int, metavar="ROWS", help=words.say("command.option.limit"))
    columns = parser.add_argument_group(words.say("command.group.columns"))
    for name in COLUMNS:
        several: Any = {"action": "append"} if name == "prompt" else {}
        columns.add_argument(f"--{name}", metavar="COLUMN", help=words.say(f"command.option.{name}"), **several)


def _read(call: Call) -> Source:
    """Return the source that a call names.

    Raises:
        Misuse: It names none, or several.
        StudioError: It cannot be read.
    """
    given = vars(call.given)
    named = [name for name in ("file", "sample", "hub") if given.get(name)]
    if len(named) != 1:
        raise Misuse("command.one_source")
    if given.get("hub"):
        names = {name: given.get(name) or "" for name in ("config", "split", "revision")}
        return sources.hub(hub.choose(given["hub"], **names, limit=given.get("limit")))
    if given.get("sample"):
        return sources.sample()
    call.visit.require(FILES)
    return sources.local_file(str(Path(given["file"]).expanduser().absolute()))


def _mapping(call: Call) -> Mapping | None:
    columns = {name: value for name in COLUMNS if (value := getattr(call.given, name, None))}
    if not columns:
        return None
    if "chosen" not in columns or "rejected" not in columns:
        raise Misuse("command.both_columns")
    prompt, *after = columns.pop("prompt", [""])
    return Mapping(prompt=prompt, after=tuple(after), **columns)


def _parts(mapping: Mapping | None) -> dict[str, str | list[str]]:
    """Return the columns by part; a part of several columns is a list."""
    if mapping is None:
        return {}
    parts: dict[str, str | list[str]] = {name: getattr(mapping, name) for name in COLUMNS[1:]}
    prompts = list(mapping.prompts)
    parts = {"prompt": prompts[0] if len(prompts) == 1 else prompts, **parts, "decides": list(mapping.decides)}
    return {name: columns for name, columns in parts.items() if columns}


def _checked(source: Source, loaded: Loaded) -> dict[str, Any]:
    used = set(loaded.mapping.used)
    inside = [name for name in loaded.unused if name not in loaded.columns]
    return {
        "name": source.name,
        "kind": source.kind,
        "format": source.rows.format,
        "layout": loaded.mapping.layout,
        "recognised": str(loaded.recognised),
        "mapping": _parts(loaded.mapping),
        "rows": len(loaded.pairs) + len(loaded.bad_rows),
        "pairs": len(loaded.pairs),
        "unusable": _unusable(loaded.bad_rows),
        "columns_used": [name for name in loaded.columns if name in used],
        "columns_unused": [*(name for name in loaded.columns if name not in used), *inside],
        "text_unused": loaded.unused,
        "notes": [str(note) for note in loaded.notes],
    }


def _unusable(rows: list[BadRow]) -> list[UnusableRow]:
    return [UnusableRow(number=row.number, reason=row.reason.said(), **row.reason.as_dict()) for row in rows]


def _unknown(source: Source) -> Checked:
    """Return what is known of a source whose layout is not."""
    rows = source.rows
    return Checked(
        name=source.name,
        kind=source.kind,
        format=rows.format,
        layout=None,
        recognised="",
        mapping=_parts(guess(rows)),
        rows=rows.total,
        pairs=0,
        unusable=_unusable(rows.bad_rows),
        columns_used=[],
        columns_unused=list(rows.columns),
        text_unused=[],
        notes=[str(note) for note in (why_not(rows), *rows.notes)],
    )


def _bounded(call: Call) -> AbstractContextManager[None]:
    given = vars(call.given)
    return sources.bounded(given.get("hub") or Path(given.get("file") or "").name)


def check(call: Call) -> Checked:
    """Say what a source holds, and make nothing of it."""
    with _bounded(call):
        return _check(call)


def _check(call: Call) -> Checked:
    source, mapping = _read(call), _mapping(call)
    try:
        return Checked(**_checked(source, reading.load_rows(source.rows, mapping)))
    except LayoutUnknown:
        return _unknown(source)
    except NothingUsable as error:
        nothing = Loaded([], error.bad_rows, error.mapping.sentence, error.mapping, source.rows.columns)
        return Checked(**_checked(source, nothing))


def load(call: Call) -> LoadedProject:
    """Make a project of a source."""
    with _bounded(call):
        return _load(call)


def _load(call: Call) -> LoadedProject:
    source = _read(call)
    try:
        project, loaded = sources.load(call.visit.home, source, _mapping(call))
    except LayoutUnknown as error:
        raise StudioError("command.name_columns", columns=list(error.rows.columns), reason=error.reason) from error
    return LoadedProject(project=project.name, **_checked(source, loaded))


def show(call: Call) -> Shown:
    """Say what a project holds."""
    project = call.project()
    record = project.read()
    return Shown(
        project=project.name,
        created=record.created.isoformat(),
        base_model=record.base_model,
        dataset=record.dataset.model_dump(mode="json") if record.dataset else None,
        review=record.review.model_dump(mode="json") if record.review else None,
        recipe=record.recipe,
        answers=len(answers_of(project)),
        exports=exported.names(project),
        models=[model.name for model in trainings.models(call.visit.ledger, project)],
    )


def _show_checked(found: Checked) -> str:
    if found.layout is None:
        head = words.say("command.layout_unknown", columns=found.columns_unused)
    else:
        head = found.recognised
    facts: dict[str, object] = {
        words.say("command.fact.name"): found.name,
        words.say("command.fact.format"): found.format,
        words.say("command.fact.rows"): found.rows,
        words.say("command.fact.pairs"): found.pairs,
        words.say("command.fact.unusable"): len(found.unusable),
        words.say("command.fact.used"): words.say("list.comma").join(found.columns_used),
        words.say("command.fact.unused"): words.say("list.comma").join(found.columns_unused),
        words.say("command.fact.text_unused"): words.say("list.comma").join(found.text_unused),
    }
    if isinstance(found, LoadedProject):
        facts = {words.say("status.project"): found.project, **facts}
    parts = [head, table.pairs(facts), *found.notes]
    rows = [words.say("command.row", number=row.number, reason=row.reason) for row in found.unusable[:SHOWN]]
    more = len(found.unusable) - SHOWN
    return "\n".join([*parts, *rows, *([words.say("command.more_rows", count=more)] if more > 0 else [])])


def _show_project(found: Shown) -> str:
    comma = words.say("list.comma")
    dataset = found.dataset or {}
    facts: dict[str, object] = {
        words.say("status.project"): found.project,
        words.say("command.fact.created"): found.created[:16].replace("T", " "),
        words.say("command.fact.name"): dataset.get("name"),
        words.say("command.fact.pairs"): dataset.get("pairs"),
        words.say("command.fact.unusable"): dataset.get("bad_rows"),
        words.say("command.fact.base_model"): found.base_model,
        words.say("command.fact.answers"): found.answers,
        words.say("command.fact.recipe"): json.dumps(found.recipe, ensure_ascii=False) if found.recipe else "",
        words.say("command.fact.exports"): comma.join(found.exports),
        words.say("command.fact.models"): comma.join(found.models),
    }
    return table.pairs(facts)


def _of_the_hub(given: argparse.Namespace) -> bool:
    return bool(getattr(given, "hub", None))


def _code(found: Checked) -> int:
    return DONE if found.pairs else FAILED


CHECK = Command("dataset check", Checked, check, _show_checked, _source_arguments, _code, hub=_of_the_hub)
LOAD = Command("dataset load", LoadedProject, load, _show_checked, _source_arguments, hub=_of_the_hub)
SHOW = Command("dataset show", Shown, show, _show_project, project_argument)
LIST = Command(
    "dataset list",
    Listed,
    lambda call: Listed(projects=call.visit.projects()),
    lambda found: "\n".join(found.projects) or words.say("status.no_project"),
)
