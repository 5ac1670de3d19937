"""Trainings in AutoTrain Spaces of the Hub double: carried to the paused Space and the model, or to a true end."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.errors import StudioError
from pipeline.base.home import open_home
from pipeline.carriers import rented, space, space_files
from pipeline.hub import client, spaces
from pipeline.runs import launch
from pipeline.runs.ledger import Ledger, Run, State
from tests.doubles.hub import HubDouble, Space
from tests.integration.hub.job_steps import World, a_world
from tests.integration.hub.test_double_oauth import HOME, signed_in


@pytest.fixture
def world(hub: HubDouble, unique: str, tmp_path: Path) -> Iterator[World]:
    with a_world(hub, unique, tmp_path) as made:
        hub.add_user(unique, pro=True)
        yield made
        for one in hub.spaces():
            if one.name.startswith(f"{unique}"):
                hub.space_runner.gone(one.name)


def spec(world: World, name: str, *, timeout: int = 900, **params: Any) -> dict[str, Any]:
    """Return the spec of a training in a Space."""
    made = world.spec(name, timeout=timeout, **params)
    job = made["job"] | {"space": space_files.space_name(world.user, name), "sleep": timeout + 1800}
    return made | {"place": "space", "job": job}


def space_of(world: World, name: str) -> Space:
    return world.hub.space(f"{world.user}/autotrain-{name}")


def made(world: World, run: Run, name: str) -> Space:
    """Wait until the run's Space has its files."""
    world.wait(run, "a Space", lambda seen: seen.worker)
    return space_of(world, name)


def test_a_training_ends_as_a_model_and_a_paused_space_that_can_be_woken(world: World) -> None:
    run = world.launch(spec(world, "tuned"))
    ended = world.wait_for_end(run)
    assert ended.state is State.SUCCEEDED, world.story(run)
    there, hub = space_of(world, "tuned"), world.hub
    assert there.stage == "PAUSED" and there.starts == 1
    assert (there.hardware, there.sleep) == ("l40sx1", 2700) and there.repository.private
    assert any(path.endswith(".safetensors") for path in hub.files("model", f"{world.user}/tuned"))
    result = ended.result or {}
    assert result["repo"] == f"{world.user}/tuned" and result["steps"] == 12
    assert [event["event"] for event in world.told(ended, "done")] == ["done"]
    assert len(world.told(ended, "step")) == 12
    worker = ended.worker or {}
    assert worker["paused"] and worker["seconds"] > 0 and worker["cost"] > 0
    # The token is a secret of the Space and nowhere else.
    assert there.secrets == {"HF_TOKEN": world.token}
    everything = json.dumps(there.variables).encode() + b"".join(hub.files("space", there.name).values())
    everything += b"".join(hub.files("dataset", world.store).values()) + there.log.encode()
    assert world.token.encode() not in everything
    assert there.unrun == [] and "--require-hashes" in there.built[-1][1]

    hub.wake_space(there.name)  # somebody visits it
    hub.until(lambda: there.stage == "PAUSED", 60)
    assert there.starts == 2 and "@@EVT" not in there.log
    assert len(hub.commits("model", f"{world.user}/tuned")) == 2, "nothing was trained twice"

    with client.acting_as(world.token):
        space.delete(world.ledger, ended)
    assert not hub.has_repo("space", there.name) and (world.get(run).worker or {})["deleted"]
    assert hub.has_repo("model", f"{world.user}/tuned")


@pytest.mark.matrix
def test_a_supervisor_that_dies_is_followed_by_another_and_a_stop_keeps_what_there_is(world: World) -> None:
    run = world.launch(spec(world, "stopped", epochs=60))
    world.wait_for_event(run, "step", 2)
    world.end_supervisor(run)
    launch.stop(run)
    world.revive()
    ended = world.wait_for_end(run)
    assert ended.state is State.SUCCEEDED and (ended.result or {})["stopped"], world.story(run)
    assert space_of(world, "stopped").stage == "PAUSED" and space_of(world, "stopped").starts == 1


