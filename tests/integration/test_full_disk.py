"""A disk that is full: while Argilla's database is written, while a model is trained, while a project is made.

Each happens in two ways. `mounted` is a small file system of its own that really fills up, studio and all; making one
needs rights that not every machine gives. `limited` is a limit on the size of files (RLIMIT_FSIZE), which works
everywhere on POSIX: the system refuses a write in the middle of it, as it does where a user's quota is used up.
"""

from __future__ import annotations

import contextlib
import json
import resource
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from pipeline.base import project
from pipeline.base.errors import StudioError
from pipeline.base.home import Home, open_home
from pipeline.base.message import verbatim
from pipeline.base.pair import Message, Pair
from pipeline.base.project import Project
from pipeline.dataset.project import pairs_of, start_project
from pipeline.dataset.recognise import Loaded, Mapping
from pipeline.review import plan
from pipeline.review.order import kept_order
from pipeline.review.project import start_import
from pipeline.review.service import ArgillaService
from pipeline.runs import events, launch
from pipeline.runs.ledger import Ledger, Run, State
from pipeline.train import check as train_check
from pipeline.train import trainings
from pipeline.train.algorithms.orpo import OrpoParams
from pipeline.train.options import TrainOptions
from tests.conftest import ENGINES
from tests.tiny_model import make_pairs, make_tiny_model

PAIRS = 1500
STEP_BYTES = 300_000  # less than one checkpoint of the tiny model, more than everything before it
PARAMS = OrpoParams(
    batch_size=2,
    gradient_accumulation=1,
    lora=False,
    mixed_precision="none",
    block_size=256,
    max_prompt_length=128,
    max_completion_length=100,
)


class Disk:
    """A small file system."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self, leave: int = 0) -> None:
        """Take all its space but `leave` bytes."""
        free = shutil.disk_usage(self.folder).free - leave
        with self._ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            file.write(bytes(max(0, free)))
            while not leave:  # until the last byte is gone
                file.write(b"x")

    def release(self) -> None:
        """Give the space back."""
        self._ballast.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "none", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("This machine lets us mount nothing; `limited` tests the same.")
    yield Disk(folder)
    end_processes(folder)
    subprocess.run(["umount", "-l", str(folder)], check=True)


def end_processes(folder: Path) -> None:
    ArgillaService(folder / "home/argilla", Path(sys.executable)).stop()
    for process in psutil.process_iter(["cmdline"]):
        if str(folder) in " ".join(process.info["cmdline"] or []):
            process.kill()


@contextlib.contextmanager
def limited(size: int) -> Iterator[None]:
    """Let no file of a process started here become larger; ours neither."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


def limit_process(pid: int, size: int) -> None:
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size if size >= 0 else hard, hard))


needs_prlimit = pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="the limit of a running process: Linux")


def until(there: Callable[[], bool], seconds: float = 300) -> None:
    end, pause = time.monotonic() + seconds, threading.Event()
    while not there():
        assert time.monotonic() < end, "it did not come"
        pause.wait(0.05)


def ended(ledger: Ledger, run: Run) -> Run:
    until(lambda: not ledger.get(run.id).active)
    return ledger.get(run.id)


def said(text: str, role: str = "assistant") -> tuple[Message, ...]:
    return (Message(role, text),)


def loaded() -> Loaded:
    pairs = [
        Pair(f"id-{number}", said(f"{number}?" + "why " * 400, "user"), said("Yes."), said("No."), "web")
        for number in range(PAIRS)
    ]
    return Loaded(
        pairs,
        [],
        verbatim("made by this test"),
        Mapping(prompt="prompt", chosen="chosen", rejected="rejected"),
        ["prompt", "chosen", "rejected"],
    )


def complaint(run: Run) -> str:
    assert run.state is State.FAILED, run
    assert run.problem is not None
    return " ".join((run.problem.what, run.problem.why, run.problem.next))


