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
        raise Problem("engines.spec_kind", kind=spec.get("kind"))
    if spec.get("dtype") not in _DTYPES:
        raise Problem("engines.dtype_unknown", given=spec.get("dtype"), known=_DTYPES)
    roles = [model["role"] for model in spec["models"]]
    if not roles or len(set(roles)) < len(roles) or not all(re.fullmatch(r"[\w-]+", role) for role in roles):
        raise Problem("engines.roles", roles=roles)
    for model in spec["models"]:
        _check_model(model)
    if spec["kind"] == "answer":
        if not spec["messages"] or spec["max_new_tokens"] < 1 or spec["temperature"] < 0:
            raise Problem("engines.answer_spec")
        return
    spec["max_samples"] = spec.get("max_samples")
    spec["output_dir"] = str(Path(spec["output_dir"]).resolve())
    if not spec["tasks"] or spec["batch_size"] < 1 or (spec["max_samples"] is not None and spec["max_samples"] < 1):
        raise Problem("engines.evaluation_spec")
    for task in spec["tasks"]:
        _check_task(task)


def _check_model(model: dict[str, Any]) -> None:
    """Make a local path absolute and refuse what cannot be a model."""
    folder = Path(model["path"])
    if not folder.is_dir():
        if not _HUB_ID.fullmatch(model["path"]):
            raise Problem("engines.model_missing", folder=model["path"], model=model["name"])
        return
    model["path"] = str(folder.resolve())
    if (folder / "adapter_config.json").exists():
        raise Problem("engines.adapter_folder", model=model["name"])
    if not (folder / "config.json").exists():
        raise Problem("engines.model_torn", model=model["name"])


def _check_task(task: dict[str, Any]) -> None:
    """Make the path of a task's data absolute and refuse what no task can use."""
    if not re.fullmatch(r"[^,\s|]+(\|\d+)?", task["name"]):
        raise Problem("engines.task_name", name=task["name"])
    if _own(task) and not (task.get("data") and task.get("chat_template")):
        raise Problem("engines.pairs_need")
    if task.get("data"):
        task["data"] = str(Path(task["data"]).resolve())
        if not Path(task["data"]).is_file():
            raise Problem("engines.data_missing", file=task["data"])


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
