"""Hugging Face Jobs of this app: started once each, found again by their labels, followed and ended."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, JobHardwareInfo, JobInfo, constants, get_session
from huggingface_hub.errors import HTTPError

from pipeline.base.errors import StudioError
from pipeline.base.message import message
from pipeline.hub import client
from pipeline.hub.problems import HUB_ERRORS, explain, status
from pipeline.hub.retry import passing, retrying

APP = "align-studio"
IMAGE = "ghcr.io/astral-sh/uv:python3.11-bookworm"
# One variable of a process's environment holds at most 128 KiB on Linux.
SCRIPT_BYTES = 100_000
# `exec`: the end of the Job is announced to its first process only, which must be the one that can act on it.
COMMAND = (
    "export ALIGN_STUDIO_STARTED=$(date +%s) && echo $ALIGN_STUDIO_JOB | base64 -d > run.py"
    " && exec uv run --no-config run.py"
)
TERMINAL = frozenset({"COMPLETED", "CANCELED", "ERROR", "DELETED"})
TIMEOUT_S = 60.0  # a Hub that is silent for longer has not answered: the library itself waits for ever
TRIES = 4  # launches in all
LATE_S = (1.0, 3.0, 8.0)  # between looks for a Job whose launch was not answered, before it counts as not launched


@dataclass(frozen=True)
class Launch:
    """What a Job is started with.

    Attributes:
        run: Id of the run; the Job is found again by it.
        project: Name of the project.
        kind: train or evaluate.
        namespace: The account or organisation that pays.
        flavor: Name of the hardware.
        timeout: The hard stop, seconds.
        price_per_minute: USD, as it was shown to the user.
        studio: Id of the studio that starts it; see `pipeline.base.home.Home.studio`.
        script: The program it runs.
        environment: What the program is told; no secret.
    """

    run: str
    project: str
    kind: str
    namespace: str
    flavor: str
    timeout: int
    price_per_minute: float
    studio: str
    script: Path
    environment: dict[str, str]

    @property
    def labels(self) -> dict[str, str]:
        """The labels by which the Job is recognised even when this disk is lost."""
        return labels(self.run, self.project, self.kind, self.timeout, self.price_per_minute, self.studio)


def labels(run: str, project: str, kind: str, timeout: int, price_per_minute: float, studio: str) -> dict[str, str]:
    """Return the labels of what carries a run, a Job or a Space: enough to know it again without this disk.

    Args:
        run: Id of the run.
        project: Name of the project.
        kind: train or evaluate.
        timeout: The hard stop, seconds.
        price_per_minute: USD, as it was shown to the user.
        studio: Id of the studio that starts it.
    """
    said = {
        "app": APP,
        "run": run,
        "project": project,
        "kind": kind,
        "stop": str(timeout),
        "price": str(round(price_per_minute * 1e6)),
        "studio": studio,
    }
    return {key: re.sub(r"[^A-Za-z0-9_-]", "-", value)[:100] for key, value in said.items()}


def flavors() -> list[JobHardwareInfo]:
    """Return the hardware that Jobs can have, as the Hub offers it now.

    Raises:
        StudioError: The Hub does not say.
    """
    try:
        return retrying(lambda: _api().list_jobs_hardware(), attempts=2, longest=0.3)  # a page waits for it
    except HUB_ERRORS as error:
        raise explain(error, "hub.cannot.hardware") from error


def ours(namespace: str) -> list[JobInfo]:
    """Return all Jobs that this app started for an account or organisation, newest first.

    Raises:
        StudioError: The Hub does not say.
    """
    try:
        return _labelled(namespace, {"app": APP}, attempts=1)  # the library itself tries for 23 s
    except HUB_ERRORS as error:
        raise explain(error, message("hub.cannot.jobs", namespace=namespace)) from error


def of_run(namespace: str, run_id: str) -> JobInfo | None:
    """Return the Job of a run, the first one should there be several; None when there is none.

    Raises:
        StudioError: The Hub does not say.
    """
    try:
        return _of_run(namespace, run_id)
    except HUB_ERRORS as error:
        raise explain(error, "hub.cannot.run_job") from error


def start(launch: Launch) -> JobInfo:
    """Start the Job of a run, exactly one: one that is there already, by its label, is returned.

    The present token is given to it as a secret.

    Args:
        launch: What to start.

    Raises:
        StudioError: The Hub refuses or is not reached; then there is no Job of this run, as far as the Hub says.
    """
    try:
        found = _of_run(launch.namespace, launch.run)
        for attempt in range(TRIES):
            if found is not None:
                return found
            try:
                job = _run(launch)
            except HTTPError as error:
                if not passing(error):
                    raise
                # The answer is lost, not necessarily the Job: the Hub is asked before anything is sent again.
                found = _arrived(launch)
                if found is None and attempt == TRIES - 1:
                    raise
            else:
                return _only(launch, job) if attempt else job
    except HUB_ERRORS as error:
        raise _refused(error, launch) from error
    assert found is not None
    return found


def _only(launch: Launch, job: JobInfo) -> JobInfo:
    """Return the first Job of a run; one that came twice because the first was slow to show up is ended."""
    first, *others = reversed(_labelled(launch.namespace, {"app": APP, "run": launch.run})) or [job]
    for other in others:
        cancel(launch.namespace, other.id)
    return first


def _arrived(launch: Launch) -> JobInfo | None:
    """Return the Job whose launch was not answered, if it shows up within some seconds.

    It may be there and cost money: the Hub is asked until it says.
    """
    waits = list(LATE_S)
    while True:
        try:
            found = _of_run(launch.namespace, launch.run)
        except HTTPError as error:
            if not passing(error):
                raise
            time.sleep(LATE_S[-1])
            continue
        if found is not None or not waits:
            return found
        time.sleep(waits.pop(0))


def _run(launch: Launch) -> JobInfo:
    script = base64.b64encode(launch.script.read_bytes()).decode()
    if len(script) > SCRIPT_BYTES:
        raise StudioError("hub.job_too_large", size=len(script), most=SCRIPT_BYTES)
    return _api().run_job(
        image=IMAGE,
        command=["bash", "-c", COMMAND],
        env={"ALIGN_STUDIO_JOB": script, **launch.environment},
        secrets={"HF_TOKEN": client.token()},
        flavor=launch.flavor,
        timeout=launch.timeout,
        name=launch.labels["run"],
        labels=launch.labels,
        namespace=launch.namespace,
    )


def look(namespace: str, job_id: str) -> JobInfo:
    """Return a Job as it is now.

    Raises:
        HTTPError: The Hub does not say; whoever follows a Job looks again later.
    """
    return _api().inspect_job(job_id=job_id, namespace=namespace)


def cancel(namespace: str, job_id: str) -> None:
    """End a Job at once; one that has ended stays as it ended.

    Raises:
        StudioError: The Hub refuses, or is not reached.
    """
    try:
        retrying(lambda: _cancel(namespace, job_id))
    except HUB_ERRORS as error:
        raise explain(error, message("hub.cannot.stop_job", job=job_id)) from error


def _cancel(namespace: str, job_id: str) -> None:
    try:
        _api().cancel_job(job_id=job_id, namespace=namespace)
    except HTTPError as error:
        if not 400 <= status(error) < 500 or str(look(namespace, job_id).status.stage) not in TERMINAL:
            raise


def lines(namespace: str, job_id: str) -> Iterator[str]:
    """Yield the lines of a Job's log from the first on, until the Job ends.

    Each call begins with the first line again.

    Raises:
        HTTPError: The stream broke for longer than the library tries.
    """
    yield from _api().fetch_job_logs(job_id=job_id, namespace=namespace, follow=True)


def page(namespace: str, job_id: str) -> str:
    """Return the address of a Job's page."""
    return f"{constants.ENDPOINT}/jobs/{namespace}/{job_id}"


