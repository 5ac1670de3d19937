"""The stream of a page: what changed, told once to every page that watches it (server-sent events).

A page asks for topics, `kind:name` (`bar:`, `run:train-…`), and is told all of each at once, then what changed. One
thread looks for all pages: a topic that fifty pages watch is looked at once, and each page costs a put into its queue.
No page, no look. What a topic says is its `Source`'s affair; what a visitor may watch is their `Visit`'s.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from pipeline.base.errors import StudioError
from pipeline.visit import Visit
from ui.text import speak

LOG = logging.getLogger("align_studio")

PATH = "/stream"
LOOK_S = 0.25  # seconds between two rounds of looks; each source has its own pace besides
BEAT_S = 15.0  # seconds between signs of life; writing one is how a page that went away is noticed
QUEUED = 100  # messages a slow page may be behind before it is sent away; it comes back for the whole
TOPICS = 24  # topics a page may watch: it shows seven kinds
ROWS = 5_000  # rows a page is told at once; more are thinned out


@dataclass(frozen=True)
class Said:
    """What there is to say of a topic now.

    Attributes:
        values: Latest of each, JSON values: `html` is drawn by the page as it is, so everything in it is escaped;
            `shape` changes when the page has to ask Gradio to draw more than that.
        lines: The end of a text that goes on, a line each.
        rows: A table that only grows.
        last: Whether nothing will change any more.
    """

    values: Mapping[str, Any]
    lines: list[str] = field(default_factory=list)
    rows: list[list[Any]] = field(default_factory=list)
    last: bool = False


class Source(Protocol):
    """What one kind of topic says."""

    every: float  # seconds between two looks
    slow: bool  # whether a look may wait for another server

    def admit(self, visit: Visit, name: str) -> None:
        """Return if the visitor may watch it.

        Raises:
            LookupError: They may not, or there is none: the page is told the same.
        """

    def look(self, visit: Visit, name: str) -> Said:
        """Return what there is to say now, in the visitor's language (`ui.text.say` speaks it)."""


