"""`kill -9` at seeded points over every kind of run, then a restart: nothing lost, nothing twice, states true.

What is killed: the app, a run's supervisor, its worker, or everything that belongs to the home, Argilla's server included.
A point is a number of events that the run has written, and a moment after that. `make test` runs a core; all twenty run
with `-m matrix`, and each test's name says its point.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.home import open_home
from pipeline.base.project import Project
from pipeline.export import exported
from pipeline.review.service import ArgillaService
from pipeline.runs import events, launch
from pipeline.runs.ledger import Run, State
from pipeline.snapshots.bucket import Bucket
from pipeline.train import trainings
from tests.browser.conftest import App, free_port
from tests.browser.test_survival import assert_each_pair_once, made_pairs
from tests.doubles import recorded
from tests.doubles.hub import HubDouble
from tests.integration.hub.job_steps import World, a_world
from tests.integration.hub.kill_steps import Place, kill_all, until
from tests.integration.hub.test_space_run import spec as space_spec
from tests.projects import make_project
from tests.tiny_model import make_tiny_model

SEED, PAIRS = 2056, 900
SCENES = ["import"] * 3 + ["export"] * 3 + ["publish"] * 3 + ["train"] * 3 + ["evaluate"] * 2
SCENES += ["snapshot"] * 3 + ["job"] * 2 + ["space"]
CORE = ("export", "publish", "train")  # the first point of each is run by `make test`


@dataclass(frozen=True)
class Point:
    """When what is killed."""

    number: int
    scene: str
    victim: str
    events: int
    after: float

    def __str__(self) -> str:
        return f"{self.number:02}-{self.scene}-{self.victim}-{self.events}+{self.after:.2f}s"


def points() -> list[Point]:
    """Return the twenty points of the seed."""
    drawn = random.Random(SEED)
    found = []
    for number, scene in enumerate(SCENES, 1):
        whom = {"snapshot": ["all"], "job": ["supervisor", "all"], "space": ["supervisor", "all"]}
        victim = drawn.choice(whom.get(scene, ["app", "supervisor", "worker", "all"]))
        found.append(Point(number, scene, victim, drawn.randint(0, 6), round(drawn.uniform(0, 0.8), 2)))
    return found


def cases() -> Iterator[Any]:
    """Yield the points; all but the core are of the matrix."""
    core = {scene: next(point for point in points() if point.scene == scene) for scene in CORE}
    for point in points():
        marks = [] if core.get(point.scene) == point else [pytest.mark.matrix]
        yield pytest.param(point, id=str(point), marks=marks)


@pytest.fixture(scope="module")
def place(_hub_running: HubDouble, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("kills")
    token = _hub_running.add_user("killa")
    environment = _hub_running.environment() | recorded.environment(speed=3.0)
    environment |= {"HF_HUB_OFFLINE": "0", "HF_TOKEN": token, "ALIGN_STUDIO_SNAPSHOTS": str(folder / "bucket")}
    environment |= {"ALIGN_STUDIO_SNAPSHOT_MINUTES": "1"}
    app = App(folder / "home", free_port(), [], environment)
    made = make_project(open_home(app.home).of("local"), "kills", folder, pairs=200)
    assert made.name == "kills"
    yield Place(app.start() and app, _hub_running, "killa", folder, folder / "bucket")
    app.end()


def _strike(place: Place, point: Point, run_id: str) -> str:
    """Wait for the point, kill, look whether the ledger told the truth, and start the app again."""
    run = place.run(run_id)

    def reached() -> bool:
        return len(events.read(run.events).events) >= point.events or not place.run(run_id).active

    until(reached, lambda: place.story(run))
    time.sleep(point.after)
    killed = place.kill(point.victim, place.run(run_id))
    seen = place.run(run_id)
    if not seen.active:
        kinds = [event["event"] for event in events.read(run.events).events]
        assert seen.state is not State.SUCCEEDED or "done" in kinds, place.story(run)
    place.restart()
    return killed


def _sound(place: Place) -> None:
    """Nothing that is kept is damaged, and whatever is said to go on has somebody who carries it."""
    with contextlib.closing(sqlite3.connect(place.home.path / "ledger.db")) as ledger:
        assert ledger.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    for run in place.ledger.list(active=True):
        until(lambda run=run: launch.has_supervisor(run) or not place.run(run.id).active, f"nobody carries {run}")  # type: ignore[misc]
    for run in place.ledger.list():
        assert json.loads(run.spec.read_text()), run
        if run.state is State.FAILED:
            assert run.problem is not None and run.problem.what, run


def _go_on(place: Place, killed: str, run_id: str, again: Callable[[], dict[str, Any]]) -> Run:
    """Wait for the run's end; where the kill ended it, do the same again, as a person would."""
    ended = place.ended(run_id)
    if ended.state is State.SUCCEEDED:
        return ended
    assert killed in ("worker", "all"), f"{killed} was killed, and the run ended: {place.story(ended)}"
    assert ended.state in (State.FAILED, State.LOST), place.story(ended)
    started = again()
    if "id" not in started:  # it was done, and the kill came before it was said
        return ended
    more = place.ended(str(started["id"]))
    assert more.state is State.SUCCEEDED, place.story(more)
    return more


