"""An evaluation on a Hugging Face Job: what it asks of the hardware, what stops it, and what the Job is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.base.message import Message, message
from pipeline.base.project import Project
from pipeline.evaluate.options import EvaluateOptions
from pipeline.evaluate.task import task_of
from pipeline.hardware import pace
from pipeline.hardware.flavors import Flavor, Need
from pipeline.models import reference
from pipeline.models.shape import ModelShape

ENGINE = "lighteval"
OUTPUT = "output"  # in the Job's work folder

_BYTES = {"float32": 4, "bfloat16": 2}
_LOGIT_BYTES = {"float32": 12, "bfloat16": 14}  # see memory
_PROCESS = int(2e9)  # Python, torch, CUDA and lighteval before any weights, bytes; assumed
_DOWNLOAD_BYTES_PER_S = 50e6  # a model's weights from the Hub to a Job; assumed


@dataclass(frozen=True)
class Load:
    """What an evaluation asks of a machine.

    Attributes:
        shapes: Each model's, by role; None where its files do not tell.
        longest: Tokens of the longest sequence, by task.
        total: Tokens of all sequences one model reads, by task.
    """

    shapes: dict[str, ModelShape | None]
    longest: dict[str, int]
    total: dict[str, int]


def load(project: Project, options: EvaluateOptions, samples: Mapping[str, int]) -> Load:
    """Count what an evaluation reads; weights are not downloaded.

    Args:
        project: Holds the export.
        options: Which models on which tasks.
        samples: Samples scored, by task.
    """
    longest, total = {}, {}
    for task, count in samples.items():
        reading = task_of(task).reading(project, options, count)
        longest[task], total[task] = reading.longest, reading.total
    return Load({role: reference.shape(name) for role, name in options.models.items()}, longest, total)


def memory(asked: Load, options: EvaluateOptions) -> int | None:
    """Estimate the peak memory of an evaluation: one model at a time, and the logits of its largest batch.

        2 GB + b · P + S · T · (k · vocabulary + 32 · hidden)

    with P weights of b bytes, S sequences of T tokens in a batch, and k bytes per logit. lighteval 0.13 keeps the
    logits and their log-softmax of one batch while the next is computed: 3 · 4 bytes in float32; in bfloat16 reviewed
    pairs are computed with float32 copies, 2 · (2 + 4) and 2 more. A batch has max(1, round(batch_size // choices / 8)
    · 8) samples with all their choices. Read in lighteval's source, not measured on a GPU.

    Args:
        asked: See `load`.
        options: Batch size and number format.

    Returns:
        Bytes of the largest model; None where a model's shape is not known.
    """
    peaks = []
    for shape in asked.shapes.values():
        if shape is None:
            return None
        per_token = _LOGIT_BYTES[options.dtype] * shape.vocabulary + 32 * shape.hidden
        batch = max((_sequences(task, options.batch_size) * asked.longest[task] for task in asked.longest), default=0)
        peaks.append(_PROCESS + _BYTES[options.dtype] * shape.parameters + batch * per_token)
    return max(peaks, default=None)


def _sequences(task: str, batch_size: int) -> int:
    choices = task_of(task).choices
    return max(1, round(batch_size // choices / 8) * 8) * choices


def seconds(asked: Load, options: EvaluateOptions, flavor: Flavor) -> float | None:
    """Estimate the time of an evaluation on a Job, its start included.

    A token read costs 2 operations per weight (Kaplan et al. 2020, arXiv 2001.08361, §2.1); a sample takes no less than
    its layers' launches.

    Args:
        asked: See `load`.
        options: Batch size and number format.
        flavor: The machine.

    Returns:
        Seconds; None where a model's shape or the hardware's speed is not known.
    """
    whole = pace.START_S
    half = options.dtype == "bfloat16"
    for shape in asked.shapes.values():
        if shape is None:
            return None
        computing = pace.compute_seconds(flavor, 2.0 * shape.parameters * sum(asked.total.values()), half=half)
        if computing is None:
            return None
        whole += computing + 4 * shape.parameters / _DOWNLOAD_BYTES_PER_S
    return whole


def need(asked: Load, options: EvaluateOptions) -> Need:
    """Return what an evaluation asks of a flavor; a processor will do, only slowly.

    Args:
        asked: See `load`.
        options: Batch size and number format.
    """
    return Need(memory=memory(asked, options), bf16=options.dtype == "bfloat16", gpu=False)


def blockers(project: Project, options: EvaluateOptions) -> list[Message]:
    """Return what a Job cannot read: it has the Hub, and nothing of this machine.

    Args:
        project: Holds the export.
        options: Which models on which tasks.
    """
    local = [name for name in options.models.values() if reference.refer(name).local]
    found = [message("evaluation.local_model", model=name) for name in local]
    return [*found, *(each for name in options.tasks for each in task_of(name).job_problems(project, options))]


def remote(project: Project, options: EvaluateOptions, wanted: Mapping[str, Any], fetch: str) -> dict[str, Any]:
    """Return the part of a run's spec that its Job is told; every local path is replaced by one in its work folder.

    Args:
        project: Holds the export and where it was published.
        options: Which models on which tasks.
        wanted: The spec so far.
        fetch: The local folder that the results are brought to.
    """
    sent = {task["name"]: task_of(task["name"]).sent(project, options, task) for task in wanted["tasks"]}
    return {
        "engine": ENGINE,
        "overrides": {
            "tasks": [{**task, "data": sent[task["name"]].data} for task in wanted["tasks"]],
            "output_dir": OUTPUT,
        },
        "downloads": [download for each in sent.values() for download in each.downloads],
        "files": {place: file for each in sent.values() for place, file in each.files.items()},
        "upload": None,
        "fetch": fetch,
    }