class Studio:
    """A home with a project, as the app has it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ALIGN_STUDIO_HOME", str(folder / "home"))
        monkeypatch.setenv("ALIGN_STUDIO_ENGINES", str(ENGINES))
        self.home = open_home(folder / "home")
        self.ledger = Ledger(self.home)


class Import(Studio):
    """An import that can be started again and again."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, python: Path) -> None:
        super().__init__(folder, monkeypatch)
        self.project = start_project(self.home, loaded(), "sample", "full-disk")
        self.endpoint = ArgillaService(self.home.argilla, python).start()
        self.plan = plan.suggest(loaded().pairs[:10], "full-disk", "words (estimate)")

    def start(self) -> Run:
        return start_import(self.ledger, self.project, self.plan, self.endpoint, "Import")

    def check(self, first: Run, second: Run) -> None:
        """Nothing is lost, nothing is there twice, and all databases are sound."""
        assert second.state is State.SUCCEEDED, second.problem
        assert second.result is not None
        already, added = second.result["already_there"], second.result["added"]
        assert 0 < already < PAIRS and already + added == second.result["total"] == PAIRS
        for file in (self.home.argilla / "argilla.db", self.home.ledger, self.home.argilla / "search.db"):
            with contextlib.closing(sqlite3.connect(file)) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",), file
        with contextlib.closing(sqlite3.connect(self.home.argilla / "argilla.db")) as connection:
            rows = connection.execute("SELECT external_id FROM records").fetchall()
        order = kept_order(self.project)
        wanted = [order.place(f"id-{number}").external_id for number in range(PAIRS)]
        assert sorted(row[0] for row in rows) == sorted(wanted)
        assert self.ledger.get(first.id).problem == first.problem
        found = self.project.read().review
        assert found is not None and found.dataset_id == second.result["dataset_id"]


@pytest.mark.matrix
def test_an_import_on_a_mounted_disk(disk: Disk, monkeypatch: pytest.MonkeyPatch, argilla_python: Path) -> None:
    work = Import(disk.folder, monkeypatch, argilla_python)
    disk.fill(leave=5 << 20)
    run = ended(work.ledger, work.start())
    words = complaint(run)
    assert "The disk is full." in words and "Free some space" in words
    disk.fill()  # what was left for the databases, too: everything can still be read
    assert [seen.id for seen in Ledger(work.home).list()] == [run.id]
    assert work.project.read().review is not None
    disk.release()
    work.check(run, ended(work.ledger, work.start()))


@needs_prlimit
def test_an_import_with_limited_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argilla_python: Path) -> None:
    work = Import(tmp_path, monkeypatch, argilla_python)
    try:
        server = next(
            process.pid
            for process in psutil.process_iter(["cmdline"])
            if str(work.home.argilla / "spec.json") in (process.info["cmdline"] or [])
        )
        limit_process(server, 2 << 20)
        run = ended(work.ledger, work.start())
        words = complaint(run)
        assert "The disk is full." in words and "Free some space" in words
        limit_process(server, -1)
        work.check(run, ended(work.ledger, work.start()))
    finally:
        end_processes(tmp_path)


