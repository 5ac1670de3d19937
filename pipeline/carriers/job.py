"""A run in a Hugging Face Job: sent, started once, followed to its end whatever happens to the line in between.

The Job goes on by itself; this side only starts it, shows it and asks it to stop. So nothing here ends a run because
the Hub is not reached: it is asked again until it answers. What a Job prints is its protocol (`follow.py`),
and what it leaves in the run store fills the gaps.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
import traceback
from collections.abc import Callable
from contextvars import copy_context
from pathlib import Path
from typing import Any

from huggingface_hub import JobInfo

from pipeline.base import project as projects
from pipeline.base.errors import StudioError
from pipeline.base.message import Message, message
from pipeline.carriers import bundle, local
from pipeline.carriers.follow import Follower, parse
from pipeline.carriers.job_end import Outcome, conclude, ending, worker_of
from pipeline.hub import account, jobs, store
from pipeline.hub.problems import HUB_ERRORS, status
from pipeline.runs import events
from pipeline.runs.ledger import Ledger, Run, State
from pipeline.runs.task import Cancelled

SCRIPT = Path(jobs.__file__).parents[1] / "engines" / "job" / "run.py"
TICK = 0.3  # seconds between looks at the stop file
POLL_S, LONGEST_POLL_S = 3.0, 60.0  # between looks at the Job; the longest while the Hub does not answer
SILENCE_S = 60.0  # without an answer of the Hub before the page says so
DRAIN_S = 20.0  # for the last lines of a Job that has ended
GONE = 5  # looks in a row at a Job that the Hub does not know, before it counts as gone
FETCH_TRIES = 5
AGAIN_S = 10.0  # before a Job is followed again after this machine failed


class SignedOut(Exception):
    """The Hub does not take the token any more: the Job goes on, but cannot be followed."""


def carry(ledger: Ledger, run: Run) -> None:
    """Carry a run in a Job; see `_Carried.carry`."""
    _Carried(ledger, run).carry()


class _Carried:
    """One run in a Job; made anew by each supervisor of the run."""

    def __init__(self, ledger: Ledger, run: Run) -> None:
        self.ledger = ledger
        self.run = run
        self.spec: dict[str, Any] = json.loads(run.spec.read_text("utf-8"))
        self.follower = Follower(run.events, run.log)
        self.stage = ""
        self._ended = threading.Event()
        self._reader: threading.Thread | None = None
        self._asked: dict[str, float] = {}

    def carry(self) -> None:
        """Carry the run to its end, or until its user has to sign in again.

        Raises:
            Cancelled: It was stopped before there was a Job.
            StudioError: It could not be started; no Job is there.
        """
        try:
            if self.run.worker is None:
                self._start()
            self._to_the_end()
        except SignedOut:
            events.tell(self.run.events, "warning", message("job.signed_out"))
            self.ledger.set_state(self.run.id, State.WAITING)
        finally:
            self._ended.set()

    def _to_the_end(self) -> None:
        while True:
            try:
                self._finish(self._follow())
                return
            except OSError:  # this disk is full, say: the Job must not be forgotten for that
                traceback.print_exc()
                time.sleep(AGAIN_S)

    def _start(self) -> None:
        """Send the run and start its Job; a Job that a former supervisor started is taken over."""
        self.ledger.set_state(self.run.id, State.STARTING)
        found = self._launched_before() if self.run.launch_file.exists() else None
        if found is None:
            self._check_stop()
            self._stage("preparing", "job.preparing")
            files = bundle.files(self.run, self.spec)
            place = store.ensure(self.run.user)
            self._check_stop()
            self._stage("sending", "job.sending", place=place)
            revision = store.send(self.run.user, self.run.id, files, f"Send {self.run.id}")
            self._check_stop()
            self.run.launch_file.touch()
            found = self._start_job(self._launch(place, revision))
        self.run = self._remember(found)
        self._stage("waiting", "job.waiting", flavor=self.spec["job"]["flavor"])

    def _launched_before(self) -> JobInfo | None:
        """Return the Job that a former supervisor may have started: the Hub is asked until it says."""
        pause = POLL_S
        while True:
            try:
                return jobs.of_run(self.spec["job"]["namespace"], self.run.id)
            except StudioError as error:
                if status(error) == 401:
                    raise SignedOut from error
            time.sleep(pause)
            pause = min(LONGEST_POLL_S, pause * 1.5)

    def _start_job(self, launch: jobs.Launch) -> JobInfo:
        try:
            return jobs.start(launch)
        except StudioError as error:
            if status(error) == 401:
                raise SignedOut from error
            self.run.launch_file.unlink()  # refused: there is none
            raise

    def _launch(self, place: str, revision: str) -> jobs.Launch:
        wanted = self.spec["job"]
        return jobs.Launch(
            run=self.run.id,
            project=self.run.project,
            kind=self.run.kind,
            namespace=wanted["namespace"],
            flavor=wanted["flavor"],
            timeout=int(wanted["timeout"]),
            price_per_minute=float(wanted["price_per_minute"]),
            script=SCRIPT,
            environment={
                "ALIGN_STUDIO_RUN": self.run.id,
                "ALIGN_STUDIO_STORE": place,
                "ALIGN_STUDIO_REVISION": revision,
            },
        )

    def _remember(self, job: JobInfo) -> Run:
        self.ledger.set_worker(self.run.id, worker_of(job))
        return self.ledger.get(self.run.id)

    def _check_stop(self) -> None:
        if self.run.stop_file.exists():
            raise Cancelled

    def _stage(self, stage: str, code: str, **values: Any) -> None:
        events.tell(self.run.events, "stage", message(code, **values), stage=stage)

    @property
    def _namespace(self) -> str:
        return str((self.run.worker or {})["namespace"])

    @property
    def _job_id(self) -> str:
        return str((self.run.worker or {})["job"])

    def _follow(self) -> JobInfo | None:
        """Return the Job as it ended; None when the Hub has forgotten it.

        Raises:
            SignedOut: The token is not accepted.
        """
        due, pause, unknown = 0.0, POLL_S, 0
        answered, told = time.monotonic(), False
        while True:
            self._obey_stop()
            if time.monotonic() < due:
                time.sleep(TICK)
                continue
            try:
                job = jobs.look(self._namespace, self._job_id)
            except HUB_ERRORS as error:
                if status(error) == 401:
                    raise SignedOut from error
                unknown = unknown + 1 if status(error) == 404 else 0
                if unknown >= GONE:
                    return None
                pause = min(LONGEST_POLL_S, pause * 1.5)
                if time.monotonic() - answered > SILENCE_S and not told:
                    told = True
                    events.tell(self.run.events, "warning", message("job.silent"))
            else:
                answered, pause, unknown = time.monotonic(), POLL_S, 0
                self._note(job)
                if self.stage in jobs.TERMINAL:
                    return job
            due = time.monotonic() + pause

    def _note(self, job: JobInfo) -> None:
        """Show a Job's stage, and read its log from when it runs."""
        self.stage = jobs.stage(job)
        state = State.STARTING if self.stage == "SCHEDULING" else State.RUNNING
        now = self.ledger.get(self.run.id).state
        if now not in (state, State.STOPPING) and self.stage not in jobs.TERMINAL:
            self.ledger.set_state(self.run.id, state)
        if self.stage != "SCHEDULING" and self._reader is None:
            self._reader = threading.Thread(target=copy_context().run, args=(self._read,), daemon=True, name="job-log")
            self._reader.start()

    def _read(self) -> None:
        """Read the Job's log until it ends, from the first line again whenever the stream breaks."""
        while not self._ended.is_set():
            self.follower.begin()
            try:
                for line in jobs.lines(self._namespace, self._job_id):
                    self.follower.feed(line)
                if self.stage in jobs.TERMINAL:
                    return
            except (*HUB_ERRORS, ValueError, KeyError):
                pass  # cut, or not there yet; the Job's stage, which is polled, says what matters
            self._ended.wait(POLL_S)

    def _obey_stop(self) -> None:
        """Pass a stop on: gently to a Job that runs, at once to one that waits for its hardware or when asked twice."""
        if not self.run.stop_file.exists():
            return
        if self.ledger.get(self.run.id).state is not State.STOPPING:
            self.ledger.set_state(self.run.id, State.STOPPING)
        if self.run.kill_file.exists() or self.stage == "SCHEDULING":
            self._once("cancel", lambda: jobs.cancel(self._namespace, self._job_id))
        elif self.stage == "RUNNING":
            self._once("stop", lambda: store.ask_stop(self.run.user, self.run.id))

    def _once(self, name: str, call: Callable[[], None]) -> None:
        """Do something until it has worked once, not more often than every few seconds."""
        if time.monotonic() < self._asked.get(name, 0.0):
            return
        try:
            call()
            self._asked[name] = float("inf")
        except StudioError as error:
            self._asked[name] = time.monotonic() + 10
            events.tell(self.run.events, "warning", message("job.again", problem=error.message))

    def _finish(self, job: JobInfo | None) -> None:
        """Gather what the Job left and record how the run ended."""
        if self._reader is not None:
            self._reader.join(DRAIN_S)
        self._ended.set()
        if not self.follower.complete:
            with contextlib.suppress(StudioError):
                self._fill_gaps()
        self.follower.give_up()
        if job is not None:
            self.ledger.set_worker(self.run.id, (self.run.worker or {}) | ending(job, self._price))
        state, problem, result = conclude(self.run, job, self.follower.end)
        if self.spec["remote"].get("fetch"):
            state, problem, result = self._fetch(state, problem, result)
        if problem is not None and self.follower.end is None:
            events.tell(self.run.events, "error", problem)
        elif local.last_end(self.run) is None:
            events.append(self.run.events, "cancelled")
        self.ledger.end(self.run.id, state, problem=problem, result=result)

    @property
    def _price(self) -> float:
        return float((self.run.worker or {}).get("price_per_minute") or 0.0)

    def _fill_gaps(self) -> None:
        """Add what the Job wrote into the store and its log's stream did not bring."""
        told = store.read(self.run.user, self.run.id, "events.jsonl") or b""
        for line in told.decode("utf-8", "replace").splitlines():
            event = parse(line)
            if event is not None:
                self.follower.take(event)
        log = store.read(self.run.user, self.run.id, "log.txt")
        if log is not None:
            self.follower.take_log(log.decode("utf-8", "replace"))

    def _fetch(self, state: State, problem: Message | None, result: dict[str, Any] | None) -> Outcome:
        """Bring the results here: all of those of a run that succeeded, what there is of one that did not."""
        into = Path(self.spec["remote"]["fetch"])
        tries = FETCH_TRIES if state is State.SUCCEEDED else 1
        for attempt in range(tries):
            try:
                store.fetch_output(self.run.user, self.run.id, into)
                break
            except (StudioError, OSError) as error:
                why = error.message if isinstance(error, StudioError) else str(error)
                if attempt + 1 < tries:
                    time.sleep(2.0**attempt)
        else:
            if state is State.SUCCEEDED:
                where = store.page(self.run.user, self.run.id)
                return State.FAILED, message("job.not_fetched", detail=why, place=where), result
        return state, problem, result


