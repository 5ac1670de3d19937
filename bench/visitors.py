"""Fifty visitors of a Space while an import and a training run, against an empty Gradio app under the same load.

Each has signed in at the Hub double and has a cookie, a project, a page and its stream of their own: they open the
page, look at their pairs, open a tab, come again. What they do and when is drawn beforehand and the same for both apps;
the empty one has a page and one function. Requests are timed as a page waits for them: of an event until Gradio says
that it has ended. VISIT_SECONDS lengthens it.
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
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx
import psutil

import tests.conftest as shared  # points huggingface_hub at the double, before anything imports it
from bench.common import Level, engine
from bench.page import free_port
from bench.watching import resident, served
from pipeline.base.home import Home, open_home
from pipeline.dataset import reading
from pipeline.dataset.project import start_project
from pipeline.review.service import ArgillaService
from tests.browser.conftest import ROOT, App
from tests.browser.spaces import HOST, space_of
from tests.doubles.hub import HubDouble
from tests.projects import make_project
from tests.tiny_model import write_train_jsonl

VISITORS, SEED = 50, 10
SECONDS = float(os.environ.get("VISIT_SECONDS", "60"))
PAUSE = (3.0, 9.0)  # seconds between two things that one visitor does
IMPORTED = 20_000  # pairs: the import goes on for longer than the visits
P95_MS = 500.0
# What a visitor does: functions of the page by name, in order; "page" is the page itself.
DOES = {"open": ["page", "resumed", "arrived"], "preview": ["draw", "offered"], "browse": ["opened_1", "apply_1"]}
WEIGHTS = {"open": 1, "preview": 6, "browse": 1}
EMPTY = """
import sys
import gradio as gr
with gr.Blocks() as demo:
    shown = gr.Textbox("empty")
    demo.load(lambda: "empty", None, shown)
demo.launch(server_port=int(sys.argv[1]), quiet=True)
"""


@dataclass
class Visitor:
    """One visitor, and what they do when.

    Attributes:
        headers: Of all their requests: cookie, host.
        project: Their project's name.
        plan: Seconds from the beginning, and what is done then.
    """

    number: int
    headers: dict[str, str]
    project: str
    plan: list[tuple[float, str]]
    functions: dict[str, tuple[int, int]] = field(default_factory=dict)


@dataclass
class Told:
    """What the visits took, in ms by what was done, and what went wrong."""

    took: dict[str, list[float]] = field(default_factory=dict)
    errors: Counter[str] = field(default_factory=Counter)
    heard: int = 0

    def add(self, what: str, began: float) -> None:
        """Note how long something took."""
        self.took.setdefault(what, []).append(1000 * (time.perf_counter() - began))

    @property
    def all(self) -> list[float]:
        """All times, ms."""
        return [each for found in self.took.values() for each in found]

    def said(self) -> str:
        """Return medians and p95 of each, in a line."""
        found = [f"{what} {median(ms):.0f}/{p95(ms):.0f} ({len(ms)})" for what, ms in sorted(self.took.items())]
        return f"median/p95 ms (count): {', '.join(found)}; events of streams: {self.heard}"


def p95(values: list[float]) -> float:
    """Return the value that nineteen of twenty do not exceed."""
    return quantiles(values, n=20)[-1] if len(values) > 1 else values[0]


def plans() -> list[list[tuple[float, str]]]:
    """Return what each visitor does when, drawn once."""
    drawn = random.Random(SEED)
    found = []
    for _ in range(VISITORS):
        at = drawn.uniform(0, PAUSE[1])
        plan: list[tuple[float, str]] = []
        while at < SECONDS:
            plan.append((at, "open" if not plan else drawn.choices([*WEIGHTS], [*WEIGHTS.values()])[0]))
            at += drawn.uniform(*PAUSE)
        found.append(plan)
    return found


async def visit(url: str, visitor: Visitor, told: Told, began: float) -> None:
    """Do what one visitor does, their stream open beside it."""
    limits = httpx.Limits(max_connections=20)
    async with httpx.AsyncClient(
        base_url=url, headers=visitor.headers, trust_env=False, timeout=60, limits=limits
    ) as client:
        watching = asyncio.create_task(_watch(client, told)) if visitor.project else None
        page = f"visit{visitor.number}"
        for at, what in visitor.plan:
            await asyncio.sleep(max(0.0, began + at - time.monotonic()))
            for step in DOES[what]:
                start = time.perf_counter()
                try:
                    problem = await _do(client, visitor, step, page)
                except httpx.HTTPError as error:
                    problem = repr(error)
                if problem:
                    told.errors[f"{step}: {problem[:120]}"] += 1
                told.add(step, start)
        if watching is not None:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


async def _watch(client: httpx.AsyncClient, told: Told) -> None:
    async with client.stream("GET", "/stream", params={"topic": "bar:"}, timeout=None) as response:
        if response.status_code != 200:
            told.errors[f"stream: {response.status_code}"] += 1
        async for line in response.aiter_lines():
            told.heard += line.startswith("data:")


async def _do(client: httpx.AsyncClient, visitor: Visitor, step: str, page: str) -> str:
    """Do one thing; return what went wrong, "" where nothing did."""
    if step == "page":
        answer = await client.get("/", headers={"accept": "text/html"})
        return "" if answer.status_code == 200 else str(answer.status_code)
    index, inputs = visitor.functions[step]
    own = f"{page}-{time.monotonic_ns()}"
    body = {"data": [visitor.project] * inputs, "fn_index": index, "session_hash": own}
    answer = await client.post("/gradio_api/queue/join", json=body)
    if answer.status_code != 200:
        return str(answer.status_code)
    async with client.stream("GET", "/gradio_api/queue/data", params={"session_hash": own}) as stream:
        async for line in stream.aiter_lines():
            if line.startswith("data:") and '"process_completed"' in line:
                return "" if json.loads(line[5:])["success"] else line[:300]
    return "the stream ended"


async def crowd(url: str, visitors: list[Visitor]) -> Told:
    """Let all visit at once."""
    told = Told()
    began = time.monotonic() + 1
    await asyncio.gather(*(visit(url, each, told, began) for each in visitors))
    return told


def functions(client: httpx.Client, known: bool = True) -> dict[str, tuple[int, int]]:
    """Return number and inputs of a page's functions by name; of the empty app, its one stands for all."""
    found = [each for each in client.get("/config").json()["dependencies"] if each.get("backend_fn", True)]
    if known:
        return {str(each["api_name"]): (each["id"], len(each["inputs"])) for each in found}
    return {step: (found[0]["id"], 0) for steps in DOES.values() for step in steps}


