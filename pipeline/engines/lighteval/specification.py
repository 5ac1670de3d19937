"""What a spec may say: checks before anything is loaded, and the equivalent command lines. Standard library only."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import Any

from protocol import Problem  # type: ignore[import-not-found]

Spec = dict[str, Any]
OWN_TASK = "reviewed_pairs"
NEXT_MODEL = "Choose an existing model folder, or check the Hub name, the token and the network."
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_DTYPES = ("float32", "bfloat16", "float16")


def check(spec: Spec) -> None:
    """Check what can be checked before anything is loaded, and make local paths absolute.

    Args:
        spec: Changed in place: `path` of local models and `data` absolute, missing options null.

    Raises:
        Problem: For the first thing wrong.
    """
    if spec.get("kind") not in ("evaluate", "answer"):
        raise Problem("BadSpec", f"kind is {spec.get('kind')!r}, not evaluate or answer.")
    if spec.get("dtype") not in _DTYPES:
        raise Problem("BadSpec", f"dtype is {spec.get('dtype')!r}.", f"Choose one of {', '.join(_DTYPES)}.")
    roles = [model["role"] for model in spec["models"]]
    if not roles or len(set(roles)) < len(roles) or not all(re.fullmatch(r"[\w-]+", role) for role in roles):
        raise Problem("BadSpec", f"Each model needs a role of its own, a plain word; these are {roles}.")
    for model in spec["models"]:
        _check_model(model)
    if spec["kind"] == "answer":
        if not spec["messages"] or spec["max_new_tokens"] < 1 or spec["temperature"] < 0:
            raise Problem(
                "BadSpec", "An answer needs a message, max_new_tokens of at least 1, a temperature of 0 or more."
            )
        return
    spec["max_samples"] = spec.get("max_samples")
    spec["output_dir"] = str(Path(spec["output_dir"]).resolve())
    if not spec["tasks"] or spec["batch_size"] < 1 or (spec["max_samples"] is not None and spec["max_samples"] < 1):
        raise Problem("BadSpec", "An evaluation needs a task, a batch_size of at least 1 and no max_samples below 1.")
    for task in spec["tasks"]:
        _check_task(task)


def _check_model(model: dict[str, Any]) -> None:
    """Make a local path absolute and refuse what cannot be a model."""
    folder = Path(model["path"])
    if not folder.is_dir():
        if not _HUB_ID.fullmatch(model["path"]):
            raise Problem("ModelMissing", f"There is no folder {model['path']} for {model['name']}.", NEXT_MODEL)
        return
    model["path"] = str(folder.resolve())
    if (folder / "adapter_config.json").exists():
        raise Problem(
            "AdapterFolder",
            f"{model['name']} is a LoRA adapter, which lighteval 0.13.0 cannot evaluate.",
            "Use the merged model: train with the adapter merged at the end, or merge it, and choose that folder.",
        )
    if not (folder / "config.json").exists():
        raise Problem("ModelMissing", f"The folder of {model['name']} holds no config.json.", NEXT_MODEL)


def _check_task(task: dict[str, Any]) -> None:
    """Make the path of a task's data absolute and refuse what no task can use."""
    if not re.fullmatch(r"[^,\s|]+(\|\d+)?", task["name"]):
        raise Problem(
            "UnknownTask", f"{task['name']!r} is not one task's name.", "Name tasks as truthfulqa:mc or gsm8k|5."
        )
    if _own(task) and not (task.get("data") and task.get("chat_template")):
        raise Problem(
            "BadSpec",
            "Reviewed pairs need the exported split and the chat template of the training run.",
            "Choose an export with a test split and a finished training run.",
        )
    if task.get("data"):
        task["data"] = str(Path(task["data"]).resolve())
        if not Path(task["data"]).is_file():
            raise Problem("DataMissing", f"There is no file {task['data']}.", "Choose the file again.")


def stay_offline(spec: Spec) -> None:
    """Keep every library from the network when nothing of the spec is on the Hub; call before they are imported."""
    local = all(Path(model["path"]).is_dir() for model in spec["models"])
    if local and all(task.get("data") for task in spec.get("tasks", [])):
        os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TRANSFORMERS_OFFLINE="1")


def commands(spec: Spec) -> list[str]:
    """Return the equivalent lighteval 0.13.0 command line of each model for the stock tasks.

    Args:
        spec: Of kind "evaluate".
    """
    tasks = [task["name"] if "|" in task["name"] else f"{task['name']}|0" for task in spec["tasks"] if not _own(task)]
    if not tasks:
        return []
    lines = []
    for model in spec["models"]:
        arguments = {"model_name": model["path"], "revision": model.get("revision")}
        arguments |= {"batch_size": spec["batch_size"], "dtype": spec["dtype"], "override_chat_template": False}
        given = ",".join(f"{name}={value}" for name, value in arguments.items() if value is not None)
        line = ["lighteval", "accelerate", given, ",".join(tasks), "--output-dir", str(Path(spec["output_dir"]))]
        lines.append(shlex.join([*line, *(["--max-samples", str(spec["max_samples"])] if spec["max_samples"] else [])]))
    return lines


def _own(task: dict[str, Any]) -> bool:
    return str(task["name"]).split("|")[0] == OWN_TASK
