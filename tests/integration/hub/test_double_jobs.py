"""Unmodified clients agree with the Hub double: Jobs, which really run."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from huggingface_hub import HfApi
from huggingface_hub._jobs_api import JobInfo
from huggingface_hub.errors import HfHubHTTPError, JobNotFoundError

from tests.doubles.hub import HubDouble
from tests.integration.hub.test_double import status

IMAGE = "ghcr.io/astral-sh/uv:python3.11-bookworm"


def _run(api: HfApi, name: str, *command: str, **more: object) -> JobInfo:
    return api.run_job(image=IMAGE, command=list(command), namespace=name, **more)  # type: ignore[arg-type]


@pytest.fixture
def ada(hub: HubDouble, unique: str) -> HfApi:
    return HfApi(token=hub.add_user(unique))


def test_a_job_runs_and_its_log_is_followed(hub: HubDouble, ada: HfApi, unique: str) -> None:
    hub.scheduling_seconds = 0.3
    source = "import os, json; print(json.dumps(dict(os.environ))); print(os.listdir('.')); print('\u6587 done')"
    job = _run(
        ada,
        unique,
        *("python3", "-c", source),
        env={"PLAIN": "1"},
        secrets={"HF_TOKEN": "hf_the_secret_of_this_job"},
        labels={"app": "align-studio", "run": unique},
        flavor="l40sx1",
        timeout="2h",
    )
    assert (job.status.stage, job.owner.name, job.flavor) == ("SCHEDULING", unique, "l40sx1")
    first, second, third = ada.fetch_job_logs(job_id=job.id, namespace=unique, follow=True)
    environment = json.loads(first)
    assert {"PLAIN": "1", "HF_TOKEN": "hf_the_secret_of_this_job", "JOB_ID": job.id}.items() <= environment.items()
    assert (environment["ACCELERATOR"], environment["CPU_CORES"]) == ("L40S", "8")
    assert "VIRTUAL_ENV" not in environment and "HF_HOME" not in environment
    assert (second, third) == ("[]", "\u6587 done")
    hub.until(lambda: hub.job(job.id).ended)
    done = ada.inspect_job(job_id=job.id, namespace=unique)
    assert done.status.stage == "COMPLETED" and list(done.secrets or {}) == ["HF_TOKEN"]
    assert done.created_at and done.started_at and done.finished_at
    assert done.created_at < done.started_at < done.finished_at
    kept = hub.job(job.id)
    assert (kept.timeout, kept.secret_names, kept.labels["run"]) == (7200, ("HF_TOKEN",), unique)
    hub.until(lambda: not kept.folder.exists())
    assert list(ada.fetch_job_logs(job_id=job.id, namespace=unique, tail=1)) == ["\u6587 done"]


def test_uv_is_in_the_image(hub: HubDouble, ada: HfApi, unique: str) -> None:
    job = _run(
        ada, unique, "uv", "run", "--no-project", "--offline", "python", "-c", "import sys; print(sys.version_info[:2])"
    )
    hub.until(lambda: hub.job(job.id).ended, 60)
    assert hub.job(job.id).stage == "COMPLETED", hub.job(job.id).log
    assert "(3, 11)" in hub.job(job.id).log


def test_how_jobs_end(hub: HubDouble, ada: HfApi, unique: str) -> None:
    sleep = ("bash", "-c", "sleep 100 & echo ready; wait")
    failed = _run(ada, unique, "bash", "-c", "echo no; exit 3")
    late = _run(ada, unique, *sleep, timeout=1)
    cancelled, evicted = _run(ada, unique, *sleep), _run(ada, unique, *sleep)
    nothing = _run(ada, unique, "no-such-program")
    for job in (cancelled, evicted):
        hub.until(lambda job=job: "ready" in hub.job(job.id).log)
    processes = [hub.job(job.id).process for job in (cancelled, evicted)]
    ada.cancel_job(job_id=cancelled.id, namespace=unique)
    hub.evict(evicted.id)
    everyone = [failed, late, cancelled, evicted, nothing]
    ended = {job.id: job for job in ada.wait_for_job([j.id for j in everyone], namespace=unique, poll_interval=0.1)}
    told = [(ended[job.id].status.stage, ended[job.id].status.message) for job in everyone]
    assert told[:4] == [
        ("ERROR", "Job failed with exit code: 3. Reason: Error"),
        ("ERROR", "Job timeout"),
        ("CANCELED", None),
        ("ERROR", "Job evicted: the node it ran on is gone"),
    ]
    assert told[4][0] == "ERROR" and "no-such-program" in (told[4][1] or "")
    assert ended[late.id].durations and (ended[late.id].durations.running_secs or 0) >= 1
    for process in processes:
        assert process is not None
        assert process.wait(5) < 0
    hub.until(lambda: all(hub.job(job.id).silent for job in everyone))


def test_a_job_that_never_ran_is_cancelled(hub: HubDouble, ada: HfApi, unique: str) -> None:
    hub.scheduling_seconds = 60
    job = _run(ada, unique, "true")
    ada.cancel_job(job_id=job.id, namespace=unique)
    seen = ada.inspect_job(job_id=job.id, namespace=unique)
    assert (seen.status.stage, seen.started_at) == ("CANCELED", None)
    assert list(ada.fetch_job_logs(job_id=job.id, namespace=unique)) == []


def test_jobs_are_found_by_label_and_stage(hub: HubDouble, ada: HfApi, unique: str) -> None:
    long = _run(ada, unique, "sleep", "100", labels={"app": "align-studio", "run": "a"})
    short = _run(ada, unique, "true", labels={"app": "align-studio", "run": "b"})
    other = _run(ada, unique, "true")
    hub.until(lambda: hub.job(short.id).ended and hub.job(other.id).ended and hub.job(long.id).stage == "RUNNING")

    def found(**asked: object) -> list[str]:
        return [job.id for job in ada.list_jobs(namespace=unique, **asked)]  # type: ignore[arg-type]

    assert found() == [other.id, short.id, long.id]
    assert found(labels={"app": "align-studio"}) == [short.id, long.id]
    assert found(labels={"app": "align-studio", "run": "a"}) == [long.id]
    assert found(labels={"app": "align-studio"}, status=["RUNNING", "SCHEDULING"]) == [long.id]
    assert found(status="COMPLETED") == [other.id, short.id]
    changed = ada.update_job_labels(job_id=long.id, namespace=unique, labels={"app": "x", "price": "30000"})
    assert changed.labels == {"app": "x", "price": "30000"}
    assert found(labels={"app": "align-studio"}) == [short.id]
    for wrong in ({"a": "with space"}, {"a": "x" * 101}, {"a.b": "x"}):
        with pytest.raises(HfHubHTTPError) as error:
            ada.update_job_labels(job_id=long.id, namespace=unique, labels=wrong)
        assert status(error) == 400
    ada.cancel_job(job_id=long.id, namespace=unique)
    with pytest.raises(JobNotFoundError):
        ada.inspect_job(job_id="0" * 24, namespace=unique)


def test_who_may_run_jobs(hub: HubDouble, unique: str) -> None:
    org = f"{unique}org"
    tokens = {
        "read": (hub.add_user(unique, "read", organisations=[org]), unique),
        "scope": (hub.add_user(unique, "fine-grained", permissions=["repo.write"]), unique),
        "oauth": (hub.add_user(unique, "oauth", permissions=["repo.write"]), unique),
        "stranger": (hub.add_user(f"{unique}x"), unique),
        "reader": (hub.add_user(f"{unique}r", organisations={org: "read"}), org),
    }
    for token, namespace in tokens.values():
        with pytest.raises(HfHubHTTPError) as error:
            _run(HfApi(token=token), namespace, "true")
        assert status(error) == 403
    scoped = HfApi(token=hub.add_user(unique, "fine-grained", permissions={org: ["job.write"]}))
    assert _run(scoped, org, "true").owner.type == "org"
    for more in ({"flavor": "abacus"}, {"labels": {"a": "b c"}}):
        with pytest.raises(HfHubHTTPError) as error:
            _run(scoped, org, "true", **more)
        assert status(error) == 400


def test_credit(hub: HubDouble, unique: str) -> None:
    api = HfApi(token=hub.add_user(unique, credit=1.0))
    job = _run(api, unique, "sleep", "100", flavor="h200x8")
    hub.until(lambda: hub.job(job.id).stage == "RUNNING")
    hub.out_of_credit(unique)
    seen = api.inspect_job(job_id=job.id, namespace=unique)
    assert (seen.status.stage, seen.status.message) == ("ERROR", "Job stopped: insufficient credit")
    with pytest.raises(HfHubHTTPError) as error:
        _run(api, unique, "true")
    assert status(error) == 402
    hub.set_credit(unique, 5)
    assert _run(api, unique, "true").id


def test_prices(hub: HubDouble, unique: str) -> None:
    hardware = {flavor.name: flavor for flavor in HfApi(token=False).list_jobs_hardware()}
    assert len(hardware) == 26
    card = hardware["a10g-largex2"].accelerator
    assert card is not None
    assert (card.model, card.quantity, card.vram) == ("A10G", "2", "48 GB")
    assert hardware["l40sx1"].unit_cost_micro_usd == 30_000 and hardware["l40sx1"].unit_label == "minute"
    assert hardware["cpu-basic"].accelerator is None


def test_a_cut_log_goes_on_where_it_was(hub: HubDouble, ada: HfApi, unique: str) -> None:
    """Only while the Job runs: of one that has ended, huggingface_hub 2.4 leaves the rest of a cut log."""
    cut = hub.fault("GET", "/logs", drop=True, after_events=3)
    job = _run(ada, unique, "bash", "-c", "for i in 1 2 3 4 5; do echo line $i; done; sleep 2")
    lines = list(ada.fetch_job_logs(job_id=job.id, namespace=unique, follow=True))
    assert lines == [f"line {i}" for i in (1, 2, 3, 4, 5)]
    assert cut.hits == 1


def test_a_quiet_log_is_kept_alive(hub: HubDouble, ada: HfApi, unique: str) -> None:
    hub.keep_alive_seconds = 0.1
    job = _run(ada, unique, "bash", "-c", "echo begin; sleep 0.6; echo end")
    seen = len(hub.requests)
    assert list(ada.fetch_job_logs(job_id=job.id, namespace=unique, follow=True)) == ["begin", "end"]
    log = next(r for r in hub.requests[seen:] if r.path.endswith("/logs"))
    text = sum(len(line) + 70 for line in ("===== Job started at 2026-01-01 00:00:00 =====", "begin", "end"))
    assert log.bytes_sent > text, "no sign of life was sent"


def test_the_hubs_clock(hub: HubDouble, ada: HfApi, unique: str) -> None:
    hub.clock_skew = 7200
    job = _run(ada, unique, "true")
    assert job.created_at is not None
    assert 7100 < (job.created_at - datetime.now(UTC)).total_seconds() < 7300


def test_jobs_go_on_while_the_hub_is_away(hub: HubDouble, ada: HfApi, unique: str) -> None:
    job = _run(ada, unique, "bash", "-c", "echo begin; sleep 0.5; echo end")
    hub.until(lambda: "begin" in hub.job(job.id).log)
    with hub.away():
        with pytest.raises(Exception, match="(?i)connect|refused"):
            ada.inspect_job(job_id=job.id, namespace=unique)
        hub.until(lambda: hub.job(job.id).ended)
    assert ada.inspect_job(job_id=job.id, namespace=unique).status.stage == "COMPLETED"
