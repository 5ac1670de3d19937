"""This program goes to the Hub's double as a Space that really runs: from a clone, by the command, as a person does it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.base.errors import StudioError
from pipeline.deploy import task
from pipeline.deploy.code import ROOT
from pipeline.deploy.options import DeployOptions
from pipeline.deploy.plan import Agreed, plan
from pipeline.hardware import flavors
from pipeline.hub import client as hub_client
from pipeline.runs.task import Cancelled, Reporter
from tests.conftest import ENGINES
from tests.doubles.hub import HubDouble

PLANTED = "hf_planted" + "0123456789abcdefghijklmnopq"  # as long as a token; in two parts, for this file is tracked
SECRET = "planted" + "-value-of-a-secret-variable"


@dataclass
class Clone:
    """A clone of this program, and who deploys from it."""

    hub: HubDouble
    folder: Path
    home: Path
    user: str
    token: str

    def git(self, *arguments: str) -> str:
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(self.folder), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def deploy(self, space: str, *options: str, code: int = 0, **variables: str) -> tuple[Any, str]:
        """Call the command in the clone, with nobody at the terminal; return its output and what it told."""
        environment = self.hub.client_environment(
            HF_TOKEN=self.token, ALIGN_STUDIO_HOME=str(self.home), ALIGN_STUDIO_ENGINES=str(ENGINES), **variables
        )
        done = subprocess.run(
            [sys.executable, "-m", "pipeline", "deploy", space, *options, "--json"],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == code, done.stderr[-3000:] + done.stdout[-3000:]
        return json.loads(done.stdout), done.stderr

    def traces(self, space: str) -> bytes:
        """Return everything that left the clone or was written down: files, variables, logs, and the run's folder."""
        there = self.hub.space(space)
        found = [*self.hub.files("space", space).values(), json.dumps(there.variables).encode(), there.log.encode()]
        found += [line.encode() for _, line in there.built]
        found += [path.read_bytes() for path in self.home.rglob("*") if path.is_file()]
        return b"\n".join(found)


