"""An evaluation on a Hugging Face Job: what it asks of the hardware, what stops it, and what the Job is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.base.errors import StudioError
from pipeline.base.preflight import Notice
from pipeline.base.project import Project
from pipeline.evaluate.options import REVIEWED, TRUTHFULQA, EvaluateOptions
from pipeline.export import exported
from pipeline.hardware import pace
from pipeline.hardware.flavors import Flavor, Need
from pipeline.hardware.machine import size
from pipeline.hub import look
from pipeline.models import reference, tokens
from pipeline.models.shape import ModelShape
from pipeline.train.check import lengths

ENGINE = "lighteval"
DATA, OUTPUT = "data", "output"  # in the Job's work folder
TEST_FILE = f"{DATA}/test.jsonl"
LARGEST_FILE = 20 << 20  # of questions sent along, bytes

_BYTES = {"float32": 4, "bfloat16": 2}
_LOGIT_BYTES = {"float32": 12, "bfloat16": 14}  # see memory
_PROCESS = int(2e9)  # Python, torch, CUDA and lighteval before any weights, bytes; assumed
_CHOICES = {TRUTHFULQA: 30, REVIEWED: 2}  # sequences of a sample at most: mc1's and mc2's choices; chosen, rejected
_QUESTION_TOKENS, _QUESTION_CHOICES = 250, 12  # of TruthfulQA with its six example questions, about
_DOWNLOAD_BYTES_PER_S = 50e6  # a model's weights from the Hub to a Job; assumed
_FALLBACK_TOKENS = 1024  # of a pair, where the test split cannot be read


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
        if task == TRUTHFULQA:
            longest[task] = _QUESTION_TOKENS
            total[task] = count * _QUESTION_CHOICES * _QUESTION_TOKENS
        else:
            longest[task], total[task] = _pair_tokens(project, options, count)
    return Load({role: reference.shape(name) for role, name in options.models.items()}, longest, total)


def _pair_tokens(project: Project, options: EvaluateOptions, count: int) -> tuple[int, int]:
    """Return the tokens of the test split's longest sequence, and of all sequences of so many pairs."""
    file = exported.split_file(project, options.dataset, "test")
    try:
        counts = lengths(file, tokens.counter(reference.path_for_worker(options.tuned))) if file else []
    except StudioError:  # a damaged split is told elsewhere
        counts = []
    if not counts:
        return _FALLBACK_TOKENS, count * 2 * _FALLBACK_TOKENS
    longest = max(each.prompt + max(each.chosen, each.rejected) for each in counts)
    whole = sum(2 * each.prompt + each.chosen + each.rejected for each in counts)
    return longest, round(whole * count / len(counts))


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
    choices = _CHOICES[task]
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


def blockers(project: Project, options: EvaluateOptions) -> list[Notice]:
    """Return what a Job cannot read: it has the Hub, and nothing of this machine.

    Args:
        project: Holds the export.
        options: Which models on which tasks.
    """
    found = [_local_model(name) for name in options.models.values() if reference.refer(name).local]
    file = options.truthfulqa_data if TRUTHFULQA in options.tasks else None
    if file is not None and file.expanduser().is_file() and file.expanduser().stat().st_size > LARGEST_FILE:
        found.append(
            Notice(
                f"{file.name} is too large to be sent with the run.",
                f"It has {size(file.expanduser().stat().st_size)} of at most {size(LARGEST_FILE)}.",
                "Take TruthfulQA from the Hub, or a smaller file.",
            )
        )
    if REVIEWED in options.tasks and options.dataset:
        found += _unpublished(project, options.dataset)
    return found


def _local_model(name: str) -> Notice:
    return Notice(
        f"{name} is a folder on this machine.",
        "A Job reads models from the Hub only.",
        "Choose a model of the Hub (a training on a Job puts its model there), or score on this machine.",
    )


def _unpublished(project: Project, name: str) -> list[Notice]:
    there = exported.published(project, name)
    if there is None:
        return [
            Notice(
                f"The export “{name}” is not on the Hub.",
                "A Job reads the test split from there.",
                "Publish it in the Export tab, in a private repository if you like.",
            )
        ]
    seen = look.at("dataset", there.repository, there.revision)
    if seen.state in ("missing", "no revision", "gated"):
        return [
            Notice(
                f"{there.repository} is not on the Hub any more, or not for this account.",
                f"The export “{name}” was published there.",
                "Publish it again in the Export tab, or sign in with the account that did.",
            )
        ]
    return []


def remote(project: Project, options: EvaluateOptions, wanted: Mapping[str, Any], fetch: str) -> dict[str, Any]:
    """Return the part of a run's spec that its Job is told; every local path is replaced by one in its work folder.

    Args:
        project: Holds the export and where it was published.
        options: Which models on which tasks.
        wanted: The spec so far.
        fetch: The local folder that the results are brought to.
    """
    tasks, files, downloads = [], {}, []
    for task in wanted["tasks"]:
        task, data = dict(task), task.get("data")
        if task["name"] == REVIEWED:
            there = exported.published(project, options.dataset)
            assert there is not None  # see blockers
            source = {"repo": there.repository, "type": "dataset", "revision": there.revision, "file": "test.jsonl"}
            downloads.append(source | {"to": TEST_FILE})
            task["data"] = TEST_FILE
        elif data:
            task["data"] = f"{DATA}/{Path(data).name}"
            files[task["data"]] = data
        tasks.append(task)
    return {
        "engine": ENGINE,
        "overrides": {"tasks": tasks, "output_dir": OUTPUT},
        "downloads": downloads,
        "files": files,
        "upload": None,
        "fetch": fetch,
    }
