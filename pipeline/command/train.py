"""Train: check a training, start it, follow it to the model it makes."""

from __future__ import annotations

import argparse

from pydantic import BaseModel, Field

from pipeline.base import words
from pipeline.base.preflight import Preflight
from pipeline.base.project import Project
from pipeline.command import price, table
from pipeline.command.doctor import examined
from pipeline.command.follow import add_detach, carried
from pipeline.command.frame import DONE, FAILED, Blocked, Call, Command, always, project_argument
from pipeline.command.options import add_options, fill
from pipeline.command.price import Price, minutes
from pipeline.command.results import RunReport, Said, all_said, code_of, lines_of, report
from pipeline.command.runs import show_run
from pipeline.export import exported
from pipeline.hardware import machine
from pipeline.hardware.pricing import JobOptions
from pipeline.models.tokens import unit_of
from pipeline.train import check, trainings
from pipeline.train.algorithm import algorithm_of, algorithms
from pipeline.train.check import TrainNumbers
from pipeline.train.options import TrainOptions
from pipeline.train.params import TrainParams
from pipeline.visit import COMPUTE

_FILLED = {"base_model": "command.default.project", "dataset": "command.default.export"}


class Numbers(BaseModel):
    """What is counted and estimated before a training."""

    pairs: int = Field(description="Pairs in the train split.")
    steps: int = Field(description="Optimizer steps in all.")
    longest: int = Field(description="Length of the longest sequence, prompt and longer completion.")
    prompts_cut: int = Field(description="Pairs whose prompt loses its beginning.")
    completions_cut: int = Field(description="Pairs of which a completion loses its end.")
    sequences_cut: int = Field(description="Pairs that exceed block_size even then.")
    left_out: int = Field(description="Pairs left out by choice, because of what the doctor found.")
    last_step: int = Field(description="Pairs of the last step of each pass; 0: as many as of the others.")
    logging_interval: int = Field(description="Steps between two reports; fewer than asked for in a short run.")
    number_format: str = Field(description="What it computes in: bf16, fp16, or none for float32.")
    unit: str = Field(description="What lengths count: tokens, or words (estimate).")
    memory: int | None = Field(description="Estimated peak, bytes; null where it is not known.")
    seconds: float | None = Field(description="Time by the pace of a former run; null without one.")
    price: Price | None = Field(description="What it costs; null on this machine.")


class Training(BaseModel):
    """A training: its check, its run, its model."""

    numbers: Numbers | None = Field(description="Null where the same training was under way already.")
    blockers: list[Said] = Field(description="What makes it impossible.")
    warnings: list[Said] = Field(description="What makes it worse than it could be.")
    run: RunReport | None = Field(description="Null where it was only checked.")
    model: str = Field(description="What loads the model: a folder, or a Hub id; empty until it is there.")


def _arguments(parser: argparse.ArgumentParser) -> None:
    project_argument(parser)
    parser.add_argument("--check", action="store_true", help=words.say("command.option.check"))
    add_detach(parser)
    add_options(parser, TrainOptions, "train", filled=_FILLED)
    there: set[str] = set()
    for algorithm in algorithms().values():  # what several have is one option
        add_options(parser, algorithm.params, "train", skip=there)
        there |= algorithm.params.model_fields.keys()
    add_options(parser, JobOptions, "hardware")


def train(call: Call) -> Training:
    """Check a training, and start it unless it was only to be checked."""
    project, ledger = call.project(), call.visit.ledger
    newest = next(iter(exported.names(project)), "")
    options = fill(TrainOptions, call.given, dataset=newest, base_model=project.read().base_model)
    params = fill(algorithm_of(options.algorithm).params, call.given)
    where = fill(JobOptions, call.given)
    call.visit.model(options.base_model)
    if not where.remote:
        call.visit.require(COMPUTE)
    only_check = getattr(call.given, "check", False)
    if not only_check and trainings.asked_already(ledger, project, options, params, where):
        return _started(call, project, options, params, where, None)
    examined(call, project, options, params)
    found = check.preflight(ledger, project, options, params, where=where)
    if only_check:
        return _training(found, None)
    if found.blockers:
        raise Blocked(found)
    planned = found.numbers.job
    if planned is not None:
        goes_to = planned.destination.repository if planned.destination else ""
        lines: dict[str, object] = {words.say("command.fact.repository"): goes_to}
        lines |= {words.say("hardware.fact.space"): planned.space} if planned.space else {}
        price.agree(call, planned.offer, found, lines)
    return _started(call, project, options, params, where, found)


def _started(
    call: Call,
    project: Project,
    options: TrainOptions,
    params: TrainParams,
    where: JobOptions,
    found: Preflight[TrainNumbers] | None,
) -> Training:
    run = carried(call, trainings.start(call.visit.ledger, project, options, params, where))
    return _training(found, report(run), trainings.loaded_from(run) or "")


def _training(found: Preflight[TrainNumbers] | None, run: RunReport | None, model: str = "") -> Training:
    blockers, warnings = (all_said(found.blockers), all_said(found.warnings)) if found else ([], [])
    numbers = _numbers(found.numbers) if found else None
    return Training(numbers=numbers, blockers=blockers, warnings=warnings, run=run, model=model)


def _numbers(found: TrainNumbers) -> Numbers:
    fields = {name: getattr(found, name) for name in Numbers.model_fields if name != "price"}
    return Numbers(**fields, price=price.price_of(found.job.offer if found.job else None))


def notices(blockers: list[Said], warnings: list[Said]) -> list[str]:
    """Return what a check found, a line each."""
    stops = [words.say("command.blocker", what=lines_of(each)) for each in blockers]
    return stops + [words.say("command.warning", what=lines_of(each)) for each in warnings]


def _show(found: Training) -> str:
    parts = []
    if found.numbers is not None:
        numbers = found.numbers
        facts: dict[str, object] = {
            words.say("command.fact.pairs"): numbers.pairs,
            words.say("train.fact.left_out"): numbers.left_out or "",
            words.say("command.fact.steps"): numbers.steps,
            words.say("command.fact.longest"): f"{numbers.longest:,} {unit_of(numbers.unit)}",
            words.say("command.fact.memory"): machine.size(numbers.memory) if numbers.memory else "",
            words.say("command.fact.time"): minutes(numbers.seconds) if numbers.seconds else "",
        }
        parts.append(table.pairs(facts))
    parts += notices(found.blockers, found.warnings)
    if found.run is not None:
        parts.append(show_run(found.run))
    if found.model:
        parts.append(table.pairs({words.say("command.fact.model"): found.model}))
    return "\n".join(parts)


def _code(found: Training) -> int:
    if found.run is None:
        return FAILED if found.blockers else DONE
    return code_of(found.run)


TRAIN = Command("train", Training, train, _show, _arguments, _code, hub=always)
