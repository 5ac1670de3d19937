"""Fifty visitors of a Space who browse, preview and watch while an import and a training run, beside an empty app.

Each visitor has a session of their own (the Hub double signs them in), a project, an open page and its stream, and does
something every two seconds: opens the page, turns a page of the preview, looks at a pair. The empty app gets as many
visitors who do as much. VISITOR_SECONDS lengthens it. Clients, Hub, import and training share the processor with it.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from bench.common import Level, engine
from bench.page import ROOT, free_port
from bench.watching import CALM_S, resident
from pipeline.base.home import Home
from pipeline.base.settings import Settings
from tests.doubles.hub import HubDouble
from tests.projects import make_project

PEOPLE, THINK_S = 50, 2.0
SECONDS = float(os.environ.get("VISITOR_SECONDS", "40"))
HOST = "olga-studio.hf.space"
PAIRS = 400  # of each visitor's project, and of what is imported
EMPTY = """
import sys
import gradio as gr
with gr.Blocks() as demo:
    shown = gr.Dataframe([["empty"]])
    gr.Button().click(lambda: [["empty"]] * 10, None, shown, api_name="turn")
demo.queue(default_concurrency_limit=8)
demo.launch(server_port=int(sys.argv[1]), quiet=True)
"""


@dataclass
class Seen:
    """What the visitors met: seconds that each thing took, by what it was, and errors."""

    took: dict[str, list[float]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def p95(self) -> float:
        """Return the 95th percentile of everything, ms."""
        every = sorted(each for times in self.took.values() for each in times)
        return 1000 * every[int(len(every) * 0.95)]

    def __str__(self) -> str:
        parts = []
        for what, times in self.took.items():
            ordered = sorted(times)
            middle, late = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.95)]
            parts.append(f"{what}: {len(times)} times, median {1000 * middle:.0f} ms, p95 {1000 * late:.0f} ms")
        return "; ".join([*parts, f"errors: {len(self.errors)} {self.errors[:3]}"])


class Visitor:
    """One open page.

    Args:
        client: Speaks to the app, signed in.
        seen: Where what is met is noted.
        number: Which visitor it is.
    """

    def __init__(self, client: httpx.AsyncClient, seen: Seen, number: int) -> None:
        self._client, self._seen, self._page = client, seen, f"visitor{number}"
        self._functions: dict[str, dict[str, Any]] = {}
        self._values: dict[int, Any] = {}
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self.heard = 0

    async def arrive(self) -> None:
        """Load the page and learn its functions."""
        await self.open()
        config = (await self._client.get("/config")).json()
        self._values = {part["id"]: part["props"].get("value") for part in config["components"]}
        for each in config["dependencies"]:
            self._functions.setdefault(str(each["api_name"]), each)

    async def open(self) -> None:
        """Open the page."""
        await self._noted("page", self._client.get("/"))

    async def call(self, name: str) -> None:
        """Let a function run, and wait until the page is told its result."""
        each = self._functions[name]
        body = {
            "data": [self._values.get(part) for part in each["inputs"]],
            "event_data": {"index": [0, 0], "row_value": [1], "value": 1, "selected": True},
            "fn_index": each["id"],
            "session_hash": self._page,
        }
        await self._noted(name, self._called(body))

    async def _called(self, body: dict[str, Any]) -> httpx.Response:
        answer = await self._client.post("/gradio_api/queue/join", json=body)
        event = answer.json()["event_id"]
        address = "/gradio_api/queue/data"
        async with self._client.stream("GET", address, params={"session_hash": self._page}) as stream:
            async for line in stream.aiter_lines():
                if line.startswith("data:"):
                    said = json.loads(line[5:])
                    if said.get("event_id") == event and said["msg"] == "process_completed":
                        if not said["success"]:
                            self._seen.errors.append(f"{body['fn_index']}: {str(said['output'])[:200]}")
                        break
        return answer

    async def watch(self, topics: list[str]) -> None:
        """Hear what the stream says, until the end."""
        async with self._client.stream("GET", "/stream", params={"topic": topics}) as stream:
            async for line in stream.aiter_lines():
                self.heard += line.startswith("data:")

    async def _noted(self, what: str, doing: Any) -> None:
        began = time.perf_counter()
        try:
            answer = await doing
            if answer.status_code != 200:
                self._seen.errors.append(f"{what}: {answer.status_code}")
        except (httpx.HTTPError, KeyError, ValueError) as error:
            self._seen.errors.append(f"{what}: {error!r}")
        self._seen.took.setdefault(what, []).append(time.perf_counter() - began)


def signed_in(base: str, name: str) -> dict[str, str]:
    """Return the headers of a visitor who has signed in."""
    with httpx.Client(base_url=base, headers={"host": HOST}, trust_env=False, timeout=60) as client:
        began = client.get("/sign-in")
        back = httpx.get(f"{began.headers['location']}&account={name}", trust_env=False)
        address = httpx.URL(back.headers["location"])
        cookie = "; ".join(f"{key}={value}" for key, value in began.cookies.items())
        ended = client.get(address.raw_path.decode(), headers={"cookie": cookie})
        assert ended.status_code == 303, ended.text
        session = "; ".join(f"{key}={value}" for key, value in ended.cookies.items())
    return {"host": HOST, "cookie": session, "origin": f"https://{HOST}"}


async def visit(base: str, headers: list[dict[str, str]], first: list[str], then: list[str], watch: bool) -> Seen:
    """Let all visitors do what they do, side by side.

    Args:
        base: Where the app is.
        headers: Of each visitor.
        first: Functions called when the page has been opened.
        then: Functions that are called again and again.
        watch: Whether each page keeps a stream open.
    """
    seen, warm = Seen(), Seen()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    clients = [
        httpx.AsyncClient(base_url=base, headers=each, trust_env=False, timeout=60, limits=limits) for each in headers
    ]
    visitors = [Visitor(client, warm, number) for number, client in enumerate(clients)]
    for visitor in visitors:  # one after another: fifty people do not open a page in the same second
        await visitor.arrive()
        for name in first:
            await visitor.call(name)
    streams = [asyncio.create_task(visitor.watch(["bar:"])) for visitor in visitors] if watch else []
    until = time.monotonic() + SECONDS

    async def busy(visitor: Visitor) -> None:
        visitor._seen = seen
        await asyncio.sleep(random.random() * THINK_S)
        while time.monotonic() < until:
            what = random.choice(["page", *then, *then])
            await (visitor.open() if what == "page" else visitor.call(what))
            await asyncio.sleep(THINK_S * (0.5 + random.random()))

    await asyncio.gather(*map(busy, visitors))
    for stream in streams:
        stream.cancel()
    await asyncio.gather(*streams, return_exceptions=True)
    if watch and min(visitor.heard for visitor in visitors) == 0:
        seen.errors.append("a stream that said nothing")
    for client in clients:
        await client.aclose()
    seen.errors += warm.errors
    return seen


@contextmanager
def serving(command: list[str], base: str, environment: dict[str, str]) -> Iterator[psutil.Process]:
    """Run an app until the block ends."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            until = time.monotonic() + CALM_S
            while process.poll() is None and time.monotonic() < until:
                try:
                    httpx.get(base, trust_env=False)
                    break
                except httpx.TransportError:
                    time.sleep(0.1)
            log.seek(0)
            assert process.poll() is None, log.read().decode()
            yield psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(60)


