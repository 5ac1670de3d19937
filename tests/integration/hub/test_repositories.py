"""Repositories are made, compared and changed in one commit, whatever goes wrong on the way."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.base.errors import StudioError
from pipeline.hub import client, repositories
from pipeline.hub.repositories import Content, Moved
from tests.doubles.hub import HubDouble


@pytest.fixture
def ada(hub: HubDouble, unique: str) -> Iterator[str]:
    """A user of her own for each test, who is signed in."""
    with client.acting_as(hub.add_user(unique)):
        yield unique


def put(name: str, files: dict[str, Content], marker: str = "run-1", parent: str = "") -> str:
    """Do as a run does: compare, send, commit."""
    there = repositories.info(name, "dataset")
    assert there is not None
    wanted = repositories.operations(files, repositories.compare(files, there))
    repositories.upload(name, "dataset", wanted)
    return repositories.commit(name, "dataset", wanted, "Put", marker, parent or there.head)


def test_a_new_repository_is_private_and_is_made_once(hub: HubDouble, ada: str) -> None:
    name = f"{ada}/set"
    assert repositories.info(name, "dataset") is None
    hub.fault("POST", "/api/repos/create", drop="response")
    made = repositories.create(name, "dataset")
    assert (made.name, made.private, made.empty) == (name, True, True)
    assert repositories.create(name, "dataset", private=False).private
    assert len(hub.commits("dataset", name)) == 1
    assert repositories.info(name, "model") is None


def test_the_comparison_is_what_the_commit_does(hub: HubDouble, ada: str, tmp_path: Path) -> None:
    name = f"{ada}/set"
    same, large = b"a\n" * 100, os.urandom(200_000)
    there = {"same.txt": same, "same.bin": large, "changed.txt": b"old", "changed.bin": b"\0old", "gone.txt": b"x"}
    hub.add_repo("dataset", name, there | {"kept.txt": b"k"}, private=True)
    (tmp_path / "same.bin").write_bytes(large)
    files: dict[str, Content] = {
        "same.txt": same,
        "same.bin": tmp_path / "same.bin",
        "changed.txt": b"new",  # of the same size: only its content tells
        "changed.bin": b"\0new",
        "added.bin": os.urandom(1000),
        "added.txt": b"added",
    }
    before = repositories.info(name, "dataset")
    changes = repositories.compare(files, before, lambda path: path == "gone.txt")
    assert {change.path: change.what for change in changes} == {
        "same.txt": "unchanged",
        "same.bin": "unchanged",
        "changed.txt": "changed",
        "changed.bin": "changed",
        "added.bin": "added",
        "added.txt": "added",
        "gone.txt": "removed",
    }
    assert {change.path: (change.size, change.before) for change in changes}["changed.txt"] == (3, 3)
    wanted = repositories.operations(files, changes)
    seen: list[tuple[int, int]] = []
    repositories.upload(name, "dataset", wanted, lambda done, total: seen.append((done, total)))
    assert (seen[0][0], seen[-1]) == (0, (1012, 1012))
    assert len(hub.commits("dataset", name)) == 2  # nothing is changed before the commit
    assert before is not None
    made = repositories.commit(name, "dataset", wanted, "Title", "marker", before.head)
    commit = hub.commits("dataset", name)[0]
    assert (commit.id, commit.title, commit.message) == (made, "Title", "marker")
    assert set(commit.paths) == {change.path for change in changes if change.what != "unchanged"}
    assert {path: hub.files("dataset", name)[path] for path in ("same.bin", "changed.txt", "kept.txt")} == {
        "same.bin": large,
        "changed.txt": b"new",
        "kept.txt": b"k",
    }
    after = repositories.info(name, "dataset")
    assert {change.what for change in repositories.compare(files, after)} == {"unchanged"}


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 429, "retry_after": 2},
        {"status": 500},
        {"status": 503, "times": 2},
        {"drop": True},
        {"drop": "response"},  # the commit has arrived, the answer has not
        {"status": 504, "served": True},  # as a gateway says that does not know
        {"drop": "response", "times": 2},
    ],
    ids=str,
)
def test_a_commit_is_made_exactly_once(hub: HubDouble, ada: str, fault: dict[str, object]) -> None:
    name = f"{ada}/set"
    hub.add_repo("dataset", name, {"a.txt": b"a"})
    ordered = hub.fault("POST", f"{name}/commit/main", **fault)  # type: ignore[arg-type]
    begun = datetime.now(UTC)
    made = put(name, {"b.txt": b"b", "c.bin": b"\0c"})
    assert ordered.hits >= 1
    assert [commit.title for commit in hub.commits("dataset", name)] == ["Put", "Upload files", "initial commit"]
    assert hub.commits("dataset", name)[0].id == made
    if "retry_after" in fault:
        assert datetime.now(UTC) - begun >= timedelta(seconds=2)


def test_a_commit_after_ours_does_not_hide_ours(hub: HubDouble, ada: str) -> None:
    name = f"{ada}/set"
    hub.add_repo("dataset", name)
    there = repositories.info(name, "dataset")
    assert there is not None
    first = put(name, {"a.txt": b"a"})
    hub.add_commit("dataset", name, {"b.txt": b"b"}, "Somebody else")
    # The same change once more, as if the answer to the first had been lost: it follows a commit that is not the head.
    assert put(name, {"a.txt": b"a2"}, parent=there.head) == first
    assert len(hub.commits("dataset", name)) == 3


def test_a_repository_that_moved_is_left_alone(hub: HubDouble, ada: str) -> None:
    name = f"{ada}/set"
    hub.add_repo("dataset", name)
    there = repositories.info(name, "dataset")
    assert there is not None
    theirs = hub.add_commit("dataset", name, {"a.txt": b"theirs"}, "Somebody else")
    with pytest.raises(Moved, match="has changed since"):
        put(name, {"a.txt": b"ours"}, parent=there.head)
    assert hub.commits("dataset", name)[0].id == theirs.id


def test_what_the_hub_refuses_is_said(hub: HubDouble, unique: str) -> None:
    name = f"{unique}/set"
    token = hub.add_user(unique, organisations={f"{unique}-team": "read"})
    with client.acting_as(token):
        repositories.create(name, "dataset")
        with pytest.raises(StudioError, match=f"may not make repositories of {unique}-team") as refused:
            repositories.create(f"{unique}-team/set", "dataset")
        assert "choose another owner" in refused.value.next
    with client.acting_as(hub.add_user(unique, "read")), pytest.raises(StudioError, match="may not do this"):
        put(name, {"a.txt": b"a"})
    soon = hub.add_user(unique, expires=datetime.now(UTC) + timedelta(hours=1))
    with client.acting_as(soon):
        hub.clock_skew = 7200
        with pytest.raises(StudioError, match="has expired") as expired:
            repositories.info(name, "dataset")
        hub.clock_skew = 0
    assert soon not in str(expired.value)
    hub.add_user(unique, quota=1000)
    with client.acting_as(token), pytest.raises(StudioError, match="storage for private repositories is full"):
        put(name, {"a.bin": os.urandom(5000)})
    assert len(hub.commits("dataset", name)) == 1


def test_a_card_that_the_hub_does_not_take_is_named(hub: HubDouble, ada: str) -> None:
    name = f"{ada}/set"
    repositories.create(name, "dataset")
    with pytest.raises(StudioError, match="YAML"):
        put(name, {"README.md": b"---\nlicense: [\n---\n"})


def test_the_hub_gone_is_said(hub: HubDouble, ada: str) -> None:
    hub.fault("GET", f"{ada}/gone", drop=True, times=None)
    with pytest.raises(StudioError, match="The Hub is not reached"):
        repositories.info(f"{ada}/gone", "dataset")


PROGRAM = """
import json, os, sys
from pipeline.hub import client, repositories
name = sys.argv[1] if len(sys.argv) > 1 else os.environ["NAME"]
files = {"a.bin": b"\\0" + bytes(range(256)) * 4000, "b.txt": b"b", "c.bin": os.urandom(300_000)}
with client.acting_as(os.environ["HF_TOKEN"]):
    there = repositories.create(name, "dataset")
    wanted = repositories.operations(files, repositories.compare(files, there))
    repositories.upload(name, "dataset", wanted)
    made = repositories.commit(name, "dataset", wanted, "Put", "m", there.head)
    after = repositories.info(name, "dataset")
    print(json.dumps([made == after.head, [c.what for c in repositories.compare(files, after)]]))
"""


@pytest.mark.parametrize("xet", ["xet", "lfs"])
@pytest.mark.parametrize("fault", [None, "503", "drop"])
def test_large_files_arrive_with_and_without_xet(
    hub: HubDouble, unique: str, client: Callable[..., str], xet: str, fault: str | None
) -> None:
    token = hub.add_user(unique)
    if fault:
        way = r"^/cas/|/cas/v1/xorbs|xorbs" if xet == "xet" else r"/cdn/[0-9a-f]{64}"
        method = "POST" if xet == "xet" else "PUT"
        hit = hub.fault(method, way, **({"status": 503} if fault == "503" else {"drop": True}))  # type: ignore[arg-type]
    variables = {"HF_HUB_DISABLE_XET": "1"} if xet == "lfs" else {}
    root = str(Path(__file__).parents[3])
    said = client(PROGRAM, HF_TOKEN=token, NAME=f"{unique}/set", PYTHONPATH=root, **variables)
    assert json.loads(said) == [True, ["unchanged"] * 3]
    assert len(hub.commits("dataset", f"{unique}/set")) == 2
    if fault:
        assert hit.hits == 1
