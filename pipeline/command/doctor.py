"""The doctor: examine an export as a base model would be trained on it."""

from __future__ import annotations

import argparse
import sys

from pydantic import BaseModel, Field

from pipeline.base import words
from pipeline.base.errors import StudioError
from pipeline.base.project import Project
from pipeline.command import table
from pipeline.command.frame import DONE, FAILED, Call, Command, always, project_argument
from pipeline.command.options import add_options, fill
from pipeline.command.results import Said, lines_of, said
from pipeline.export import exported
from pipeline.train.algorithm import algorithm_of, algorithms
from pipeline.train.doctor import kept
from pipeline.train.doctor.finding import Finding, Report
from pipeline.train.options import TrainOptions
from pipeline.train.params import TrainParams

_FILLED = {"base_model": "command.default.project", "dataset": "command.default.export"}
_LENGTHS = ("block_size", "max_prompt_length", "max_completion_length")


class Diagnosis(Finding):
    """A finding, in words, and what was chosen about it."""

    said: Said = Field(description="What it is, why it matters, what to do.")
    choice: str = Field(description="leave_out, otherwise or keep; empty: not decided.")


class Examination(BaseModel):
    """What the doctor found."""

    export: str
    base_model: str
    pairs: int = Field(description="Pairs examined.")
    seconds: float = Field(description="How long it took; of an earlier examination of the same, its time.")
    tokenizer: bool = Field(
        description="Whether the base model's own tokenizer was at hand; without, cuts are not seen."
    )
    checks: list[str] = Field(description="The checks that were made.")
    findings: list[Diagnosis] = Field(description="Those that stop a run first.")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is trained on what, and the lengths."""
    project_argument(parser)
    add_options(parser, TrainOptions, "train", skip=("project_name",), filled=_FILLED)
    there: set[str] = set()
    for algorithm in algorithms().values():
        fields = algorithm.params.model_fields.keys()
        add_options(parser, algorithm.params, "train", skip={*there, *(fields - set(_LENGTHS))})
        there |= fields


def examined(call: Call, project: Project, options: TrainOptions, params: TrainParams) -> Report | None:
    """Return the examination of what would be trained on, made now where there is none; None without an export.

    Args:
        call: Is told how far it is.
        project: Holds the export.
        options: Names export and base model.
        params: Gives the lengths.

    Raises:
        StudioError: A line of the export is no pair.
    """

    def told(done: int, pairs: int) -> None:
        if sys.stderr.isatty() or done == pairs:
            call.tell(words.say("command.doctor.progress", done=f"{done:,}", pairs=f"{pairs:,}"))

    return kept.report(project, options, params) or kept.made(project, options, params, told)


def examine(call: Call) -> Examination:
    """Examine an export."""
    project = call.project()
    newest = next(iter(exported.names(project)), "")
    options = fill(TrainOptions, call.given, dataset=newest, base_model=project.read().base_model)
    params = fill(algorithm_of(options.algorithm).params, call.given)
    call.visit.model(options.base_model)
    found = examined(call, project, options, params)
    if found is None:
        code = "training.no_export" if options.dataset else "training.no_dataset"
        raise StudioError(code, export=options.dataset) if options.dataset else StudioError(code)
    return Examination(
        export=options.dataset,
        base_model=options.base_model,
        findings=[
            Diagnosis(**finding.model_dump(), said=said(finding.message()), choice=_choice(finding, options))
            for finding in found.findings
        ],
        **found.model_dump(exclude={"findings"}),
    )


def _choice(finding: Finding, options: TrainOptions) -> str:
    chosen = options.chosen.get(finding.code)
    return chosen if chosen in finding.remedies else ""


def _show(found: Examination) -> str:
    values = {"pairs": f"{found.pairs:,}", "seconds": f"{found.seconds:g}"}
    parts = [words.say("doctor.found" if found.findings else "doctor.fine", **values)]
    if not found.tokenizer:
        parts.append(words.say("doctor.estimate"))
    if found.findings:
        head = [words.say(f"command.doctor.column.{name}") for name in ("finding", "severity", "pairs", "choice")]
        rows = [
            (
                each.code,
                words.say(f"doctor.severity.{each.severity}"),
                each.count,
                each.choice or "|".join(each.remedies),
            )
            for each in found.findings
        ]
        parts.append(table.aligned(rows, head, right=(2,)))
    for each in found.findings:
        parts.append(lines_of(each.said))
        for example in each.examples:
            line = words.say("command.doctor.example", number=example.number, shown=example.shown or example.prompt)
            parts.append(table.aligned([[line]]))
    return "\n".join(parts)


def _code(found: Examination) -> int:
    open_ = (each for each in found.findings if each.severity == "blocker" and not each.choice)
    return FAILED if any(open_) else DONE


DOCTOR = Command("doctor", Examination, examine, _show, add_arguments, _code, hub=always)
