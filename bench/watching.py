"""What an open page costs, idle and while a training is watched, against an empty Gradio app with one Timer.

Both pages are in the same browser. The training is a replayed one (`bench.replay`). WATCH_MINUTES lengthens the part
that measures memory; the figure aimed at is that of 30 minutes.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import psutil
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from bench.common import Level, Row, engine
from bench.page import ROOT, free_port
from bench.replay import Replay
from pipeline.base.settings import Settings
from tests.browser.test_train_tab import make_project
from tests.prepare import get_browser

TABS = ("Dataset", "Filter", "Export", "Train", "Evaluate")
STEPS, RATE = 2_000, 20.0  # of the watched training; a real one of that length logs one to ten a second
IDLE_S, SETTLE_S = 20.0, 8.0
PAGES = 50
MINUTES = float(os.environ.get("WATCH_MINUTES", "3"))
CALM_S = 120.0  # within which the embedded Argilla has started and the page has drawn everything
TIMER = """
import sys
import gradio as gr
with gr.Blocks() as demo:
    shown = gr.Markdown("empty")
    gr.Timer(2.0).tick(lambda: "empty", None, shown, show_progress="hidden")
demo.launch(server_port=int(sys.argv[1]), quiet=True)
"""
LONG_TASKS = """
window.longTasks = [];
new PerformanceObserver(list => {
  for (const entry of list.getEntries()) window.longTasks.push(entry.duration);
}).observe({type: "longtask"});
"""
# From a click on a tab to the frame that shows its panel.
CLICK = """async name => {
  const tab = [...document.querySelectorAll("[role=tab]")].find(one => one.textContent.includes(name));
  const began = performance.now();
  tab.click();
  while (!document.getElementById(tab.getAttribute("aria-controls"))?.checkVisibility())
    await new Promise(requestAnimationFrame);
  await new Promise(requestAnimationFrame);
  return performance.now() - began;
}"""


@dataclass
class Watched:
    """A page and what it costs."""

    page: Page
    session: CDPSession

    def cost(self, seconds: float) -> float:
        """Return how much of a core the page's main thread is busy over some seconds, in %."""
        before, began = self._metric("ThreadTime"), time.monotonic()
        self.page.wait_for_timeout(seconds * 1000)
        return 100 * (self._metric("ThreadTime") - before) / (time.monotonic() - began)

    def heap(self) -> float:
        """Return the memory its scripts hold, in MB, after a collection."""
        self.session.send("HeapProfiler.collectGarbage")
        return self._metric("JSHeapUsedSize") / 1e6

    def longest(self) -> float:
        """Return the longest task since the last call in ms: 0 for none over 50."""
        return float(self.page.evaluate("Math.max(0, ...window.longTasks.splice(0))"))

    def _metric(self, name: str) -> float:
        found: dict[str, Any] = self.session.send("Performance.getMetrics")
        return float(next(each["value"] for each in found["metrics"] if each["name"] == name))


@contextmanager
def opened(browser: Browser, url: str) -> Iterator[Watched]:
    """Open a page in a window of its own."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-US")
    page = context.new_page()
    page.set_default_timeout(CALM_S * 1000)
    page.add_init_script(LONG_TASKS)
    session = context.new_cdp_session(page)
    # The processor's time, not the clock's: what else the machine does is not in it.
    session.send("Performance.setTimeDomain", {"timeDomain": "threadTicks"})
    session.send("Performance.enable")
    page.goto(url)
    yield Watched(page, session)
    context.close()


@contextmanager
def served(command: list[str], url: str, environment: dict[str, str]) -> Iterator[psutil.Process]:
    """Run a program that serves a page, until the block ends."""
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + CALM_S
        while process.poll() is None and time.monotonic() < until:
            try:
                if httpx.get(url, trust_env=False).status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.1)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


def measure() -> Iterator[Level | Row]:
    """Measure everything, one after another; the two apps run side by side."""
    engine("argilla_server")
    with tempfile.TemporaryDirectory() as name:
        home = Path(name) / "home"
        make_project(home, "watched", Path(name), pairs=64)
        given = os.environ | {
            "ALIGN_STUDIO_HOME": str(home),
            "ALIGN_STUDIO_ENGINES": str(Settings().engines_folder),
            "GRADIO_ANALYTICS_ENABLED": "0",
            "HF_HUB_OFFLINE": "1",
        }
        ports = [free_port(), free_port()]
        url, empty = (f"http://127.0.0.1:{port}" for port in ports)
        commands = [
            [sys.executable, "app.py", "--port", str(ports[0]), "--no-token"],
            [sys.executable, "-c", TIMER, str(ports[1])],
        ]
        with (
            served(commands[0], url, given) as app,
            served(commands[1], empty, given),
            sync_playwright() as playwright,
        ):
            browser = playwright.chromium.launch(
                executable_path=get_browser(), args=["--no-sandbox", "--disable-gpu", "--enable-precise-memory-info"]
            )
            yield from _idle(browser, app, url, empty)
            yield usable(browser, url, empty)
            yield from _watching(browser, app, home, url)
            browser.close()


def _idle(browser: Browser, app: psutil.Process, url: str, empty: str) -> Iterator[Level]:
    with opened(browser, empty) as one:
        one.page.wait_for_timeout(SETTLE_S * 1000)
        baseline = one.cost(IDLE_S)
    with opened(browser, url) as one:
        one.page.locator("#status-items", has_text="Argilla is ready").wait_for()
        for tab in TABS:
            one.page.get_by_role("tab", name=tab).click()
            one.page.wait_for_timeout(SETTLE_S * 1000)
            yield Level(f"idle page, {tab} tab: main thread", one.cost(IDLE_S), 2.0, "% of a core", baseline)
        yield Level("idle page: the app", used(app, IDLE_S), 1.0, "% of a core")


def usable(browser: Browser, url: str, empty: str) -> Row:
    """Return the time until the first page can be used: a tab, or the empty app's text, is there."""

    def first(address: str, what: str) -> float:
        began = time.perf_counter()
        with opened(browser, address) as one:
            one.page.locator(what).first.wait_for()
            return time.perf_counter() - began

    ours, plain = [], []
    for _ in range(7):
        ours.append(first(url, "#dataset-source"))
        plain.append(first(empty, ".prose"))
    return Row("first page usable", median(ours), median(plain), 1.5, f"ours {ours}, empty {plain}")


