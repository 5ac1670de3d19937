"""What is known of a training run before it starts: steps, cuts, memory, time, and what stops it."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.base.errors import StudioError
from pipeline.base.message import Message, Option, message
from pipeline.base.preflight import Preflight
from pipeline.base.project import Project
from pipeline.engines import base_model
from pipeline.engines.protocol import Problem
from pipeline.hardware import flavors, pricing
from pipeline.hardware import machine as hardware_machine
from pipeline.hardware.machine import Hardware
from pipeline.hardware.pricing import RENTED, Estimate, JobOptions
from pipeline.hub import look
from pipeline.models import reference, tokens
from pipeline.models.shape import ModelShape
from pipeline.models.tokens import PairCounts, unit_of
from pipeline.runs.ledger import Ledger, State
from pipeline.runs.spec import spec_of
from pipeline.train import former, job, lengths
from pipeline.train.algorithm import Algorithm, algorithm_of
from pipeline.train.doctor import decided
from pipeline.train.doctor import kept as doctor
from pipeline.train.job import JobPlan
from pipeline.train.options import TrainOptions
from pipeline.train.params import TrainParams, cuts, last_step, logging_interval, number_format, steps_per_epoch

_ADAPTER_FIELDS = ("lora_r", "lora_alpha", "lora_dropout")


@dataclass(frozen=True)
class TrainNumbers:
    """What is counted and estimated.

    Attributes:
        pairs: Pairs in the train split.
        steps_per_epoch: Optimizer steps in one pass.
        steps: Optimizer steps in all.
        last_step: Pairs of the last step of each pass, 0 where it is a step like the others.
        logging_interval: Steps between two reports, which may be fewer than were asked for.
        number_format: What it computes in: bf16, fp16 or none (float32).
        longest: Length of the longest sequence, prompt and longer completion.
        prompts_cut: Pairs whose prompt loses its beginning.
        completions_cut: Pairs of which a completion loses its end.
        sequences_cut: Pairs that exceed block_size even then.
        unit: What lengths count: "tokens" of the base model, or "words (estimate)".
        memory: Estimated peak, bytes; None where the model's shape is unknown.
        seconds: Time by the pace of the last finished run on the same hardware with the same data, model and settings
            of size; None without one.
        job: What the run is going to be on a Job; None on this machine, or where it cannot be told.
        left_out: Pairs of the train split that are left out by choice, because of what the doctor found.
    """

    pairs: int
    steps_per_epoch: int
    steps: int
    last_step: int
    logging_interval: int
    number_format: str
    longest: int
    prompts_cut: int
    completions_cut: int
    sequences_cut: int
    unit: str
    memory: int | None
    seconds: float | None
    job: JobPlan | None = None
    left_out: int = 0


def spec(
    project: Project, options: TrainOptions, params: TrainParams, planned: JobPlan | None = None
) -> dict[str, Any]:
    """Return the spec of a run, as `pipeline/engines/autotrain/worker.py` reads it.

    Args:
        project: Holds the export; gets the model.
        options: What is trained on what.
        params: The hyperparameters.
        planned: What the run is going to be on a Job; None: it runs here.
    """
    algorithm = algorithm_of(options.algorithm)
    who = "" if planned else _reader(options)
    report = doctor.report(project, options, params, most=0)
    params = decided.adjusted(params, report, options)
    return {
        "base_model": reference.path_for_worker(options.base_model),
        "project_name": options.project_name,
        "algorithm": algorithm.name,
        "engine": algorithm.engine,
        **algorithm.told,
        "dataset": options.dataset,
        "data_dir": str(project.exports / options.dataset),
        "output_dir": str(project.models),
        "params": params.model_dump(mode="json"),
        **decided.told(report, options),
        **({"user": who} if who else {}),
        **(job.spec(planned, options, params, report) if planned else {}),
    }


def _reader(options: TrainOptions) -> str:
    """Return whose token a run here needs to read the base model, "" where everybody may read it."""
    model = reference.refer(options.base_model)
    if not model.on_hub:
        return ""
    seen = look.at("model", model.path)
    return pricing.user() if seen.state == "there" and not seen.public else ""


def preflight(
    ledger: Ledger,
    project: Project,
    options: TrainOptions,
    params: TrainParams,
    machine: Hardware | None = None,
    where: JobOptions | None = None,
) -> Preflight[TrainNumbers]:
    """Check a run before anything is loaded.

    Args:
        ledger: The home's ledger: names in use, times of former runs.
        project: Holds the export.
        options: What is trained on what.
        params: The hyperparameters.
        machine: This machine, where the run is to go there.
        where: Where it runs; by default here.
    """
    where = where or JobOptions()
    machine = machine or hardware_machine.this_machine()
    shape = reference.shape(options.base_model)
    counter = tokens.counter(options.base_model)
    counts, dataset_problem = lengths.of_export(project, options, counter)
    asked, report = params, None if dataset_problem else doctor.report(project, options, params)
    params = decided.adjusted(params, report, options)
    gone = decided.gone(report, options)
    counts = [count for number, count in enumerate(counts, 1) if number not in gone] if gone else counts
    computed = number_format(params.mixed_precision, _bf16(where, machine))
    numbers = _numbers(counts, counter.unit, params, shape, algorithm_of(options.algorithm), computed)
    seconds = former.seconds(ledger, project, spec(project, options, asked), numbers.steps, where)
    numbers = replace(numbers, seconds=seconds, left_out=len(gone))
    stops, says = ([], []) if dataset_problem else decided.notices(report, options, where.remote)
    blockers: list[Message | None] = [
        dataset_problem,
        reference.problem(options.base_model),
        _revision_problem(options),
        _name_in_use(ledger, project, options, where),
        _context_problem(options, params),
        *_form_problems(options),
        *stops,
    ]
    warnings: list[Message | None] = [*_cut_warnings(numbers, params), _idle_settings(params), _template_added(options)]
    warnings += says
    if where.remote:
        estimate = Estimate(seconds, "former") if seconds else None
        numbers, found = _on_job(project, options, params, numbers, where, shape, counts, estimate)
        blockers, warnings = [*blockers, *found.blockers], [*warnings, *found.warnings]
    elif where.here:
        blockers.append(_precision_problem(params, machine))
        warnings += [_slow_format(params, machine), _memory_warning(numbers, machine), _disk_warning(project, shape)]
    return Preflight(numbers, [notice for notice in blockers if notice], [notice for notice in warnings if notice])


def _on_job(
    project: Project,
    options: TrainOptions,
    params: TrainParams,
    numbers: TrainNumbers,
    where: JobOptions,
    shape: ModelShape | None,
    counts: Sequence[PairCounts],
    estimate: Estimate | None,
) -> tuple[TrainNumbers, Preflight[None]]:
    """Return the numbers with the Job's, and what stops the run there or is to beware of."""
    try:
        planned = job.plan(project, options, where, estimate)
    except StudioError as error:
        return numbers, Preflight(None, [error.message])
    if planned.offer.estimate is None and numbers.steps:
        batches = math.ceil(len(counts) / params.batch_size) * params.epochs
        longest = (min(params.block_size, one.prompt + max(one.chosen, one.rejected)) for one in counts)
        read = params.epochs * 2 * sum(longest)  # a batch is filled up to its longest sequence
        rough = job.formula(shape, planned.offer.flavor, params, tokens=read, batches=batches)
        planned = replace(planned, offer=replace(planned.offer, estimate=rough))
    wanted = job.need(params, numbers.memory)
    found: Preflight[None] = Preflight(
        None, job.blockers(planned, options, wanted), job.warnings(planned, params, numbers.memory)
    )
    return replace(numbers, job=planned), found


