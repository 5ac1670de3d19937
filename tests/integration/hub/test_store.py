"""The run store on the Hub double: private, written once, read without a copy on this disk."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.base.errors import StudioError
from pipeline.hub import client, store
from tests.doubles.hub import HubDouble

RUN = "evaluate-20261122-120000-abcd"


@pytest.fixture
def user(hub: HubDouble) -> Iterator[str]:
    name = f"user-{secrets.token_hex(4)}"
    with client.acting_as(hub.add_user(name)):
        yield name


def test_it_is_private_and_made_once(hub: HubDouble, user: str) -> None:
    assert store.ensure(user) == store.ensure(user) == store.name(user)
    assert hub.repo("dataset", store.name(user)).private
    assert len([commit for commit in hub.commits("dataset", store.name(user)) if "Describe" in commit.title]) == 1


def test_a_public_one_is_not_used(hub: HubDouble, user: str) -> None:
    hub.add_repo("dataset", store.name(user), private=False)
    with pytest.raises(StudioError, match="public"):
        store.ensure(user)


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 429}, {"drop": True}])
@pytest.mark.parametrize("served", [True, False])
def test_a_commit_whose_answer_is_lost_is_made_once(
    hub: HubDouble, user: str, fault: dict[str, object], served: bool
) -> None:
    store.ensure(user)
    before = len(hub.commits("dataset", store.name(user)))
    hub.fault("POST", rf"/api/datasets/{store.name(user)}/commit/", served=served, **fault)  # type: ignore[arg-type]
    sent = store.send(user, RUN, {"run.json": b"{}", "engine/worker.py": b"print()\n"}, "Send it")
    commits = hub.commits("dataset", store.name(user))
    assert len(commits) == before + 1
    assert commits[0].id == sent
    assert hub.files("dataset", store.name(user))[f"runs/{RUN}/engine/worker.py"] == b"print()\n"


def test_somebody_elses_commit_in_between_is_no_obstacle(hub: HubDouble, user: str) -> None:
    store.ensure(user)
    hub.fault("POST", rf"/api/datasets/{store.name(user)}/commit/", status=412)
    store.send(user, RUN, {"stop": b"stop\n"}, "Stop")
    assert store.read(user, RUN, "stop") == b"stop\n"


def test_what_is_read_leaves_no_copy_in_the_cache(hub: HubDouble, user: str) -> None:
    store.ensure(user)
    secret = secrets.token_hex(16).encode()
    store.send(user, RUN, {"events.jsonl": secret}, "Log")
    hub.fault("GET", r"/resolve/main/runs/", status=503)
    assert store.read(user, RUN, "events.jsonl") == secret
    kept = [path for path in Path(os.environ["HF_HOME"]).rglob("*") if path.is_file()]
    assert not [path for path in kept if secret in path.read_bytes()]


def test_what_is_not_there_is_none_and_a_hub_that_fails_is_an_error(hub: HubDouble, user: str) -> None:
    store.ensure(user)
    assert store.read(user, RUN, "stop") is None
    assert store.read_json(user, RUN, "run.json") is None
    hub.fault("GET", r"/resolve/main/runs/", status=403)
    with pytest.raises(StudioError):
        store.read(user, RUN, "stop")


def test_a_stop_is_a_file(hub: HubDouble, user: str) -> None:
    store.ensure(user)
    store.ask_stop(user, RUN)
    assert f"runs/{RUN}/stop" in hub.files("dataset", store.name(user))


def test_the_output_arrives_whole(hub: HubDouble, user: str, tmp_path: Path) -> None:
    store.ensure(user)
    files = {"output/results.json": b"{}", "output/base/samples.jsonl": b"1\n", "log.txt": b"log\n"}
    store.send(user, RUN, files, "Results")
    store.fetch_output(user, RUN, tmp_path / "evaluations" / "one")
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {"evaluations/one/results.json", "evaluations/one/base/samples.jsonl"}
