"""What is billing on the Hub double: seen, taken in on a new disk, and ended."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from pipeline.base.errors import StudioError
from pipeline.base.home import open_home
from pipeline.carriers import space_files, spend
from pipeline.carriers.spend import SpendWatch
from pipeline.hub import client, jobs, spaces
from pipeline.hub.account import SignIn
from pipeline.hub.spaces import NewSpace
from pipeline.runs.ledger import Ledger, Run, State
from tests.doubles.hub import HubDouble, Job, Space


def until(there: Callable[[], object], seconds: float = 120) -> None:
    end, pause = time.monotonic() + seconds, threading.Event()
    while not there():
        assert time.monotonic() < end, "it did not come"
        pause.wait(0.05)


WAITS = b"""
import http.server, os
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


@dataclass
class World:
    hub: HubDouble
    user: str
    token: str
    ledger: Ledger
    sign_in: SignIn
    watch: SpendWatch

    def job(
        self,
        *,
        stop: str = "3600",
        labels: dict[str, str] | None = None,
        command: str = "sleep 600",
        namespace: str = "",
        studio: str = "",
    ) -> Job:
        """Start a Job as this program does, on another disk."""
        ours = self.labels(stop) | ({"studio": studio} if studio else {})
        with client.acting_as(self.token):
            info = client.api().run_job(
                image=jobs.IMAGE,
                command=["bash", "-c", command],
                flavor="l40sx1",
                namespace=namespace or self.user,
                labels=ours if labels is None else labels,
            )
        return self.hub.job(info.id)

    def labels(self, stop: str = "3600") -> dict[str, str]:
        run = f"train-20261122-120000-{secrets.token_hex(2)}"
        return {"app": jobs.APP, "run": run, "project": "rivers", "kind": "train", "stop": stop, "price": "30000"}

    def space(self, name: str, *, studio: str = "") -> Space:
        """Make a Space as this program does, on another disk; it only waits."""
        labels = self.labels() | {"flavor": "l40sx1", "studio": studio}
        told = {space_files.RUN: labels["run"], space_files.LABELS: json.dumps(labels)}
        files = space_files.files("Waits", "autotrain") | {"space.py": WAITS}
        with client.acting_as(self.token):
            spaces.create(NewSpace(f"{self.user}/{name}", "l40sx1", variables=told, sleep=3600))
            spaces.commit(f"{self.user}/{name}", files, "Wait")
        return self.hub.space(f"{self.user}/{name}")

    def runs(self) -> list[Run]:
        return self.ledger.list()


