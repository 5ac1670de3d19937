"""What a page shows of a run: its events folded into a few values, read from the tail on."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.base import words
from pipeline.base.message import Message, verbatim
from pipeline.runs import events
from pipeline.runs.kinds import kind_of
from pipeline.runs.ledger import Ledger, Run, State
from pipeline.runs.log import tail

RATE_WINDOW = 20.0  # seconds of progress a rate is taken from
LOG_LINES = 200


@dataclass(frozen=True)
class Progress:
    """Countable work of a run's present stage.

    Attributes:
        done: Units done.
        total: Units in all; 0 while nobody knows.
        unit: What is counted; `counted` has words for it, `amount` says how much of it is done.
        rate: Units per second over the last seconds; None while unknown.
        left: Seconds left at that rate; None while unknown.
    """

    done: int
    total: int
    unit: str
    rate: float | None = None
    left: float | None = None

    @property
    def counted(self) -> str:
        """What is counted, in the present language."""
        return words.say(f"unit.{self.unit}") if words.has(f"unit.{self.unit}") else self.unit

    @property
    def amount(self) -> str:
        """How much is done, of how much where that is known, in the present language."""
        return f"{self.done:,}{f' / {self.total:,}' if self.total else ''} {self.counted}".rstrip()

    @property
    def share(self) -> float:
        """Part done, 0 to 1."""
        return min(1.0, self.done / self.total) if self.total else 0.0


@dataclass
class Folded:
    """The events of one run so far."""

    offset: int = 0
    stage: str = ""
    said: Message = field(default_factory=lambda: verbatim(""))
    progress: Progress | None = None
    marks: list[tuple[float, int]] = field(default_factory=list)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[Message] = field(default_factory=list)
    ready: dict[str, Any] = field(default_factory=dict)
    lines: list[tuple[float, Message]] = field(default_factory=list)

    @property
    def message(self) -> str:
        """What is being done, in the present language."""
        return self.said.said()

    @property
    def text(self) -> str:
        """What was done so far, a line each with its time, in the present language."""
        return "\n".join(f"{time.strftime('%H:%M:%S', time.localtime(at))}  {said}" for at, said in self.lines)

    def add(self, event: events.Event) -> None:
        """Fold one event in."""
        kind = event["event"]
        if kind == "stage":
            self._stage(str(event.get("stage", "")), events.said(event), event["ts"])
        elif kind == "progress":
            self._count(event["ts"], int(event["done"]), int(event["total"]), str(event.get("unit", "")))
        elif kind == "step":
            self._count(event["ts"], int(event["step"]), int(event["max_steps"]), "steps")
        elif kind == "log":
            self.metrics.append({k: v for k, v in event.items() if k != "event"})
        elif kind == "result":
            self.results.append(event)
        elif kind == "warning":
            self.warnings.append(events.said(event))
        elif kind == "ready":
            self.ready = event

    def _stage(self, stage: str, said: Message, at: float) -> None:
        if stage != self.stage:
            self.progress, self.marks = None, []
        self.stage, self.said = stage, said
        self.lines = [*self.lines[-LOG_LINES:], (at, said)]

    def _count(self, at: float, done: int, total: int, unit: str) -> None:
        if self.marks and done < self.marks[-1][1]:
            self.marks = []  # another stage began to count
        self.marks = [mark for mark in self.marks if at - mark[0] <= RATE_WINDOW] + [(at, done)]
        (first, before), seconds = self.marks[0], at - self.marks[0][0]
        rate = (done - before) / seconds if seconds > 0 and done > before and at > first else None
        self.progress = Progress(done, total, unit, rate, (total - done) / rate if rate and total else None)


@dataclass(frozen=True)
class View:
    """A run as a page shows it."""

    run: Run
    folded: Folded
    log: str

    @property
    def problem(self) -> Message | None:
        """Why it did not succeed."""
        return self.run.problem

    @property
    def seconds(self) -> float:
        """Seconds since it was asked for, or from then to its end."""
        return (self.run.ended or time.time()) - self.run.created


MOST_RUNS, MOST_METRICS = 200, 20_000  # kept folded in memory: about 20 MB
_cache: OrderedDict[str, Folded] = OrderedDict()
_guard = threading.Lock()


def fold(run: Run) -> Folded:
    """Return the run's events folded; only what is new since the last call is read.

    Runs that nobody has looked at for longest are forgotten, and read again when somebody does.
    """
    with _guard:
        folded = _cache.pop(run.id, None) or Folded()
        _cache[run.id] = folded  # last in order: looked at last
        tail = events.read(run.events, folded.offset)
        for event in tail.events:
            folded.add(event)
        folded.offset = tail.offset
        while len(_cache) > 1 and (
            len(_cache) > MOST_RUNS or sum(len(kept.metrics) for kept in _cache.values()) > MOST_METRICS
        ):
            _cache.popitem(last=False)
        return replace(
            folded, metrics=list(folded.metrics), results=list(folded.results), warnings=list(folded.warnings)
        )


def look(ledger: Ledger, run_id: str) -> View | None:
    """Return what is to be shown of a run, or None when there is none of that id."""
    try:
        return see(ledger.get(run_id))
    except KeyError:
        return None


def see(run: Run) -> View:
    """Return what is to be shown of a run."""
    folded = fold(run)
    if run.state in (State.QUEUED, State.STARTING) and not kind_of(run.kind).engine:
        return View(run, folded, "")
    output = tail(run.log, LOG_LINES)
    return View(run, folded, "\n".join(part for part in (folded.text, output) if part))