def _export_is_whole(project: Project, name: str) -> None:
    found = exported.read(project, name)
    for file in found.files:
        content = (found.folder / file.path).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file.bytes, file.sha256), file.path
    lines = sum((found.folder / f"{split}.jsonl").read_bytes().count(b"\n") for split in ("train", "test"))
    assert lines == found.plan.kept


def import_(place: Place, point: Point) -> None:
    name = f"kill{point.number}"
    file = made_pairs(place.folder / f"{name}.jsonl", PAIRS)
    place.command("dataset", "load", str(file))
    argilla = ArgillaService(place.home.path / "argilla", Path(sys.executable))
    until(argilla.find, "Argilla does not run")
    first = place.command("review", "import", name, "--detach")["id"]
    killed = _strike(place, point, first)
    _go_on(place, killed, first, lambda: place.command("review", "import", name, "--detach"))
    until(argilla.find, "Argilla does not run")
    assert_each_pair_once(place.app, name, PAIRS)


def export(place: Place, point: Point) -> None:
    name = f"export-{point.number}"

    def start() -> dict[str, Any]:
        return place.command("export", "kills", "--name", name, "--detach")

    first = start()["id"]
    killed = _strike(place, point, first)
    seen = exported.names(place.project)
    if name in seen:
        _export_is_whole(place.project, name)  # what is shown is whole, at any moment
    _go_on(place, killed, first, start)
    assert exported.names(place.project).count(name) == 1
    for each in exported.names(place.project):
        _export_is_whole(place.project, each)


def publish(place: Place, point: Point) -> None:
    repository = f"{place.user}/kills-{point.number}"

    def start() -> dict[str, Any]:
        return place.command("publish", "kills", "--export", "pairs", "--repository", repository, "--detach")

    first = start()["id"]
    killed = _strike(place, point, first)
    _go_on(place, killed, first, start)
    titles = [commit.title for commit in place.hub.commits("dataset", repository)]
    assert titles.count("Publish pairs") == 1 and len(titles) == 2, titles
    there, folder = place.hub.files("dataset", repository), place.project.exports / "pairs"
    for name in ("train.jsonl", "test.jsonl", "data/train-00000-of-00001.parquet"):
        assert there[name] == (folder / name).read_bytes()


def train(place: Place, point: Point) -> None:
    names = iter([f"model-{point.number}", f"model-{point.number}-again"])

    def start() -> dict[str, Any]:
        return place.command("train", "kills", "--dataset", "pairs", "--project-name", next(names), "--detach")

    first = start()["id"]
    killed = _strike(place, point, first)
    ended = _go_on(place, killed, first, start)
    models = [model.name for model in trainings.models(place.ledger, place.project)]
    mine = [name for name in models if name.startswith(f"model-{point.number}")]
    assert len(mine) == 1, models
    assert (place.project.models / mine[0] / "model.safetensors").is_file()
    assert [event["event"] for event in events.read(ended.events).events].count("done") == 1


