"""A training on rented hardware, a Job or an AutoTrain Space: what it needs, reads, costs and leaves, what stops it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pipeline.base.errors import StudioError
from pipeline.base.message import Message, Option, message
from pipeline.base.project import Project
from pipeline.carriers.space_files import space_name
from pipeline.export import exported
from pipeline.hardware import pace, pricing
from pipeline.hardware.flavors import Flavor, Need
from pipeline.hardware.pricing import Estimate, JobOptions, Quote
from pipeline.hub import account, look
from pipeline.models import reference
from pipeline.models.shape import ModelShape
from pipeline.train import card
from pipeline.train.algorithm import algorithm_of
from pipeline.train.doctor.finding import Report
from pipeline.train.options import TrainOptions
from pipeline.train.params import TrainParams, number_format

# Where the program that runs in the Job (pipeline/engines/job/run.py) puts things, within its work folder.
DATA, OUTPUT = "data", "output"


@dataclass(frozen=True)
class Destination:
    """Where the model goes.

    Attributes:
        repository: owner/name.
        state: new: it will be made, private; private, public: it is there, and gets a new version.
    """

    repository: str
    state: Literal["new", "private", "public"]


@dataclass(frozen=True)
class JobPlan:
    """What a training on rented hardware is going to be.

    Attributes:
        offer: Hardware, price, hard stop, estimate.
        destination: Where the model goes; None: nobody is signed in.
        dataset: Repository of the pairs, "" while the export is not published.
        revision: Commit of the pairs.
        base_revision: Commit of the base model's newest version; "" where it is not known.
        public: Whether everybody can see the base model.
        space: Id of the Space to be made; "" for a Job, or while nobody is signed in.
    """

    offer: Quote
    destination: Destination | None = None
    dataset: str = ""
    revision: str = ""
    base_revision: str = ""
    public: bool = True
    space: str = ""


def need(params: TrainParams, memory: int | None) -> Need:
    """Return what a training asks of hardware.

    Args:
        params: The hyperparameters.
        memory: Estimated peak, bytes; None: not known.
    """
    return Need(memory=memory, bf16=params.mixed_precision == "bf16", gpu=True)


def formula(
    shape: ModelShape | None, flavor: Flavor, params: TrainParams, *, tokens: int, batches: int
) -> Estimate | None:
    """Return the time of a training by calculation; None where model or hardware are not known.

    Args:
        shape: The base model's.
        flavor: The hardware.
        params: The hyperparameters.
        tokens: Tokens of all batches and epochs, see `pace.training_seconds`.
        batches: How many batches they come in.
    """
    if shape is None:
        return None
    half = number_format(params.mixed_precision, flavor.bf16) != "none"
    seconds = pace.training_seconds(shape, flavor, tokens=tokens, batches=batches, lora=params.lora, half=half)
    return None if seconds is None else Estimate(seconds, "formula")


def plan(project: Project, options: TrainOptions, job: JobOptions, estimate: Estimate | None) -> JobPlan:
    """Return what a training on a Job is going to be, as far as it can be told.

    Args:
        project: Holds the export.
        options: What is trained on what.
        job: Hardware and budget.
        estimate: How long it may take.

    Raises:
        StudioError: There is no such hardware.
    """
    offer = pricing.quote(job, estimate)
    published = exported.published(project, options.dataset) if options.dataset else None
    base = reference.refer(options.base_model)
    seen = look.at("model", base.path, base.revision) if base.on_hub else None
    return JobPlan(
        offer=offer,
        destination=_destination(options),
        dataset=published.repository if published else "",
        revision=published.revision if published else "",
        base_revision=seen.sha if seen else "",
        public=seen is not None and seen.public,
        space=_space(offer, options),
    )


def blockers(planned: JobPlan, options: TrainOptions, wanted: Need) -> list[Message]:
    """Return what stops a training on a Job, before anything is sent or paid.

    Args:
        planned: What it is going to be.
        options: What is trained on what.
        wanted: What it asks of the hardware.
    """
    found = [*pricing.blockers(planned.offer, wanted), _base_problem(options), _dataset_problem(planned, options)]
    found.append(_space_problem(planned))
    return [notice for notice in found if notice]


def warnings(planned: JobPlan, params: TrainParams, memory: int | None) -> list[Message]:
    """Return what to beware of in a training on a Job.

    Args:
        planned: What it is going to be.
        params: The hyperparameters.
        memory: Estimated peak, bytes; None: not known.
    """
    found = [*pricing.warnings(planned.offer), _destination_warning(planned.destination), _adapter_warning(params)]
    if memory is None:
        found.append(message("training.memory_unknown"))
    return [notice for notice in found if notice]


def spec(planned: JobPlan, options: TrainOptions, params: TrainParams, report: Report | None = None) -> dict[str, Any]:
    """Return what a run's spec says of its Job, see the notes of `pipeline/carriers/job.py`.

    Args:
        planned: What was agreed to, with destination and data.
        options: What is trained on what.
        params: The hyperparameters.
        report: What the doctor found in the pairs.
    """
    who, algorithm = pricing.required(planned.offer), algorithm_of(options.algorithm)
    assert planned.destination is not None
    repository = planned.destination.repository
    origin = card.Origin(planned.dataset, planned.revision, planned.base_revision, planned.public)
    text = card.render(options, params, repository, origin, report=report)
    return {
        **pricing.placed(planned.offer, who, planned.space),
        "remote": {
            "engine": algorithm.engine,
            "overrides": {"data_dir": DATA, "output_dir": OUTPUT},
            "downloads": [
                {
                    "repo": planned.dataset,
                    "type": "dataset",
                    "revision": planned.revision,
                    "file": "train.jsonl",
                    "to": f"{DATA}/train.jsonl",
                }
            ],
            "upload": {
                "folder": f"{OUTPUT}/{options.project_name}",
                "repo": repository,
                "type": "model",
                "private": True,
                "card": text,
                "words": card.result_words(),
                "message": f"Train {options.base_model} by {algorithm.name} on {planned.dataset}",
            },
            "fetch": None,
        },
    }


def _destination(options: TrainOptions) -> Destination | None:
    """Return where the model goes: a repository of the account, made if it is not there."""
    try:
        who = account.current()
    except StudioError:
        return None
    if who is None:
        return None
    repository = f"{who.name}/{options.project_name}"
    seen = look.at("model", repository)
    if seen.state == "missing":
        return Destination(repository, "new")
    return Destination(repository, "public" if seen.state == "there" and not seen.private else "private")


def _space(offer: Quote, options: TrainOptions) -> str:
    """Return the id of the Space that the training makes, named as AutoTrain names its own."""
    try:
        who = account.current()
    except StudioError:
        return ""
    return space_name(pricing.payer(offer, who), options.project_name) if who and offer.where == "space" else ""


def _space_problem(planned: JobPlan) -> Message | None:
    """Refuse a Space whose name is taken, before anything is made."""
    if not planned.space or look.at("space", planned.space).state != "there":
        return None
    return message("training.space_there", space=planned.space, option=Option("project_name", "train"))


def _base_problem(options: TrainOptions) -> Message | None:
    if not reference.refer(options.base_model).local:
        return None
    return message("training.job_base")


def _dataset_problem(planned: JobPlan, options: TrainOptions) -> Message | None:
    """Refuse an export that the Job cannot read; one that is missing altogether is said elsewhere."""
    if not options.dataset:
        return None
    if not planned.dataset:
        return message("training.job_unpublished", export=options.dataset)
    if planned.destination is None:  # who may read it is known after the sign-in
        return None
    if look.at("dataset", planned.dataset, planned.revision).state in ("missing", "no revision", "gated"):
        return message("training.job_pairs_gone", repository=planned.dataset)
    return None


def _destination_warning(destination: Destination | None) -> Message | None:
    if destination is None or destination.state == "new":
        return None
    code = "training.job_public_there" if destination.state == "public" else "training.job_there"
    return message(code, repository=destination.repository, option=Option("project_name", "train"))


def _adapter_warning(params: TrainParams) -> Message | None:
    if not params.lora or params.merge_adapter:
        return None
    return message("training.job_adapter", option=Option("merge_adapter", "train"))
