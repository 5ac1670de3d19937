"""What all tests share: the engines' environments, a Hub of their own, and a home of their own for everything else."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from pipeline.base import install
from pipeline.base.settings import Settings
from tests.doubles.hub import HubDouble
from tests.doubles.hub.serving import HOST, free_port

if TYPE_CHECKING:
    from pipeline.hub.account import SignIn
    from pipeline.review.service import Endpoint

# Read before any test names another home: `python -m tests.prepare` built the engines there.
ENGINES = Settings().engines_folder

# huggingface_hub reads its variables when it is imported, so they are set before anything here imports it. While no
# test of a module asks for `hub`, nobody listens there: that is the Hub that is not reached.
assert "huggingface_hub" not in sys.modules, "imported too early: it would speak to the real Hub"
HUB_PORT = free_port()
HF_HOME = tempfile.mkdtemp(prefix="align-studio-hf-")
for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACEHUB_API_TOKEN", "HF_TOKEN_PATH", "HF_HUB_CACHE"):
    os.environ.pop(variable, None)
os.environ.update(HF_ENDPOINT=f"http://{HOST}:{HUB_PORT}", HF_HOME=HF_HOME, HF_HUB_DISABLE_TELEMETRY="1")
# Two threads that wait for each other on a busy machine make a tiny model ten times slower.
os.environ["OMP_NUM_THREADS"] = "1"
# Tests start hundreds of processes: each would compile the libraries anew, 3 s for an app, 2 s for a command.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
atexit.register(shutil.rmtree, HF_HOME, ignore_errors=True)

# Files that take minutes, and of the unit tests those that take seconds, the longest first: they begin first, so that
# all processes end together.
LONGEST = (
    "browser/test_hub_journey.py",
    "browser/test_journey.py",
    "browser/test_survival.py",
    "integration/test_command_line.py",
    "browser/test_chinese.py",
    "browser/test_train_space.py",
    "integration/hub/test_evaluate_job.py",
    "integration/hub/test_job_run.py",
    "integration/hub/test_space_run.py",
    "integration/hub/test_train_job.py",
    "integration/lighteval/test_control.py",
    "integration/lighteval/test_evaluate.py",
    "integration/autotrain/test_worker.py",
    "integration/autotrain/test_errors.py",
    "integration/test_recorded.py",
    "browser/test_lost_disk.py",
    "integration/test_full_disk.py",
    "integration/argilla/test_service.py",
    "integration/hub/test_publish.py",
    "browser/",
    "integration/",
    "handlers/test_visits.py",
    "unit/dataset/test_conservation.py",
    "unit/train/doctor/",
    "unit/command/test_command.py",
    "unit/test_stream.py",
    "unit/base/test_languages.py",
)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """One process more than cores where real processes are waited for half of the time, one per core for unit tests."""
    return (os.cpu_count() or 1) + 1 if config.option.numprocesses == "auto" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long files first; the others keep their order."""

    def place(item: pytest.Item) -> int:
        return next((n for n, name in enumerate(LONGEST) if f"/tests/{name}" in str(item.path)), len(LONGEST))

    items.sort(key=place)


@pytest.fixture(scope="session")
def hub_double(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubDouble]:
    """The one Hub double of the session, not started; tests take `hub`."""
    double = HubDouble(tmp_path_factory.mktemp("hub"), HUB_PORT)
    yield double
    double.stop()


@pytest.fixture(scope="module")
def _hub_running(hub_double: HubDouble) -> Iterator[HubDouble]:
    hub_double.start()
    yield hub_double
    hub_double.stop()


@pytest.fixture
def hub(_hub_running: HubDouble) -> Iterator[HubDouble]:
    """The Hub double at HF_ENDPOINT; what it holds stays for the session, so each test uses names of its own."""
    yield _hub_running
    _hub_running.calm()


@pytest.fixture
def sign_ins() -> Iterator[Callable[[str], SignIn]]:
    """Makes sign-ins that stop asking the Hub with the test."""
    from pipeline.hub.account import SignIn

    made: list[SignIn] = []

    def make(token: str = "") -> SignIn:
        made.append(SignIn(token))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(scope="session")
def argilla_python() -> Path:
    """Python of the embedded Argilla's environment."""
    return install.ensure("argilla_server", ENGINES)


@pytest.fixture(scope="session")
def autotrain_python() -> Path:
    """Python of the training engine's environment."""
    return install.ensure("autotrain", ENGINES)


@pytest.fixture(scope="session")
def lighteval_python() -> Path:
    """Python of the evaluation engine's environment."""
    return install.ensure("lighteval", ENGINES)


@pytest.fixture(scope="session")
def argilla_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Home of the one embedded Argilla."""
    return tmp_path_factory.mktemp("argilla")


@pytest.fixture(scope="session")
def argilla(argilla_python: Path, argilla_home: Path) -> Iterator[Endpoint]:
    """One embedded Argilla for all modules that do not change it; a test uses names of its own (`unique`)."""
    from pipeline.review.service import ArgillaService

    service = ArgillaService(argilla_home, argilla_python)
    try:
        yield service.start(wait=True)
    finally:
        service.stop()


@pytest.fixture
def unique() -> str:
    """A name no other test uses: letters and digits."""
    return "t" + uuid4().hex[:12]


def pytest_collection_finish() -> None:
    """What was imported and collected stays: the collector need not walk it again and again."""
    gc.collect()
    gc.freeze()
