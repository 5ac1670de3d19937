"""How long a training may take, by the runs there were."""

from __future__ import annotations

from typing import Any

from pipeline.base.project import Project
from pipeline.hardware import pricing
from pipeline.hardware.pricing import JobOptions
from pipeline.runs import events
from pipeline.runs.ledger import Ledger, Run, State
from pipeline.runs.spec import spec_of

# What a step's time depends on, beside the data and the model.
_PACE = (
    "batch_size",
    "block_size",
    "max_prompt_length",
    "max_completion_length",
    "lora",
    "lora_r",
    "gradient_accumulation",
    "mixed_precision",
)


def seconds(ledger: Ledger, project: Project, wanted: dict[str, Any], steps: int, where: JobOptions) -> float | None:
    """Return the seconds that many steps take by the last finished run of the same data, model, sizes and hardware.

    Its loading and saving are taken as they were, the time between the first and the last step in proportion.

    Args:
        ledger: The home's ledger.
        project: Whose runs.
        wanted: Spec of the run to come.
        steps: Its optimizer steps.
        where: Where it runs.
    """
    for run in ledger.list(project=project.name, kind="train"):
        if run.state is not State.SUCCEEDED or run.result is None:
            continue
        former = spec_of(run)
        same = all(former.get(name) == wanted[name] for name in ("base_model", "data_dir"))
        same = same and all(former.get("params", {}).get(name) == wanted["params"][name] for name in _PACE)
        same = same and (former.get("job") or {}).get("flavor") == (where.flavor if where.remote else None)
        done, took = run.result.get("steps"), _took(run)
        marks = [event["ts"] for event in events.read(run.events).events if event["event"] in ("begin", "step")]
        if same and done and took and len(marks) > 1:
            training = float(marks[-1] - marks[0])
            return max(0.0, took - training) + training / int(done) * steps
    return None


def _took(run: Run) -> float:
    """Return how long a finished run took: the worker's own time here, all that was paid for on a Job."""
    spent = pricing.spent(run)
    return spent.seconds if spent else float((run.result or {}).get("seconds") or 0)
