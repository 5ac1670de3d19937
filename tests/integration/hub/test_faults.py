"""Faults one by one where the other tests do not put them: inside a Job, at its launch, on the way to the page."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.base.errors import StudioError
from pipeline.base.home import open_home
from pipeline.dataset import reading
from pipeline.engines.job import run as script
from pipeline.export import publish
from pipeline.export.publish import Agreed, PublishOptions
from pipeline.hub import client, datasets, jobs, look, store
from tests.doubles.hub import HubDouble
from tests.integration.hub.exports import make_export

# Every fault at every place; the core of each is in test_repositories, test_jobs, test_job_run and test_store.
pytestmark = pytest.mark.matrix

PASSING = [
    {"status": 429, "retry_after": 1},
    {"status": 500},
    {"status": 503, "served": True},  # it has arrived, the answer says otherwise
    {"drop": True},
    {"drop": "response"},
]
RUN = "train-20261122-120000-abcd"


@pytest.fixture
def token(hub: HubDouble, unique: str) -> Iterator[str]:
    """A user of this test's own, signed in."""
    look.Memory.forget()
    token = hub.add_user(unique)
    with client.acting_as(token):
        yield token
    for job in hub.jobs():
        if job.namespace == unique:
            hub.job_runner.end(job, "CANCELED", None)


# Inside the Job: the very program that a Job runs, in this process