def evaluate(place: Place, point: Point) -> None:
    base, tuned = place.folder / "tiny-base", place.folder / "tiny-tuned"
    if not tuned.exists():
        make_tiny_model(tuned, seed=1)

    def start() -> dict[str, Any]:
        return place.command(
            *(
                "evaluate",
                "kills",
                "--base",
                str(base),
                "--tuned",
                str(tuned),
                "--dataset",
                "pairs",
                "--max-samples",
                "12",
            ),
            *("--tasks", "reviewed_pairs", "--batch-size", str(point.number), "--detach"),
        )

    first = start()["id"]
    killed = _strike(place, point, first)
    ended = _go_on(place, killed, first, start)
    assert ended.result
    assert [event["event"] for event in events.read(ended.events).events].count("done") == 1


def snapshot(place: Place, point: Point) -> None:
    """With a bucket nothing older than the last snapshot is lost, though the whole home is."""
    kept = f"kept-{point.number}"
    place.ended(str(place.command("export", "kills", "--name", kept, "--detach")["id"]))
    since, bucket = time.time(), Bucket(place.bucket)

    def taken() -> bool:
        manifests = [bucket.manifest(name) for name in bucket.names()[:3]]
        return any(found is not None and found.at >= since for found in manifests)

    until(taken, "no snapshot was made after the run")
    runs = {run.id: run.state for run in place.ledger.list() if not run.active}
    before = set(exported.names(place.project))
    other = place.command("export", "kills", "--name", f"late-{point.number}", "--detach")["id"]
    time.sleep(point.after + point.events / 3)  # somewhere in this run, or in the snapshot after it
    place.kill("all", place.run(other))
    shutil.rmtree(place.app.home)
    place.app.start()
    assert before <= set(exported.names(place.project))
    for name in exported.names(place.project):
        _export_is_whole(place.project, name)
    states = {run.id: run.state for run in place.ledger.list()}
    assert {name: states.get(name) for name in runs} == runs


@pytest.mark.parametrize("point", [case for case in cases() if case.values[0].scene not in ("job", "space")])
def test_nothing_is_lost_and_nothing_is_there_twice(place: Place, point: Point) -> None:
    print(point)
    scenes = {"import": import_, "export": export, "publish": publish, "train": train, "evaluate": evaluate}
    {**scenes, "snapshot": snapshot}[point.scene](place, point)
    _sound(place)


@pytest.mark.parametrize("point", [case for case in cases() if case.values[0].scene in ("job", "space")])
def test_a_rented_machine_is_rented_once(hub: HubDouble, unique: str, tmp_path: Path, point: Point) -> None:
    print(point)
    with a_world(hub, unique, tmp_path) as world:
        hub.add_user(unique, pro=True)
        run = world.launch(world.spec("tuned") if point.scene == "job" else space_spec(world, "tuned"))
        wanted = point.events

        def reached() -> bool:
            return len(events.read(run.events).events) >= wanted or not world.get(run).active

        until(reached, lambda: world.story(run))
        time.sleep(point.after)
        world.end_supervisor(run)
        if point.victim == "all":
            kill_all(lambda command: str(world.ledger.home.path) in command)
        world.revive()
        ended = world.wait_for_end(run)
        assert ended.state is State.SUCCEEDED, world.story(run)
        _once(world, ended, point)


def _once(world: World, run: Run, point: Point) -> None:
    """One machine, one commit of the model, each event once."""
    told = [event["seq"] for event in events.read(run.events).events if "seq" in event]
    assert told == list(range(1, len(told) + 1))
    titles = [commit.title for commit in world.hub.commits("model", f"{world.user}/tuned")]
    assert titles.count("Train tuned") == 1
    if point.scene == "job":
        assert len(world.jobs(run)) == 1
    else:
        there = world.hub.space(f"{world.user}/autotrain-tuned")
        assert there.starts == 1 and there.stage == "PAUSED"
        world.hub.space_runner.gone(there.name)


def test_the_points_are_those_of_the_seed() -> None:
    assert [str(point) for point in points()] == [str(point) for point in points()]
    assert len(points()) == 20 and {point.scene for point in points()} == set(SCENES)