def stage(job: JobInfo) -> str:
    """Return a Job's stage: SCHEDULING, RUNNING, COMPLETED, CANCELED, ERROR or DELETED."""
    return str(getattr(job.status.stage, "value", job.status.stage))


def _labelled(namespace: str, labels: dict[str, str], attempts: int = 3) -> list[JobInfo]:
    found = retrying(
        lambda: list(_api().list_jobs(labels=labels, namespace=namespace, timeout=int(TIMEOUT_S))), attempts=attempts
    )
    # The filter is the Hub's; what it lets through is looked at again, since Jobs are ended by it.
    kept = [job for job in found if all((job.labels or {}).get(key) == value for key, value in labels.items())]
    return sorted(kept, key=_age, reverse=True)


def _age(job: JobInfo) -> float:
    return job.created_at.timestamp() if job.created_at else 0.0


def _of_run(namespace: str, run_id: str) -> JobInfo | None:
    found = _labelled(namespace, {"app": APP, "run": run_id})
    return found[-1] if found else None


def _refused(error: Exception, launch: Launch) -> StudioError:
    code = {402: "hub.job_unpaid", 403: "hub.job_forbidden"}.get(status(error))
    return StudioError(code, namespace=launch.namespace) if code else explain(error, "hub.cannot.start_job")


def _api() -> HfApi:
    get_session().timeout = TIMEOUT_S
    return client.api()