@pytest.fixture
def job(token: str, unique: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> script.Job:
    """What the Job's program has when its worker is done: a model in its output folder."""
    store.ensure(unique)
    values = {"RUN": RUN, "STORE": store.name(unique), "REVISION": "main"}
    for name, value in values.items():
        monkeypatch.setenv(f"ALIGN_STUDIO_{name}", value)
    monkeypatch.setenv("HF_TOKEN", token)
    folder = tmp_path / "job"
    (folder / "output" / "m").mkdir(parents=True)
    (folder / "output" / "m" / "model.safetensors").write_bytes(os.urandom(900_000))
    (folder / "output" / "m" / "config.json").write_text("{}")
    made = script.Job(folder)
    made.work = {"upload": {"folder": "output/m", "repo": f"{unique}/m", "message": "Train m"}}
    return made


def titles(hub: HubDouble, kind: Any, name: str) -> list[str]:
    return [commit.title for commit in hub.commits(kind, name)]


@pytest.mark.parametrize("fault", PASSING, ids=str)
def test_a_job_commits_its_model_once(hub: HubDouble, unique: str, job: script.Job, fault: dict[str, Any]) -> None:
    hit = hub.fault("POST", f"/api/models/{unique}/m/commit/", **fault)
    told = job.upload({"event": "done"})
    assert hit.hits == 1
    assert titles(hub, "model", f"{unique}/m") == ["Train m", "initial commit"]
    assert told["revision"] == hub.commits("model", f"{unique}/m")[0].id
    sent = (job.folder / "output" / "m" / "model.safetensors").read_bytes()
    assert hub.files("model", f"{unique}/m")["model.safetensors"] == sent


def test_a_job_whose_upload_breaks_at_every_step_still_commits_once(
    hub: HubDouble, unique: str, job: script.Job
) -> None:
    faults = [
        hub.fault("POST", "/api/repos/create", drop="response"),
        hub.fault("POST", f"/api/models/{unique}/m/preupload/", 500),
        hub.fault("*", "^/cdn/|^/cas/v1/xorbs", drop=True, after_bytes=300_000),
    ]
    job.upload({"event": "done"})
    assert [fault.hits for fault in faults] == [1, 1, 1]
    assert titles(hub, "model", f"{unique}/m") == ["Train m", "initial commit"]
    assert len(hub.files("model", f"{unique}/m")["model.safetensors"]) == 900_000


@pytest.mark.parametrize("fault", [{"status": 500}, {"drop": "response"}], ids=str)
def test_a_job_commits_its_results_once(hub: HubDouble, unique: str, job: script.Job, fault: dict[str, Any]) -> None:
    job.work = {}
    hit = hub.fault("POST", f"/api/datasets/{store.name(unique)}/commit/", **fault)
    told = job.upload({"event": "done"})
    assert hit.hits == 1 and titles(hub, "dataset", store.name(unique)).count(f"Results of {RUN}") == 1
    assert told["revision"] == hub.commits("dataset", store.name(unique))[0].id


def test_a_job_without_room_or_token_says_so_and_leaves_nothing_half(
    hub: HubDouble, unique: str, job: script.Job, token: str
) -> None:
    hub.add_user(unique, quota=1000)
    with pytest.raises(script.Problem) as full:
        job.upload({"event": "done"})
    assert "storage" in full.value.values["detail"].lower() and full.value.code == "engines.not_uploaded"
    assert titles(hub, "model", f"{unique}/m") == ["initial commit"]
    hub.revoke(token)
    with pytest.raises(script.Problem) as ended:
        job.upload({"event": "done"})
    assert "401" in ended.value.values["detail"] and token not in f"{ended.value.values} {full.value.values}"
    assert titles(hub, "model", f"{unique}/m") == ["initial commit"]


def test_a_job_whose_token_ends_before_it_begins_ends_at_once(hub: HubDouble, job: script.Job, token: str) -> None:
    hub.revoke(token)
    assert job.carry() == 1  # the Job is over: nothing bills
    last = job.relay.events.read_text().splitlines()[-1]
    assert '"error"' in last and "does not accept the run's token" in last and token not in last


def test_a_job_fetches_its_data_through_faults_and_names_a_gated_repository(
    hub: HubDouble, unique: str, job: script.Job
) -> None:
    data = os.urandom(1_500_000)
    hub.add_repo("dataset", f"{unique}/data", {"train.bin": data}, private=True)
    hub.add_repo("dataset", f"owner/{unique}", {"train.bin": data}, gated=True)
    faults = [
        hub.fault("HEAD", f"{unique}/data/resolve/", 503),
        hub.fault("GET", "^/cdn/|^/cas/", drop=True, after_bytes=400_000),
    ]
    job.work = {"downloads": [{"repo": f"{unique}/data", "file": "train.bin", "to": "data/train.bin"}]}
    job.fetch_data()
    assert [fault.hits for fault in faults] == [1, 1]
    assert (job.folder / "data" / "train.bin").read_bytes() == data
    job.work = {"downloads": [{"repo": f"owner/{unique}", "file": "train.bin", "to": "data/other.bin"}]}
    with pytest.raises(script.Problem) as gated:
        job.fetch_data()
    assert "gated" in gated.value.values["detail"].lower()


# At the launch


@pytest.fixture
def launch(token: str, unique: str, tmp_path: Path) -> jobs.Launch:
    program = tmp_path / "run.py"
    program.write_text("import time\ntime.sleep(60)\n")
    run = f"train-20261122-120000-{secrets.token_hex(2)}"
    return jobs.Launch(run, "p", "train", unique, "cpu-basic", 120, 0.000167, program, {})


@pytest.mark.parametrize("served", [True, False])
@pytest.mark.parametrize("status", [429, 500])
def test_a_busy_hub_starts_one_job(
    hub: HubDouble, unique: str, launch: jobs.Launch, monkeypatch: pytest.MonkeyPatch, status: int, served: bool
) -> None:
    monkeypatch.setattr(jobs, "LATE_S", (0.05, 0.1))  # seconds between looks
    hit = hub.fault("POST", rf"/api/jobs/{unique}$", status, served=served, times=2)
    started = jobs.start(launch)
    assert hit.hits == (1 if served else 2)
    assert [job.id for job in hub.jobs() if job.namespace == unique] == [started.id]
    with_faults = hub.fault("POST", rf"/api/jobs/{unique}/{started.id}/cancel", status, served=served)
    jobs.cancel(unique, started.id)
    assert with_faults.hits == 1 and hub.job(started.id).stage == "CANCELED"


def test_an_expired_token_starts_no_job(hub: HubDouble, unique: str, launch: jobs.Launch, token: str) -> None:
    hub.revoke(token)
    with pytest.raises(StudioError, match="has expired") as refused:
        jobs.start(launch)
    assert token not in str(refused.value)
    assert not [job for job in hub.jobs() if job.namespace == unique]


@pytest.mark.parametrize("skew", [-90_000.0, 90_000.0])
def test_a_wrong_clock_starts_and_ends_one_job(hub: HubDouble, unique: str, launch: jobs.Launch, skew: float) -> None:
    hub.clock_skew = skew
    first, again = jobs.start(launch), jobs.start(launch)
    assert first.id == again.id and [job.id for job in jobs.ours(unique)] == [first.id]
    jobs.cancel(unique, first.id)
    assert hub.job(first.id).stage == "CANCELED"


# On the way here


@pytest.mark.parametrize("fault", [*PASSING[:2], PASSING[3], {"drop": True, "after_bytes": 200_000}], ids=str)
def test_results_are_fetched_whole(
    hub: HubDouble, token: str, unique: str, tmp_path: Path, fault: dict[str, Any]
) -> None:
    store.ensure(unique)
    large = os.urandom(700_000)
    store.send(unique, RUN, {"output/results.json": b"{}", "output/tuned/samples.parquet": large}, "Results")
    way = "^/cdn/" if "after_bytes" in fault else "/resolve/"
    hit = hub.fault("GET", way, **fault)
    store.fetch_output(unique, RUN, tmp_path / "here")
    assert hit.hits == 1
    assert (tmp_path / "here" / "tuned" / "samples.parquet").read_bytes() == large


def test_results_that_cannot_be_fetched_leave_nothing_half(
    hub: HubDouble, token: str, unique: str, tmp_path: Path
) -> None:
    store.ensure(unique)
    store.send(unique, RUN, {"output/a.json": b"{}", "output/b.json": b"{}"}, "Results")
    hub.fault("GET", "/resolve/.*b.json", 403, times=None)
    with pytest.raises(StudioError, match="could not be fetched"):
        store.fetch_output(unique, RUN, tmp_path / "here")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = 400
    table = pa.table({name: [secrets.token_hex(1000) for _ in range(rows)] for name in ("chosen", "rejected")})
    file = tmp_path_factory.mktemp("pairs") / "train.parquet"
    pq.write_table(table, file, row_group_size=100)
    return file


@pytest.mark.parametrize("fault", [*PASSING[:2], {"status": 503}, PASSING[3]], ids=str)
@pytest.mark.parametrize("limit", [None, 250])
def test_rows_arrive_whole_through_a_fault_in_the_middle(
    hub: HubDouble, token: str, unique: str, pairs: Path, fault: dict[str, Any], limit: int | None
) -> None:
    hub.add_repo("dataset", f"{unique}/pairs", {"train.parquet": pairs}, private=True)
    chosen = datasets.choose(f"{unique}/pairs", limit=limit)
    hit = hub.fault("GET", "^/cdn/|/resolve/.*parquet", after=2, **fault)
    rows = reading.read_hub(chosen)
    assert hit.hits == 1
    assert rows.rows[rows.total - 1] == pq.read_table(pairs).slice(rows.total - 1, 1).to_pylist()[0]
    assert rows.total == (limit or 400)


def test_a_token_that_ends_before_the_rows_are_read_is_said(
    hub: HubDouble, token: str, unique: str, pairs: Path
) -> None:
    hub.add_repo("dataset", f"{unique}/pairs", {"train.parquet": pairs}, private=True)
    chosen = datasets.choose(f"{unique}/pairs")
    hub.revoke(token)
    with pytest.raises(StudioError) as ended:
        reading.read_hub(chosen)
    assert "expired" in ended.value.why and token not in str(ended.value)


# Publishing


def test_publishing_through_a_fault_at_every_call_commits_once(
    hub: HubDouble, token: str, unique: str, tmp_path: Path
) -> None:
    project, name = make_export(open_home(tmp_path / "home"), "pairs"), f"{unique}/pairs"
    faults = [
        hub.fault("POST", "/api/repos/create", 500, served=True),
        hub.fault("POST", f"/api/datasets/{name}/preupload/", 429, retry_after=1),
        hub.fault("*", "^/cdn/|^/cas/v1/xorbs", drop=True),
        hub.fault("POST", f"/api/datasets/{name}/commit/", 503, served=True),
        hub.fault("GET", f"/api/datasets/{name}/commits/", 500),
    ]
    wanted = PublishOptions(repository=name)
    where, changed = publish.publish(project, "pairs", wanted, Agreed("", True), "run: 1")
    assert changed and [fault.hits for fault in faults] == [1] * len(faults)
    assert titles(hub, "dataset", name) == ["Publish pairs", "initial commit"]
    assert where.revision == hub.commits("dataset", name)[0].id and hub.repo("dataset", name).private