def export(folder: Path, pairs: int) -> None:
    folder.mkdir(parents=True)
    rows = [{"record_id": f"{number:016x}", "source": "", **row} for number, row in enumerate(make_pairs(pairs))]
    (folder / "train.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    (folder / "export.json").write_text("{}")


class Training(Studio):
    """A training that can be started again under its name."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, model: Path, pairs: int = 40) -> None:
        super().__init__(folder, monkeypatch)
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        self.project = project.create(self.home, "rivers")
        export(self.project.exports / "first", pairs)
        self.options = TrainOptions(base_model=str(model), dataset="first", project_name="mine")

    def start(self, **changes: object) -> Run:
        return trainings.start(self.ledger, self.project, self.options, PARAMS.model_copy(update=changes))

    def check(self, failed: Run) -> None:
        words = complaint(failed)
        assert "The disk is full." in words and "Free" in words
        assert trainings.models(self.ledger, self.project) == []

    def repeat(self) -> None:
        """Train again, under the same name."""
        again = ended(self.ledger, self.start())
        assert again.state is State.SUCCEEDED, again.problem
        assert [model.name for model in trainings.models(self.ledger, self.project)] == ["mine"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.mark.matrix
def test_a_checkpoint_on_a_mounted_disk(
    disk: Disk, monkeypatch: pytest.MonkeyPatch, autotrain_python: Path, tiny: Path
) -> None:
    work = Training(disk.folder, monkeypatch, tiny)
    disk.fill(leave=STEP_BYTES)
    run = ended(work.ledger, work.start())
    names = [event["event"] for event in events.read(run.events).events]
    assert "begin" in names and names[-1] == "error", "it trained, and could say what happened"
    assert not any((work.project.models / "mine").iterdir()), "nothing torn is left"
    work.check(run)
    disk.release()
    work.repeat()


def test_a_checkpoint_with_limited_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autotrain_python: Path, tiny: Path
) -> None:
    work = Training(tmp_path, monkeypatch, tiny)
    with limited(STEP_BYTES):
        run = work.start()
    run = ended(work.ledger, run)
    assert "begin" in [event["event"] for event in events.read(run.events).events]
    assert not any((work.project.models / "mine").iterdir())
    work.check(run)
    work.repeat()


@pytest.mark.matrix
def test_events_on_a_mounted_disk(
    disk: Disk, monkeypatch: pytest.MonkeyPatch, autotrain_python: Path, tiny: Path
) -> None:
    work = Training(disk.folder, monkeypatch, tiny)
    run = work.start(epochs=1000)
    until(lambda: any(event["event"] == "step" for event in events.read(run.events).events))
    disk.fill()  # not one byte more, for whatever is written next
    run = ended(work.ledger, run)
    assert len(Ledger(work.home).list()) == 1
    work.check(run)
    disk.release()
    work.repeat()


@pytest.mark.matrix
def test_events_with_limited_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autotrain_python: Path, tiny: Path
) -> None:
    work = Training(tmp_path, monkeypatch, tiny)
    run, _ = work.ledger.add("train", "rivers", "Train mine", train_check.spec(work.project, work.options, PARAMS))
    size = 4 << 20  # more than a checkpoint
    run.events.write_bytes(b" " * (size - 2000) + b"\n")
    with limited(size):
        launch.supervise(work.home, run)
    run = ended(work.ledger, run)
    assert "done" not in [event["event"] for event in events.read(run.events).events]
    work.check(run)


START_PROJECT = """
import resource, sys
from pathlib import Path
import tests.conftest  # before anything imports huggingface_hub
from tests.integration.test_full_disk import StudioError, loaded, open_home, start_project

home = open_home(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    start_project(home, loaded(), "sample", "full-disk")
except StudioError as error:
    print(f"{error.what}|{error.why}|{error.next}")
"""


@pytest.mark.parametrize(
    "size", [1, pytest.param(10_000, marks=pytest.mark.matrix)]
)  # at project.json, and at the pairs
def test_a_project_with_limited_files(tmp_path: Path, size: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", START_PROJECT, str(tmp_path / "home"), str(size)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().split("|") == FULL_PROJECT
    assert_made_after_all(open_home(tmp_path / "home"))


@pytest.mark.parametrize("leave", [0, 16_384])
def test_a_project_on_a_mounted_disk(disk: Disk, leave: int) -> None:
    home = open_home(disk.folder / "home")
    disk.fill(leave)
    with pytest.raises(StudioError) as failure:
        start_project(home, loaded(), "sample", "full-disk")
    assert [failure.value.what, failure.value.why, failure.value.next] == FULL_PROJECT
    disk.release()
    assert_made_after_all(home)


FULL_PROJECT = ["The project could not be made.", "The disk is full.", "Free some space, then try again."]


def assert_made_after_all(home: Home) -> None:
    assert list(home.projects.iterdir()) == [], "nothing of it was left behind"
    made: Project = start_project(home, loaded(), "sample", "full-disk")
    assert made.name == "full-disk" and len(pairs_of(made)) == PAIRS


def test_a_run_is_refused_while_the_ledger_cannot_grow(disk: Disk) -> None:
    home = open_home(disk.folder / "home")
    ledger = Ledger(home)
    kept, _ = ledger.add("export", "p", "kept", {})
    disk.fill()
    with pytest.raises(StudioError, match="The disk is full"):
        for number in range(200):
            ledger.add("export", "p", "more", {"number": number, "text": "x" * 5000})
    assert kept.id in [run.id for run in ledger.list()]
    ledger.end(kept.id, State.FAILED)
    assert ledger.get(kept.id).state is State.FAILED, "how a run ended can be noted"


def test_an_event_behind_a_torn_line_is_read(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    events.append(file, "begin", text="whole")
    with file.open("ab") as raw:
        raw.write(b'{"ts": 1.0, "event": "log", "los')  # a write that the disk's last bytes cut short
    events.append(file, "error", message="after")
    assert [event["event"] for event in events.read(file).events] == ["begin", "error"]
