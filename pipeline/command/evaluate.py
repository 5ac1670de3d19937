"""Evaluate: base and trained model on the same tasks, scores side by side."""

from __future__ import annotations

import argparse

from pydantic import BaseModel, Field

from pipeline.base import words
from pipeline.base.preflight import Preflight
from pipeline.base.project import DEFAULT_BASE_MODEL, Project
from pipeline.command import price, table
from pipeline.command.follow import add_detach, carried
from pipeline.command.frame import DONE, FAILED, Blocked, Call, Command, always, project_argument
from pipeline.command.options import add_options, fill
from pipeline.command.price import Price, minutes
from pipeline.command.results import RunReport, Said, all_said, code_of, report
from pipeline.command.runs import show_run
from pipeline.command.train import notices
from pipeline.evaluate import check, comparison, evaluations
from pipeline.evaluate.check import EvaluateNumbers
from pipeline.evaluate.comparison import TUNED, Row
from pipeline.evaluate.evaluations import Evaluation
from pipeline.evaluate.options import EvaluateOptions
from pipeline.export import exported
from pipeline.hardware.pricing import JobOptions
from pipeline.runs.ledger import Run
from pipeline.train import trainings
from pipeline.train.trainings import TrainedModel
from pipeline.visit import COMPUTE

_FILLED = {
    "tuned": "command.default.model",
    "base": "command.default.trained",
    "dataset": "command.default.export",
}


class Samples(BaseModel):
    """What is counted before an evaluation."""

    samples: dict[str, int] = Field(description="Samples each model is scored on, by task.")
    seconds: float | None = Field(description="Time by the pace of a former run; null without one.")
    price: Price | None = Field(description="What it costs; null on this machine.")


class Score(BaseModel):
    """One measure of one task: a model beside the base model; values are the engine's to the last digit."""

    task: str
    metric: str = Field(description="lighteval's name of it.")
    headline: bool = Field(description="Whether it is one to look at first.")
    role: str = Field(description="tuned, or further-1, further-2, … for more models.")
    model: str = Field(description="Name of that model.")
    value: float | None = Field(description="Null where it is not a number, or the task failed.")
    stderr: float | None
    base: float | None = Field(description="The base model's score; null without one.")
    base_stderr: float | None
    difference: float | None = Field(description="value - base; null where they cannot be compared.")
    difference_stderr: float | None
    finding: str = Field(description="better, worse, same, few, unknown, undirected or none.")
    samples: int
    available: int = Field(description="Samples the task has.")


class Scored(BaseModel):
    """An evaluation: its check, its run, its scores."""

    numbers: Samples | None
    blockers: list[Said] = Field(description="What makes it impossible.")
    warnings: list[Said] = Field(description="What to beware of.")
    run: RunReport | None = Field(description="Null where it was only checked.")
    scores: list[Score] = Field(description="Each task's headlines first; empty until there are results.")
    folder: str = Field(description="Holds lighteval's own files; empty where it was only checked.")


def _arguments(parser: argparse.ArgumentParser) -> None:
    project_argument(parser)
    parser.add_argument("--check", action="store_true", help=words.say("command.option.check"))
    add_detach(parser)
    add_options(parser, EvaluateOptions, "evaluate", filled=_FILLED)
    add_options(parser, JobOptions, "hardware")


def evaluate(call: Call) -> Scored:
    """Check an evaluation, and start it unless it was only to be checked."""
    project, ledger = call.project(), call.visit.ledger
    options, where = _options(call, project), fill(JobOptions, call.given)
    if not where.remote:
        call.visit.require(COMPUTE)
    found = check.preflight(ledger, project, options, where=where)
    if getattr(call.given, "check", False):
        return _scored(found, None)
    if found.blockers:
        raise Blocked(found)
    if found.numbers.offer is not None:
        models = words.say("list.comma").join(options.models.values())
        price.agree(call, found.numbers.offer, found, {words.say("command.fact.models"): models})
    return _scored(found, carried(call, evaluations.start(ledger, project, options, where)))