@pytest.fixture
def clone(hub: HubDouble, unique: str, tmp_path: Path) -> Clone:
    """A clone in which secrets lie about."""
    folder = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "--no-hardlinks", str(ROOT), str(folder)], check=True, capture_output=True)
    token = hub.add_user(unique, pro=True)
    made = Clone(hub, folder, tmp_path / "home", unique, token)
    with (folder / ".git/info/exclude").open("a") as ignored:
        ignored.write("ignored.txt\n.env\n")
    for name in ("ignored.txt", ".env", "untracked.txt", "pipeline/.env", "data/export.jsonl"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(f"HF_TOKEN={PLANTED}")
    (folder / "samples/README.md").write_text(PLANTED)  # tracked, and changed since the last commit
    return made


def test_nothing_is_done_before_it_is_agreed_to(clone: Clone) -> None:
    name = f"{clone.user}/studio"
    refused, told = clone.deploy(name, "--hardware", "t4-small", code=1)
    assert refused["error"]["code"] == "command.no_consent"
    for words in (
        name,
        "a new one",
        "its owner or organisation alone",
        "US$0.40 an hour",
        "60 minutes",
        f"{name}-data",
    ):
        assert words in told
    assert "needs a payment method" in told
    assert "samples/README.md" in told and "as in the last commit" in told
    assert not clone.hub.has_repo("space", name)
    assert clone.hub.buckets.all.keys().isdisjoint({f"{name}-data"})


def test_it_is_deployed_runs_and_is_brought_up_to_date(clone: Clone) -> None:
    hub, name = clone.hub, f"{clone.user}/studio"
    done, told = clone.deploy(name, "--yes", "--secrets", "A_SECRET", A_SECRET=SECRET)
    assert (done["run"]["state"], done["run"]["result"]["stage"]) == ("succeeded", "RUNNING"), done
    there = hub.space(name)
    # What git tracks, and nothing else.
    tracked = set(clone.git("ls-files").splitlines())
    assert set(hub.files("space", name)) - {".gitattributes"} == tracked
    assert hub.files("space", name)["samples/README.md"] == clone.git("show", "HEAD:samples/README.md").encode() + b"\n"
    assert done["private"] and there.hardware == "cpu-basic"
    assert there.volumes[0]["source"] == f"{name}-data" and there.volumes[0]["mountPath"] == "/data"
    assert hub.buckets.all[f"{name}-data"].private
    assert there.variables == {"ALIGN_STUDIO_VISITORS": "true"}
    assert there.secrets == {"A_SECRET": SECRET}
    # It is this program, and asks who comes.
    answer = httpx.get(there.url, trust_env=False, timeout=30)
    assert answer.status_code == 401 and "Hugging Face" in answer.text
    for secret in (PLANTED, clone.token):
        assert secret.encode() not in clone.traces(name)
        assert secret not in told + json.dumps(done)
    assert SECRET.encode() not in clone.traces(name)
    _brought_up_to_date(clone, name)


def _brought_up_to_date(clone: Clone, name: str) -> None:
    """Change the program and the Space, and deploy again: what is there stays."""
    hub = clone.hub
    with hub_client.acting_as(clone.token):
        api = hub_client.api()
        api.pause_space(name)
        api.add_space_variable(name, "THEIRS", "kept")
        api.add_space_secret(name, "MINE", "kept too")
        api.upload_file(
            path_or_fileobj=b"hands off", path_in_repo="notes-of-the-owner.md", repo_id=name, repo_type="space"
        )
    (hub.buckets.all[f"{name}-data"].folder / "kept").write_text("x")
    clone.git("rm", "-q", "--cached", "CONTRIBUTING.md")
    (clone.folder / "new.txt").write_text("new")
    clone.git("add", "new.txt")
    clone.git("commit", "-qm", "changed")
    done, told = clone.deploy(name, "--yes", "--visitors", "off", "--hardware", "cpu-upgrade", "--sleep", "30")
    assert done["run"]["state"] == "succeeded" and not done["new"]
    assert done["run"]["result"]["stage"] == "PAUSED"  # it was paused: deploying does not begin to bill
    files = hub.files("space", name)
    assert files["new.txt"] == b"new" and files["notes-of-the-owner.md"] == b"hands off"
    assert "CONTRIBUTING.md" not in files
    assert "notes-of-the-owner.md" in told and "CONTRIBUTING.md" in told
    there = hub.space(name)
    assert there.variables == {"ALIGN_STUDIO_VISITORS": "false", "THEIRS": "kept"}
    assert there.secrets == {"A_SECRET": SECRET, "MINE": "kept too"}
    assert (there.hardware, there.sleep) == ("cpu-upgrade", 1800)
    assert (hub.buckets.all[f"{name}-data"].folder / "kept").read_text() == "x"
    # Hardware and visibility that are not named stay as well.
    planned, told = clone.deploy(name, "--check")
    assert "cpu-upgrade" in told and planned["run"] is None
    assert (planned["hardware"], planned["private"], planned["bucket"]) == ("cpu-upgrade", True, f"{name}-data")


@pytest.fixture
def grace(hub: HubDouble, unique: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Somebody who is signed in in this process."""
    flavors.forget()
    monkeypatch.setattr(task, "LOOK_S", 0.1)
    with hub_client.acting_as(hub.add_user(unique, pro=True)):
        yield unique


def done(options: DeployOptions, folder: Path, agreed: Agreed | None = None) -> dict[str, Any]:
    """Deploy as the run does, what was just looked at."""
    reporter = Reporter({"events": str(folder / "events.jsonl"), "stop_file": str(folder / "stop")})
    agreed = agreed or plan(options).agreed()
    return task.deploy({"options": options.model_dump(mode="json"), "agreed": asdict(agreed)}, reporter)


def test_without_a_paid_plan_it_is_said_before_and_nothing_is_left_behind(
    hub: HubDouble, grace: str, tmp_path: Path
) -> None:
    hub.directory.users[grace].pro = False
    options = DeployOptions(space=f"{grace}/studio")
    assert plan(options).warnings[0].code == "deploy.plan.none"
    with pytest.raises(StudioError) as caught:
        done(options, tmp_path)
    assert caught.value.message.code == "hub.space_plan"
    assert not hub.has_repo("space", options.space)
    assert f"{options.space}-data" not in hub.buckets.all


def test_a_space_that_does_not_build_is_said_with_the_end_of_its_log(
    hub: HubDouble, grace: str, tmp_path: Path
) -> None:
    hub.build_problem = "no space left on device"
    with pytest.raises(StudioError) as caught:
        done(DeployOptions(space=f"{grace}/studio", bucket="none", visibility="public"), tmp_path)
    assert caught.value.message.code == "deploy.failed"
    assert "BUILD_ERROR" in caught.value.what and "no space left on device" in caught.value.why
    there = hub.space(f"{grace}/studio")
    assert there.volumes == [] and not there.repository.private


def test_a_space_that_changed_since_it_was_agreed_to_is_left_alone(hub: HubDouble, grace: str, tmp_path: Path) -> None:
    options = DeployOptions(space=f"{grace}/studio")
    agreed = plan(options).agreed()
    hub_client.api().create_repo(options.space, repo_type="space", space_sdk="static")
    with pytest.raises(StudioError) as caught:
        done(options, tmp_path, agreed)
    assert caught.value.message.code == "deploy.moved"
    (tmp_path / "stop").touch()
    with pytest.raises(Cancelled):
        done(options, tmp_path)
    assert "Dockerfile" not in hub.files("space", options.space)


def test_what_is_wrong_is_said_before_anything_is_asked(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"{clone.user}/studio"
    (clone.folder / "leak.txt").write_text(f"token = {clone.token} {SECRET}")
    clone.git("add", "leak.txt")
    with hub_client.acting_as(clone.token):
        for code, options in {
            "deploy.no_hardware": DeployOptions(space=name, hardware="h900"),
            "deploy.no_value": DeployOptions(space=name, secrets=["NOT_SET_ANYWHERE"]),
        }.items():
            with pytest.raises(StudioError) as caught:
                plan(options, clone.folder)
            assert caught.value.message.code == code
        clone.git("commit", "-qm", "leak")
        with pytest.raises(StudioError) as caught:
            plan(DeployOptions(space=name), clone.folder)
    assert caught.value.message.code == "deploy.secret" and "leak.txt" in caught.value.why
    assert clone.token not in str(caught.value) and SECRET not in str(caught.value)
    with pytest.raises(StudioError) as caught:
        plan(DeployOptions(space=name), clone.folder)
    assert caught.value.message.code == "account.needed"
    assert not clone.hub.has_repo("space", name)
