"""An export goes to the Hub whole, in one commit, only where the user agreed; and is read from there."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.base.errors import StudioError
from pipeline.base.home import Home, open_home
from pipeline.base.project import Project
from pipeline.export import exported, publish
from pipeline.export.publish import Agreed, Plan, PublishOptions
from pipeline.hub import client as hub_client
from pipeline.hub.repositories import Moved
from pipeline.runs.task import Cancelled
from tests.doubles.hub import HubDouble
from tests.integration.hub.exports import add_export, make_export

ROOT = Path(__file__).parents[3]
FILES = {"README.md", "export.json", "train.jsonl", "test.jsonl"}
DATA = {"data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(tmp_path / "home")


@pytest.fixture
def ada(hub: HubDouble, unique: str) -> Iterator[str]:
    """A user of her own for each test, who is signed in."""
    with hub_client.acting_as(hub.add_user(unique)):
        yield unique


def options(repository: str, **more: Any) -> PublishOptions:
    return PublishOptions(repository=repository, **more)


def push(project: Project, wanted: PublishOptions, shown: Plan | None = None, **more: Any) -> tuple[Any, bool]:
    """Publish what was just compared, as a person does who agrees."""
    seen = shown or publish.plan(project, project.name, wanted)
    return publish.publish(project, project.name, wanted, Agreed(seen.head, seen.private), "run: 1", **more)


def changes(planned: Plan) -> dict[str, str]:
    return {change.path: change.what for change in planned.changes}


def test_a_new_private_repository_holds_the_export(hub: HubDouble, ada: str, home: Home) -> None:
    project, name = make_export(home, "pairs"), f"{ada}/pairs"
    assert publish.default_repository("pairs") == name
    planned = publish.plan(project, "pairs", options(name))
    assert planned.new
    assert planned.private
    assert changes(planned) == dict.fromkeys(FILES | DATA, "added")
    assert not hub.has_repo("dataset", name)  # comparing makes nothing

    where, changed = push(project, options(name, license="cc-by-4.0"))
    assert changed
    files, folder = hub.files("dataset", name), project.exports / "pairs"
    assert set(files) == FILES | DATA | {".gitattributes"}
    for path in (FILES | DATA) - {"README.md"}:
        assert files[path] == (folder / path).read_bytes()
    card = files["README.md"].decode()
    assert f'pairs = load_dataset("{name}")' in card
    front = yaml.safe_load(card.split("---")[1])
    assert (front["license"], front["source_datasets"]) == ("cc-by-4.0", ["owner/source"])
    assert "c" * 40 in card
    assert str(home.path) not in card + files["export.json"].decode()
    commits = hub.commits("dataset", name)
    assert [commit.title for commit in commits] == ["Publish pairs", "initial commit"]
    assert commits[0].message == "run: 1"
    assert hub.repo("dataset", name).private
    assert exported.published(project, "pairs") == where
    assert (where.repository, where.revision, where.by, where.private) == (name, commits[0].id, ada, True)
    assert where.url == f"{hub.url}/datasets/{name}/commit/{commits[0].id}"
    assert exported.read(project, "pairs").name == "pairs"  # the note beside it does not disturb


def test_the_same_again_changes_nothing(hub: HubDouble, ada: str, home: Home) -> None:
    project, wanted = make_export(home, "pairs"), options(f"{ada}/pairs")
    first, _ = push(project, wanted)
    planned = publish.plan(project, "pairs", wanted)
    assert planned.nothing
    again, changed = push(project, wanted)
    assert not changed
    assert again.revision == first.revision
    assert len(hub.commits("dataset", f"{ada}/pairs")) == 2


def test_another_export_replaces_its_own_files_and_leaves_others(hub: HubDouble, ada: str, home: Home) -> None:
    project, name = make_export(home, "pairs"), f"{ada}/pairs"
    push(project, options(name, license="mit"))
    hub.add_commit("dataset", name, {"NOTES.md": b"mine"}, "By hand")
    other = make_export(home, "other", 30, test_share=0, word="new")
    wanted = options(name)
    assert changes(publish.plan(other, "other", wanted)) == {
        "README.md": "changed",
        "export.json": "changed",
        "train.jsonl": "changed",
        "data/train-00000-of-00001.parquet": "changed",
        "test.jsonl": "removed",  # left there, load_dataset would read the test pairs of the export before
        "data/test-00000-of-00001.parquet": "removed",
    }
    push(other, wanted)
    assert set(hub.files("dataset", name)) == (FILES | DATA | {"NOTES.md", ".gitattributes"}) - {
        "test.jsonl",
        "data/test-00000-of-00001.parquet",
    }
    assert b"license: mit" in hub.files("dataset", name)["README.md"]  # stated there, not taken away
    replace = options(name, existing="replace")
    assert changes(publish.plan(other, "other", replace))["NOTES.md"] == "removed"
    push(other, replace)
    assert "NOTES.md" not in hub.files("dataset", name)


def test_a_public_repository_stays_public_and_the_plan_says_so(hub: HubDouble, ada: str, home: Home) -> None:
    project, name = make_export(home, "pairs"), f"{ada}/pairs"
    hub.add_repo("dataset", name, {"a.txt": b"a"}, private=False)
    planned = publish.plan(project, "pairs", options(name, private=True))
    assert not planned.private
    where, _ = push(project, options(name, private=True))
    assert not where.private
    assert not hub.repo("dataset", name).private


def test_nothing_is_written_where_somebody_was_faster(hub: HubDouble, ada: str, home: Home) -> None:
    project, name = make_export(home, "pairs"), f"{ada}/pairs"
    wanted = options(name)
    new = publish.plan(project, "pairs", wanted)
    hub.add_repo("dataset", name, {"a.txt": b"theirs"}, private=True)
    with pytest.raises(Moved):
        push(project, wanted, new)
    shown = publish.plan(project, "pairs", wanted)
    theirs = hub.add_commit("dataset", name, {"b.txt": b"theirs"}, "Theirs")
    with pytest.raises(Moved):
        push(project, wanted, shown)
    shown = publish.plan(project, "pairs", wanted)
    hub.repo("dataset", name).private = False
    with pytest.raises(Moved):
        push(project, wanted, shown)
    hub.repo("dataset", name).private = True

    def meddle(done: int, total: int) -> None:  # while the files are on their way: the commit itself must notice
        if done == total:
            hub.add_commit("dataset", name, {"c.txt": b"theirs"}, "Theirs too")

    with pytest.raises(Moved):
        push(project, wanted, shown, on_bytes=meddle)
    assert [commit.title for commit in hub.commits("dataset", name)][:2] == ["Theirs too", "Theirs"]
    assert theirs.id == hub.commits("dataset", name)[1].id
    assert exported.published(project, "pairs") is None


def test_a_new_repository_that_appears_public_is_not_filled(hub: HubDouble, ada: str, home: Home) -> None:
    project, name = make_export(home, "pairs"), f"{ada}/pairs"
    new = publish.plan(project, "pairs", options(name))
    hub.add_repo("dataset", name, private=False)
    with pytest.raises(Moved):
        push(project, options(name), new)
    assert len(hub.commits("dataset", name)) == 1


def test_a_stop_between_files_leaves_the_repository_as_it_was(hub: HubDouble, ada: str, home: Home) -> None:
    project, wanted = make_export(home, "pairs"), options(f"{ada}/pairs")

    def stop(done: int, total: int) -> None:
        if done:
            raise Cancelled

    with pytest.raises(Cancelled):
        push(project, wanted, on_bytes=stop)
    assert len(hub.commits("dataset", f"{ada}/pairs")) == 1
    push(project, wanted)  # goes on in the repository it had made
    assert len(hub.commits("dataset", f"{ada}/pairs")) == 2


def test_an_ignored_file_is_missed(hub: HubDouble, ada: str, home: Home) -> None:
    project, name = make_export(home, "pairs"), f"{ada}/pairs"
    push(project, options(name))
    (project.exports / "pairs" / "train.jsonl").unlink()
    with pytest.raises(StudioError, match="train.jsonl of the export “pairs” is missing"):
        publish.plan(project, "pairs", options(name))


def test_who_may_not_is_told_before_anything_is_sent(hub: HubDouble, unique: str, home: Home) -> None:
    project, name = make_export(home, "pairs"), f"{unique}/pairs"
    with pytest.raises(StudioError, match="not signed in"):
        publish.plan(project, "pairs", options(name))
    with (
        hub_client.acting_as(hub.add_user(unique, "read")),
        pytest.raises(StudioError, match="read-only"),
    ):
        publish.plan(project, "pairs", options(name))
    team, watched = f"{unique}-team", f"{unique}-watched"
    token = hub.add_user(unique, organisations={team: "admin", watched: "read"})
    hub.add_repo("dataset", f"{watched}/pairs", {"a": b"a"})
    with hub_client.acting_as(token):
        with pytest.raises(StudioError, match="who is no member of it") as refused:
            publish.plan(project, "pairs", options("somebody/pairs"))
        assert team in refused.value.next
        with pytest.raises(StudioError, match="cannot be written to"):
            publish.plan(project, "pairs", options(f"{watched}/pairs"))
        where, _ = push(project, options(f"{team}/pairs"))
    assert where.repository == f"{team}/pairs"
    assert hub.repo("dataset", f"{team}/pairs").private
    narrow = hub.add_user(unique, "fine-grained", permissions={f"{unique}/else": ["repo.write", "repo.content.read"]})
    with hub_client.acting_as(narrow), pytest.raises(StudioError, match="could not be made"):
        push(project, options(name))
    assert not hub.has_repo("dataset", name)


def test_full_storage_and_an_expired_token_are_named(hub: HubDouble, unique: str, home: Home) -> None:
    project, name = make_export(home, "pairs"), f"{unique}/pairs"
    with (
        hub_client.acting_as(hub.add_user(unique, quota=2000)),
        pytest.raises(StudioError, match="storage for private repositories is full"),
    ):
        push(project, options(name))
    token = hub.add_user(unique, expires=datetime.now(UTC) + timedelta(hours=1))

    def expire(done: int, total: int) -> None:
        if done == total:
            hub.clock_skew = 7200

    with hub_client.acting_as(token), pytest.raises(StudioError, match="has expired") as expired:
        push(project, options(name), on_bytes=expire)
    hub.clock_skew = 0
    assert token not in str(expired.value)
    assert len(hub.commits("dataset", name)) == 1
    with hub_client.acting_as(hub.add_user(unique)):
        push(project, options(name))
    assert len(hub.commits("dataset", name)) == 2


READ = """
import json, os, sys
from datasets import load_dataset
name = os.environ["NAME"]
pairs = load_dataset(name)
one = load_dataset(name, data_files="train.jsonl", split="train")
print(json.dumps([{s: len(pairs[s]) for s in pairs}, pairs["train"][0], one[0]["chosen"]]))
"""


@pytest.mark.parametrize("xet", ["xet", pytest.param("lfs", marks=pytest.mark.matrix)])
def test_both_versions_of_datasets_read_what_was_published(
    hub: HubDouble, ada: str, home: Home, client: Callable[..., str], autotrain_python: Path, xet: str
) -> None:
    project, name = make_export(home, "pairs"), f"{ada}/pairs"
    token = str(hub_client.token())
    env = {"HF_TOKEN": token, "NAME": name}
    source = f"""
