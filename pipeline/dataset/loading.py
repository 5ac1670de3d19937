"""A load in the background that can be watched and stopped.

It is no run: a run belongs to a project, and there is none before the columns are known; and what a stopped load has
read is not worth keeping. It is no handler either: a handler that reads for minutes cannot be stopped, and a page that
is closed would leave it reading. So it is a thread, watched by its page, that ends when nobody watches any more.
"""

from __future__ import annotations

import contextvars
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from pipeline.base.errors import StudioError
from pipeline.base.home import Home
from pipeline.base.message import Message
from pipeline.base.project import Project, discard
from pipeline.dataset import sources
from pipeline.dataset.reading import LayoutUnknown, Progress
from pipeline.dataset.recognise import Loaded
from pipeline.dataset.sources import Source

UNWATCHED_S = 900.0  # a page that is hidden watches nothing: long enough to do something else while it loads
_KEPT = 20

Stage = Literal["asking", "reading", "making", "done", "columns", "failed", "stopped"]


class Stopped(Exception):
    """The load was stopped, or nobody watches it any more."""


@dataclass(frozen=True)
class State:
    """How far a load is.

    Attributes:
        stage: asking the Hub, reading rows, making the project; done; columns (somebody has to choose them); failed;
            stopped.
        done: Rows read.
        total: Rows expected, None where that is not known.
        seconds: Since it began.
        project: The project made.
        notes: What its reader should know.
        source: What was read and waits for its columns.
        problem: Why it failed.
    """

    stage: Stage
    done: int = 0
    total: int | None = None
    seconds: float = 0.0
    project: Project | None = None
    notes: tuple[Message, ...] = ()
    source: Source | None = None
    problem: StudioError | None = None

    @property
    def over(self) -> bool:
        """Whether nothing happens any more."""
        return self.stage in ("done", "columns", "failed", "stopped")


class Loading:
    """One load; make it with `start`.

    Args:
        home: Its project comes there.
        read: Reads the source; given a function that it calls with rows read and rows expected.
        by_hand: Whether the columns are asked for in any case.
        name: What is loaded.
    """

    def __init__(self, home: Home, read: Callable[[Progress], Source], by_hand: bool, name: str) -> None:
        self.name = name
        self._home, self._read, self._by_hand = home, read, by_hand
        self._begun = self._watched = time.monotonic()
        self._stop = threading.Event()
        self._guard = threading.Lock()
        self._state = State("asking")

    def state(self) -> State:
        """Return how far it is; whoever asks is watching."""
        self._watched = time.monotonic()
        with self._guard:
            state = self._state
        return state if state.over else replace(state, seconds=time.monotonic() - self._begun)

    def stop(self) -> None:
        """Stop it: the page hears so at once, the thread ends with what it is waiting for, and makes no project."""
        self._stop.set()
        self._become("stopped")

    def run(self) -> None:
        """Read and make the project; called in a thread of its own."""
        try:
            source = self._read(self._count)
            if self._by_hand:
                self._become("columns", source=source)
                return
            self._become("making", done=source.rows.total, total=source.rows.total)
            project, loaded = sources.load(self._home, source, check=self._check)
            if self._stop.is_set():
                discard(project)
            self._finish(project, loaded)
        except LayoutUnknown:
            self._become("columns", source=source)
        except Stopped:
            self._become("stopped")
        except StudioError as error:
            self._become("failed", problem=error)
        except Exception as error:  # a thread has no caller that would hear of it
            self._become("failed", problem=StudioError("load.failed", detail=str(error)))
            raise

    def _finish(self, project: Project, loaded: Loaded) -> None:
        self._become("done", done=len(loaded.pairs), project=project, notes=tuple(loaded.notes))

    def _count(self, done: int, total: int | None) -> None:
        self._check()
        self._become("reading", done=done, total=total)

    def _check(self) -> None:
        if self._stop.is_set() or time.monotonic() - self._watched > UNWATCHED_S:
            raise Stopped

    def _become(self, stage: Stage, **values: object) -> None:
        with self._guard:
            if not self._state.over:  # what was stopped stays stopped
                seconds = time.monotonic() - self._begun
                self._state = State(stage, seconds=seconds, **values)  # type: ignore[arg-type]


_loads: OrderedDict[str, Loading] = OrderedDict()
_guard = threading.Lock()


def start(home: Home, read: Callable[[Progress], Source], by_hand: bool = False, name: str = "") -> str:
    """Start a load, with the account of whoever asks now, and return the key of `find`.

    Args:
        home: Its project comes there.
        read: Reads the source; given a function that it calls with rows read and rows expected.
        by_hand: Whether the columns are asked for in any case.
        name: What is loaded.
    """
    load, key = Loading(home, read, by_hand, name), secrets.token_hex(8)
    with _guard:
        _loads[key] = load
        for old in [name for name, other in _loads.items() if other._state.over][: max(0, len(_loads) - _KEPT)]:
            del _loads[old]
    context = contextvars.copy_context()  # threads begin without one, and the token is in it
    threading.Thread(target=lambda: context.run(load.run), daemon=True, name="dataset-load").start()
    return key


def find(key: str) -> Loading | None:
    """Return a load by the key `start` gave; None when it is forgotten."""
    with _guard:
        return _loads.get(key)


def drop(key: str) -> None:
    """Forget a load whose end was shown: it holds all it has read."""
    with _guard:
        _loads.pop(key, None)
