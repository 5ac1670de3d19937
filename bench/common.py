"""What the measurements share: a row of the result, engines, data, and peak memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.base import install
from pipeline.base.pair import Message, Pair, identify
from pipeline.base.settings import Settings

WORDS = "the quick brown fox answers a question about rivers mountains bread code and music in plain words"


@dataclass(frozen=True)
class Row:
    """One measurement.

    Attributes:
        what: What was measured.
        ours: Seconds, ours.
        baseline: Seconds, the baseline in the same run.
        aim: Largest ratio ours / baseline aimed at.
        note: Anything else measured on the way.
    """

    what: str
    ours: float
    baseline: float
    aim: float
    note: str = ""

    def __str__(self) -> str:
        ratio = self.ours / self.baseline
        verdict = "met" if ratio <= self.aim else "MISSED"
        seconds = f"{self.ours:.1f} s against {self.baseline:.1f} s"
        text = f"{self.what}: {seconds} = {ratio:.2f}× (aim ≤ {self.aim:.2f}×: {verdict})"
        return f"{text}\n    {self.note}" if self.note else text


@dataclass(frozen=True)
class Level:
    """One measurement with a limit of its own; the baseline says what the machine and the browser make of little.

    Attributes:
        what: What was measured.
        ours: Its value.
        limit: The largest value aimed at.
        unit: Of both.
        baseline: The same of the baseline in the same run; None where it has none.
        note: Anything else measured on the way.
    """

    what: str
    ours: float
    limit: float
    unit: str
    baseline: float | None = None
    note: str = ""

    def __str__(self) -> str:
        verdict = "met" if self.ours <= self.limit else "MISSED"
        beside = "" if self.baseline is None else f", baseline {self.baseline:.1f} {self.unit}"
        text = f"{self.what}: {self.ours:.1f} {self.unit}{beside} (aim ≤ {self.limit:g} {self.unit}: {verdict})"
        return f"{text}\n    {self.note}" if self.note else text


def engine(name: str) -> Path:
    """Return an engine's Python, building its environment if need be."""
    return install.ensure(name, Settings().engines_folder)


def timed(action: Callable[[], object]) -> float:
    """Return the seconds an action took."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def made_pairs(number: int, size: int = 2000) -> list[Pair]:
    """Return pairs of about three times `size` characters each, all different."""
    words = WORDS.split()
    triples = []
    for index in range(number):
        filler = " ".join(words[(index * 7 + at * 3) % len(words)] for at in range(size // 6))
        prompt = (Message("user", f"Question {index}: {filler}"),)
        chosen = (Message("assistant", f"Good answer {index}: {filler}"),)
        rejected = (Message("assistant", f"Poor answer {index}: {filler}"),)
        triples.append((prompt, chosen, rejected))
    ids = identify(triples)
    numbered = enumerate(zip(ids, triples, strict=True))
    return [Pair(key, *triple, source=f"source-{at % 5}") for at, (key, triple) in numbered]
