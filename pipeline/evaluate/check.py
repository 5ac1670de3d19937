"""What is known of an evaluation before it starts: samples, time, and what stops it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.base.errors import StudioError
from pipeline.base.message import Message, Option, message
from pipeline.base.pair import Pair
from pipeline.base.preflight import Preflight
from pipeline.base.project import Project
from pipeline.evaluate import job
from pipeline.evaluate.comparison import BASE, TUNED
from pipeline.evaluate.options import EvaluateOptions
from pipeline.evaluate.spec import spec
from pipeline.evaluate.task import task_of
from pipeline.export import exported
from pipeline.hardware import flavors, pace, pricing
from pipeline.hardware import machine as hardware_machine
from pipeline.hardware.flavors import Need
from pipeline.hardware.machine import Hardware
from pipeline.hardware.pricing import Estimate, JobOptions, Quote
from pipeline.models import reference
from pipeline.runs import events
from pipeline.runs.ledger import Ledger
from pipeline.runs.spec import spec_of
from pipeline.train import trainings


@dataclass(frozen=True)
class EvaluateNumbers:
    """What is counted before an evaluation.

    Attributes:
        samples: Samples each model is scored on, by task; for TruthfulQA from the Hub, what it has there.
        seconds: Time by the pace of the last finished evaluation of the same models and settings at the same place;
            on a Job by a rough calculation where there is none; else None.
        need: What a Job's hardware has to have; None on this machine.
        offer: What a Job would cost; None on this machine, or where the hardware is not known.
    """

    samples: dict[str, int]
    seconds: float | None
    need: Need | None = None
    offer: Quote | None = None


def preflight(
    ledger: Ledger,
    project: Project,
    options: EvaluateOptions,
    machine: Hardware | None = None,
    where: JobOptions | None = None,
) -> Preflight[EvaluateNumbers]:
    """Check an evaluation before anything is loaded, sent or paid.

    Args:
        ledger: The home's ledger: what models were trained on, times of former runs.
        project: Holds models and exports.
        options: Which models on which tasks.
        machine: What this machine has; it is looked at by default.
        where: Where it runs; on this machine by default.
    """
    machine = machine or hardware_machine.this_machine()
    available: dict[str, int] = {}
    blockers = _model_problems(options)
    for name in options.tasks:
        counted = task_of(name).counted(project, options)
        available[name] = counted.samples
        blockers.append(counted.problem)
    samples = {task: min(count, options.max_samples or count) for task, count in available.items()}
    warnings = [*_origin_warnings(ledger, project, options)]
    warnings += [task_of(name).few(samples[name], count) for name, count in available.items()]
    if where is not None and where.remote:
        numbers, stops, cares = _job(ledger, project, options, samples, where)
        blockers += stops
        warnings = [*cares, *warnings]
    else:
        numbers = EvaluateNumbers(samples, _former_pace(ledger, project, options, samples))
        warnings = [*_slow(samples, machine), *warnings]
    return Preflight(numbers, [notice for notice in blockers if notice], [notice for notice in warnings if notice])


def _job(
    ledger: Ledger, project: Project, options: EvaluateOptions, samples: dict[str, int], where: JobOptions
) -> tuple[EvaluateNumbers, list[Message], list[Message | None]]:
    """Return numbers, blockers and warnings of an evaluation on a Job."""
    asked = job.load(project, options, samples)
    need = job.need(asked, options)
    flavor = flavors.listing().find(where.flavor)
    estimate = None
    former = _former_pace(ledger, project, options, samples, where.flavor)
    if former is not None:
        estimate = Estimate(former + pace.START_S, "former")
    elif flavor is not None and (rough := job.seconds(asked, options, flavor)) is not None:
        estimate = Estimate(rough, "formula")
    stops = job.blockers(project, options)
    if where.where == "space":
        stops.append(message("evaluation.no_space"))
    try:
        offer = pricing.quote(where, estimate)
    except StudioError as error:
        return EvaluateNumbers(samples, None, need), [*stops, error.message], []
    numbers = EvaluateNumbers(samples, estimate.seconds if estimate else None, need, offer)
    slow = [] if offer.flavor.gpus else _slow(samples, Hardware(1, 0))
    return numbers, [*stops, *pricing.blockers(offer, need)], [*slow, *pricing.warnings(offer)]


def _model_problems(options: EvaluateOptions) -> list[Message | None]:
    """Return what is wrong with each model, the base model first."""
    if not options.tuned:
        none = message("evaluation.no_model")
        return [reference.problem(options.base) if options.base else None, none]
    problems: list[Message | None] = []
    seen: dict[str, str] = {}
    for role, name in options.models.items():
        first = next((seen[other] for other in seen if reference.same(name, other)), None)
        problems.append(_twice(name, first, role) if first else reference.problem(name))
        seen[name] = role
    return problems


def _twice(name: str, first: str, role: str) -> Message:
    if (first, role) == (BASE, TUNED):
        return message("evaluation.same_models")
    return message("evaluation.model_twice", model=name, option=Option("further", "evaluate"))


def _slow(samples: dict[str, int], machine: Hardware) -> list[Message]:
    if machine.gpus:
        return []
    option, found = Option("max_samples", "evaluate"), []
    for name, count in samples.items():
        task = task_of(name)
        if count > task.slow_from:
            values = {"task": task.called, "samples": count, "most": task.slow_from, "option": option}
            found.append(message("evaluation.slow", **values))
    return found


def _origin_warnings(ledger: Ledger, project: Project, options: EvaluateOptions) -> list[Message | None]:
    """Say where the trained model's training data and the tasks touch, as far as this project knows."""
    model = next((m for m in trainings.models(ledger, project) if reference.same(str(m.path), options.tuned)), None)
    if model is None:
        return []
    found: list[Message | None] = []
    if options.base and not reference.same(model.base_model, options.base):
        found.append(message("evaluation.other_base", model=model.name, base=model.base_model))
    trained = _pairs(exported.split_file(project, model.dataset, "train"))
    for name in options.tasks:
        found += task_of(name).cares(project, options, model, trained)
    return found


