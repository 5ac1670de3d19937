"""A training that is not one: the events of a run, written at a steady pace, with a real row in the ledger.

What a page and the studio do for a watched run depends on its ledger row, events and log alone, so nothing has to be
trained to measure it.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.base.home import Home
from pipeline.runs import events, launch
from pipeline.runs.ledger import Ledger, Run, State


class Replay:
    """A run that is being written.

    Args:
        home: The studio's home.
        project: Name of the project.
        steps: Steps in all, each logged.
        rate: Steps per second.
    """

    def __init__(self, home: Path, project: str, steps: int, rate: float) -> None:
        self._ledger = Ledger(Home(home.resolve()))
        self._steps, self._rate = steps, rate
        self.run: Run = self._ledger.add("train", project, "Train replayed", {"project_name": "replayed"})[0]
        # As its supervisor would: nobody starts another one, which would train.
        self._lock = launch.lock_of(self.run)
        self._lock.acquire(timeout=0)
        self._ledger.set_state(self.run.id, State.RUNNING)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)
        self.step = 0

    @contextmanager
    def going(self) -> Iterator[Run]:
        """Write as long as the block lasts, at most to the last step."""
        self._thread.start()
        try:
            yield self.run
        finally:
            self._ended.set()
            self._thread.join()
            self.end()

    def end(self) -> None:
        """Let the run end."""
        self._ledger.end(self.run.id, State.SUCCEEDED, result={"steps": self.step})
        self._lock.release()

    def _write(self) -> None:
        chance = random.Random(0)
        events.append(self.run.events, "stage", stage="train", message="Training")
        began = time.monotonic()
        for step in range(1, self._steps + 1):
            self._log(step, chance.random())
            if self._ended.wait(max(0.0, began + step / self._rate - time.monotonic())):
                return

    def _log(self, step: int, noise: float) -> None:
        at = {"step": step, "max_steps": self._steps}
        share = step / self._steps
        metrics = {
            "loss": 2 * math.exp(-3 * share) + 0.2 * noise,
            "nll_loss": 1.5 * math.exp(-3 * share) + 0.1 * noise,
            "log_odds_ratio": -0.69 + 0.5 * share + 0.05 * noise,
            "rewards/accuracies": 0.5 + 0.4 * share + 0.1 * noise,
            "rewards/margins": 0.01 * share + 0.002 * noise,
        }
        events.append(self.run.events, "step", **at)
        events.append(self.run.events, "log", **at, **metrics)
        with self.run.log.open("a") as log:
            log.write(f"{at | metrics}\n")
        self.step = step
