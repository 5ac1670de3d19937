"""What a spec asks for, checked as far as that needs no library."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protocol import Problem  # type: ignore[import-not-found]


@dataclass(frozen=True)
class Params:
    """Hyperparameters as `pipeline/train/orpo.py` declares them; units are tokens, pairs and steps."""

    learning_rate: float
    batch_size: int
    epochs: int
    block_size: int
    warmup_ratio: float
    lora: bool
    lora_r: int
    lora_alpha: int
    lora_dropout: float
    weight_decay: float
    gradient_accumulation: int
    mixed_precision: str
    max_prompt_length: int
    max_completion_length: int
    logging_steps: int
    save_total_limit: int
    seed: int
    merge_adapter: bool
    beta: float


@dataclass(frozen=True)
class Job:
    """What the spec asks for, with absolute paths."""

    base_model: str
    project_name: str
    data_dir: Path
    output_dir: Path
    stop_file: Path | None
    params: Params

    @property
    def folder(self) -> Path:
        """The model's folder."""
        return self.output_dir / self.project_name

    def stop_requested(self) -> bool:
        """Return whether the stop file is there."""
        return self.stop_file is not None and self.stop_file.exists()


def read_spec(spec: dict[str, Any]) -> Job:
    """Return the job a spec describes, checked as far as that needs no library."""
    try:
        params = Params(**spec["params"])
        job = Job(
            base_model=_model_place(spec["base_model"]),
            project_name=spec["project_name"],
            data_dir=Path(spec["data_dir"]).resolve(),
            output_dir=Path(spec["output_dir"]).resolve(),
            stop_file=Path(spec["stop_file"]).resolve() if spec.get("stop_file") else None,
            params=params,
        )
    except (KeyError, TypeError) as error:
        raise Problem("BadSpec", f"The spec cannot be read: {error!r}.") from error
    if spec.get("kind") != "train":
        raise Problem("BadSpec", f"This worker trains; it cannot do {spec.get('kind')!r}.")
    if params.mixed_precision not in ("bf16", "fp16", "none"):
        raise Problem("BadSpec", f"mixed_precision is bf16, fp16 or none, not {params.mixed_precision!r}.")
    name = job.project_name.replace("-", "")
    if not (name.isascii() and name.isalnum() and len(job.project_name) <= 50):
        raise Problem(
            "BadName",
            f"{job.project_name!r} cannot name a model.",
            "Use letters, digits and hyphens, at most 50.",
        )
    if job.folder.exists() and any(job.folder.iterdir()):
        raise Problem("FolderExists", f"{job.folder} is not empty.", "Choose another name for the model.")
    return job


def _model_place(name: str) -> str:
    """Return the absolute folder of a local model, or the Hub id."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        if (folder / "config.json").is_file():
            return str(folder.resolve())
        raise Problem(
            "ModelNotFound",
            f"{name} holds no config.json.",
            "Choose the folder of a whole model (an adapter alone is not one).",
        )
    if folder.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1 or not name:
        raise Problem(
            "ModelNotFound", f"There is no folder {name!r}.", "Check the folder, or give a Hub id such as owner/name."
        )
    return name


def check_sizes(job: Job, pairs: int) -> None:
    """Refuse what cannot train, before anything is loaded."""
    params = job.params
    step = params.batch_size * params.gradient_accumulation
    if pairs < step:
        raise Problem(
            "TooFewPairs",
            f"{pairs} pairs are fewer than one step's {params.batch_size} x {params.gradient_accumulation} = {step}.",
            "Lower the batch size or the gradient accumulation, or export more pairs.",
        )
    if params.max_prompt_length >= params.block_size:
        raise Problem(
            "BadLengths",
            f"Prompts of up to {params.max_prompt_length} tokens leave no room for an answer in {params.block_size}.",
            "Lower the longest prompt or raise the block size.",
        )


def total_steps(pairs: int, params: Params) -> int:
    """Return the number of optimizer steps (transformers 4.48: an epoch drops its incomplete last step)."""
    per_epoch = math.ceil(pairs / params.batch_size) // params.gradient_accumulation
    return max(per_epoch, 1) * params.epochs