@pytest.fixture
def world(hub: HubDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("ALIGN_STUDIO_HOME", str(tmp_path / "home"))
    user = f"user-{secrets.token_hex(4)}"
    token = hub.add_user(user, pro=True, organisations=[f"{user}-lab"])
    sign_in = SignIn(token)
    sign_in.start()
    assert sign_in.wait().state == "ready"
    ledger = Ledger(open_home(tmp_path / "home"))
    yield World(hub, user, token, ledger, sign_in, SpendWatch(ledger, sign_in))
    hub.clock_skew = 0
    for space in hub.spaces():
        if space.name.startswith(user):
            hub.space_runner.gone(space.name)
    for job in hub.jobs():
        if job.namespace.startswith(user):
            hub.job_runner.end(job, "CANCELED", None)
    for process in psutil.process_iter(["cmdline"]):
        if str(tmp_path) in " ".join(process.info["cmdline"] or []):
            process.kill()


def test_nothing_is_billing_only_once_the_hub_has_said_so(world: World) -> None:
    assert world.watch.look().state == "unknown"
    now = world.watch.check()
    assert (now.state, now.items) == ("none", ()) and now.checked_at is not None


def test_a_job_of_another_disk_is_billing_and_is_taken_in(world: World) -> None:
    job = world.job()
    world.job(labels={"app": "something-else"})
    until(lambda: job.stage == "RUNNING")
    now = world.watch.check()
    assert now.state == "billing"
    (item,) = now.items
    assert (item.job_id, item.run_id, item.price_per_hour) == (job.id, job.labels["run"], 1.8)
    assert item.known and item.stops_at is not None and item.since is not None
    assert item.stops_at - item.since == 3600
    (run,) = world.runs()
    assert (run.id, run.project, run.place, run.user) == (job.labels["run"], "rivers", "job", world.user)
    assert (world.ledger.home.projects / "rivers" / "project.json").exists()
    until(lambda: world.ledger.get(run.id).state is State.RUNNING)  # supervised
    world.watch.check()
    assert len(world.runs()) == 1
    world.hub.job_runner.end(job, "ERROR", "evicted")
    until(lambda: not world.ledger.get(run.id).active)
    assert world.watch.check().state == "none"


def test_what_ended_in_the_last_day_is_taken_in_and_what_ended_before_is_not(world: World) -> None:
    fresh, old = world.job(command="true"), world.job(command="true")
    until(lambda: fresh.ended and old.ended)
    assert old.finished is not None
    old.finished -= timedelta(days=2)
    assert world.watch.check().state == "none"
    assert [run.id for run in world.runs()] == [fresh.labels["run"]]
    until(lambda: not world.runs()[0].active)


def test_a_label_that_is_no_run_is_shown_and_can_be_stopped(world: World) -> None:
    job = world.job(labels={"app": jobs.APP, "run": "not-a-run"})
    now = world.watch.check()
    assert [item.job_id for item in now.items] == [job.id] and not now.items[0].known
    assert world.runs() == []
    stopped = world.watch.stop_all()
    assert [item.job_id for item in stopped.ended] == [job.id] and job.stage == "CANCELED"


@pytest.mark.parametrize(
    "fault",
    [  # the library itself tries a broken connection and a 500 for more than a minute
        pytest.param({"status": 500}, marks=pytest.mark.matrix),
        pytest.param({"drop": True}, marks=pytest.mark.matrix),
        {"status": 400},
    ],
)
def test_an_unreachable_hub_is_unknown_with_what_was_seen_last(
    world: World, fault: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spend, "PATIENCE_S", 5.0)
    job = world.job()
    until(lambda: job.stage == "RUNNING")
    before = world.watch.check()
    world.hub.fault("GET", rf"/api/jobs/{world.user}\?", times=None, **fault)  # type: ignore[arg-type]
    now = world.watch.check()
    assert now.state == "unknown" and now.problem is not None
    assert [item.job_id for item in now.items] == [job.id] and now.checked_at == before.checked_at
    stopped = world.watch.stop_all()
    assert [one.item.job_id for one in stopped.left] == [job.id] and stopped.left[0].why and not stopped.ended
    world.hub.calm()
    until(lambda: job.stage == "CANCELED")  # by the supervisor of its run
    assert world.watch.check().state == "none"


def test_a_token_that_may_not_see_jobs_hides_them(world: World) -> None:
    job = world.job()
    until(lambda: job.stage == "RUNNING")
    world.watch.check()
    world.hub.fault("GET", rf"/api/jobs/{world.user}\?", times=None, status=403)
    now = world.watch.check()
    assert now.state == "hidden" and [item.job_id for item in now.items] == [job.id]


def test_an_unreachable_hub_on_a_new_disk_does_not_claim_to_have_stopped_anything(world: World) -> None:
    world.job()
    world.hub.fault("GET", rf"/api/jobs/{world.user}\?", times=None, status=404)
    with pytest.raises(StudioError, match="could not be listed"):
        world.watch.stop_all()


def test_an_old_answer_is_not_what_is_billing_now(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    job = world.job()
    until(lambda: job.stage == "RUNNING")
    assert world.watch.check().state == "billing"
    monkeypatch.setattr(spend, "STALE_S", 0.2)
    until(lambda: world.watch.look().state == "unknown")
    assert world.watch.look().problem is None and world.watch.look().items
    monkeypatch.setattr(spend, "SLOW_S", 0.2)
    world.hub.fault("GET", rf"/api/jobs/{world.user}\?", delay=5)
    asking = threading.Thread(target=world.watch.check)
    asking.start()
    until(lambda: world.watch.look().problem is not None)
    asking.join()


@pytest.mark.parametrize("skew", [-86_400.0, 86_400.0])
def test_a_skewed_clock_gives_a_sane_cost(world: World, skew: float) -> None:
    world.hub.clock_skew = skew
    job = world.job()
    until(lambda: job.stage == "RUNNING")
    (item,) = world.watch.check().items
    assert 0 <= item.seconds < 120 and 0 <= item.cost < 0.1
    assert item.since is not None and abs(item.since - time.time()) < 120


def test_everything_is_stopped_wherever_it_was_started(world: World) -> None:
    mine = [world.job(), world.job(), world.job()]
    foreign = world.job(labels={"app": "something-else"})
    until(lambda: all(job.stage == "RUNNING" for job in mine))
    assert world.runs() == [], "this disk knows none of them"
    stopped = world.watch.stop_all()
    assert {item.job_id for item in stopped.ended} == {job.id for job in mine} and stopped.left == ()
    assert {job.stage for job in mine} == {"CANCELED"} and foreign.stage == "RUNNING"
    assert world.watch.look().state == "none"


def test_a_job_that_its_supervisor_ended_first_is_named(world: World) -> None:
    first, second = world.job(), world.job()
    until(lambda: first.stage == second.stage == "RUNNING")
    world.watch.check()
    world.hub.job_runner.end(first, "CANCELED", None)
    stopped = world.watch.stop_all()
    assert {item.job_id for item in stopped.ended} == {first.id, second.id} and stopped.left == ()


def test_a_run_stopped_with_everything_ends_as_cancelled_without_a_complaint(world: World) -> None:
    job = world.job()
    until(lambda: job.stage == "RUNNING")
    world.watch.check()
    world.watch.stop_all()
    (run,) = world.runs()
    until(lambda: not world.ledger.get(run.id).active)
    ended = world.ledger.get(run.id)
    assert (ended.state, ended.problem) == (State.CANCELLED, None)


def test_a_job_that_does_not_end_is_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spend, "PATIENCE_S", 6.0)
    stubborn, other = world.job(), world.job()
    until(lambda: stubborn.stage == other.stage == "RUNNING")
    world.hub.fault("POST", rf"/api/jobs/{world.user}/{stubborn.id}/cancel", status=403, times=None)
    stopped = world.watch.stop_all()
    assert [item.job_id for item in stopped.ended] == [other.id]
    (left,) = stopped.left
    assert left.item.job_id == stubborn.id and "403" in left.why or "may not" in left.why
    assert world.watch.look().state == "billing"


def test_the_watch_asks_by_itself_and_seldom(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spend, "SOON_S", 0.1)
    world.watch.start()
    until(lambda: world.watch.look().state == "none")
    for _ in range(200):
        world.watch.look()
    asked = [request for request in world.hub.requests if request.path == f"/api/jobs/{world.user}"]
    assert len(asked) == 1, "a page's look asks nothing"
    world.sign_in.sign_out()
    assert world.watch.look().state == "none"


def test_a_space_is_billing_once_it_starts_and_is_taken_in_and_paused(world: World) -> None:
    world.hub.building_seconds = 3
    space = world.space("autotrain-tuned")
    someone = NewSpace(f"{world.user}/own")
    with client.acting_as(world.token):  # a Space of somebody who likes the tag
        spaces.create(someone)
        spaces.commit(someone.name, space_files.files("Own", "autotrain") | {"space.py": WAITS}, "Own")
    until(lambda: space.stage == "BUILDING")
    (item,) = world.watch.check().items
    assert (item.place, item.job_id, item.since, item.cost) == ("space", space.name, None, 0.0)
    until(lambda: space.stage == "RUNNING" and world.hub.space(someone.name).stage == "RUNNING")
    (item,) = world.watch.check().items
    assert (item.flavor, item.price_per_hour, item.run_id) == ("l40sx1", 1.8, space.variables[space_files.RUN])
    assert item.since is not None and item.stops_at is not None and item.stops_at - item.since == 3600
    assert item.known and not item.elsewhere
    (run,) = world.runs()
    assert (run.place, run.user, run.project) == ("space", world.user, "rivers")
    until(lambda: world.ledger.get(run.id).state is State.RUNNING)
    stopped = world.watch.stop_all()
    assert [one.job_id for one in stopped.ended] == [space.name] and stopped.left == ()
    assert space.stage == "PAUSED" and world.hub.space(someone.name).stage == "RUNNING"
    until(lambda: not world.ledger.get(run.id).active)
    ended = world.ledger.get(run.id)
    assert (ended.state, ended.problem) == (State.CANCELLED, None)
    assert world.watch.check().state == "none"


def test_another_studios_are_shown_apart_and_not_ended_unasked(world: World) -> None:
    mine, theirs = world.job(studio=world.ledger.home.studio), world.job(studio="another-studio")
    space = world.space("autotrain-theirs", studio="another-studio")
    until(lambda: mine.stage == theirs.stage == "RUNNING" == space.stage)
    now = world.watch.check()
    assert {item.job_id for item in now.items if item.elsewhere} == {theirs.id, space.name}
    until(lambda: all(world.ledger.get(run.id).state is State.RUNNING for run in world.runs()))
    stopped = world.watch.stop_all()
    assert [item.job_id for item in stopped.ended] == [mine.id] and stopped.left == ()
    assert theirs.stage == space.stage == "RUNNING" and world.watch.look().state == "billing"
    stopped = world.watch.stop_all(elsewhere=True)
    assert {item.job_id for item in stopped.ended} == {theirs.id, space.name}
    assert theirs.stage == "CANCELED" and space.stage == "PAUSED"


def test_what_an_organisation_pays_is_seen_by_a_fresh_home(world: World) -> None:
    job = world.job(namespace=f"{world.user}-lab")
    until(lambda: job.stage == "RUNNING")
    (item,) = world.watch.check().items
    assert (item.namespace, item.known) == (f"{world.user}-lab", True)
    assert [one.job_id for one in world.watch.stop_all().ended] == [job.id]


def test_an_organisation_that_hides_its_jobs_hides_nothing_else(world: World) -> None:
    world.hub.fault("GET", rf"/api/jobs/{world.user}-lab\?", status=403, times=None)
    job = world.job()
    until(lambda: job.stage == "RUNNING")
    now = world.watch.check()
    assert now.state == "billing" and [item.job_id for item in now.items] == [job.id]
