"""A run on rented hardware: sent, started once, followed to its end whatever happens to the line in between.

The hardware goes on by itself; this side only starts it, shows it and asks it to stop. So nothing here ends a run
because the Hub is not reached: it is asked again until it answers. What the program there prints is its protocol
(`follow.py`), and what it leaves in the run store fills the gaps.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextvars import copy_context
from pathlib import Path
from typing import Any, Generic, TypeVar

from pipeline.base.errors import StudioError
from pipeline.base.message import Message, message
from pipeline.carriers import bundle, local
from pipeline.carriers.follow import Follower, parse
from pipeline.carriers.job_end import Outcome
from pipeline.hub import store
from pipeline.hub.problems import HUB_ERRORS, status
from pipeline.runs import events
from pipeline.runs.ledger import Ledger, Run, State
from pipeline.runs.task import Cancelled

T = TypeVar("T")  # what the Hub tells of the hardware

TICK = 0.3  # seconds between looks at the stop file
POLL_S, LONGEST_POLL_S = 3.0, 60.0  # between looks at the hardware; the longest while the Hub does not answer
SILENCE_S = 60.0  # without an answer of the Hub before the page says so
DRAIN_S = 20.0  # for the last lines of what has ended
GONE = 5  # looks in a row at something that the Hub does not know, before it counts as gone
FETCH_TRIES = 5
AGAIN_S = 10.0  # before the hardware is followed again after this machine failed


class SignedOut(Exception):
    """The Hub does not take the token any more: the hardware goes on, but cannot be followed."""


class Remote(ABC, Generic[T]):
    """One run on rented hardware; made anew by each supervisor of the run.

    Attributes:
        words: First part of the codes of what is said of this hardware: job, space.
        stage: The hardware's stage as the Hub told it last.
    """

    words = ""

    def __init__(self, ledger: Ledger, run: Run) -> None:
        self.ledger = ledger
        self.run = run
        self.spec: dict[str, Any] = json.loads(run.spec.read_text("utf-8"))
        self.follower = Follower(run.events, run.log)
        self.stage = ""
        self._ended = threading.Event()
        self._reader: threading.Thread | None = None
        self._asked: dict[str, float] = {}
        self._is_over = False

    # What differs between kinds of hardware

    @abstractmethod
    def found(self) -> dict[str, Any] | None:
        """Return the hardware that a former supervisor may have started, as `Run.worker`; None where there is none.

        Raises:
            StudioError: The Hub does not say.
        """

    @abstractmethod
    def begin(self, place: str, revision: str) -> dict[str, Any]:
        """Start the hardware, exactly once; return what the ledger is to know of it.

        Args:
            place: The run store.
            revision: The commit of it in which the run is.

        Raises:
            StudioError: The Hub refuses; then there is none.
        """

    @abstractmethod
    def look(self) -> T:
        """Return the hardware as it is now.

        Raises:
            HTTPError: The Hub does not say.
        """

    @abstractmethod
    def lines(self) -> Iterator[str]:
        """Yield the lines of what the program prints, from the first on."""

    @abstractmethod
    def note(self, seen: T) -> State | None:
        """Take in how the hardware is now (`stage`); return what the run is doing, None: it is over."""

    @abstractmethod
    def printing(self) -> bool:
        """Return whether there is something to read at the present stage."""

    @abstractmethod
    def obey_stop(self) -> None:
        """Pass a stop on that was asked for."""

    @abstractmethod
    def ending(self, seen: T) -> dict[str, Any]:
        """Return what the hardware has come to: stage, seconds billed, cost in USD."""

    @abstractmethod
    def conclude(self, seen: T | None) -> Outcome:
        """Say how the run ended; None: the Hub has forgotten the hardware."""

    # What they share

    def carry(self) -> None:
        """Carry the run to its end, or until its user has to sign in again.

        Raises:
            Cancelled: It was stopped before anything was rented.
            StudioError: It could not be started; nothing is rented.
        """
        try:
            if self.run.worker is None:
                self._start()
            self._to_the_end()
        except SignedOut:
            events.tell(self.run.events, "warning", message(f"{self.words}.signed_out"))
            self.ledger.set_state(self.run.id, State.WAITING)
        finally:
            self._ended.set()

    def _to_the_end(self) -> None:
        while True:
            try:
                self._finish(self._follow())
                return
            except OSError:  # this disk is full, say: what is paid for must not be forgotten for that
                traceback.print_exc()
                time.sleep(AGAIN_S)

    def _start(self) -> None:
        """Send the run and start its hardware; what a former supervisor started is taken over."""
        self.ledger.set_state(self.run.id, State.STARTING)
        worker = self._launched_before() if self.run.launch_file.exists() else None
        if worker is None:
            self.check_stop()
            self.tell_stage("preparing", "job.preparing")
            files = bundle.files(self.run, self.spec)
            place = store.ensure(self.run.user)
            self.check_stop()
            self.tell_stage("sending", "job.sending", place=place)
            revision = store.send(self.run.user, self.run.id, files, f"Send {self.run.id}")
            self.check_stop()
            self.run.launch_file.touch()
            worker = self._begin(place, revision)
        self.ledger.set_worker(self.run.id, worker)
        self.run = self.ledger.get(self.run.id)
        self.tell_stage("waiting", f"{self.words}.waiting", flavor=self.spec["job"]["flavor"])

    def _launched_before(self) -> dict[str, Any] | None:
        """Return what a former supervisor may have started: the Hub is asked until it says."""
        pause = POLL_S
        while True:
            try:
                return self.found()
            except StudioError as error:
                if status(error) == 401:
                    raise SignedOut from error
            time.sleep(pause)
            pause = min(LONGEST_POLL_S, pause * 1.5)

    def _begin(self, place: str, revision: str) -> dict[str, Any]:
        try:
            return self.begin(place, revision)
        except StudioError as error:
            if status(error) == 401:
                raise SignedOut from error
            self.run.launch_file.unlink()  # refused: there is none
            raise

    def environment(self, place: str, revision: str) -> dict[str, str]:
        """Return what the program there is told, see `pipeline/engines/job/run.py`."""
        return {
            "ALIGN_STUDIO_RUN": self.run.id,
            "ALIGN_STUDIO_STORE": place,
            "ALIGN_STUDIO_REVISION": revision,
        }

    def check_stop(self) -> None:
        """Raise Cancelled where a stop was asked for."""
        if self.run.stop_file.exists():
            raise Cancelled

    def tell_stage(self, stage: str, code: str, **values: Any) -> None:
        """Say what is being done now."""
        events.tell(self.run.events, "stage", message(code, **values), stage=stage)

    @property
    def worker(self) -> dict[str, Any]:
        """What the ledger knows of the hardware."""
        return self.run.worker or {}

    def _follow(self) -> T | None:
        """Return the hardware as it ended; None when the Hub has forgotten it.

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
                seen = self.look()
            except HUB_ERRORS as error:
                if status(error) == 401:
                    raise SignedOut from error
                unknown = unknown + 1 if status(error) == 404 else 0
                if unknown >= GONE:
                    return None
                pause = min(LONGEST_POLL_S, pause * 1.5)
                if time.monotonic() - answered > SILENCE_S and not told:
                    told = True
                    events.tell(self.run.events, "warning", message(f"{self.words}.silent"))
            else:
                answered, pause, unknown = time.monotonic(), POLL_S, 0
                if self._over(seen):
                    return seen
            due = time.monotonic() + pause

    def _over(self, seen: T) -> bool:
        """Show how the hardware is, read its log from when it runs, and return whether it is over."""
        state = self.note(seen)
        self._is_over = state is None
        now = self.ledger.get(self.run.id).state
        if state is not None and now not in (state, State.STOPPING):
            self.ledger.set_state(self.run.id, state)
        if self._reader is None and self.printing():
            name = f"{self.words}-log"
            self._reader = threading.Thread(target=copy_context().run, args=(self._read,), daemon=True, name=name)
            self._reader.start()
        return state is None

    def _read(self) -> None:
        """Read the log until the end, from the first line again whenever the stream breaks."""
        while not self._ended.is_set():
            self.follower.begin()
            try:
                for line in self.lines():
                    self.follower.feed(line)
                if self._is_over:
                    return
            except (*HUB_ERRORS, ValueError, KeyError):
                pass  # cut, or not there yet; the stage, which is polled, says what matters
            self._ended.wait(POLL_S)

    def _obey_stop(self) -> None:
        """Pass a stop on: gently to what works, at once to what has not begun or when asked twice."""
        if not self.run.stop_file.exists():
            return
        if self.ledger.get(self.run.id).state is not State.STOPPING:
            self.ledger.set_state(self.run.id, State.STOPPING)
        self.obey_stop()

    def once(self, name: str, call: Callable[[], None]) -> None:
        """Do something until it has worked once, not more often than every few seconds."""
        if time.monotonic() < self._asked.get(name, 0.0):
            return
        try:
            call()
            self._asked[name] = float("inf")
        except StudioError as error:
            self._asked[name] = time.monotonic() + 10
            events.tell(self.run.events, "warning", message("job.again", problem=error.message))

    def _finish(self, seen: T | None) -> None:
        """Gather what the hardware left and record how the run ended."""
        if self._reader is not None:
            self._reader.join(DRAIN_S)
        self._ended.set()
        if not self.follower.complete:
            with contextlib.suppress(StudioError):
                self._fill_gaps()
        self.follower.give_up()
        if seen is not None:
            self.ledger.set_worker(self.run.id, self.worker | self.ending(seen))
        state, problem, result = self.conclude(seen)
        if self.spec["remote"].get("fetch"):
            state, problem, result = self._fetch(state, problem, result)
        if problem is not None and self.follower.end is None:
            events.tell(self.run.events, "error", problem)
        elif local.last_end(self.run) is None:
            events.append(self.run.events, "cancelled")
        self.ledger.end(self.run.id, state, problem=problem, result=result)

    @property
    def price(self) -> float:
        """USD per minute, as it was agreed to."""
        return float(self.worker.get("price_per_minute") or 0.0)

    def _fill_gaps(self) -> None:
        """Add what the program wrote into the store and its log's stream did not bring."""
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
