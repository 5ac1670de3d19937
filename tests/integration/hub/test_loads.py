"""Loads from the Hub as runs: with their user's token, stopped while the Hub keeps them waiting, failing in words."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.base import project
from pipeline.base.home import Home, open_home
from pipeline.dataset import kept, loads
from pipeline.dataset.loads import LoadOptions
from pipeline.dataset.recognise import Mapping
from pipeline.hub import client
from pipeline.runs import events, launch
from pipeline.runs.ledger import Ledger, Run, State
from tests.doubles.hub import HubDouble


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("ALIGN_STUDIO_HOME", str(tmp_path / "home"))
    return open_home(tmp_path / "home")


@pytest.fixture
def ledger(home: Home) -> Ledger:
    return Ledger(home)


def lines(count: int, *names: str) -> bytes:
    return "".join(json.dumps({name: f"{name} {n}" for name in names}) + "\n" for n in range(count)).encode()


def ended(hub: HubDouble, ledger: Ledger, run: Run, also: Callable[[], bool] = lambda: False) -> Run:
    hub.until(lambda: also() or not ledger.get(run.id).active, 120)
    return ledger.get(run.id)


def test_a_private_dataset_is_read_with_its_users_token_and_waits_for_its_columns(
    hub: HubDouble, unique: str, home: Home, ledger: Ledger
) -> None:
    token, name = hub.add_user(unique), f"{unique}/own"
    hub.add_repo("dataset", name, {"train.jsonl": lines(12, "q", "yes", "no")}, private=True)
    with client.acting_as(token):
        run = loads.start(ledger, LoadOptions(kind="hub", name=name, limit=10))
        assert run.user == unique
        asked = loads.outcome(ended(hub, ledger, run))
    assert asked is not None, ledger.get(run.id).problem
    assert (asked.project, asked.columns, asked.first[0]) == ("", ("q", "yes", "no"), ("q 0", "yes 0", "no 0"))
    assert token not in "".join(path.read_text() for path in run.folder.rglob("*") if path.suffix in (".json", ".txt"))
    mapping = Mapping(prompt="q", chosen="yes", rejected="no")
    again = loads.go_on(ledger, ledger.get(run.id), mapping)  # nobody is signed in: nothing is asked of the Hub
    found = loads.outcome(ended(hub, ledger, again))
    assert found is not None, ledger.get(again.id).problem
    record = project.find(home, found.project).read().dataset
    assert record is not None
    assert (record.kind, record.name, record.pairs, record.limit, record.split) == ("hub", name, 10, 10, "train")
    assert record.revision == hub.commits("dataset", name)[0].id
    assert not kept.there(run.folder)
    counted = [event for event in events.read(run.events).events if event["event"] == "progress"]
    assert [event["done"] for event in counted] == [0, 10] and counted[0]["unit"] == "rows"


def test_a_load_is_stopped_and_leaves_nothing(hub: HubDouble, unique: str, home: Home, ledger: Ledger) -> None:
    hub.add_repo("dataset", f"{unique}/slow", {"train.jsonl": lines(12, "prompt", "chosen", "rejected")})
    slow = hub.fault("*", r"train\.jsonl|cdn", delay=20, times=None)
    run = loads.start(ledger, LoadOptions(kind="hub", name=f"{unique}/slow"))
    ended(hub, ledger, run, lambda: bool(slow.hits))
    asked = time.monotonic()
    launch.stop(ledger.get(run.id))  # once: what the Hub does not answer is not waited for
    assert ended(hub, ledger, run).state is State.CANCELLED
    assert time.monotonic() - asked < 10
    assert project.names(home) == [] and not kept.there(run.folder)


def test_a_load_that_fails_says_why(hub: HubDouble, unique: str, home: Home, ledger: Ledger) -> None:
    run = loads.start(ledger, LoadOptions(kind="hub", name=f"{unique}/none"))
    failed = ended(hub, ledger, run)
    assert failed.state is State.FAILED and failed.problem is not None and "does not exist" in failed.problem.why
