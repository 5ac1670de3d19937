"""Jobs and Spaces that this app has started, in one form: found on the Hub, ended, taken in from another disk."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from huggingface_hub import JobInfo

from pipeline.base import project as projects
from pipeline.base.errors import StudioError
from pipeline.base.message import Message, message
from pipeline.carriers import job_end, space_end, space_files
from pipeline.hub import account, jobs, spaces, store
from pipeline.hub.spaces import Space
from pipeline.runs.ledger import Ledger, Run

_labels: dict[tuple[str, str], dict[str, str] | None] = {}  # of Spaces, by name and age: they are never changed


@dataclass(frozen=True)
class Rented:
    """A Job or a Space that carries a run; times are Unix seconds by the Hub's clock.

    Attributes:
        place: Which of both.
        id: The Job's id, or the Space's name.
        namespace: Who pays.
        labels: What it says of its run.
        stage: As the Hub says.
        over: Whether nothing runs in it: it costs nothing any more.
        waiting: Whether it costs nothing yet.
        worker: What the ledger knows of it.
        seconds: For how long it has been billed; None: the Hub does not say.
        began: When it was made, or changed last.
        ended: When it ended; None: not yet, or the Hub does not say.
    """

    place: Literal["job", "space"]
    id: str
    namespace: str
    labels: Mapping[str, str]
    stage: str
    over: bool
    waiting: bool
    worker: Mapping[str, Any]
    seconds: float | None = None
    began: float | None = None
    ended: float | None = None

    @property
    def run(self) -> str:
        """Id of the run it carries, as its label says."""
        return self.labels.get("run", "")


def of_job(job: JobInfo) -> Rented:
    """Return a Job."""
    stage = jobs.stage(job)
    seconds = job.durations.running_secs if job.durations else None
    began = (None if stage == "SCHEDULING" else job.started_at) or job.created_at
    return Rented(
        place="job",
        id=job.id,
        namespace=job.owner.name,
        labels=job.labels or {},
        stage=stage,
        # Whatever is not over costs money, also in a stage that this program has not heard of.
        over=stage in jobs.TERMINAL,
        waiting=stage == "SCHEDULING",
        worker=job_end.worker_of(job),
        seconds=None if seconds is None else float(seconds),
        began=began.timestamp() if began else None,
        ended=(job.finished_at or job.created_at).timestamp() if job.finished_at or job.created_at else None,  # type: ignore[union-attr]
    )


def of_space(space: Space, labels: Mapping[str, str]) -> Rented:
    """Return a Space with its labels."""
    changed = space.changed.timestamp() if space.changed else None
    return Rented(
        place="space",
        id=space.name,
        namespace=space.name.partition("/")[0],
        labels=labels,
        stage=space.stage,
        over=space.over,
        waiting=space.stage in spaces.BUILDING,
        worker=space_end.worker_of(space.name, {**labels, "flavor": space.hardware or labels.get("flavor", "")}),
        began=changed,
        ended=changed,
    )


def ours(namespace: str) -> list[Rented]:
    """Return all Jobs and Spaces that this app started for an account or organisation.

    Raises:
        StudioError: The Hub does not say.
    """
    found = [of_job(job) for job in jobs.ours(namespace)]
    for space in spaces.ours(namespace, space_files.TAG):
        labels = _labels_of(space)
        if labels is not None:  # else somebody's own Space with the same tag
            found.append(of_space(space, labels))
    return found


def _labels_of(space: Space) -> dict[str, str] | None:
    key = (space.name, str(space.changed))
    if key not in _labels:
        told = spaces.variables(space.name)
        _labels[key] = (
            _read(told.get(space_files.LABELS, ""), told[space_files.RUN]) if space_files.RUN in told else None
        )
    return _labels[key]


def _read(text: str, run: str) -> dict[str, str]:
    try:
        said = json.loads(text)
    except ValueError:
        said = None
    return {str(k): str(v) for k, v in (said if isinstance(said, dict) else {}).items()} | {"run": run}


def stop(place: str, namespace: str, id_: str) -> None:
    """End a Job, or pause a Space, at once.

    Args:
        place: Which of both.
        namespace: Who pays.
        id_: Its id; a Space's name.

    Raises:
        StudioError: The Hub refuses, or is not reached.
    """
    if place == "job":
        jobs.cancel(namespace, id_)
    else:
        spaces.pause(id_)


def adopt(ledger: Ledger, rented: Rented) -> tuple[Run, bool]:
    """Take in the run of a Job or Space that this disk does not know; the caller starts its supervisor.

    Args:
        ledger: The ledger of its owner, in whose projects it is looked for.
        rented: What carries it.

    Returns:
        The run and whether it is new here.

    Raises:
        StudioError: Its labels are not those of a run, nobody is signed in, or the project cannot be made.
    """
    asking = account.current()
    if asking is None:
        raise StudioError("job.adopt_signed_out")
    told: dict[str, Any] = {}
    with contextlib.suppress(StudioError):  # without it, the labels do
        told = store.read_json(asking.name, rented.run, "run.json") or {}
    kind, worker = rented.labels.get("kind", "train"), dict(rented.worker)
    project = _project(ledger, rented.labels.get("project", ""))
    asked = {"timeout": worker["timeout"], **{key: worker[key] for key in ("flavor", "namespace", "price_per_minute")}}
    if rented.place == "space":
        asked |= {"space": rented.id, "sleep": 0}
    spec = {"place": rented.place, "user": asking.name, "job": asked, "remote": {}, **(told.get("spec") or {})}
    spec |= _places(project, kind, rented.run)
    if kind == "evaluate":
        spec["remote"] = {**spec["remote"], "fetch": spec["output_dir"]}
    created = told.get("created") or (rented.began or 0.0) - asking.clock_offset
    named = told.get("title")
    title = Message.from_dict(named) if isinstance(named, dict) else str(named or "") or _title(kind, rented.labels)
    try:
        return ledger.adopt(rented.run, kind, project.name, title, float(created), spec, worker)
    except ValueError as error:
        raise StudioError("job.foreign", detail=str(error)) from error


def _title(kind: str, labels: Mapping[str, str]) -> Message:
    """Return what a run is called whose own title is not known here."""
    return message("job.title", kind=message(f"spend.kind.{kind}"), project=labels.get("project", ""))


def _places(project: projects.Project, kind: str, run_id: str) -> dict[str, str]:
    """Return where on this disk a run's files belong."""
    return {"output_dir": str(project.models if kind == "train" else project.evaluations / run_id)}


def _project(ledger: Ledger, name: str) -> projects.Project:
    try:
        return projects.find(ledger.home, name)
    except StudioError:
        return projects.create(ledger.home, name)
