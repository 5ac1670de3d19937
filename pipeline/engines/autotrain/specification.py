"""What a spec asks for, checked as far as that needs no library."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from protocol import Problem  # type: ignore[import-not-found]

# The parameters this worker reads itself, with the type it needs; AutoTrain checks those it is only handed on.
TYPES: dict[str, tuple[type, ...]] = {
    "batch_size": (int,),
    "beta": (int, float),
    "block_size": (int,),
    "epochs": (int,),
    "gradient_accumulation": (int,),
    "logging_steps": (int,),
    "lora": (bool,),
    "max_completion_length": (int,),
    "max_prompt_length": (int,),
    "merge_adapter": (bool,),
    "mixed_precision": (str,),
    "nll": (str,),
    "seed": (int,),
    "warmup_ratio": (int, float),
}


class Params(SimpleNamespace):
    """Hyperparameters by name, as the spec has them; units are tokens, pairs and steps."""

    def __getattr__(self, name: str) -> Any:
        """Fail for a parameter that the spec has not."""
        raise Problem("engines.parameter_missing", name=name)


def read_params(values: dict[str, Any]) -> Params:
    """Return the hyperparameters; those that are read here are checked for their types."""
    values = {"nll": "all", **values}  # what runs did before there was a choice
    for name, types in TYPES.items():
        if name not in values:
            raise Problem("engines.parameter_missing", name=name)
        if not isinstance(values[name], types):
            raise Problem("engines.parameter_type", name=name, given=values[name])
    if values["mixed_precision"] not in ("auto", "bf16", "fp16", "none"):
        raise Problem("engines.precision_unknown", given=values["mixed_precision"])
    if values["nll"] not in ("all", "answer"):
        raise Problem("engines.parameter_type", name="nll", given=values["nll"])
    return Params(**values)


@dataclass(frozen=True)
class Job:
    """What the spec asks for, with absolute paths."""

    base_model: str
    project_name: str
    data_dir: Path
    output_dir: Path
    params: Params

    @property
    def folder(self) -> Path:
        """The model's folder."""
        return self.output_dir / self.project_name


def read_spec(spec: dict[str, Any]) -> Job:
    """Return the job a spec describes, checked as far as that needs no library."""
    try:
        params = read_params(spec["params"])
        job = Job(
            base_model=_model_place(spec["base_model"]),
            project_name=spec["project_name"],
            data_dir=Path(spec["data_dir"]).resolve(),
            output_dir=Path(spec["output_dir"]).resolve(),
            params=params,
        )
    except (KeyError, TypeError) as error:
        raise Problem("engines.spec_unreadable", detail=repr(error)) from error
    if spec.get("kind") != "train":
        raise Problem("engines.spec_kind", kind=spec.get("kind"))
    if spec.get("trainer", "orpo") != "orpo":
        raise Problem("engines.trainer_unknown", trainer=spec["trainer"])
    name = job.project_name.replace("-", "")
    if not (name.isascii() and name.isalnum() and len(job.project_name) <= 50):
        raise Problem("engines.bad_name", name=job.project_name)
    if job.folder.exists() and any(job.folder.iterdir()):
        raise Problem("engines.folder_exists", folder=job.folder)
    return job


def _model_place(name: str) -> str:
    """Return the absolute folder of a local model, or the Hub id."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        if (folder / "config.json").is_file():
            return str(folder.resolve())
        raise Problem("engines.no_config", model=name)
    if folder.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1 or not name:
        raise Problem("engines.no_folder", folder=name)
    return name


def check_sizes(job: Job, pairs: int) -> None:
    """Refuse what cannot train, before anything is loaded."""
    params = job.params
    if not pairs:
        raise Problem("engines.no_training_pairs", file=job.data_dir / "train.jsonl")
    if params.max_prompt_length >= params.block_size:
        raise Problem("engines.no_room_for_answer", prompt=params.max_prompt_length, block=params.block_size)


def total_steps(pairs: int, params: Params) -> int:
    """Return the number of optimizer steps; the last of each pass takes what is left, be it one pair."""
    per_epoch = math.ceil(math.ceil(pairs / params.batch_size) / params.gradient_accumulation)
    return int(per_epoch * params.epochs)


def logging_interval(steps: int, asked: int) -> int:
    """Return the steps between two logs: as asked, but ten logs at least where there are so many steps."""
    return max(1, min(asked, steps // 10))