def _options(call: Call, project: Project) -> EvaluateOptions:
    """Return the options given; what is left open is the newest of the project, and models go by their names too."""
    base, tuned = chosen_models(call, project)
    newest = next(iter(exported.names(project)), "")
    options = fill(EvaluateOptions, call.given, base=base, dataset=newest)
    made = trainings.models(call.visit.ledger, project)
    options.tuned = tuned
    options.further = [_model(made, name) for name in options.further]
    for name in options.models.values():
        call.visit.model(name)
    return options


def chosen_models(call: Call, project: Project) -> tuple[str, str]:
    """Return what loads the base and the trained model.

    Args:
        call: May name them; the trained one is the newest by default, the base what that was trained from.
        project: Whose models also go by their names.
    """
    made = trainings.models(call.visit.ledger, project)
    tuned = _model(made, getattr(call.given, "tuned", "") or (made[0].path if made else ""))
    trained = next((model for model in made if model.path == tuned), None)
    base = getattr(call.given, "base", None)
    if base is None:
        base = trained.base_model if trained else DEFAULT_BASE_MODEL
    return base, tuned


def _model(made: list[TrainedModel], name: str) -> str:
    """Return what loads a model that is named, or the name itself where the project has none of that name."""
    return next((model.path for model in made if model.name == name), name)


def _scored(found: Preflight[EvaluateNumbers], run: Run | None) -> Scored:
    evaluation = evaluations.result(run) if run else None
    return Scored(
        numbers=Samples(
            samples=found.numbers.samples, seconds=found.numbers.seconds, price=price.price_of(found.numbers.offer)
        ),
        blockers=all_said(found.blockers),
        warnings=all_said(found.warnings),
        run=report(run) if run else None,
        scores=scores(evaluation) if evaluation else [],
        folder=str(evaluation.folder) if evaluation else "",
    )


def scores(found: Evaluation) -> list[Score]:
    """Return an evaluation's scores, of all its models."""
    return [_score(found, role, row) for role in found.compared for row in found.rows(role)]


def _score(found: Evaluation, role: str, row: Row) -> Score:
    return Score(
        task=row.task,
        metric=row.metric,
        headline=row.headline,
        role=role,
        model=found.name(role),
        value=row.tuned,
        stderr=row.tuned_stderr,
        base=row.base,
        base_stderr=row.base_stderr,
        difference=row.difference,
        difference_stderr=row.difference_stderr,
        finding=comparison.finding(row),
        samples=row.samples,
        available=row.available,
    )


def _show(found: Scored) -> str:
    parts = []
    if found.run is None and found.numbers is not None:
        facts: dict[str, object] = dict(found.numbers.samples)
        if found.numbers.seconds:
            facts[words.say("command.fact.time")] = minutes(found.numbers.seconds)
        parts.append(table.pairs(facts))
    parts += notices(found.blockers, found.warnings)
    if found.scores:
        parts.append(_table(found.scores))
    elif found.run is not None:
        parts.append(show_run(found.run))
    if found.folder:
        parts.append(table.pairs({words.say("command.fact.folder"): found.folder}))
    return "\n".join(parts)


def _table(found: list[Score]) -> str:
    """Return the scores, rounded by their standard errors."""
    several = any(score.role != TUNED for score in found)
    head = [words.say(f"command.score.{name}") for name in ("task", "metric", "base", "tuned", "difference", "finding")]
    rows = [
        [
            score.task,
            score.metric,
            *([score.model] if several else []),
            comparison.rounded(score.base, score.base_stderr),
            comparison.rounded(score.value, score.stderr),
            comparison.rounded(score.difference, score.difference_stderr, signed=True),
            words.say(f"command.finding.{score.finding}"),
        ]
        for score in found
    ]
    if several:
        head.insert(2, words.say("command.fact.model"))
    return table.aligned(rows, head)


def _code(found: Scored) -> int:
    if found.run is None:
        return FAILED if found.blockers else DONE
    return code_of(found.run)


EVALUATE = Command("evaluate", Scored, evaluate, _show, _arguments, _code, hub=always)
