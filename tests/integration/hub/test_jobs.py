"""Jobs on the Hub double: started once, found by label, ended."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.base.errors import StudioError
from pipeline.hub import client, jobs
from tests.doubles.hub import HubDouble


@pytest.fixture
def user(hub: HubDouble) -> Iterator[str]:
    name = f"user-{secrets.token_hex(4)}"
    with client.acting_as(hub.add_user(name)):
        yield name
    for job in hub.jobs():
        if job.namespace == name:
            hub.job_runner.end(job, "CANCELED", None)


@pytest.fixture
def launch(user: str, tmp_path: Path) -> jobs.Launch:
    script = tmp_path / "run.py"
    script.write_text("print('hello from the Job', flush=True)\n")
    return jobs.Launch(
        run=f"train-20261122-120000-{secrets.token_hex(2)}",
        project="täglich/neu",
        kind="train",
        namespace=user,
        flavor="cpu-basic",
        timeout=120,
        price_per_minute=0.000167,
        studio="this-studio",
        script=script,
        environment={"ALIGN_STUDIO_RUN": "x"},
    )


def test_a_job_runs_and_its_log_can_be_read_twice(launch: jobs.Launch) -> None:
    job = jobs.start(launch)
    for _ in range(2):
        assert "hello from the Job" in list(jobs.lines(launch.namespace, job.id))
    assert jobs.stage(jobs.look(launch.namespace, job.id)) == "COMPLETED"


def test_the_program_has_the_token_as_a_secret_and_nothing_else_has(launch: jobs.Launch, hub: HubDouble) -> None:
    job = hub.job(jobs.start(launch).id)
    assert job.secret_names == ("HF_TOKEN",)
    assert str(client.token()) not in str(job.request)
    assert job.labels["price"] == "167"
    assert job.labels["project"] == "t-glich-neu"


def test_started_twice_it_is_one_job(launch: jobs.Launch, hub: HubDouble) -> None:
    assert jobs.start(launch).id == jobs.start(launch).id
    assert len([job for job in hub.jobs() if job.namespace == launch.namespace]) == 1


@pytest.mark.parametrize("fault", [{"status": 503}, {"drop": True}])
@pytest.mark.parametrize("served", [True, False])
def test_an_unanswered_launch_is_looked_for_and_not_repeated_blindly(
    launch: jobs.Launch, hub: HubDouble, monkeypatch: pytest.MonkeyPatch, fault: dict[str, object], served: bool
) -> None:
    monkeypatch.setattr(jobs, "LATE_S", (0.05, 0.1))  # seconds between looks
    hit = hub.fault("POST", rf"/api/jobs/{launch.namespace}$", served=served, **fault)  # type: ignore[arg-type]
    hub.fault("GET", rf"/api/jobs/{launch.namespace}\?", status=500, after=1)
    job = jobs.start(launch)
    assert hit.hits == 1
    assert [seen.id for seen in hub.jobs() if seen.namespace == launch.namespace] == [job.id]


def test_only_our_jobs_are_ours(launch: jobs.Launch, hub: HubDouble) -> None:
    foreign = client.api().run_job(image="python:3.12", command=["true"], namespace=launch.namespace)
    job = jobs.start(launch)
    assert [seen.id for seen in jobs.ours(launch.namespace)] == [job.id] != [foreign.id]
    found = jobs.of_run(launch.namespace, launch.run)
    assert found is not None
    assert found.id == job.id
    assert jobs.of_run(launch.namespace, "train-20261122-120000-ffff") is None


def test_cancelling_ends_it_and_is_harmless_afterwards(launch: jobs.Launch, hub: HubDouble) -> None:
    hub.scheduling_seconds = 60
    job = jobs.start(launch)
    hub.fault("POST", rf"/api/jobs/{launch.namespace}/{job.id}/cancel", status=503)
    jobs.cancel(launch.namespace, job.id)
    assert hub.job(job.id).stage == "CANCELED"
    hub.fault("POST", rf"/api/jobs/{launch.namespace}/{job.id}/cancel", status=400)
    jobs.cancel(launch.namespace, job.id)


@pytest.mark.parametrize(
    ("role", "credit", "words"),
    [("write", 0.0, "credit"), ("read", 10.0, "may not run Jobs"), ("fine-grained", 10.0, "may not run Jobs")],
)
def test_what_the_hub_refuses_is_said_in_words(
    launch: jobs.Launch, hub: HubDouble, role: str, credit: float, words: str
) -> None:
    token = hub.add_user(
        launch.namespace,
        role=role,
        credit=credit,
        permissions=["repo.write"] if role == "fine-grained" else None,  # type: ignore[arg-type]
    )
    with client.acting_as(token), pytest.raises(StudioError) as refused:
        jobs.start(launch)
    assert words in refused.value.why or words in refused.value.what
    assert refused.value.next
    assert not [job for job in hub.jobs() if job.namespace == launch.namespace]


def test_hardware_is_the_hubs(user: str) -> None:
    offered = {flavor.name: flavor for flavor in jobs.flavors()}
    assert offered["l40sx1"].accelerator is not None
    assert offered["l40sx1"].unit_cost_usd > offered["cpu-basic"].unit_cost_usd
