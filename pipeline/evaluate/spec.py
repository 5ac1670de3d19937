"""What the evaluation worker is told: models with their revisions, tasks with their data, equal settings for all."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pipeline.base.project import Project
from pipeline.evaluate.options import EvaluateOptions
from pipeline.evaluate.task import task_of
from pipeline.models import reference

_COMMIT = re.compile(r"(?<=@)([0-9a-f]{7})[0-9a-f]{33}$")


def spec(project: Project, options: EvaluateOptions, titles: dict[str, str] | None = None) -> dict[str, Any]:
    """Return the spec of a run but for its output_dir, as `pipeline/engines/lighteval/worker.py` reads it.

    Args:
        project: Holds the export.
        options: Which models on which tasks.
        titles: What models are called, by folder or Hub id; by default a folder's name, or the Hub id.
    """
    return {
        "models": [model_entry(role, name, (titles or {}).get(name, "")) for role, name in options.models.items()],
        "tasks": [{"name": name, **task_of(name).told(project, options)} for name in options.tasks],
        "dataset": options.dataset,
        "max_samples": options.max_samples,
        "batch_size": options.batch_size,
        "dtype": options.dtype,
    }


def model_entry(role: str, name: str, title: str = "") -> dict[str, Any]:
    """Return a spec's model: a folder, or a Hub id with the commit its revision is now.

    Where the Hub is not reached, that is the commit in the cache: what is scored is what is written down.

    Args:
        role: base, tuned, or another word for a further model.
        name: A folder, or a Hub id with `@revision` if need be.
        title: What it is called; by default its folder's name, or the name given.
    """
    model = reference.refer(name)
    revision = None if model.local else reference.commit(name) or model.revision or None
    called = title or (Path(model.path).name if model.local else _COMMIT.sub(r"\1", name))
    return {"role": role, "name": called, "path": model.path, "revision": revision}


def uses_hub(options: EvaluateOptions) -> bool:
    """Return whether a model or a task's samples come from the Hub, so that the run acts for who is signed in."""
    samples = any(task_of(name).reads_hub(options) for name in options.tasks)
    return samples or not all(reference.refer(name).local for name in options.models.values())
