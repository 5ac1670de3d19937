"""What is known of an evaluation before it starts: options, samples, time, and what stops it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator
from pydantic.config import JsonDict

from pipeline import hardware, model_folder, train
from pipeline.engines.lighteval import local_data
from pipeline.errors import StudioError
from pipeline.evaluate.comparison import BASE, TUNED
from pipeline.export import exported
from pipeline.hardware import Hardware
from pipeline.pair import Pair
from pipeline.preflight import Notice, Preflight, spec_of
from pipeline.project import DEFAULT_BASE_MODEL, Project
from pipeline.runs import events
from pipeline.runs.ledger import Ledger

Task = Literal["truthfulqa:mc", "reviewed_pairs"]

TRUTHFULQA, REVIEWED = "truthfulqa:mc", "reviewed_pairs"
TRUTHFULQA_QUESTIONS = 817  # rows of the Hub's truthfulqa/truthful_qa, config multiple_choice
TRUTHFULQA_REPOSITORY = "truthfulqa/truthful_qa"
SAMPLES_ON_CPU = 40  # questions two processor cores score in about half an hour with 135 million parameters
_SPEED: JsonDict = {"group": "speed"}


class EvaluateOptions(BaseModel, extra="forbid", validate_assignment=True):
    """Which models are scored on which tasks; every setting is the same for both."""

    base: str = Field(DEFAULT_BASE_MODEL, description="The model before training: a Hub id or a folder.")
    tuned: str = Field("", description="The trained model: a folder or a Hub id.")
    tasks: list[Task] = Field(
        ["truthfulqa:mc", "reviewed_pairs"],
        min_length=1,
        description=(
            "truthfulqa:mc: TruthfulQA's multiple choice, as lighteval has it; reviewed_pairs: does the model prefer "
            "what the reviewers preferred, on the export's test split."
        ),
    )
    dataset: str = Field(
        "", pattern=r"^[A-Za-z0-9_-]*$", description="The export whose test split reviewed_pairs scores."
    )
    truthfulqa_data: Path | None = Field(
        None,
        description=(
            "A local file of TruthfulQA's multiple-choice configuration (question, mc1_targets, mc2_targets; Parquet, "
            "JSONL, JSON or CSV); empty: from the Hub."
        ),
        json_schema_extra={"group": "data"},
    )
    max_samples: int | None = Field(
        None,
        ge=1,
        description=(
            "Score only so many samples of each task, the same ones for both models; empty: all. A result of some "
            "samples is marked as partial."
        ),
        json_schema_extra={**_SPEED, "unit": "samples"},
    )
    batch_size: int = Field(
        8, ge=1, le=512, description="Sequences per batch.", json_schema_extra={**_SPEED, "unit": "sequences"}
    )
    dtype: Literal["float32", "bfloat16"] = Field(
        "float32",
        description=(
            "Number format of the weights and the computation. bfloat16 is 2 to 3 times as fast on processors that "
            "know it, but with its 8 significant bits it rounds small changes made by training away."
        ),
        json_schema_extra=_SPEED,
    )

    @field_validator("base", "tuned")
    @classmethod
    def _without_spaces(cls, name: str) -> str:
        return name.strip()

    @field_validator("truthfulqa_data", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("tasks")
    @classmethod
    def _each_once(cls, tasks: list[Task]) -> list[Task]:
        return list(dict.fromkeys(tasks))


class AnswerOptions(BaseModel, extra="forbid", validate_assignment=True):
    """How models answer a prompt; every setting is the same for all."""

    max_new_tokens: int = Field(128, ge=1, le=4096, description="Longest answer.", json_schema_extra={"unit": "tokens"})
    temperature: float = Field(0.0, ge=0, le=2, description="0: the most likely token each time.")
    seed: int = Field(42, ge=0, le=4294967295, description="Seed of the sampling, where temperature is above 0.")
    dtype: Literal["float32", "bfloat16"] = Field("float32", description="Number format of weights and computation.")


@dataclass(frozen=True)
class EvaluateNumbers:
    """What is counted before an evaluation.

    Attributes:
        samples: Samples each model is scored on, by task; for TruthfulQA from the Hub, what it has there.
        seconds: Time by the pace of the last finished evaluation of the same models and settings; None without one.
    """

    samples: dict[str, int]
    seconds: float | None


def preflight(
    ledger: Ledger, project: Project, options: EvaluateOptions, machine: Hardware | None = None
) -> Preflight[EvaluateNumbers]:
    """Check an evaluation before anything is loaded.

    Args:
        ledger: The home's ledger: what models were trained on, times of former runs.
        project: Holds models and exports.
        options: Which models on which tasks.
        machine: Where it runs; this machine by default.
    """
    machine = machine or hardware.this_machine()
    available: dict[str, int] = {}
    blockers = [model_folder.problem(options.base), _tuned_problem(options)]
    for task in options.tasks:
        count, problem = _truthfulqa(options) if task == TRUTHFULQA else _reviewed(project, options)
        available[task] = count
        blockers.append(problem)
    samples = {task: min(count, options.max_samples or count) for task, count in available.items()}
    numbers = EvaluateNumbers(samples, _former_pace(ledger, project, options, samples))
    warnings = [
        _slow(samples, machine),
        *_origin_warnings(ledger, project, options),
        _few(samples.get(REVIEWED)),
    ]
    return Preflight(numbers, [notice for notice in blockers if notice], [notice for notice in warnings if notice])


def spec(project: Project, options: EvaluateOptions, tuned_name: str = "") -> dict[str, Any]:
    """Return the spec of a run but for its output_dir, as `pipeline/engines/lighteval/worker.py` reads it.

    Args:
        project: Holds the export.
        options: Which models on which tasks.
        tuned_name: What the trained model is called; by default its folder's name.
    """
    tasks: list[dict[str, Any]] = []
    for task in options.tasks:
        if task == TRUTHFULQA:
            file = options.truthfulqa_data
            tasks.append({"name": task, "data": str(file.expanduser().resolve()) if file else None})
        else:
            test = project.exports / options.dataset / "test.jsonl"
            template = model_folder.template_of(options.tuned)
            tasks.append({"name": task, "data": str(test), "chat_template": template})
    return {
        "models": [model_entry(BASE, options.base), model_entry(TUNED, options.tuned, tuned_name)],
        "tasks": tasks,
        "dataset": options.dataset,
        "max_samples": options.max_samples,
        "batch_size": options.batch_size,
        "dtype": options.dtype,
    }


def model_entry(role: str, name: str, title: str = "") -> dict[str, Any]:
    """Return a spec's model: a folder, or a Hub id with the revision of its snapshot where it is cached."""
    path = model_folder.path_for_worker(name)
    local = Path(path).is_dir()
    snapshot = None if local else model_folder.locate(name)
    return {
        "role": role,
        "name": title or (Path(path).name if local else name),
        "path": path,
        "revision": snapshot.name if snapshot else None,
    }


