"""Export: what the recipe keeps, written as a dataset."""

from __future__ import annotations

import argparse
from typing import Any

from pydantic import BaseModel, Field

from pipeline.base import words
from pipeline.base.errors import StudioError
from pipeline.base.message import message
from pipeline.command import table
from pipeline.command.follow import add_detach, carried
from pipeline.command.frame import Call, Command, project_argument
from pipeline.command.options import add_options, fill
from pipeline.command.results import RunReport, code_of, report
from pipeline.command.runs import show_run
from pipeline.export import exported, writing
from pipeline.export.options import ExportOptions, ExportPlan
from pipeline.filter.project import filtered
from pipeline.review.project import save_settling, settled_of, settling_of
from pipeline.runs import launch


class Counts(BaseModel):
    """What an export holds, and what is left out."""

    total: int = Field(description="Pairs that came from the filter.")
    kept: int = Field(description="Pairs exported.")
    dropped: dict[str, int] = Field(description="Pairs left out: too_few, undecided, ties, rejected_better.")
    swapped: int = Field(description="Pairs whose chosen and rejected were exchanged.")
    train: int
    test: int
    prompts: int = Field(description="Different prompts.")


class Export(BaseModel):
    """An export, planned or written."""

    name: str
    counts: Counts
    folder: str = Field(description="Where it is; empty where it was only planned, or is not finished.")
    run: RunReport | None = Field(description="The run that writes it; null where it was only planned.")


def _arguments(parser: argparse.ArgumentParser) -> None:
    project_argument(parser)
    parser.add_argument("--check", action="store_true", help=words.say("command.option.check"))
    add_detach(parser)
    add_options(parser, ExportOptions, "export", filled={"name": "command.default.name"})


def export(call: Call) -> Export:
    """Write what the saved recipe keeps, or say what would be written."""
    project = call.project()
    usual = settling_of(project)
    policy = {"preference_by": usual.preference, "relevance_by": usual.relevance, "at_least": usual.at_least}
    options = fill(ExportOptions, call.given, name=exported.free_name(project), **policy)
    if (project.exports / options.name).exists():
        raise StudioError("export.used", name=options.name)
    settling = options.settling
    planned = writing.plan(filtered(project, settling=settling).kept, settled_of(project, settling), options)
    if not planned.kept:
        raise StudioError("command.export.nothing" if planned.total else "command.export.filtered")
    if getattr(call.given, "check", False):
        return Export(name=options.name, counts=_counts(planned), folder="", run=None)
    save_settling(project, settling)
    spec: dict[str, Any] = {"options": options.model_dump(mode="json")}
    title = message("export.run", name=options.name)
    run = carried(call, launch.start(call.visit.ledger, "export", project.name, title, spec))
    done = options.name in exported.names(project)
    counts = exported.read(project, options.name).plan if done else planned
    folder = str(project.exports / options.name) if done else ""
    return Export(name=options.name, counts=_counts(counts), folder=folder, run=report(run))


def _counts(plan: ExportPlan) -> Counts:
    return Counts(**vars(plan))


def _show(found: Export) -> str:
    counts = found.counts
    facts: dict[str, object] = {
        words.say("command.fact.export"): found.name,
        words.say("command.fact.kept"): f"{counts.kept:,} / {counts.total:,}",
        words.say("command.fact.swapped"): counts.swapped,
        words.say("command.fact.train"): counts.train,
        words.say("command.fact.test"): counts.test,
        words.say("command.fact.folder"): found.folder,
    }
    shown = table.pairs(facts)
    return shown if found.run is None or found.folder else f"{shown}\n{show_run(found.run)}"


EXPORT = Command("export", Export, export, _show, _arguments, lambda found: code_of(found.run))
