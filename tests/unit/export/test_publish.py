"""What publishing asks for, what a card says in its repository, and how patient a try is."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml
from huggingface_hub import DatasetCardData
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import get_session
from pydantic import ValidationError

from pipeline.base.errors import StudioError
from pipeline.base.home import open_home
from pipeline.export import card, exported, publish
from pipeline.export.exported import Published
from pipeline.export.publish import LICENSES, UNKNOWN, PublishOptions
from pipeline.hub import client, repositories
from pipeline.hub.problems import explain
from pipeline.hub.repositories import RemoteFile, Repository
from pipeline.hub.retry import retrying
from tests.integration.hub.exports import make_export


@pytest.mark.parametrize("name", ["ada/pairs", "team-x/a.b_c-1", " ada/pairs ", "a/" + "x" * 96])
def test_names_the_hub_would_give(name: str) -> None:
    assert PublishOptions(repository=name).repository == name.strip()


@pytest.mark.parametrize(
    "name",
    ["", "pairs", "ada/", "/pairs", "a/b/c", "ada/a--b", "ada/a..b", "ada/-a", "ada/a.", "ada/x.git", "ada/é", "a b/c"]
    + ["a/" + "x" * 97, "ada/<b>"],
)
def test_names_the_hub_would_not_give(name: str) -> None:
    with pytest.raises(ValidationError):
        PublishOptions(repository=name)


def test_a_new_repository_is_private_unless_somebody_says_otherwise() -> None:
    options = PublishOptions(repository="ada/pairs")
    assert (options.private, options.existing) == (True, "update")
    with pytest.raises(ValidationError):
        PublishOptions(repository="ada/pairs", license="my own\nlicense: mit")


@pytest.mark.parametrize("license", LICENSES)
def test_the_card_in_its_repository_is_front_matter_the_library_reads(tmp_path: Path, license: str) -> None:
    project = make_export(open_home(tmp_path / "home"), "pairs")
    text = exported.read(project, "pairs").card
    there = card.for_repository(text, "ada/other", license)
    front = yaml.safe_load(there.split("---")[1])
    assert front["license"] == license
    assert DatasetCardData(**front).to_dict()["configs"] == front["configs"]
    assert 'load_dataset("ada/other")' in there
    assert 'load_dataset("pairs")' not in there
    assert (f"published under {license}" in there) == (license != UNKNOWN)
    assert card.for_repository(there, "ada/other", license) == there


def test_a_license_that_is_there_is_kept_only_if_it_is_one() -> None:
    def there(license: object) -> Repository:
        return Repository("a/b", "dataset", "c", True, False, {}, {"license": license})

    assert publish._license(None) == UNKNOWN
    assert publish._license(there("mit")) == "mit"
    assert publish._license(there(["mit", "x"])) == UNKNOWN
    assert publish._license(there("x\nconfigs: []")) == UNKNOWN


def test_where_it_was_published_is_remembered(tmp_path: Path) -> None:
    project = make_export(open_home(tmp_path / "home"), "pairs")
    assert exported.published(project, "pairs") is None
    where = Published("ada/x", "c" * 40, "https://hub/commit", True, "2026-11-22T10:00:00+00:00", "ada")
    exported.remember(project, "pairs", where)
    assert exported.published(project, "pairs") == where
    (project.exports / "pairs" / "published.json").write_text('{"half')
    assert exported.published(project, "pairs") is None
    compile(exported.snippet("ada/x", "c" * 40), "snippet", "exec")
    assert f'load_dataset("ada/x", revision="{"c" * 40}")' in exported.snippet("ada/x", "c" * 40)


def test_files_are_compared_by_what_the_hub_knows_of_them(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"hello\n")
    blob = "ce013625030ba8dba906f756967f9e9ca394464a"  # git hash-object
    sha256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
    for content in (file, b"hello\n"):
        for there, what in (
            (RemoteFile(6, "", blob), "unchanged"),
            (RemoteFile(6, sha256, "of the pointer"), "unchanged"),
            (RemoteFile(6, "", "0" * 40), "changed"),
            (RemoteFile(7, sha256, ""), "changed"),
        ):
            repository = Repository("a/b", "dataset", "c", True, False, {"a": there, ".gitattributes": there}, {})
            (change,) = repositories.compare({"a": content}, repository, lambda path: True)
            assert change.what == what


def answer(status: int, text: str = "", **headers: str) -> HfHubHTTPError:
    """Return the error that the Hub's library makes of an answer."""
    session = get_session()
    request = session.build_request("GET", "https://hub.invalid/api/datasets/a/b")
    kind = type(session).__module__.split(".")[0]
    response = __import__(kind).Response(status, headers=headers, text=text, request=request)
    return HfHubHTTPError(text, response=response)


def test_the_hub_is_given_the_time_it_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)

    def call(asked: str) -> None:
        raise answer(429, **{"retry-after": asked})

    with pytest.raises(HfHubHTTPError):
        retrying(lambda: call("1"), attempts=2, first=0.01, longest=0.02)
    with pytest.raises(HfHubHTTPError):  # more than a page waits
        retrying(lambda: call("3600"), attempts=2, first=0.01, longest=0.02)
    assert len(waited) == 2 and waited[0] == 1 and waited[1] < 60


def test_full_storage_and_a_refused_token_are_not_taken_for_something_else() -> None:
    full = explain(answer(403, "Private repository storage limit reached, please upgrade your plan."), "No.")
    assert "storage" in full.why
    assert "may not" in explain(answer(403, "Forbidden: you must use a write token"), "No.").why
    with client.acting_as("hf_made_up_for_this_test"):
        refused = explain(answer(401, 'User Access Token "x" is expired'), "No.")
    assert "expired" in refused.why


def test_nobody_signed_in_is_said_before_the_hub_is_asked(tmp_path: Path) -> None:
    project = make_export(open_home(tmp_path / "home"), "pairs")
    assert publish.default_repository("pairs") == ""
    with pytest.raises(StudioError, match="not signed in"):
        publish.plan(project, "pairs", PublishOptions(repository="ada/pairs"))
