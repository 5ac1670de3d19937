"""What is known of an evaluation before it starts: samples, time, and what stops it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.base.errors import StudioError
from pipeline.base.message import Message, message
from pipeline.base.pair import Pair
from pipeline.base.preflight import Notice, Preflight
from pipeline.base.project import Project
from pipeline.engines import protocol, task_data
from pipeline.evaluate import job
from pipeline.evaluate.comparison import BASE, TUNED
from pipeline.evaluate.options import (
    REVIEWED,
    SAMPLES_ON_CPU,
    TRUTHFULQA,
    TRUTHFULQA_QUESTIONS,
    TRUTHFULQA_REPOSITORY,
    EvaluateOptions,
)
from pipeline.evaluate.spec import spec
from pipeline.export import exported
from pipeline.hardware import flavors, pace, remote
from pipeline.hardware import machine as hardware_machine
from pipeline.hardware.flavors import Need
from pipeline.hardware.machine import Hardware
from pipeline.hardware.remote import Estimate, JobOptions, Quote
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
    for task in options.tasks:
        count, problem = _truthfulqa(options) if task == TRUTHFULQA else _reviewed(project, options)
        available[task] = count
        blockers.append(problem)
    samples = {task: min(count, options.max_samples or count) for task, count in available.items()}
    warnings = [*_origin_warnings(ledger, project, options), _few(samples.get(REVIEWED), available.get(REVIEWED))]
    if where is not None and where.remote:
        numbers, stops, cares = _job(ledger, project, options, samples, where)
        blockers += stops
        warnings = [*cares, *warnings]
    else:
        numbers = EvaluateNumbers(samples, _former_pace(ledger, project, options, samples))
        warnings = [_slow(samples, machine), *warnings]
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
    try:
        offer = remote.quote(where, estimate)
    except StudioError as error:
        return EvaluateNumbers(samples, None, need), [*stops, Notice(error.what, error.why, error.next)], []
    numbers = EvaluateNumbers(samples, estimate.seconds if estimate else None, need, offer)
    slow = None if offer.flavor.gpus else _slow(samples, Hardware(1, 0))
    return numbers, [*stops, *remote.blockers(offer, need)], [slow, *remote.warnings(offer)]


def _model_problems(options: EvaluateOptions) -> list[Message | None]:
    """Return what is wrong with each model, the base model first."""
    if not options.tuned:
        none = Notice("No trained model is chosen.", "", "Train one in the Train tab, or name a folder or a Hub id.")
        return [reference.problem(options.base) if options.base else None, none]
    problems: list[Message | None] = []
    seen: dict[str, str] = {}
    for role, name in options.models.items():
        first = next((seen[other] for other in seen if reference.same(name, other)), None)
        problems.append(_twice(name, first, role) if first else reference.problem(name))
        seen[name] = role
    return problems


def _twice(name: str, first: str, role: str) -> Notice:
    if (first, role) == (BASE, TUNED):
        return Notice("The base model and the trained model are the same.", "", "Choose another trained model.")
    return Notice(f"{name} is chosen twice.", "", "Take it off the further models.")


def _truthfulqa(options: EvaluateOptions) -> tuple[int, Message | None]:
    """Return how many questions there are, and what is wrong with them."""
    if options.truthfulqa_data is None:
        return TRUTHFULQA_QUESTIONS, reference.dataset_problem(
            TRUTHFULQA_REPOSITORY, "choose a local file as truthfulqa_data, or take truthfulqa:mc off the tasks"
        )
    file = options.truthfulqa_data.expanduser()
    if not file.is_file():
        return 0, Notice(f"There is no file {file}.", "", "Choose the file of TruthfulQA again.")
    try:
        return len(task_data.read(TRUTHFULQA, file)), None
    except (protocol.Problem, ValueError, OSError) as error:  # pyarrow's errors about damaged files are ValueErrors
        return 0, Notice(
            f"{file.name} is not TruthfulQA's multiple-choice data.",
            _said(error),
            "Choose a file with the columns question, mc1_targets and mc2_targets.",
        )


def _reviewed(project: Project, options: EvaluateOptions) -> tuple[int, Notice | None]:
    """Return how many test pairs there are, and what is wrong with them or with the template they are written with."""
    if not options.dataset:
        return 0, Notice("No export is chosen for reviewed_pairs.", "", "Choose an export, or take the task off.")
    test = exported.split_file(project, options.dataset, "test")
    if test is None or not test.stat().st_size:
        return 0, Notice(
            f"The export “{options.dataset}” has no test split.",
            "Reviewed pairs are scored on pairs that were held out of training.",
            "Export again with a test_share above 0, train on that export, or take reviewed_pairs off the tasks.",
        )
    try:
        count = len(task_data.read(REVIEWED, test))
    except (protocol.Problem, ValueError) as error:
        return 0, Notice("The test split is damaged.", _said(error), "Export again.")
    if options.tuned and reference.problem(options.tuned) is None and not reference.template_of(options.tuned):
        return count, Notice(
            "The trained model has no chat template.",
            "Reviewed pairs are written with the template of the training run, which is saved beside the tokenizer.",
            "Choose a model trained here, or take reviewed_pairs off the tasks.",
        )
    return count, None


def _said(error: Exception) -> str:
    return message(error.code, **error.values).said() if isinstance(error, protocol.Problem) else str(error)


def _slow(samples: dict[str, int], machine: Hardware) -> Message | None:
    if machine.gpus or samples.get(TRUTHFULQA, 0) <= SAMPLES_ON_CPU:
        return None
    return Notice(
        f"{samples[TRUTHFULQA]} questions of TruthfulQA take long without a GPU.",
        "On two processor cores a model of 135 million parameters took 30 to 39 seconds per question in float32 and 12 "
        "to 13 in bfloat16: 3 to 9 hours per model for all 817.",
        f"Set max_samples to {SAMPLES_ON_CPU}; the result will be marked as partial.",
    )


def _few(pairs: int | None, available: int | None) -> Message | None:
    if pairs is None or available is None or not 0 < pairs < 100:
        return None
    what, advice = f"The test split is small: {pairs} pairs.", "Review more pairs, or export with a larger test_share."
    if pairs < available:
        what, advice = f"Only {pairs} of the test split's {available} pairs are scored.", "Raise max_samples."
    error = f"{0.5 / pairs**0.5:.2f}"
    return Notice(what, f"The standard error of its accuracy is up to {error}: only large changes can be seen.", advice)


def _origin_warnings(ledger: Ledger, project: Project, options: EvaluateOptions) -> list[Message]:
    """Say where the trained model's training data and the tasks touch, as far as this project knows."""
    model = next((m for m in trainings.models(ledger, project) if reference.same(str(m.path), options.tuned)), None)
    if model is None:
        return []
    found: list[Message] = []
    if options.base and not reference.same(model.base_model, options.base):
        found.append(
            Notice(
                f"{model.name} was trained from another base model.",
                f"It comes from {model.base_model}, so the comparison says nothing about the training.",
                "Choose that as the base model.",
            )
        )
    trained = _pairs(exported.split_file(project, model.dataset, "train"))
    truthy = sum("truthy" in pair.source.lower() for pair in trained)
    if TRUTHFULQA in options.tasks and truthy:
        found.append(
            Notice(
                f"{truthy} of the {len(trained)} training pairs come from truthy-dpo.",
                "It was written to improve TruthfulQA, so the score says little about anything else.",
                "Filter that source out, or read the score with this in mind.",
            )
        )
    if REVIEWED in options.tasks and options.dataset != model.dataset:
        test = _pairs(exported.split_file(project, options.dataset, "test"))
        seen = {pair.record_id for pair in trained} & {pair.record_id for pair in test}
        if seen:
            found.append(
                Notice(
                    f"{len(seen)} of the test pairs were training pairs of {model.name}.",
                    f"It was trained on the export “{model.dataset}”, not on “{options.dataset}”.",
                    f"Choose the export “{model.dataset}”.",
                )
            )
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