def _numbers(
    counts: Sequence[PairCounts],
    unit: str,
    params: TrainParams,
    shape: ModelShape | None,
    algorithm: Algorithm,
    computed: str,
) -> TrainNumbers:
    found = cuts(counts, params)
    per_epoch = steps_per_epoch(len(counts), params.batch_size, params.gradient_accumulation)
    memory = None
    if shape is not None:
        memory = algorithm.footprint.peak(
            shape,
            batch_size=params.batch_size,
            tokens=min(params.block_size, found.longest),
            lora_rank=params.lora_r if params.lora else None,
            mixed_precision=computed,
        )
    return TrainNumbers(
        pairs=len(counts),
        steps_per_epoch=per_epoch,
        steps=per_epoch * params.epochs,
        last_step=last_step(len(counts), params.batch_size, params.gradient_accumulation),
        logging_interval=logging_interval(per_epoch * params.epochs, params.logging_steps),
        number_format=computed,
        longest=found.longest,
        prompts_cut=found.prompts,
        completions_cut=found.completions,
        sequences_cut=found.sequences,
        unit=unit,
        memory=memory,
        seconds=None,
    )


def _name_in_use(ledger: Ledger, project: Project, options: TrainOptions, where: JobOptions) -> Message | None:
    """Say who has the model's name here; what a run that came to nothing left there does not count."""
    name = options.project_name
    folder = project.models / options.project_name
    for run in ledger.list(project=project.name, kind="train"):
        if spec_of(run).get("project_name") != options.project_name:
            continue
        if run.active:
            return message("training.name_training", name=name, run=run.named, option=_option("project_name"))
        if run.place in RENTED:
            continue  # its model is on the Hub, whatever became of it
        if run.state is not State.SUCCEEDED:
            return None  # the newest run of this name here failed or was cancelled: the folder holds its remains
        break
    if where.remote or not folder.exists():
        return None
    return message("training.name_taken", name=name, option=_option("project_name"))