def whole(topic: str, said: Said) -> dict[str, Any]:
    """Return the message that tells everything."""
    thin = said.rows[:: len(said.rows) // ROWS + 1]
    rows = {"rows": thin, "from": 0} if said.rows else {}
    lines = {"lines": said.lines, "drop": None} if said.lines else {}
    return {"topic": topic, **said.values, **rows, **lines}


def change(topic: str, before: Said, now: Said) -> dict[str, Any] | None:
    """Return the message that tells what changed, None where nothing did."""
    if len(now.rows) < len(before.rows):  # another file in its place
        return whole(topic, now)
    told = {name: value for name, value in now.values.items() if before.values.get(name) != value}
    if len(now.rows) > len(before.rows):
        told |= {"rows": now.rows[len(before.rows) :], "from": len(before.rows)}
    if now.lines != before.lines:
        drop, kept = overlap(before.lines, now.lines)
        told |= {"drop": drop, "keep": kept, "lines": now.lines[kept:]}
    return {"topic": topic, **told} if told else None


def overlap(old: list[str], new: list[str]) -> tuple[int, int]:
    """Return how many lines to drop from the front of an old end of a text, and how many to keep after those.

    The last line may have been written on.
    """
    for drop in range(len(old)):
        kept = 0
        while kept < min(len(old) - drop, len(new)) and old[drop + kept] == new[kept]:
            kept += 1
        if kept and kept >= len(old) - drop - 1:
            return drop, kept
    return len(old), 0


def written(message: Mapping[str, Any]) -> bytes:
    """Return a message as one server-sent event."""
    return b"data: " + json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


class Page:
    """One open page; its queue is touched on its event loop only."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.queue: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUED)

    def put(self, event: bytes | None) -> None:
        """Queue an event; None ends the stream, and so does a queue that is full."""
        try:
            self.queue.put_nowait(event)
        except asyncio.QueueFull:
            while not self.queue.empty():
                self.queue.get_nowait()
            self.queue.put_nowait(None)

    async def events(self) -> AsyncIterator[bytes]:
        """Yield events until the stream ends."""
        while (event := await self.queue.get()) is not None:
            yield event


@dataclass
class _Channel:
    """A topic as visitors in one language hear it, with the pages that do; `fresh` ones have heard nothing yet."""

    topic: str
    source: Source
    visit: Visit
    pages: set[Page] = field(default_factory=set)
    fresh: set[Page] = field(default_factory=set)
    due: float = 0.0
    said: Said | None = None
    looking: Future[Said] | None = None


class Stream:
    """All pages of a studio, and the one thread that looks for them.

    Args:
        sources: What each kind of topic says.
        look_up: Returns who asks; the one seam between the web and the visitors.
    """

    def __init__(self, sources: Mapping[str, Source], look_up: Callable[[Request], Visit]) -> None:
        self.boot = secrets.token_hex(4)  # another one means another process, which knows nothing of a page's state
        self._sources, self._look_up = dict(sources), look_up
        self._channels: dict[tuple[str, str, str], _Channel] = {}
        self._pages: set[Page] = set()
        self._guard = threading.Lock()
        self._wake = threading.Event()
        self._closed = False
        self._beat = time.monotonic()
        self._slow = ThreadPoolExecutor(2, thread_name_prefix="stream-slow")
        self._thread = threading.Thread(target=self._keep, daemon=True, name="stream")

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """End every stream and stop looking; pages come back to whoever serves them next."""
        with self._guard:
            self._closed = True
            pages = list(self._pages)
        self._wake.set()
        self._deliver([(page, None) for page in pages])
        self._slow.shutdown(wait=False, cancel_futures=True)

    @property
    def pages(self) -> int:
        """How many pages are open."""
        return len(self._pages)

    def routes(self) -> list[Route]:
        """Return the route to serve."""
        return [Route(PATH, self.serve)]

    async def serve(self, request: Request) -> Response:
        """Answer a page: `?topic=bar:&topic=run:…`; an unknown topic and a foreign one get the same refusal."""
        visit = self._look_up(request)
        page = Page(asyncio.get_running_loop())
        page.put(b"retry: 2000\n\n" + written({"topic": "hello", "boot": self.boot}))
        # Looking a run up reads the ledger: not on the loop.
        await asyncio.to_thread(self._join, page, visit, request.query_params.getlist("topic")[:TOPICS])

        async def events() -> AsyncIterator[bytes]:
            try:
                async for event in page.events():
                    yield event
            finally:
                self._leave(page)

        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(events(), media_type="text/event-stream", headers=headers)

    def _join(self, page: Page, visit: Visit, topics: Iterable[str]) -> None:
        admitted = []
        for topic in dict.fromkeys(topics):
            kind, _, name = topic.partition(":")
            source = self._sources.get(kind)
            try:
                if source is None:
                    raise LookupError(topic)
                source.admit(visit, name)
            except (LookupError, StudioError):
                self._deliver([(page, written({"topic": topic, "refused": True}))])
            else:
                admitted.append((topic, source))
        with self._guard:
            if self._closed:
                self._deliver([(page, None)])
                return
            self._pages.add(page)
            for topic, source in admitted:
                key = (topic, visit.who, visit.language)
                channel = self._channels.setdefault(key, _Channel(topic, source, visit))
                channel.pages.add(page)
                channel.fresh.add(page)
        self._wake.set()

    def _leave(self, page: Page) -> None:
        with self._guard:
            self._pages.discard(page)
            for key, channel in list(self._channels.items()):
                channel.pages.discard(page)
                channel.fresh.discard(page)
                if not channel.pages:
                    del self._channels[key]

    def _keep(self) -> None:
        """Look as long as there are pages; sleep while there are none."""
        while not self._closed:
            if not self._pages:
                self._wake.wait()
            else:
                self._wake.wait(LOOK_S)
            self._wake.clear()
            try:
                self.look()
            except Exception:  # the thread has no caller, and pages must not go silent for one bad topic
                LOG.exception("stream")

    def look(self) -> None:
        """Look once at every topic that is due, and tell the pages."""
        now = time.monotonic()
        with self._guard:
            channels = list(self._channels.values())
        told: list[tuple[Page, bytes | None]] = []
        for channel in channels:
            told += self._tell(channel, now)
        if now - self._beat > BEAT_S:
            self._beat, beat = now, written({"topic": "beat"})
            told += [(page, beat) for page in list(self._pages)]
        self._deliver(told)

    def _tell(self, channel: _Channel, now: float) -> list[tuple[Page, bytes | None]]:
        """Return what the pages of a topic are to be told now."""
        said = self._latest(channel, now)
        if said is None:
            return []
        with self._guard:
            pages, fresh, before = channel.pages - channel.fresh, set(channel.fresh), channel.said
            channel.fresh.clear()
            channel.said = said
        told: list[tuple[Page, bytes | None]] = []
        if pages and before is not None and before is not said:
            changed = change(channel.topic, before, said)
            if changed:
                event = written(changed)
                told += [(page, event) for page in pages]
        if fresh:
            event = written(whole(channel.topic, said))
            told += [(page, event) for page in fresh]
        return told

    def _latest(self, channel: _Channel, now: float) -> Said | None:
        """Return what a topic says: as last seen while it is not due, None while nothing was seen yet."""
        ended = channel.said is not None and channel.said.last
        if channel.looking is None and now >= channel.due and not ended:
            channel.due = now + channel.source.every
            if not channel.source.slow:
                return self._ask(channel)
            channel.looking = self._slow.submit(self._ask, channel)
        if channel.looking is not None and channel.looking.done():
            said, channel.looking = channel.looking.result(), None
            return said
        return channel.said

    def _ask(self, channel: _Channel) -> Said:
        speak(channel.visit.language)
        try:
            return channel.source.look(channel.visit, channel.topic.partition(":")[2])
        except Exception:  # a topic that fails says nothing new; the others go on
            LOG.exception("stream: %s", channel.topic)
            return channel.said or Said({})

    def _deliver(self, told: list[tuple[Page, bytes | None]]) -> None:
        """Put events into queues on the pages' loop: one wake-up for all of them."""
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Page, bytes | None]]] = {}
        for page, event in told:
            by_loop.setdefault(page.loop, []).append((page, event))
        for loop, events in by_loop.items():
            try:
                loop.call_soon_threadsafe(_put, events)
            except RuntimeError:  # the loop is closed: the server has ended
                continue


def _put(events: list[tuple[Page, bytes | None]]) -> None:
    for page, event in events:
        page.put(event)