def measured(app: psutil.Process, doing: Any) -> tuple[Seen, float, float]:
    """Return what was met, how much of a core the app used meanwhile (%), and its memory afterwards (MB)."""
    before, began = sum(app.cpu_times()[:2]), time.monotonic()
    seen = asyncio.run(doing)
    return seen, 100 * (sum(app.cpu_times()[:2]) - before) / (time.monotonic() - began), resident(app)


def command(home: Path, environment: dict[str, str], *words: str) -> subprocess.Popen[bytes]:
    """Start a command of the studio's own."""
    line = [sys.executable, "-m", "pipeline", "--home", str(home), "--yes", *words]
    return subprocess.Popen(line, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def measure() -> Iterator[Level]:
    """Measure the studio under load, and the empty app under the same."""
    for name in ("argilla_server", "autotrain"):
        engine(name)
    with tempfile.TemporaryDirectory() as name:
        folder, hub = Path(name), HubDouble(Path(name) / "hub", free_port())
        hub.start()
        home, port, other = folder / "home", free_port(), free_port()
        client = hub.add_oauth_client([f"https://{HOST}/login/callback"], ())
        for number in range(PEOPLE):
            hub.add_user(f"visitor{number}")
            owner = Home(home).of(f"hf-{hub.directory.users[f'visitor{number}'].id}")
            make_project(owner, "theirs", folder / f"v{number}", pairs=PAIRS if number == 0 else 40)
        make_project(Home(home), "owned", folder / "owned", pairs=PAIRS)
        given = (
            os.environ
            | hub.environment()
            | {
                "ALIGN_STUDIO_HOME": str(home),
                "ALIGN_STUDIO_ENGINES": str(Settings().engines_folder),
                "GRADIO_ANALYTICS_ENABLED": "0",
                "GRADIO_TEMP_DIR": str(folder / "gradio"),
                "OMP_NUM_THREADS": "1",
            }
        )
        told = {
            "SPACE_ID": "olga/studio",
            "SPACE_HOST": HOST,
            "SPACE_AUTHOR_NAME": "olga",
            "OAUTH_CLIENT_ID": client.id,
            "OAUTH_CLIENT_SECRET": client.secret or "",
            "OPENID_PROVIDER_URL": hub.url,
        }
        base, empty = (f"http://127.0.0.1:{each}" for each in (port, other))
        studio = [sys.executable, "-m", "tests.doubles.whole", "--port", str(port)]
        plain = [sys.executable, "-c", EMPTY, str(other)]
        with serving(studio, base, given | told) as app, serving(plain, empty, given) as beside:
            yield from _loaded(app, beside, base, empty, home, given)
        hub.stop()


def _loaded(
    app: psutil.Process, beside: psutil.Process, base: str, empty: str, home: Path, given: dict[str, str]
) -> Iterator[Level]:
    people = [signed_in(base, f"visitor{number}") for number in range(PEOPLE)]
    runs = ["arrived", "passed", "draw"], ["forth", "select", "back"]
    resting, _, _ = measured(beside, visit(empty, [{}] * PEOPLE, [], ["turn"], False))
    yield Level("empty app alone: p95", resting.p95(), 500, "ms", note=str(resting))
    importing = command(home, given, "review", "import", "owned")
    training = command(home, given, "train", "owned", "--epochs", "100", "--batch-size", "2", "--project-name", "load")
    time.sleep(5)
    seen, used, memory = measured(app, visit(base, people, *runs, True))
    going = training.poll() is None
    theirs, plain, least = measured(beside, visit(empty, [{}] * PEOPLE, [], ["turn"], False))
    for process in (importing, training):
        process.kill()
    note = f"{seen}; training went on: {going}; import ended with {importing.poll()}"
    yield Level(f"{PEOPLE} visitors, import and training: p95", seen.p95(), 500, "ms", theirs.p95(), note)
    yield Level("the same: errors", len(seen.errors), 0, "", len(theirs.errors), str(theirs))
    yield Level("the same: the app", used, 100, "% of a core", plain)
    yield Level("the same: its memory", memory, 2_000, "MB", least)
