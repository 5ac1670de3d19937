"""A training in a Job of the Hub double, really carried out: what it leaves, and what it does when things go wrong."""

from __future__ import annotations

import json
import secrets
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from pipeline.base import project as projects
from pipeline.base.home import open_home
from pipeline.carriers import rented
from pipeline.hub import client
from pipeline.runs import events, launch
from pipeline.runs.ledger import Ledger, Run, State
from tests.doubles.hub import HubDouble, Job
from tests.integration.hub.job_steps import World, a_world


@dataclass
class Trained:
    """A run that went well, in spite of what was done to it."""

    world: World
    run: Run
    run_json: dict[str, object]


@pytest.fixture(scope="module")
def trained(_hub_running: HubDouble, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    """One training in a Job; the log's stream is cut twice and the Job's stage answered with 500 on the way."""
    hub = _hub_running
    with a_world(hub, "joan", tmp_path_factory.mktemp("joan")) as world:
        hub.fault("GET", r"/api/jobs/joan/[0-9a-f]+/logs", drop=True, after_events=4, times=2)
        hub.fault("GET", r"/api/jobs/joan/[0-9a-f]+$", status=500, times=3, after=2)
        hub.fault("POST", r"/api/models/joan/joans-model/commit/", status=503, served=True)
        run = world.launch(world.spec("joans-model"))
        ended = world.wait_for_end(run)
        assert ended.state is State.SUCCEEDED, world.story(run)
        told = json.loads(hub.files("dataset", world.store)[f"runs/{run.id}/run.json"])
        yield Trained(world, ended, told)
        hub.calm()


def test_the_model_lands_in_a_private_repository(trained: Trained) -> None:
    hub = trained.world.hub
    result = trained.run.result or {}
    assert result["repo"] == "joan/joans-model"
    assert hub.repo("model", "joan/joans-model").private
    assert result["revision"] == hub.commits("model", "joan/joans-model")[0].id
    files = hub.files("model", "joan/joans-model")
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md"} <= set(files)
    card = files["README.md"].decode()
    assert (
        len([commit for commit in hub.commits("model", "joan/joans-model") if commit.title == "Train joans-model"]) == 1
    )
    assert "| loss |" in card
    assert "align-studio:results" not in card


def test_one_job_with_labels_and_its_token_as_a_secret(trained: Trained) -> None:
    (job,) = trained.world.jobs(trained.run)
    assert job.secret_names == ("HF_TOKEN",)
    assert job.labels | {"name": ""} == {
        "app": "align-studio",
        "run": trained.run.id,
        "project": "p",
        "kind": "train",
        "stop": "900",
        "price": "30000",
        "studio": trained.world.ledger.home.studio,
        "name": "",
    }
    assert (job.flavor, job.timeout) == ("l40sx1", 900)
    assert trained.run.worker is not None
    assert trained.run.worker["job"] == job.id
    assert trained.run.worker["stage"] == "COMPLETED"


def test_every_event_arrives_once_in_order_though_the_stream_was_cut(trained: Trained) -> None:
    hub = trained.world.hub
    told = [event for event in events.read(trained.run.events).events if "seq" in event]
    assert [event["seq"] for event in told] == list(range(1, len(told) + 1))
    assert [event["event"] for event in told][-1] == "done"
    kinds = {event["event"] for event in told}
    assert {"started", "ready", "begin", "step", "log", "stage"} <= kinds
    stored = hub.files("dataset", trained.world.store)
    assert len(stored[f"runs/{trained.run.id}/events.jsonl"].splitlines()) == len(told)
    # What the last writing of the store says of itself comes after what it wrote.
    kept = stored[f"runs/{trained.run.id}/log.txt"].decode()
    seen = trained.run.log.read_text()
    assert kept and seen.startswith(kept)
    assert len(seen.removeprefix(kept).splitlines()) <= 2
    streams = [request for request in hub.requests if request.path.endswith("/logs")]
    assert len(streams) >= 3


def test_nothing_of_this_machine_and_no_token_is_sent_or_kept(trained: Trained) -> None:
    world = trained.world
    home = str(world.ledger.home.path)
    for name in (world.store, "joan/joans-model"):
        kind = "dataset" if name == world.store else "model"
        for path, data in world.hub.files(kind, name).items():
            assert world.token.encode() not in data, path
            assert home.encode() not in data, path
    (job,) = world.jobs(trained.run)
    assert not any(world.token in line for _, line in job.lines)
    for file in world.ledger.home.path.rglob("*"):
        if file.is_file():
            assert world.token.encode() not in file.read_bytes(), file
    spec = trained.run_json["spec"]
    assert isinstance(spec, dict)
    assert spec["project_name"] == "joans-model"
    assert "output_dir" not in spec


@pytest.fixture
def world(hub: HubDouble, tmp_path: Path) -> Iterator[World]:
    with a_world(hub, f"user-{secrets.token_hex(4)}", tmp_path) as made:
        yield made


LONG = {"epochs": 400, "lora": False, "logging_steps": 50}  # a training that nothing but a stop ends within the test


def test_a_supervisor_killed_is_taken_up_and_a_stop_keeps_the_model(world: World) -> None:
    run = world.launch(world.spec("stopped-model", **LONG))
    world.wait_for_event(run, "step", 2)
    world.end_supervisor(run)
    assert not launch.has_supervisor(run)
    steps = len(world.told(run, "step"))
    world.revive()
    world.wait_for_event(run, "step", steps + 2)
    launch.stop(run)
    ended = world.wait_for_end(run)
    assert ended.state is State.SUCCEEDED, world.story(run)
    result = ended.result or {}
    assert (result["stopped"], result["stopped_by"]) == (True, "user")
    assert "model.safetensors" in world.hub.files("model", f"{world.user}/stopped-model")
    assert len(world.jobs(run)) == 1
    numbers = [event["seq"] for event in events.read(run.events).events if "seq" in event]
    assert len(numbers) == len(set(numbers)) == max(numbers)


@pytest.mark.matrix
def test_the_soft_stop_saves_the_model_before_the_hard_one(world: World, trained: Trained) -> None:
    told = events.read(trained.run.events).events
    began = {kind: next(event["ts"] for event in told if event["event"] == kind) for kind in ("stage", "begin")}
    needed = began["begin"] - began["stage"]  # by this machine at this hour, until there is something to save
    world.hub.job_environment["HF_HUB_DISABLE_XET"] = "1"  # the other Jobs upload by Xet
    run = world.launch(world.spec("timed-model", timeout=60 + max(40, round(3 * needed)), **LONG))
    ended = world.wait_for_end(run)
    assert ended.state is State.SUCCEEDED, world.story(run)
    assert (ended.result or {})["stopped_by"] == "time"
    assert "model.safetensors" in world.hub.files("model", f"{world.user}/timed-model")
    assert any(warning.get("code") == "engines.time_near" for warning in world.told(run, "warning"))


def test_a_job_at_its_hard_stop_says_so(world: World) -> None:
    run = world.launch(world.spec("late-model", timeout=3, **LONG))
    ended = world.wait_for_end(run)
    assert ended.state is State.FAILED, world.story(run)
    assert ended.problem is not None
    assert "time limit" in ended.problem.what
    assert "Nothing is billing" in ended.problem.next


def test_stopped_while_it_waits_for_hardware_it_is_cancelled_at_once(world: World) -> None:
    world.hub.scheduling_seconds = 120
    run = world.launch(world.spec("waiting-model"))
    world.wait(run, "a Job", lambda seen: world.jobs(run))
    world.wait_for_event(run, "stage", 3)
    launch.stop(run)
    ended = world.wait_for_end(run)
    assert (ended.state, ended.problem) == (State.CANCELLED, None), world.story(run)
    assert [job.stage for job in world.jobs(run)] == ["CANCELED"]


def test_stopped_before_the_worker_began_it_ends_without_a_model(world: World) -> None:
    run = world.launch(world.spec("early-model"))
    world.wait(run, "the Job to run", lambda seen: world.stage(run) in ("fetching", "install"))
    launch.stop(run)
    ended = world.wait_for_end(run)
    assert (ended.state, ended.problem) == (State.CANCELLED, None), world.story(run)
    assert not world.hub.has_repo("model", f"{world.user}/early-model")
    assert world.jobs(run)[0].ended


def test_asked_twice_a_job_is_ended_at_once(world: World) -> None:
    run = world.launch(world.spec("killed-model", **LONG))
    world.wait(run, "the Job to run", lambda seen: seen.state is State.RUNNING)
    launch.stop(run)
    launch.stop(run)
    ended = world.wait_for_end(run)
    assert ended.state is State.CANCELLED, world.story(run)
    assert world.jobs(run)[0].ended


@pytest.mark.parametrize(
    ("happens", "words"),
    [
        (lambda world, job: world.hub.evict(job.id), "taken off its machine"),
        (lambda world, job: world.hub.out_of_credit(world.user), "out of credit"),
        (lambda world, job: world.hub.job_runner.end(job, "ERROR", "Job failed with exit code: 3"), "Job failed"),
        (lambda world, job: world.hub.job_runner.end(job, "CANCELED", None), "cancelled on the Hub"),
    ],
)
def test_a_job_that_dies_says_of_what(world: World, happens: Callable[[World, Job], None], words: str) -> None:
    run = world.launch(world.spec("dying-model"))
    world.wait(run, "the Job to run", lambda seen: world.stage(run) in ("fetching", "install"))
    happens(world, world.jobs(run)[0])
    ended = world.wait_for_end(run)
    assert ended.problem is not None, world.story(run)
    assert words in ended.problem.what
    assert "Nothing is billing" in ended.problem.next
    assert ended.result is None


@pytest.mark.matrix
def test_a_job_ended_gently_from_outside_leaves_its_log(world: World) -> None:
    run = world.launch(world.spec("outside-model", **LONG))
    world.wait_for_event(run, "step", 2)
    (job,) = world.jobs(run)
    assert job.process is not None
    job.process.send_signal(signal.SIGTERM)  # what a container's first process is told before it is killed
    ended = world.wait_for_end(run)
    assert ended.state is State.CANCELLED, world.story(run)
    assert ended.problem is not None
    assert "cancelled on the Hub" in ended.problem.what
    stored = world.hub.files("dataset", world.store)[f"runs/{run.id}/events.jsonl"].splitlines()
    assert json.loads(stored[-1])["event"] == "cancelled"


def test_without_credit_nothing_starts(world: World) -> None:
    world.hub.set_credit(world.user, 0)
    ended = world.wait_for_end(world.launch(world.spec("poor-model")))
    assert ended.state is State.FAILED
    assert ended.problem is not None
    assert "credit" in ended.problem.why
    assert world.jobs(ended) == []


def test_a_launch_without_an_answer_starts_one_job(world: World) -> None:
    world.hub.fault("POST", rf"/api/jobs/{world.user}$", status=503, served=True)
    run = world.launch(world.spec("once-model"))
    world.wait(run, "a Job in the ledger", lambda seen: seen.worker)
    assert len(world.jobs(run)) == 1
    launch.stop(run)
    launch.stop(run)
    world.wait_for_end(run)


def test_a_run_waits_for_its_user_and_another_users_token_is_not_its(world: World) -> None:
    world.hub.scheduling_seconds = 120
    run = world.add(world.spec("patient-model"))
    with client.acting_as(None):
        launch.revive(world.ledger)
    assert world.get(run).state is State.WAITING
    with client.acting_as(world.hub.add_user(f"{world.user}-friend")):
        launch.revive(world.ledger)
    assert world.get(run).state is State.WAITING
    assert not launch.has_supervisor(run)
    world.revive()
    world.wait(run, "a Job", lambda seen: world.jobs(run))
    launch.stop(run)
    assert world.wait_for_end(run).state is State.CANCELLED


def test_a_run_whose_token_ends_waits_for_the_next_sign_in(world: World) -> None:
    world.hub.scheduling_seconds = 120
    run = world.launch(world.spec("expired-model"))
    world.wait(run, "a Job in the ledger", lambda seen: seen.worker)
    world.hub.revoke(world.token)
    world.wait(run, "the wait for a sign-in", lambda seen: seen.state is State.WAITING)
    world.token = world.hub.add_user(world.user)
    world.wait(run, "the supervisor's end", lambda seen: not launch.has_supervisor(run))
    world.revive()
    world.wait(run, "its supervisor", lambda seen: launch.has_supervisor(run) and seen.state is State.STARTING)
    launch.stop(run)
    assert world.wait_for_end(run).state is State.CANCELLED
    assert len(world.jobs(run)) == 1


def test_on_a_new_disk_the_job_is_adopted_and_can_be_stopped(world: World, tmp_path: Path) -> None:
    world.hub.scheduling_seconds = 120
    run = world.launch(world.spec("adopted-model"))
    world.wait(run, "a Job in the ledger", lambda seen: seen.worker)
    world.end_supervisor(run)
    there = replace(world, ledger=Ledger(open_home(tmp_path / "another")), started=[])
    with client.acting_as(world.token):
        found = rented.ours(world.user)
        adopted, new = rented.adopt(there.ledger, found[0])
        again, newer = rented.adopt(there.ledger, found[0])
    assert (new, newer, again.id) == (True, False, adopted.id)
    assert (adopted.id, adopted.title, adopted.kind) == (run.id, run.title, "train")
    assert projects.find(there.ledger.home, "p").models == Path(json.loads(adopted.spec.read_text())["output_dir"])
    there.started.append(adopted.id)
    there.revive()
    launch.stop(adopted)
    ended = there.wait_for_end(adopted)
    assert ended.state is State.CANCELLED, there.story(adopted)
    assert [job.stage for job in world.jobs(run)] == ["CANCELED"]
    there.close()


@pytest.mark.matrix
def test_a_hub_that_goes_away_and_comes_back_loses_nothing(world: World) -> None:
    run = world.launch(world.spec("lost-line-model"))
    world.wait(run, "the Job to run", lambda seen: seen.state is State.RUNNING)
    fault = world.hub.fault("GET", rf"/api/jobs/{world.user}/", drop=True, times=None)
    world.wait(run, "failing looks", lambda seen: fault.hits > 3)
    assert world.get(run).state is State.RUNNING
    world.hub.calm()
    ended = world.wait_for_end(run)
    assert ended.state is State.SUCCEEDED, world.story(run)