def _pairs(file: Path | None) -> list[Pair]:
    """Return a split's pairs; none where it is missing or damaged, which is told elsewhere if it stops the run."""
    try:
        return exported.read_pairs(file) if file else []
    except StudioError:
        return []


def _former_pace(
    ledger: Ledger, project: Project, options: EvaluateOptions, samples: dict[str, int], flavor: str = ""
) -> float | None:
    """Return the seconds the tasks take by the pace of the last run of as many models from this one on, as fast.

    On this machine, or on a Job of the flavor named; without loading the first model and what comes before it.
    """
    wanted = spec(project, options)
    pace: dict[str, float] = {}
    for run in ledger.list(project=project.name, kind="evaluate"):
        former = spec_of(run)
        if former.get("job", {}).get("flavor", "") != flavor or not _as_fast(former, wanted):
            continue
        data = {task["name"]: task["data"] for task in former["tasks"]}
        scored: dict[str, list[float]] = {}
        for event in events.read(run.events).events:
            if event["event"] == "result" and event["samples"]:
                scored.setdefault(event["task"], []).append(event["seconds"] / event["samples"])
        for task in wanted["tasks"]:
            each = scored.get(task["name"], [])
            if len(each) == len(wanted["models"]) and data.get(task["name"]) == task["data"]:
                pace.setdefault(task["name"], sum(each))
    if any(task not in pace for task in samples):
        return None
    return sum(pace[task] * count for task, count in samples.items())


def _as_fast(former: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Return whether two specs have the same first model, as many models, and the same settings of speed."""
    if not former or any(former.get(name) != wanted[name] for name in ("batch_size", "dtype")):
        return False
    models, others = former["models"], wanted["models"]
    return len(models) == len(others) and models[0]["path"] == others[0]["path"]
