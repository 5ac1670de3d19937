"""Unmodified clients meet the faults that were ordered, as they would meet them in the world."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError, HTTPError

from tests.doubles.hub import HubDouble
from tests.integration.hub.test_double import Client, status


@pytest.fixture
def ada(hub: HubDouble, unique: str) -> HfApi:
    hub.add_repo("model", f"{unique}/m", {"a.bin": bytes(2_000_000), "config.json": b"{}"})
    return HfApi(token=hub.add_user(unique))


def _commit(api: HfApi, name: str) -> str:
    return str(api.create_commit(name, [CommitOperationAdd("x.txt", b"1")], commit_message="Add x").oid)


def test_an_error_without_and_with_effect(hub: HubDouble, ada: HfApi, unique: str) -> None:
    name = f"{unique}/m"
    for served, commits in ((False, 2), (True, 3)):
        hub.fault("POST", f"{name}/commit/", 503, served=served)
        with pytest.raises(HfHubHTTPError) as error:
            _commit(ada, name)
        assert status(error) == 503
        assert len(hub.commits("model", name)) == commits


def test_a_lost_answer(hub: HubDouble, ada: HfApi, unique: str) -> None:
    name = f"{unique}/m"
    for drop, commits in ((True, 2), ("response", 3)):
        fault = hub.fault("POST", f"{name}/commit/", drop=drop)  # type: ignore[arg-type]
        with pytest.raises(HTTPError) as error:
            _commit(ada, name)
        assert not isinstance(error.value, HfHubHTTPError) and fault.hits == 1
        assert len(hub.commits("model", name)) == commits


def test_times_after_and_what_the_client_tries_again(hub: HubDouble, ada: HfApi, unique: str) -> None:
    fault = hub.fault("HEAD", f"{unique}/m/resolve", 500, times=1, after=1)
    assert ada.file_exists(f"{unique}/m", "config.json")
    with pytest.raises(HfHubHTTPError):
        ada.file_exists(f"{unique}/m", "config.json")
    assert ada.file_exists(f"{unique}/m", "config.json")
    assert fault.hits == 1
    busy = hub.fault("GET", f"{unique}/m/tree", 429, retry_after=1, times=2)
    assert "a.bin" in ada.list_repo_files(f"{unique}/m")  # huggingface_hub waits and asks again
    assert busy.hits == 2


def test_a_retry_after_is_told(hub: HubDouble, unique: str) -> None:
    hub.fault("GET", "whoami-v2", 429, retry_after=7, message="Too fast")
    answer = httpx.get(f"{hub.url}/api/whoami-v2", trust_env=False)
    assert (answer.status_code, answer.headers["retry-after"], answer.json()) == (429, "7", {"error": "Too fast"})
    assert len(answer.headers.get_list("date")) == 1


def test_a_delay(hub: HubDouble, ada: HfApi, unique: str) -> None:
    hub.fault("GET", "whoami-v2", delay=0.5)
    began = time.monotonic()
    assert ada.whoami()["name"] == unique
    assert time.monotonic() - began > 0.5


def test_a_download_cut_in_the_middle_is_tried_again(hub: HubDouble, ada: HfApi, unique: str) -> None:
    cut = hub.fault("GET", "^/cdn/", drop=True, after_bytes=700_000)
    seen = len(hub.requests)
    assert Path(ada.hf_hub_download(f"{unique}/m", "a.bin")).read_bytes() == bytes(2_000_000)
    first, second = (r for r in hub.requests[seen:] if r.path.startswith("/cdn/"))
    assert cut.hits == 1 and first.bytes_sent == 700_000
    assert second.bytes_sent == 2_000_000  # huggingface_hub 2.4 resumes at multiples of 10 MB


@pytest.mark.parametrize("xet", ["on", "off"])
def test_an_upload_cut_in_the_middle(hub: HubDouble, client: Client, unique: str, xet: str) -> None:
    """The clients try an upload again by themselves."""
    path = "^/cas/v1/xorbs" if xet == "on" else "^/cdn/"
    cut = hub.fault("POST" if xet == "on" else "PUT", path, drop=True, after_bytes=300_000)
    source = """
import os
from huggingface_hub import HfApi
api, name = HfApi(), os.environ["NAME"]
api.create_repo(name)
api.upload_file(path_or_fileobj=os.urandom(2_000_000), path_in_repo="a.bin", repo_id=name)
"""
    variables = {"HF_HUB_DISABLE_XET": "1"} if xet == "off" else {}
    client(source, HF_TOKEN=hub.add_user(unique), NAME=f"{unique}/up", **variables)
    assert cut.hits == 1
    assert len(hub.files("model", f"{unique}/up")["a.bin"]) == 2_000_000


def test_the_double_keeps_what_it_holds(hub: HubDouble, ada: HfApi, unique: str) -> None:
    with hub.away(), pytest.raises(HTTPError):
        ada.whoami()
    assert ada.whoami()["name"] == unique
    assert hub.has_repo("model", f"{unique}/m")
