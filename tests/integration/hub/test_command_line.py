"""The command line on the Hub: a private dataset read, an export published, a Job's price before anything is paid."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.command import main as command_line
from pipeline.export import exported
from pipeline.hardware import flavors
from pipeline.hub.look import Memory
from tests.doubles.hub import HubDouble
from tests.integration.hub.exports import make_export
from tests.integration.hub.job_steps import World, a_world

Do = Callable[..., Any]


class Answer:
    """A finished call with --json."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.err = code, err
        self.json = json.loads(out)


@pytest.fixture
def world(hub: HubDouble, unique: str, tmp_path: Path) -> Iterator[World]:
    Memory.forget()
    flavors.forget()
    with a_world(hub, unique, tmp_path) as made:
        yield made


@pytest.fixture
def do(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Do:
    """Call the command line as the world's user, where nobody can be asked."""
    monkeypatch.setenv("ALIGN_STUDIO_HOME", str(world.ledger.home.path))
    monkeypatch.setenv("ALIGN_STUDIO_ENGINES", str(world.ledger.home.path / "engines"))
    monkeypatch.setenv("HF_TOKEN", world.token)
    monkeypatch.setattr(sys, "stdin", io.StringIO())

    def call(*arguments: object) -> Answer:
        capsys.readouterr()
        code = command_line.main([*map(str, arguments), "--json"])
        return Answer(code, *capsys.readouterr())

    return call


def lines(count: int) -> bytes:
    rows = ({"prompt": f"Q{n}?", "chosen": f"good {n}", "rejected": f"bad {n}", "topic": "x"} for n in range(count))
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def test_a_private_dataset_is_checked_and_loaded(hub: HubDouble, world: World, do: Do) -> None:
    name = f"{world.user}/mine"
    hub.add_repo("dataset", name, {"data/train.jsonl": lines(20)}, private=True)
    found = do("dataset", "check", "--hub", name, "--limit", 7).json
    assert (found["name"], found["kind"], found["pairs"], found["layout"]) == (name, "hub", 7, "explicit")
    assert found["columns_unused"] == ["topic"]
    loaded = do("dataset", "load", "--hub", name).json
    shown = do("dataset", "show", loaded["project"]).json
    assert (shown["dataset"]["name"], shown["dataset"]["pairs"]) == (name, 20)
    assert shown["dataset"]["revision"] == hub.commits("dataset", name)[0].id
    missing = do("dataset", "check", "--hub", name, "--split", "nowhere")
    assert missing.code == 1 and "nowhere" in missing.json["error"]["why"]


def test_publishing_is_shown_agreed_to_and_done_once(hub: HubDouble, world: World, do: Do) -> None:
    project, name = make_export(world.ledger.home, "pairs"), f"{world.user}/published"
    given = ["publish", "pairs", "--repository", name, "--license", "mit"]
    refused = do(*given)
    assert (refused.code, refused.json["error"]["code"]) == (1, "command.no_consent")
    assert name in refused.err and "train.jsonl" in refused.err
    planned = do(*given, "--check").json
    assert (planned["new"], planned["private"], planned["run"], planned["url"]) == (True, True, None, "")
    assert {change["what"] for change in planned["changes"]} == {"added"}
    assert not hub.has_repo("dataset", name)
    done = do(*given, "--yes")
    assert (done.code, done.json["run"]["state"]) == (0, "succeeded"), done.json
    assert done.json["revision"] == hub.commits("dataset", name)[0].id
    there = exported.published(project, "pairs")
    assert there is not None and (there.repository, there.url) == (name, done.json["url"])
    again = do(*given)
    assert (again.code, again.json["run"], again.json["url"]) == (0, None, done.json["url"])


def test_a_job_is_not_started_without_consent(world: World, do: Do) -> None:
    project = make_export(world.ledger.home, "pairs")
    repository = f"{world.user}/pairs"
    revision = world.hub.commits("dataset", repository)[0].id
    where = exported.Published(repository, revision, f"{world.hub.url}/datasets/{repository}", True, "2026", world.user)
    exported.remember(project, "pairs", where)
    given = ["train", "pairs", "--base-model", f"{world.user}/tiny", "--where", "job", "--mixed-precision", "none"]
    checked = do(*given, "--check")
    price = checked.json["numbers"]["price"]
    assert checked.code == 0, checked.json["blockers"]
    assert (price["flavor"], price["usd_per_hour"]) == ("l40sx1", 1.8) and 0 < price["usd_at_most"] <= 2
    refused = do(*given)
    assert (refused.code, refused.json["error"]["code"]) == (1, "command.no_consent")
    assert f"US${price['usd_at_most']:.2f}" in refused.err
    assert world.ledger.list() == []
    assert [job for job in world.hub.jobs() if job.namespace == world.user] == []