@pytest.mark.matrix
def test_a_space_that_is_woken_half_way_trains_nothing_again(world: World) -> None:
    run = world.launch(spec(world, "woken", epochs=60))
    world.wait_for_event(run, "step", 2)
    there = space_of(world, "woken")
    world.hub.wake_space(there.name)  # its machine was taken away, say: the container begins anew
    ended = world.wait_for_end(run)
    assert ended.state is State.FAILED and ended.problem is not None, world.story(run)
    assert "started again" in ended.problem.what
    world.hub.until(lambda: there.stage == "PAUSED", 60)
    assert there.starts == 2 and not world.hub.has_repo("model", f"{world.user}/woken")


@pytest.mark.matrix
def test_the_time_limit_is_the_programs_own(world: World) -> None:
    asked = spec(world, "late", timeout=65, epochs=500)
    run = world.launch(asked)
    ended = world.wait_for_end(run)
    there = space_of(world, "late")
    # Asked to stop and save in time, or over before there was anything to save: paused in either case.
    assert ended.state in (State.SUCCEEDED, State.FAILED), world.story(run)
    assert there.stage == "PAUSED"
    told = (ended.result or {}).get("stopped_by"), ended.problem.what if ended.problem else ""
    assert told[0] == "time" or "time" in told[1]


@pytest.mark.parametrize(
    "what",
    [
        "memory",
        "kill",
        pytest.param("paused", marks=pytest.mark.matrix),
        pytest.param("deleted", marks=pytest.mark.matrix),
    ],
)
def test_what_happens_to_a_space_that_works_is_told(world: World, what: str) -> None:
    run = world.launch(spec(world, what, epochs=500))
    world.wait_for_event(run, "stage", 6)
    there, hub = made(world, run, what), world.hub
    hub.until(lambda: there.stage == "RUNNING")
    if what == "memory":
        hub.crash_space(there.name)
    elif what == "kill":
        launch.stop(run)
        launch.stop(run)
    elif what == "paused":
        hub.space_runner.pause(there)
    else:
        with client.acting_as(world.token):
            client.api().delete_repo(there.name, repo_type="space")
    ended = world.wait_for_end(run)
    expected = {"memory": State.FAILED, "kill": State.CANCELLED, "paused": State.CANCELLED, "deleted": State.LOST}
    said = {"memory": "out of memory", "kill": "", "paused": "paused on the Hub", "deleted": "gone from the Hub"}
    assert ended.state is expected[what], world.story(run)
    assert said[what] in (ended.problem.what if ended.problem else "")
    assert there.process is None and (ended.worker or {}).get("paused", True)


def test_a_space_that_cannot_be_built_costs_nothing(world: World) -> None:
    world.hub.build_problem = "no space left on device"
    run = world.launch(spec(world, "unbuilt"))
    ended = world.wait_for_end(run)
    assert ended.state is State.FAILED and ended.problem is not None, world.story(run)
    assert "could not be built" in ended.problem.what and "no space left" in ended.problem.why
    assert (ended.worker or {})["cost"] == 0 and "no space left" in ended.log.read_text()


def test_what_the_hub_refuses_leaves_nothing(world: World) -> None:
    hub, user = world.hub, world.user
    hub.directory.users[user].pro = False
    refused = world.wait_for_end(world.launch(spec(world, "free")))
    assert refused.state is State.FAILED and refused.problem is not None and "paid plan" in refused.problem.why
    hub.directory.users[user].pro = True
    with client.acting_as(world.token):
        client.api().create_repo(f"{user}/autotrain-taken", repo_type="space", space_sdk="docker")
    clash = world.wait_for_end(world.launch(spec(world, "taken")))
    assert clash.problem is not None and "already" in clash.problem.what
    assert space_of(world, "taken").stage == "NO_APP_FILE" and not space_of(world, "taken").secrets
    with client.acting_as(world.token), pytest.raises(StudioError):
        space.delete(world.ledger, clash)
    hub.fault("POST", "/api/spaces/.*/commit/", 403)
    unfilled = world.wait_for_end(world.launch(spec(world, "unfilled")))
    assert unfilled.state is State.FAILED and not hub.has_repo("space", f"{user}/autotrain-unfilled")


