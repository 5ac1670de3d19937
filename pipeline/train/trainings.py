"""Training: check, start, and the models it made."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.base.message import message
from pipeline.base.project import Project
from pipeline.hardware.pricing import RENTED, JobOptions
from pipeline.models import reference
from pipeline.runs import launch
from pipeline.runs.ledger import Ledger, Run, State
from pipeline.runs.spec import spec_of
from pipeline.train.check import preflight, spec
from pipeline.train.options import TrainOptions
from pipeline.train.params import TrainParams


@dataclass(frozen=True)
class TrainedModel:
    """A model that a finished run made.

    Attributes:
        name: Its name within the project.
        path: What loads it: the folder of the whole model (with merge_adapter off, a folder inside that of the
            adapter), or its id on the Hub with @revision where rented hardware made it.
        place: Where it was made: local, job or space.
        size: Bytes of the whole model's files.
        base_model: What it was trained from.
        run_id: The run that made it.
        created: When that run ended.
        dataset: The export it was trained on.
        result: The run's result: steps, seconds, metrics, whether it was stopped early.
    """

    name: str
    path: str
    place: str
    size: int
    base_model: str
    run_id: str
    created: datetime
    dataset: str
    result: dict[str, Any]


def start(
    ledger: Ledger, project: Project, options: TrainOptions, params: TrainParams, where: JobOptions | None = None
) -> Run:
    """Check a run and start it; asked for the same again while it is active, return the one there is.

    Args:
        ledger: The home's ledger.
        project: Holds the export; gets the model.
        options: What is trained on what.
        params: The hyperparameters.
        where: Where it runs; by default here.

    Raises:
        StudioError: Something stops it; see `preflight`.
    """
    where = where or JobOptions()
    same = asked_already(ledger, project, options, params, where)
    if same is not None:
        return same
    found = preflight(ledger, project, options, params, where=where)
    found.stop_if_blocked()
    if not where.remote:
        remains = project.models / options.project_name
        if remains.exists():  # of a run that failed or was cancelled, else preflight would have said so
            shutil.rmtree(remains)
        project.models.mkdir(mode=0o700, exist_ok=True)
    wanted = spec(project, options, params, found.numbers.job) | where.place
    title = message("training.title", name=options.project_name)
    return launch.start(ledger, "train", project.name, title, wanted, asked(options, params, where))


def asked_already(
    ledger: Ledger, project: Project, options: TrainOptions, params: TrainParams, where: JobOptions
) -> Run | None:
    """Return the active run of the same training, None when there is none.

    Args:
        ledger: The home's ledger.
        project: Holds the export.
        options: What is trained on what.
        params: The hyperparameters.
        where: Where it runs.
    """
    return ledger.asked("train", project.name, asked(options, params, where))


def asked(options: TrainOptions, params: TrainParams, where: JobOptions) -> dict[str, Any]:
    """Return what makes two trainings the same run; what a Job may cost does not."""
    said = {"options": options, "params": params}
    return {name: each.model_dump(mode="json") for name, each in said.items()} | {"where": where.where}


def models(ledger: Ledger, project: Project) -> list[TrainedModel]:
    """Return the models of finished runs, newest first: here those that are still there, and those on the Hub.

    Args:
        ledger: The home's ledger.
        project: Whose models.
    """
    found: dict[str, TrainedModel] = {}
    for run in ledger.list(project=project.name, kind="train"):
        path = loaded_from(run)
        if path is None or path in found:
            continue
        asked, result = spec_of(run), run.result or {}
        found[path] = TrainedModel(
            name=str(asked.get("project_name") or path),
            path=path,
            place=run.place,
            size=_bytes(run, path),
            base_model=str(asked.get("base_model", "")),
            run_id=run.id,
            created=datetime.fromtimestamp(run.ended or run.created, UTC),
            dataset=str(asked.get("dataset", "")),
            result=result,
        )
    return list(found.values())


def loaded_from(run: Run) -> str | None:
    """Return what loads the model that a run made: a folder, or a Hub id with its revision; None without one.

    Args:
        run: Of kind train.
    """
    result = run.result or {}
    if run.state is not State.SUCCEEDED:
        return None
    if run.place in RENTED:
        if not result.get("repo") or result.get("adapter_path"):  # the whole model is in a folder of its repository
            return None
        return "@".join(filter(None, [str(result["repo"]), str(result.get("revision") or "")]))
    path = Path(str(result.get("model_path") or "missing"))
    return str(path) if path.is_dir() and not reference.missing(path) else None


def _bytes(run: Run, path: str) -> int:
    if run.place in RENTED:
        return int((run.result or {}).get("size_bytes") or 0)
    return sum(file.stat().st_size for file in Path(path).rglob("*") if file.is_file())