def _option(name: str) -> Option:
    return Option(name, "train")


def _bf16(where: JobOptions, machine: Hardware) -> bool:
    """Return whether the hardware of a run computes in bf16."""
    if not where.remote:
        return machine.bf16
    flavor = flavors.listing(where.rented).find(where.flavor)
    return flavor is None or flavor.bf16


def _revision_problem(options: TrainOptions) -> Message | None:
    """Refuse a revision: AutoTrain loads a model's default branch, whatever was asked for."""
    model = reference.refer(options.base_model)
    if not model.revision:
        return None
    return message("training.revision", revision=model.revision, model=model.path)


def _context_problem(options: TrainOptions, params: TrainParams) -> Message | None:
    limit = reference.context(options.base_model)
    if limit is None or params.block_size <= limit:
        return None
    return message("training.beyond_context", option=_option("block_size"), given=params.block_size, limit=limit)


def _precision_problem(params: TrainParams, machine: Hardware) -> Message | None:
    if params.mixed_precision != "fp16" or machine.gpus:
        return None
    return message("training.fp16", option=_option("mixed_precision"))


def _slow_format(params: TrainParams, machine: Hardware) -> Message | None:
    if params.mixed_precision != "bf16" or machine.bf16:
        return None
    return message("training.slow_format", option=_option("mixed_precision"))


def _form_problems(options: TrainOptions) -> list[Message]:
    """Say what of the base model the training engine cannot read: its kind, newer forms."""
    found = []
    values = reference.config(options.base_model)
    if values:
        try:
            base_model.config(values)
        except Problem as problem:
            found.append(message(problem.code, **problem.values))
    return found


def _template_added(options: TrainOptions) -> Message | None:
    """Say that a base model without a chat template gets one."""
    if not reference.config(options.base_model) or reference.templates(options.base_model):
        return None
    return message("training.template_added")


def _cut_warnings(numbers: TrainNumbers, params: TrainParams) -> list[Message]:
    """Say what is cut, in the unit that was counted."""
    unit = unit_of(numbers.unit)
    cut = {
        "max_prompt_length": ("training.prompts_cut", numbers.prompts_cut),
        "max_completion_length": ("training.completions_cut", numbers.completions_cut),
        "block_size": ("training.sequences_cut", numbers.sequences_cut),
    }
    return [
        message(
            code,
            count=count,
            pairs=numbers.pairs,
            share=f"{count / numbers.pairs:.0%}",
            option=_option(name),
            limit=getattr(params, name),
            unit=unit,
            longest=numbers.longest,
        )
        for name, (code, count) in cut.items()
        if count
    ]


def _idle_settings(params: TrainParams) -> Message | None:
    fields = type(params).model_fields
    idle = [_option(name) for name in _ADAPTER_FIELDS if getattr(params, name) != fields[name].default]
    if params.lora or not idle:
        return None
    return message("training.idle", options=idle, lora=_option("lora"))


def _memory_warning(numbers: TrainNumbers, machine: Hardware) -> Message | None:
    if numbers.memory is None or numbers.memory <= machine.training_memory:
        return None
    return message(
        "training.memory",
        need=hardware_machine.size(numbers.memory),
        has=hardware_machine.size(machine.training_memory),
        batch_size=_option("batch_size"),
        gradient_accumulation=_option("gradient_accumulation"),
        block_size=_option("block_size"),
        lora=_option("lora"),
    )


def _disk_warning(project: Project, shape: ModelShape | None) -> Message | None:
    free = shutil.disk_usage(project.folder).free
    need = 8 * shape.parameters if shape else 0
    if free >= need:
        return None
    return message("training.disk", free=hardware_machine.size(free), need=hardware_machine.size(need))
