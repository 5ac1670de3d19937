"""The stream: everything at once, then what changed; looked at once for all pages, revived without any."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request

from pipeline.base.home import open_home
from pipeline.base.project import Project
from pipeline.runs import events, launch, revive, view
from pipeline.runs.ledger import Ledger, Run, State
from pipeline.visit import Visit
from tests.aside import run_aside
from ui import stream as streams
from ui.parts.run_topic import RunTopic
from ui.stream import Page, Said, Stream, change, overlap, whole
from ui.text import say

METRICS = ("loss", "rewards/accuracies")


@dataclass
class Visitor:
    """Who asks: theirs are the runs whose project bears their name."""

    ledger: Ledger
    who: str = "ada"
    language: str = "en"

    def run(self, run_id: str) -> Run:
        run = self.ledger.get(run_id)
        if run.project != self.who:
            raise KeyError(run_id)
        return run

    def project(self, name: str) -> Project:
        raise KeyError(name)


@dataclass
class Counter:
    """A topic that counts how often it is looked at."""

    every: float = 0.05
    slow: bool = False
    looks: int = 0
    said: dict[str, Any] = field(default_factory=lambda: {"html": "one"})

    def admit(self, visit: Visit, name: str) -> None:
        if name == "not theirs":
            raise LookupError(name)

    def look(self, visit: Visit, name: str) -> Said:
        self.looks += 1
        return Said({**self.said, "language": say("run.stop")})


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(open_home(tmp_path / "home"))


@pytest.fixture
def counter() -> Counter:
    return Counter()


@pytest.fixture
def served(ledger: Ledger, counter: Counter, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Stream, str]]:
    """A stream on a real server, and its address."""
    monkeypatch.setattr(streams, "LOOK_S", 0.02)

    def look_up(request: Request) -> Any:
        return Visitor(ledger, language=request.headers.get("accept-language", "en")[:2])

    stream = Stream({"count": counter, "run": RunTopic(METRICS)}, look_up)
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=stream.routes()), port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    stream.start()
    until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield stream, f"http://127.0.0.1:{port}/stream"
    stream.close()
    server.should_exit = True
    thread.join(5)
    assert not thread.is_alive(), "Open streams kept the server from ending."


def until(true: Callable[[], object], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


class Listener:
    """A page: what it has heard, by a thread of its own."""

    def __init__(self, url: str, *topics: str, language: str = "en") -> None:
        self.heard: list[dict[str, Any]] = []
        self.ended = threading.Event()
        self._away = False
        headers = {"accept-language": language}
        arguments = {"params": {"topic": list(topics)}, "headers": headers}
        self._thread = threading.Thread(target=self._listen, args=(url, arguments), daemon=True)
        self._thread.start()

    def _listen(self, url: str, arguments: dict[str, Any]) -> None:
        with httpx.Client(trust_env=False, timeout=20) as client, client.stream("GET", url, **arguments) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            for line in response.iter_lines():
                if line.startswith("data: "):
                    self.heard.append(json.loads(line.removeprefix("data: ")))
                if self._away:
                    return
        self.ended.set()

    def of(self, topic: str) -> list[dict[str, Any]]:
        return [message for message in self.heard if message["topic"] == topic]

    def first(self, topic: str) -> dict[str, Any]:
        until(lambda: self.of(topic))
        return self.of(topic)[0]

    def leave(self) -> None:
        self._away = True


def add(ledger: Ledger, project: str = "ada") -> Run:
    run = ledger.add("train", project, "Train <b>bold</b>", {"at": time.time()})[0]
    ledger.set_state(run.id, State.RUNNING)
    return run


def log(run: Run, step: int, **metrics: float) -> None:
    events.append(run.events, "step", step=step, max_steps=10)
    events.append(run.events, "log", step=step, max_steps=10, **metrics)


def test_a_page_hears_everything_first_and_then_what_changed(served: tuple[Stream, str], ledger: Ledger) -> None:
    run = add(ledger)
    log(run, 1, loss=0.5)
    run.log.write_text("first\n")
    page = Listener(served[1], f"run:{run.id}")
    first = page.first(f"run:{run.id}")
    assert first["columns"] == ["step", *METRICS]
    assert (first["from"], first["rows"]) == (0, [[1, 0.5, None]])
    assert first["lines"][-1] == "first"
    assert "1 / 10 steps" in first["html"]

    log(run, 2, loss=float("nan"), **{"rewards/accuracies": 0.123456789})
    with run.log.open("a") as file:
        file.write("second\n")
    until(lambda: any("rows" in message for message in page.of(f"run:{run.id}")[1:]))
    more = next(message for message in page.of(f"run:{run.id}")[1:] if "rows" in message)
    assert (more["from"], more["rows"]) == (1, [[2, None, 0.123457]]), "JSON has no NaN, and digits cost"
    assert "columns" not in more, "What has not changed is not told again."
    assert more["lines"][-1:] == ["second"] or any(
        message.get("lines") == ["second"] for message in page.of(f"run:{run.id}")
    )


def test_what_a_run_is_called_is_text_not_html(served: tuple[Stream, str], ledger: Ledger) -> None:
    run = add(ledger)
    events.append(run.events, "warning", message="<img src=x onerror=alert(1)>")
    html = Listener(served[1], f"run:{run.id}").first(f"run:{run.id}")["html"]
    assert "<b>bold" not in html and "<img" not in html
    assert "&lt;img" in html


def test_an_unknown_run_and_a_foreign_one_are_refused_alike(served: tuple[Stream, str], ledger: Ledger) -> None:
    theirs = add(ledger, "bob")
    page = Listener(served[1], f"run:{theirs.id}", "run:train-20260101-000000-abcd", "nothing:", "count:not theirs")
    for topic in (f"run:{theirs.id}", "run:train-20260101-000000-abcd", "nothing:", "count:not theirs"):
        assert page.first(topic) == {"topic": topic, "refused": True}
    time.sleep(0.2)
    assert all(message.get("refused") or message["topic"] == "hello" for message in page.heard)


def test_fifty_pages_are_looked_at_once(served: tuple[Stream, str], counter: Counter) -> None:
    stream, url = served
    counter.every = 0.1
    pages = [Listener(url, "count:") for _ in range(50)]
    until(lambda: stream.pages == 50)
    for page in pages:
        page.first("count:")
    before = counter.looks
    time.sleep(0.4)
    assert counter.looks - before <= 8, "A look for each page would be 200."
    counter.said = {"html": "two"}
    for page in pages:
        until(lambda page=page: page.of("count:")[-1].get("html") == "two")


def test_nothing_new_is_not_told(served: tuple[Stream, str], counter: Counter) -> None:
    page = Listener(served[1], "count:")
    page.first("count:")
    until(lambda: counter.looks > 5)
    assert len(page.of("count:")) == 1


def test_a_page_hears_its_own_language(served: tuple[Stream, str]) -> None:
    english, chinese = Listener(served[1], "count:"), Listener(served[1], "count:", language="zh")
    assert english.first("count:")["language"] == "Stop"
    assert chinese.first("count:")["language"] == "停止"


def test_nobody_looks_for_no_page(served: tuple[Stream, str], counter: Counter) -> None:
    stream, url = served
    page = Listener(url, "count:")
    page.first("count:")
    page.leave()
    counter.said = {"html": "so that it hears once more and goes"}
    until(lambda: stream.pages == 0)
    time.sleep(0.1)
    before = counter.looks
    time.sleep(0.3)
    assert counter.looks == before


def test_a_topic_that_fails_does_not_silence_the_others(
    served: tuple[Stream, str], ledger: Ledger, counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = add(ledger)
    monkeypatch.setattr(counter, "look", lambda visit, name: 1 / 0)
    page = Listener(served[1], "count:", f"run:{run.id}")
    assert "html" in page.first(f"run:{run.id}")


def test_a_slow_look_keeps_nobody_waiting(served: tuple[Stream, str], ledger: Ledger, counter: Counter) -> None:
    going = threading.Event()
    counter.slow = True
    look = counter.look
    counter.look = lambda visit, name: (going.wait(10), look(visit, name))[1]  # type: ignore[method-assign]
    run = add(ledger)
    page = Listener(served[1], "count:", f"run:{run.id}")
    assert "html" in page.first(f"run:{run.id}")
    assert not page.of("count:")
    going.set()
    assert page.first("count:")["html"] == "one"


def test_a_closed_stream_ends_every_page_and_takes_no_new_one(served: tuple[Stream, str]) -> None:
    stream, url = served
    pages = [Listener(url, "count:") for _ in range(3)]
    for page in pages:
        page.first("count:")
    stream.close()
    assert all(page.ended.wait(5) for page in pages)
    assert Listener(url, "count:").ended.wait(5)


def test_a_page_that_does_not_read_is_sent_away() -> None:
    async def slow() -> list[bytes]:
        page = Page(asyncio.get_running_loop())
        for at in range(streams.QUEUED + 10):
            page.put(str(at).encode())
        return [event async for event in page.events()]

    left = run_aside(slow())
    assert len(left) < 10, "What it missed is not kept: it comes back for the whole."


def test_the_end_of_a_text_moves_on() -> None:
    old = [f"line {at}" for at in range(5)]
    assert overlap(old, [*old[2:], "line 5"]) == (2, 3)
    assert overlap(old, [*old[:4], "line 4 goes on"]) == (0, 4)
    assert overlap(old, ["other"]) == (5, 0)
    assert overlap([], ["new"]) == (0, 0)
    before, now = Said({}, old), Said({}, [*old[2:], "line 5"])
    told = change("run:x", before, now)
    assert told is not None
    kept = before.lines[told["drop"] : told["drop"] + told["keep"]]
    assert [*kept, *told["lines"]] == now.lines


def test_many_points_are_thinned_out_for_a_page_that_comes_late() -> None:
    rows = [[at, 0.0] for at in range(3 * streams.ROWS)]
    assert len(whole("run:x", Said({}, rows=rows))["rows"]) <= streams.ROWS


def test_runs_are_revived_without_a_page(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    run = add(ledger)
    given: list[str] = []
    monkeypatch.setattr(launch, "supervise", lambda home, which: given.append(which.id))
    monkeypatch.setattr(revive, "EVERY_S", 0.05)
    reviving = revive.Reviver(ledger, lambda owner: None)
    reviving.start()
    until(lambda: given.count(run.id) > 1)
    reviving.close()
    count = len(given)
    time.sleep(0.2)
    assert len(given) == count


def test_runs_nobody_looks_at_are_forgotten(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view, "MOST_METRICS", 10)
    view._cache.clear()
    runs = [add(ledger) for _ in range(3)]
    for run in runs:
        for step in range(1, 7):
            log(run, step, loss=0.5)
        assert len(view.fold(run).metrics) == 6
    assert list(view._cache) == [runs[-1].id]
    assert len(view.fold(runs[0]).metrics) == 6, "It is read again."
