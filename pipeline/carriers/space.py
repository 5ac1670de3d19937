"""A run in an AutoTrain Space: made for it, paused when it is over, never used for another.

The Hub ends no Space in time. So the time limit is the program's in the Space, and ours beside it; both pause the
Space, and where neither can, it falls asleep after a time that was set when it was made.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any

from pipeline.base.errors import StudioError
from pipeline.base.message import message
from pipeline.carriers import space_files
from pipeline.carriers.job_end import Outcome
from pipeline.carriers.remote import Remote
from pipeline.carriers.space_end import conclude, ending, worker_of
from pipeline.hub import client, jobs, spaces, store
from pipeline.hub.spaces import NewSpace, Space
from pipeline.runs import events
from pipeline.runs.ledger import Ledger, Run, State

OWN_S = 15.0  # after the run's end, for the Space to pause itself
LEEWAY_S = 180.0  # after the time limit, for the program in the Space to end by itself
PATIENCE_S = 600.0  # for a pause that does not work, before the run counts as over all the same
WORDS = {"BUILDING": "space.building", "APP_STARTING": "space.starting"}


def carry(ledger: Ledger, run: Run) -> None:
    """Carry a run in a Space; see `Remote.carry`."""
    _Space(ledger, run).carry()


def delete(ledger: Ledger, run: Run) -> None:
    """Delete the Space of a run that is over, for ever; the model it made and the run's log stay.

    Raises:
        StudioError: The run is not over, its Space is another's, or the Hub refuses or is not reached.
    """
    name = str((run.worker or {}).get("space") or "")
    if run.active or not name:
        raise StudioError("space.not_over")
    there = spaces.look(name)
    if there is not None and spaces.variables(name).get(space_files.RUN) != run.id:
        raise StudioError("space.not_its", space=name)
    if there is not None:
        spaces.delete(name)
    ledger.set_worker(run.id, (run.worker or {}) | {"deleted": True})


class _Space(Remote[Space]):
    words = "space"

    def __init__(self, ledger: Ledger, run: Run) -> None:
        super().__init__(ledger, run)
        self._over_since = 0.0  # when the run was seen to have ended, while its Space still runs

    @property
    def _name(self) -> str:
        return str(self.worker.get("space") or self.spec["job"]["space"])

    def found(self) -> dict[str, Any] | None:
        there = spaces.look(self.spec["job"]["space"])
        if there is None or spaces.variables(there.name).get(space_files.RUN) != self.run.id:
            return None
        if there.stage == "NO_APP_FILE":  # we died between the two steps of making it
            self._fill()
        return worker_of(there.name, self._labels())

    def begin(self, place: str, revision: str) -> dict[str, Any]:
        wanted, labels = self.spec["job"], self._labels()
        told = self.environment(place, revision) | {
            "ALIGN_STUDIO_LIMIT": str(int(wanted["timeout"])),
            space_files.LABELS: json.dumps(labels),
        }
        secrets = {"HF_TOKEN": client.token() or ""}
        spaces.create(NewSpace(wanted["space"], wanted["flavor"], secrets, told, sleep=int(wanted["sleep"])))
        try:
            self._fill()
        except StudioError:
            with contextlib.suppress(StudioError):  # it is empty and costs nothing
                spaces.delete(wanted["space"])
            raise
        return worker_of(wanted["space"], labels)

    def _labels(self) -> dict[str, str]:
        wanted = self.spec["job"]
        studio = self.ledger.home.studio
        known = jobs.labels(
            self.run.id, self.run.project, self.run.kind, int(wanted["timeout"]), wanted["price_per_minute"], studio
        )
        return known | {"flavor": wanted["flavor"]}

    def _fill(self) -> None:
        files = space_files.files(self.run.title, self.spec["remote"]["engine"])
        spaces.commit(self.spec["job"]["space"], files, f"Carry {self.run.id}")

    def look(self) -> Space:
        return spaces.now(self._name)

    def lines(self) -> Iterator[str]:
        return spaces.lines(self._name, build=self.stage in ("BUILD_ERROR", "CONFIG_ERROR"))

    def printing(self) -> bool:
        return self.stage not in ("", "NO_APP_FILE", *spaces.BUILDING)

    def note(self, seen: Space) -> State | None:
        if seen.stage != self.stage and seen.stage in WORDS:
            self.tell_stage("waiting", WORDS[seen.stage], flavor=self.spec["job"]["flavor"])
        self.stage = seen.stage
        if seen.over and seen.stage != "NO_APP_FILE":
            return None
        if self.printing():
            self._billed()
        if self.stage not in ("RUNNING", "RUNNING_BUILDING"):
            return State.STARTING
        return None if self._paused_in_vain() else State.RUNNING

    def _billed(self) -> None:
        """Note since when the Space costs money, and pause it when its time is over."""
        if "began" not in self.worker:
            self.ledger.set_worker(self.run.id, self.worker | {"began": time.time()})
            self.run = self.ledger.get(self.run.id)
        if self._beyond > LEEWAY_S:
            self.once("pause", lambda: spaces.pause(self._name))

    @property
    def _beyond(self) -> float:
        """Seconds since its time was over; negative before."""
        limit = float(self.worker.get("timeout") or self.spec["job"]["timeout"])
        return time.time() - float(self.worker.get("began") or time.time()) - limit

    def _paused_in_vain(self) -> bool:
        """Pause a Space whose run has ended and that has not paused itself; return whether that is hopeless."""
        if self.follower.end is None:
            return False
        now = time.monotonic()
        self._over_since = self._over_since or now
        if now - self._over_since > OWN_S:
            self.once("pause", lambda: spaces.pause(self._name))
        if now - self._over_since < PATIENCE_S:
            return False
        events.tell(self.run.events, "warning", message("space.not_paused", space=self._name))
        return True

    def obey_stop(self) -> None:
        if self.run.kill_file.exists() or not self.follower.begun:
            self.once("pause", lambda: spaces.pause(self._name))
        else:
            self.once("stop", lambda: store.ask_stop(self.run.user, self.run.id))

    def ending(self, seen: Space) -> dict[str, Any]:
        if seen.stage in ("RUNTIME_ERROR", "SLEEPING", "STOPPED"):
            with contextlib.suppress(StudioError):  # nothing runs in it; no visitor shall start it again
                spaces.pause(seen.name)
        return ending(seen, self.worker, self.follower.end, self.price)

    def conclude(self, seen: Space | None) -> Outcome:
        return conclude(self.run, seen, self.follower.end, late=self._beyond > 0)