def _watching(browser: Browser, app: psutil.Process, home: Path, url: str) -> Iterator[Level]:
    replay = Replay(home, "watched", STEPS, RATE)
    with replay.going() as run, opened(browser, f"{url}/?run={run.id}") as one:
        one.page.locator("#train-curve-loss[data-points]").wait_for()
        one.page.wait_for_timeout(SETTLE_S * 1000)
        one.longest()
        cost = one.cost(max(10.0, STEPS / RATE - 2 * SETTLE_S))
        note = f"step {replay.step:,} of {STEPS:,} at {RATE:g} a second; main thread busy {cost:.1f} % of a core"
        yield Level("watching a training: longest task (0: none over 50)", one.longest(), 100, "ms", note=note)
    replay = Replay(home, "watched", 10 * STEPS, RATE)
    with replay.going() as run, opened(browser, f"{url}/?run={run.id}") as one:
        one.page.locator("#train-curve-loss[data-points]").wait_for()
        for tab in TABS:  # seen once; a tab's first opening is another matter
            one.page.evaluate(CLICK, tab)
            one.page.wait_for_timeout(3000)
        clicks = {}
        for tab in TABS:
            clicks[tab] = one.page.evaluate(CLICK, tab)
            one.page.wait_for_timeout(1500)
        one.page.evaluate(CLICK, "Train")
        shown = ", ".join(f"{tab} {took:.0f}" for tab, took in clicks.items())
        yield Level("watching a training: a tab answers a click", max(clicks.values()), 300, "ms", note=shown)
        with ThreadPoolExecutor(1) as other:  # Playwright's loop has this thread
            busy = other.submit(asyncio.run, crowd(app, url, run.id)).result()
        yield Level(f"{PAGES} pages watch one run: the app", busy, 10, "% of a core")
    yield from _memory(browser, app, home, url)


def _memory(browser: Browser, app: psutil.Process, home: Path, url: str) -> Iterator[Level]:
    replay = Replay(home, "watched", int(MINUTES * 60 * 1.1), 1.0)
    with replay.going() as run, opened(browser, f"{url}/?run={run.id}") as one:
        one.page.locator("#train-curve-loss[data-points]").wait_for()
        one.page.wait_for_timeout(30_000)
        page, server = one.heap(), resident(app)
        one.page.wait_for_timeout(MINUTES * 60_000)
        more = one.heap() - page
        yield Level(
            f"page's memory after {MINUTES:g} more minutes of watching", more, 30, "MB", note=f"from {page:.1f}"
        )
        more = resident(app) - server
        yield Level(
            f"app's memory after {MINUTES:g} more minutes of watching", more, 30, "MB", note=f"from {server:.1f}"
        )


async def crowd(app: psutil.Process, url: str, run_id: str) -> float:
    """Open the streams of many pages that watch one run; return what the app needs for all of them, in % of a core."""
    heard = [0] * PAGES

    async def listen(client: httpx.AsyncClient, at: int) -> None:
        async with client.stream("GET", f"{url}/stream?topic=bar:&topic=run:{run_id}") as response:
            async for line in response.aiter_lines():
                heard[at] += line.startswith("data:")

    limits = httpx.Limits(max_connections=PAGES)
    async with httpx.AsyncClient(trust_env=False, timeout=None, limits=limits) as client:
        tasks = [asyncio.create_task(listen(client, at)) for at in range(PAGES)]
        await asyncio.sleep(SETTLE_S)
        before, began = sum(app.cpu_times()[:2]), time.monotonic()
        await asyncio.sleep(IDLE_S)
        busy = 100 * (sum(app.cpu_times()[:2]) - before) / (time.monotonic() - began)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert min(heard) > IDLE_S, f"Some pages heard too little: {heard}"
    return busy


def used(process: psutil.Process, seconds: float) -> float:
    """Return how much of a core a process uses over some seconds, in %."""
    before, began = sum(process.cpu_times()[:2]), time.monotonic()
    time.sleep(seconds)
    return 100 * (sum(process.cpu_times()[:2]) - before) / (time.monotonic() - began)


def resident(process: psutil.Process) -> float:
    """Return a process's resident memory in MB."""
    return float(process.memory_info().rss) / 1e6