def adopt(ledger: Ledger, job: JobInfo) -> tuple[Run, bool]:
    """Take in the run of a Job that this disk does not know; the caller starts its supervisor.

    Args:
        ledger: The ledger of its owner, in whose projects it is looked for.
        job: A Job with our labels.

    Returns:
        The run and whether it is new here.

    Raises:
        StudioError: Its labels are not those of a run, nobody is signed in, or the project cannot be made.
    """
    labels, asking = job.labels or {}, account.current()
    run_id = labels.get("run", "")
    if asking is None:
        raise StudioError("job.adopt_signed_out")
    told: dict[str, Any] = {}
    with contextlib.suppress(StudioError):  # without it, the labels do
        told = store.read_json(asking.name, run_id, "run.json") or {}
    kind = labels.get("kind", "train")
    project = _project(ledger, labels.get("project", ""))
    worker = worker_of(job)
    asked = {"timeout": worker["timeout"], **{key: worker[key] for key in ("flavor", "namespace", "price_per_minute")}}
    spec = {"place": "job", "user": asking.name, "job": asked, "remote": {}, **(told.get("spec") or {})}
    spec |= _places(project, kind, run_id)
    if kind == "evaluate":
        spec["remote"] = {**spec["remote"], "fetch": spec["output_dir"]}
    began = job.created_at.timestamp() - asking.clock_offset if job.created_at else time.time()
    named = told.get("title")
    title = Message.from_dict(named) if isinstance(named, dict) else str(named or "") or _title(kind, labels)
    try:
        return ledger.adopt(run_id, kind, project.name, title, float(told.get("created") or began), spec, worker)
    except ValueError as error:
        raise StudioError("job.foreign", detail=str(error)) from error


def _title(kind: str, labels: dict[str, str]) -> Message:
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
