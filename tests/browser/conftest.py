"""The real app in a process of its own, and a real browser."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from pipeline.base.settings import Settings
from pipeline.review.service import ArgillaService, Endpoint
from tests.doubles import recorded
from tests.doubles.hub import HubDouble
from tests.prepare import get_browser

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "test-results"
TIMEOUT_MS = 15_000
START_S = 90.0


@dataclass
class App:
    """One studio: a home, a port, and the process that serves it.

    Attributes:
        home: Its home folder.
        port: Its port.
        options: More command line.
        environment: More environment variables.
        program: What Python is to run.
    """

    home: Path
    port: int
    options: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    program: tuple[str, ...] = ("app.py",)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def temporary(self) -> Path:
        """Folder where Gradio keeps what is uploaded."""
        return self.home.with_name(self.home.name + "-gradio")

    def start(self) -> App:
        """Start it and wait until it answers."""
        settings = Settings()
        environment = os.environ | {
            "ALIGN_STUDIO_HOME": str(self.home),
            "ALIGN_STUDIO_ENGINES": str(settings.engines_folder),
            "GRADIO_TEMP_DIR": str(self.temporary),
            "HF_HOME": str(self.home.with_name(self.home.name + "-hf")),
            "HF_HUB_OFFLINE": "1",
            **self.environment,
        }
        log = self.home.with_name(self.home.name + ".log").open("ab")
        # Who may open it has tests of its own (test_sign_in); `--token` among the options asks again.
        command = [sys.executable, *self.program, "--port", str(self.port), "--no-token", *self.options]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        log.close()
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            assert self.process.poll() is None, self.log()
            try:
                if httpx.get(self.url, trust_env=False, timeout=5).status_code in (200, 401, 403):
                    return self
            except httpx.TransportError:
                time.sleep(0.2)
        raise AssertionError(f"The app did not answer within {START_S:.0f} s.\n{self.log()}")

    def stop(self) -> None:
        """Ask it to end, as Ctrl+C does."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """End it as a crash would: nothing of its own clearing up runs."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)

    def end(self) -> None:
        """End it and everything that outlives it: supervisors, workers and the embedded Argilla of its home."""
        self.stop()
        ArgillaService(self.home / "argilla", Path(sys.executable)).stop()
        for process in psutil.process_iter(["cmdline"]):
            if str(self.home) in " ".join(process.info["cmdline"] or []):
                process.kill()

    def log(self) -> str:
        """Return the end of what it printed."""
        return self.home.with_name(self.home.name + ".log").read_text(errors="replace")[-4000:]


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def app_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., App]]:
    """Starts studios: `app_server()`, with `options` and `environment` if need be; all are ended with the session."""
    apps: list[App] = []

    def start(
        *,
        options: list[str] | None = None,
        environment: dict[str, str] | None = None,
        program: tuple[str, ...] = ("app.py",),
    ) -> App:
        home = tmp_path_factory.mktemp("studio") / "home"
        apps.append(App(home, free_port(), options or [], environment or {}, program))
        return apps[-1].start()

    yield start
    for app in apps:
        app.end()


@pytest.fixture(scope="session")
def shared_argilla(argilla: Endpoint) -> dict[str, str]:
    """Environment of a studio that uses the session's Argilla instead of starting one of its own."""
    return {"ARGILLA_API_URL": argilla.url, "ARGILLA_API_KEY": argilla.api_key}


@pytest.fixture(scope="session")
def studio(app_server: Callable[..., App], shared_argilla: dict[str, str]) -> App:
    """The studio that tests share; each makes projects of its own. Its engines are recorded (`tests.doubles`)."""
    return app_server(environment=shared_argilla | recorded.environment())


@pytest.fixture(scope="session")
def studio_url(studio: App) -> str:
    """Where the shared studio is."""
    return studio.url


@pytest.fixture(scope="module")
def hub_app(app_server: Callable[..., App], _hub_running: HubDouble, shared_argilla: dict[str, str]) -> Iterator[App]:
    """A module's studio that speaks to the Hub double; nobody is signed in."""
    own = app_server(environment=_hub_running.environment() | shared_argilla | {"HF_HUB_OFFLINE": "0", "HF_TOKEN": ""})
    yield own
    own.end()  # what idles takes the processor from the tests that follow


@pytest.fixture
def pictures() -> Path | None:
    """Folder for screenshots, None where nobody asks for them."""
    folder = os.environ.get("PICTURES")
    return Path(folder) if folder else None


@pytest.fixture(scope="session")
def launch() -> Iterator[Callable[..., Browser]]:
    """Starts Chromiums: `launch()`, with more of its command line if need be; all are closed with the session."""
    with sync_playwright() as playwright:
        made: list[Browser] = []

        def start(*more: str) -> Browser:
            options = ["--no-sandbox", "--disable-gpu", *more]
            made.append(playwright.chromium.launch(executable_path=get_browser(), args=options))
            return made[-1]

        yield start
        for one in made:
            one.close()


@pytest.fixture(scope="session")
def browser(launch: Callable[..., Browser]) -> Browser:
    """One Chromium for the session."""
    return launch()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Leave each phase's outcome where the `page` fixture finds it."""
    report = yield
    setattr(item, f"outcome_{report.when}", report.outcome)
    return report


@pytest.fixture
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A fresh window of 1280 by 900 in English; a failing test leaves a screenshot in test-results."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-US")
    context.set_default_timeout(TIMEOUT_MS)
    expect.set_options(timeout=TIMEOUT_MS)
    window = context.new_page()
    yield window
    if getattr(request.node, "outcome_call", "") == "failed":
        RESULTS.mkdir(exist_ok=True)
        name = re.sub(r"[^\w.-]+", "-", request.node.name)
        window.screenshot(path=RESULTS / f"{name}.png", full_page=True)
    context.close()