def _tuned_problem(options: EvaluateOptions) -> Notice | None:
    if not options.tuned:
        return Notice("No trained model is chosen.", "", "Train one in the Train tab, or name a folder or a Hub id.")
    if model_folder.path_for_worker(options.tuned) == model_folder.path_for_worker(options.base):
        return Notice("The base model and the trained model are the same.", "", "Choose another trained model.")
    return model_folder.problem(options.tuned)


def _truthfulqa(options: EvaluateOptions) -> tuple[int, Notice | None]:
    """Return how many questions there are, and what is wrong with them."""
    if options.truthfulqa_data is None:
        return TRUTHFULQA_QUESTIONS, model_folder.dataset_problem(
            TRUTHFULQA_REPOSITORY, "choose a local file as truthfulqa_data, or take truthfulqa:mc off the tasks"
        )
    file = options.truthfulqa_data.expanduser()
    if not file.is_file():
        return 0, Notice(f"There is no file {file}.", "", "Choose the file of TruthfulQA again.")
    try:
        return len(local_data.read(TRUTHFULQA, file)), None
    except (ValueError, OSError) as error:  # pyarrow's errors about damaged files are ValueErrors
        return 0, Notice(
            f"{file.name} is not TruthfulQA's multiple-choice data.",
            str(error),
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
        count = len(local_data.read(REVIEWED, test))
    except ValueError as error:
        return 0, Notice("The test split is damaged.", str(error), "Export again.")
    if options.tuned and model_folder.problem(options.tuned) is None and not model_folder.template_of(options.tuned):
        return count, Notice(
            "The trained model has no chat template.",
            "Reviewed pairs are written with the template of the training run, which is saved beside the tokenizer.",
            "Choose a model trained here, or take reviewed_pairs off the tasks.",
        )
    return count, None


def _slow(samples: dict[str, int], machine: Hardware) -> Notice | None:
    if machine.gpus or samples.get(TRUTHFULQA, 0) <= SAMPLES_ON_CPU:
        return None
    return Notice(
        f"{samples[TRUTHFULQA]} questions of TruthfulQA take long without a GPU.",
        "On two processor cores a model of 135 million parameters took 30 to 39 seconds per question in float32 and 12 "
        "to 13 in bfloat16: 3 to 9 hours per model for all 817.",
        f"Set max_samples to {SAMPLES_ON_CPU}; the result will be marked as partial.",
    )


def _few(pairs: int | None) -> Notice | None:
    if pairs is None or not 0 < pairs < 100:
        return None
    return Notice(
        f"The test split is small: {pairs} pairs.",
        f"The standard error of its accuracy is up to {0.5 / pairs**0.5:.2f}, so that only large changes can be seen.",
        "Review more pairs, or export with a larger test_share.",
    )


def _origin_warnings(ledger: Ledger, project: Project, options: EvaluateOptions) -> list[Notice]:
    """Say where the trained model's training data and the tasks touch, as far as this project knows."""
    path = model_folder.path_for_worker(options.tuned)
    model = next((model for model in train.models(ledger, project) if str(model.path) == path), None)
    if model is None:
        return []
    found = []
    if model.base_model != model_folder.path_for_worker(options.base):
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


def _former_pace(ledger: Ledger, project: Project, options: EvaluateOptions, samples: dict[str, int]) -> float | None:
    """Return the seconds the tasks take by the pace of the last run that scored each with this base model and speed."""
    wanted = spec(project, options)
    pace: dict[str, float] = {}
    for run in ledger.list(project=project.name, kind="evaluate"):
        former = spec_of(run)
        if not former or any(former.get(name) != wanted[name] for name in ("batch_size", "dtype")):
            continue
        if former["models"][0]["path"] != wanted["models"][0]["path"]:
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