import os
from pipeline.base import project
from pipeline.base.home import open_home
from pipeline.hub import client
from pipeline.export import publish
from pipeline.export.publish import Agreed, PublishOptions
from pathlib import Path
of = project.find(open_home(Path({str(home.path)!r})), "pairs")
with client.acting_as(os.environ["HF_TOKEN"]):
    publish.publish(of, "pairs", PublishOptions(repository=os.environ["NAME"]), Agreed("", True), "m")
"""
    variables = {"HF_HUB_DISABLE_XET": "1"} if xet == "lfs" else {}
    client(source, **env, PYTHONPATH=str(ROOT), **variables)
    expected = json.loads((project.exports / "pairs" / "train.jsonl").read_text().splitlines()[0])
    for python in (sys.executable, autotrain_python):
        counts, first, chosen = json.loads(client(READ, python, **env).splitlines()[-1])
        assert counts == {"train": 36, "test": 4}
        assert first == expected
        assert chosen == expected["chosen"]


def test_a_run_publishes_with_its_users_token(hub: HubDouble, ada: str, tmp_path: Path) -> None:
    home = open_home(tmp_path / "home")
    project, name = make_export(home, "pairs"), f"{ada}/pairs"
    add_export(project, "second", word="second")
    spec = {
        "run": "publish-1",
        "kind": "publish",
        "project": "pairs",
        "name": "pairs",
        "user": ada,
        "options": options(name).model_dump(mode="json"),
        "agreed": {"head": "", "private": True},
        "events": str(tmp_path / "events.jsonl"),
        "stop_file": str(tmp_path / "stop"),
    }
    file = tmp_path / "spec.json"
    file.write_text(json.dumps(spec))
    environment = hub.client_environment(HF_TOKEN=str(hub_client.token()), ALIGN_STUDIO_HOME=str(home.path))
    hub.fault("POST", f"{name}/commit/main", drop="response")
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.runs.task", str(file)], cwd=ROOT, env=environment, timeout=120
    )
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert done.returncode == 0, events
    commits = hub.commits("dataset", name)
    assert [commit.title for commit in commits] == ["Publish pairs", "initial commit"]
    assert commits[0].message == "align-studio-run: publish-1"
    assert (events[-1]["event"], events[-1]["revision"], events[-1]["changed"]) == ("done", commits[0].id, True)
    found = exported.published(project, "pairs")
    assert found is not None
    assert found.revision == commits[0].id
    assert str(hub_client.token()) not in (tmp_path / "events.jsonl").read_text()