def test_a_space_is_made_once_whatever_is_lost_on_the_way(world: World) -> None:
    hub = world.hub
    hub.building_seconds = 30
    hub.fault("POST", "/api/repos/create", drop="response", after=1)  # after that of the store
    run = world.launch(spec(world, "once"))
    there = made(world, run, "once")
    world.end_supervisor(run)
    world.ledger.set_worker(run.id, {})  # it died before it could write that down
    with world.ledger._connect() as connection:
        connection.execute("UPDATE runs SET worker = NULL WHERE id = ?", (run.id,))
    world.revive()
    world.wait(run, "its Space again", lambda seen: seen.worker)
    launch.stop(run)
    ended = world.wait_for_end(run)
    assert ended.state is State.CANCELLED, world.story(run)
    assert there.stage == "PAUSED" and there.starts == 0
    assert [one.name for one in hub.spaces() if one.name.startswith(f"{world.user}/")] == [there.name]


@pytest.mark.matrix
def test_a_space_that_may_not_pause_itself_is_paused_from_here(world: World) -> None:
    hub, name = world.hub, f"{world.user}/autotrain-unpaused"
    refused = hub.fault("POST", f"/api/spaces/{name}/pause", 403, times=1)
    run = world.launch(spec(world, "unpaused"))
    ended = world.wait_for_end(run)
    assert ended.state is State.SUCCEEDED, world.story(run)
    assert refused.hits == 1
    hub.until(lambda: not space_of(world, "unpaused").live, 30)
    assert time.time() - (ended.worker or {})["began"] < 240


@pytest.mark.matrix
def test_a_hub_that_goes_away_and_comes_back_loses_nothing(world: World) -> None:
    run = world.launch(spec(world, "away"))
    world.wait_for_event(run, "stage", 6)
    with world.hub.away():
        time.sleep(8)
        assert world.get(run).active and space_of(world, "away").process is not None
    ended = world.wait_for_end(run)
    assert ended.state is State.SUCCEEDED, world.story(run)
    assert len(world.told(ended, "step")) == 12 and space_of(world, "away").stage == "PAUSED"


@pytest.mark.matrix
def test_on_a_new_disk_a_space_is_found_followed_and_its_model_known(world: World, tmp_path: Path) -> None:
    run = world.launch(spec(world, "found"))
    world.wait_for_event(run, "stage", 6)
    world.end_supervisor(run)
    there = replace(world, ledger=Ledger(open_home(tmp_path / "another")), started=[])
    with client.acting_as(world.token):
        (one,) = rented.ours(world.user)
        adopted, new = rented.adopt(there.ledger, one)
    assert new and (adopted.id, adopted.place, adopted.title) == (run.id, "space", run.title)
    there.started.append(adopted.id)
    there.revive()
    ended = there.wait_for_end(adopted)
    assert ended.state is State.SUCCEEDED and (ended.result or {})["repo"] == f"{world.user}/found", there.story(
        adopted
    )
    assert len(there.told(ended, "step")) == 12 and space_of(world, "found").stage == "PAUSED"
    there.close()


@pytest.mark.matrix
def test_an_application_that_may_touch_only_what_it_made_trains_in_a_space(world: World) -> None:
    """The scopes that suffice: what somebody who signs in on a Space is asked for."""
    hub, user = world.hub, world.user
    application = hub.add_oauth_client([HOME], ["read-repos", "contribute-repos"])
    world.token = signed_in(hub, application, user, "openid profile read-repos contribute-repos")["access_token"]
    run = world.launch(spec(world, "visitors"))
    ended = world.wait_for_end(run)
    assert ended.state is State.SUCCEEDED, world.story(run)
    there = space_of(world, "visitors")
    assert there.stage == "PAUSED" and there.secrets["HF_TOKEN"].startswith("hf_oauth_")
    with client.acting_as(world.token):
        assert [one.stage for one in spaces.ours(user, space_files.TAG)] == ["PAUSED"]
        space.delete(world.ledger, ended)
