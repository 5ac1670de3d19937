"""The studio's own endpoint: which responses were written since a moment."""

from __future__ import annotations

import itertools
from typing import Any

import httpx
import pytest

from pipeline.review.service import Endpoint
from tests.integration.argilla.conftest import Api, World, add_annotator, connect, generate, publish, rg

NUMBERS = itertools.count()


class Read:
    """A dataset of its own with sixty records, and what a reader of its changes gets."""

    def __init__(self, server: Endpoint, world: World) -> None:
        name = f"changes-{next(NUMBERS)}"
        self.owner = world.owner
        client = connect(server)
        workspace = client.workspaces.add(rg.Workspace(name=name, client=client))
        accounts = {user: add_annotator(self.owner, str(workspace.id), f"{name}-{user}") for user in ("ada", "bo")}
        self.annotators = {user: Api(server.url, key) for user, (_, key) in accounts.items()}
        self.rows = generate(11, 60)
        dataset = publish(client, name, name, self.rows, {user: id for user, (id, _) in accounts.items()})
        self.dataset = str(dataset.id)
        self.path = f"/studio/datasets/{self.dataset}/changes"
        self.user_names = {user: f"{name}-{user}" for user in accounts}

    def page(self, since: str = "", **params: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.owner.call("GET", self.path, params={"since": since, **params})
        return answer

    def record(self, external_id: str) -> dict[str, Any]:
        listed = self.owner.call(
            "GET", f"/datasets/{self.dataset}/records", params={"limit": 1000, "include": "responses"}
        )
        found: dict[str, Any] = next(item for item in listed["items"] if item["external_id"] == external_id)
        return found


@pytest.fixture
def read(server: Endpoint, world: World) -> Read:
    return Read(server, world)


@pytest.fixture(scope="module")
def still(server: Endpoint, world: World) -> Read:
    """One for the tests that write nothing."""
    return Read(server, world)


def test_everything_at_first(still: Read) -> None:
    page = still.page()
    got = {(i["external_id"], i["username"], i["status"], str(i["values"])) for i in page["items"]}
    expected = {
        (
            row.id,
            still.user_names[answer.user],
            answer.status,
            str({question: {"value": value} for question, value in answer.values.items()}),
        )
        for row in still.rows
        for answer in row.answers
    }
    assert got == expected
    assert len(page["items"]) == len(expected)
    assert page["more"] is False
    assert "ids" not in page
    times = [item["updated_at"] for item in page["items"]]
    assert times == sorted(times)


def test_an_edited_answer_on_a_completed_record_is_seen(read: Read) -> None:
    row = next(r for r in read.rows if any(a.user == "ada" and a.status == "submitted" for a in r.answers))
    before = read.page()
    record = read.record(row.id)
    assert record["status"] == "completed"
    mine = next(i for i in before["items"] if i["external_id"] == row.id and i["username"] == read.user_names["ada"])
    new = {"preference": {"value": "tie" if mine["values"]["preference"]["value"] != "tie" else "chosen"}}
    read.annotators["ada"].call("PUT", f"/responses/{mine['id']}", json={"status": "submitted", "values": new})

    assert read.record(row.id)["updated_at"] == record["updated_at"], "a comparison of records would miss it"
    seen = read.page(since=before["now"])["items"]
    assert [(i["id"], i["values"], i["status"]) for i in seen] == [(mine["id"], new, "submitted")]
    assert seen[0]["updated_at"] > mine["updated_at"]
    assert seen[0]["inserted_at"] == mine["inserted_at"]
    assert mine["id"] in {i["id"] for i in read.page(since=before["cursor"])["items"]}


def test_a_new_answer_and_a_discarded_one_are_seen(read: Read) -> None:
    before = read.page()
    untouched = next(r for r in read.rows if not r.answers)
    record = read.record(untouched.id)
    body = {"status": "submitted", "values": {"preference": {"value": "rejected"}}}
    made = read.annotators["bo"].call("POST", f"/records/{record['id']}/responses", json=body)
    read.annotators["bo"].call("PUT", f"/responses/{made['id']}", json={"status": "discarded"})
    seen = read.page(since=before["now"])["items"]
    assert [(i["id"], i["external_id"], i["status"], i["values"]) for i in seen] == [
        (made["id"], untouched.id, "discarded", {})
    ]


def test_a_moment_includes_itself(still: Read) -> None:
    last = still.page()["items"][-1]
    again = still.page(since=last["updated_at"])["items"]
    assert last["id"] in {item["id"] for item in again}
    assert {item["updated_at"] for item in again} == {last["updated_at"]}


def test_pages_are_complete_without_doubles_even_within_one_moment(still: Read) -> None:
    whole = [item["id"] for item in still.page()["items"]]
    moments = {item["updated_at"] for item in still.page()["items"]}
    assert len(moments) < len(whole), "several answers have to share a moment for this test"
    got, since, more = [], "", True
    while more:
        page = still.page(since=since, limit=7, ids=True)
        assert len(page["items"]) <= 7
        got += [item["id"] for item in page["items"]]
        since, more = page["cursor"], page["more"]
        assert ("ids" in page) is not more
    assert got == whole


def test_what_is_written_while_pages_are_read_comes_with_the_next_reading(read: Read) -> None:
    first = read.page(limit=5)
    mine = next(i for i in first["items"] if i["status"] == "submitted")
    user = next(user for user, name in read.user_names.items() if name == mine["username"])
    body = {"status": "submitted", "values": {"preference": {"value": "tie"}}}
    since, more = first["cursor"], first["more"]
    read.annotators[user].call("PUT", f"/responses/{mine['id']}", json=body)
    while more:
        page = read.page(since=since, limit=5)
        since, more = page["cursor"], page["more"]
    assert {"value": "tie"} in [
        i["values"]["preference"] for i in read.page(since=since)["items"] if i["id"] == mine["id"]
    ]


def test_deletions_are_found_by_ids(read: Read) -> None:
    before = read.page(ids=True)
    assert {i["id"] for i in before["ids"]} == {i["id"] for i in before["items"]}
    response = next(i for i in before["items"] if i["username"] == read.user_names["ada"])
    read.annotators["ada"].call("DELETE", f"/responses/{response['id']}")
    gone = next(r for r in read.rows if r.answers and r.id != response["external_id"])
    record = read.record(gone.id)
    read.owner.call("DELETE", f"/datasets/{read.dataset}/records", params={"ids": record["id"]})
    after = read.page(since=before["now"], ids=True)
    left = {i["id"]: i["external_id"] for i in after["ids"]}
    assert after["items"] == []
    assert set(left) == {i["id"] for i in before["items"] if i["id"] != response["id"] and i["external_id"] != gone.id}
    assert read.owner.search(read.dataset, filters=[])[1] == 59


def test_only_owners_may_ask(still: Read, server: Endpoint) -> None:
    admin = still.owner.call(
        "POST",
        "/users",
        json={"username": f"admin-{next(NUMBERS)}", "first_name": "x", "password": "password-1", "role": "admin"},
    )
    for api in (still.annotators["ada"], Api(server.url, admin["api_key"])):
        assert api.status_of("GET", still.path) == 403
    assert Api(server.url, "wrong").status_of("GET", still.path) == 401
    assert httpx.get(f"{server.url}/api/v1{still.path}", trust_env=False).status_code == 401


@pytest.mark.parametrize(("since", "code"), [("yesterday", 422), ("2026-01-01|x", 422), ("2026-01-01T00:00:00Z", 200)])
def test_a_cursor_is_checked(still: Read, since: str, code: int) -> None:
    assert still.owner.status_of("GET", still.path, params={"since": since}) == code


def test_an_unknown_dataset_is_not_found(world: World) -> None:
    path = "/studio/datasets/00000000-0000-0000-0000-000000000000/changes"
    assert world.owner.status_of("GET", path) == 404