def measure() -> Iterator[Level]:
    """Measure ours, then the empty app."""
    for name in ("argilla_server", "autotrain"):
        engine(name)
    with tempfile.TemporaryDirectory(prefix="align-studio-visitors-") as name:
        folder = Path(name)
        hub = HubDouble(folder / "hub", shared.HUB_PORT)
        hub.start()
        try:
            ours, load, memory = _ours(folder, hub)
        finally:
            hub.stop()
        empty, idle, small = _empty()
    yield Level("50 visitors: requests that failed", sum(ours.errors.values()), 0, "", note=str(dict(ours.errors)))
    yield Level("50 visitors: p95", p95(ours.all), P95_MS, "ms", p95(empty.all), ours.said())
    yield Level("50 visitors: the app's processor time", load, 100, "% of a core", idle, empty.said())
    yield Level("50 visitors: the app's memory", memory, 2000, "MB", small)


def _ours(folder: Path, hub: HubDouble) -> tuple[Told, float, float]:
    (folder / "studio").mkdir()
    hub.add_user("olga")
    names = [f"visitor{number}" for number in range(VISITORS)]
    for name in names:
        hub.add_user(name)

    def server(**how: Any) -> App:
        home = folder / "studio" / "home"
        return App(home, free_port(), how.get("options") or [], how.get("environment") or {}).start()

    with space_of(server, hub, folder, {"GRADIO_ANALYTICS_ENABLED": "0"}) as space:
        home, source = Home(space.app.home.resolve()), write_train_jsonl(folder, 64)
        loaded = reading.load_file(source)
        visitors = []
        for number, (name, plan) in enumerate(zip(names, plans(), strict=True)):
            who = home.of(f"hf-{hub.directory.users[name].id}")
            who.projects.mkdir(parents=True, exist_ok=True)
            project = start_project(who, loaded, "file", f"pairs-of-{name}.jsonl")
            client = space.client(name)
            headers = {"cookie": client.headers["cookie"], "host": HOST, "origin": f"https://{HOST}"}
            headers |= {"x-forwarded-proto": "https", "accept-encoding": "gzip"}
            visitors.append(Visitor(number, headers, project.name, plan, functions(client)))
            client.close()
        _start_work(space.app, home, folder)
        assert space.app.process is not None
        app = psutil.Process(space.app.process.pid)
        before, began = sum(app.cpu_times()[:2]), time.monotonic()
        told = asyncio.run(crowd(f"http://127.0.0.1:{space.app.port}", visitors))
        load = 100 * (sum(app.cpu_times()[:2]) - before) / (time.monotonic() - began)
        return told, load, resident(app)


def _start_work(app: App, home: Home, folder: Path) -> None:
    """Start an import and a training, as somebody at the machine does, and wait until both are at it."""
    own = open_home(app.home).of("local")
    made = make_project(own, "trained", folder / "model", pairs=2000)
    rows = folder / "imported.jsonl"
    with rows.open("w") as file:
        for number in range(IMPORTED):
            row = {"prompt": f"Question {number}?", "chosen": f"Good {number}.", "rejected": f"Bad {number}."}
            file.write(json.dumps(row) + "\n")
    start_project(own, reading.load_file(rows), "file", rows.name)
    service = ArgillaService(app.home / "argilla", Path(sys.executable))
    until = time.monotonic() + 120
    while service.find() is None and time.monotonic() < until:
        time.sleep(0.2)
    environment = {key: value for key, value in app.environment.items() if not key.startswith(("SPACE", "OAUTH"))}
    given = os.environ | environment | {"ALIGN_STUDIO_ENGINES": str(shared.ENGINES)}
    given.pop("SYSTEM", None)
    for command in (
        ["train", made.name, "--project-name", "m", "--mixed-precision", "none", "--batch-size", "4", "--epochs", "9"],
        ["review", "import", "imported"],
    ):
        more = ["--home", str(app.home), "--detach", "--yes"]
        done = subprocess.run(
            [sys.executable, "-m", "pipeline", *command, *more], cwd=ROOT, env=given, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    time.sleep(20)  # the engine's import


def _empty() -> tuple[Told, float, float]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    given = os.environ | {"GRADIO_ANALYTICS_ENABLED": "0"}
    with served([sys.executable, "-c", EMPTY, str(port)], url, given) as app:
        with httpx.Client(base_url=url, trust_env=False) as client:
            known = functions(client, known=False)
        headers = {"accept-encoding": "gzip"}
        visitors = [Visitor(number, headers, "", plan, known) for number, plan in enumerate(plans())]
        before, began = sum(app.cpu_times()[:2]), time.monotonic()
        told = asyncio.run(crowd(url, visitors))
        load = 100 * (sum(app.cpu_times()[:2]) - before) / (time.monotonic() - began)
        with suppress(psutil.NoSuchProcess):
            return told, load, resident(app)
    raise RuntimeError("The empty app ended.")
