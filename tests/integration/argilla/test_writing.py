"""What writes: records, answers, vectors, the in-process queue and webhooks."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.review.service import Endpoint
from tests.integration.argilla.conftest import (
    Api,
    World,
    add_annotator,
    connect,
    generate,
    publish,
    rg,
    settings,
    to_record,
)


def until(condition: Callable[[], Any], seconds: float = 30) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return value


def make_dataset(server: Endpoint, world: World, name: str, count: int = 20) -> tuple[rg.Dataset, dict[str, Api]]:
    client = connect(server)
    workspace = client.workspaces.add(rg.Workspace(name=name, client=client))
    accounts = {user: add_annotator(world.owner, str(workspace.id), f"{name}-{user}") for user in ("ada", "bo")}
    rows = generate(3, count)
    dataset = publish(client, name, name, rows, {user: id for user, (id, _) in accounts.items()})
    return dataset, {user: Api(server.url, key) for user, (_, key) in accounts.items()}


def test_edited_and_deleted_records_are_searched_as_they_are(server: Endpoint, world: World) -> None:
    dataset, _ = make_dataset(server, world, "edited")
    id = str(dataset.id)
    rows = {row.id: row for row in generate(3, 20)}
    old = rows["r-0004"].prompt
    assert "r-0004" in world.owner.search(id, f'"{old}"')[0]
    rows["r-0004"].prompt, rows["r-0004"].chosen, rows["r-0004"].answers = "ornithology 鳥類", "penguin", []
    dataset.records.log([to_record(rows["r-0004"], {})])
    for query in ("ornithology", "penguin", "鳥"):
        assert world.owner.search(id, query) == (["r-0004"], 1)
    assert "r-0004" not in world.owner.search(id, f'"{old}"')[0]
    assert world.owner.search(id)[1] == 20

    listed = world.owner.call("GET", f"/datasets/{id}/records", params={"limit": 1000})["items"]
    record = next(item for item in listed if item["external_id"] == "r-0004")
    world.owner.call("DELETE", f"/datasets/{id}/records", params={"ids": record["id"]})
    assert world.owner.search(id, "ornithology") == ([], 0)
    assert world.owner.call("GET", f"/datasets/{id}/progress")["total"] == 19

    dataset.delete()
    assert world.owner.status_of("GET", f"/datasets/{id}/progress") == 404


def test_answers_count_at_once(server: Endpoint, world: World) -> None:
    dataset, annotators = make_dataset(server, world, "counting")
    id = str(dataset.id)
    pending = [{"type": "terms", "scope": {"entity": "response", "property": "status"}, "values": ["pending"]}]
    queue, total = annotators["ada"].search(id, filters=pending, me=True)
    listed = world.owner.call("GET", f"/datasets/{id}/records", params={"limit": 1000})["items"]
    record = next(item for item in listed if item["external_id"] == queue[0])
    body = {"status": "submitted", "values": {"preference": {"value": "tie"}, "rating": {"value": 5}}}
    annotators["ada"].call("POST", f"/records/{record['id']}/responses", json=body)
    assert annotators["ada"].search(id, filters=pending, me=True) == (queue[1:], total - 1)
    rated = [{"type": "range", "scope": {"entity": "response", "question": "rating"}, "ge": 5}]
    assert queue[0] in world.owner.search(id, filters=rated)[0]


def test_awkward_texts_are_taken_and_found(server: Endpoint, world: World) -> None:
    """Empty chats and messages, very long ones, a lone surrogate, NUL and a field that is missing."""
    client = connect(server)
    schema = rg.Settings(
        fields=[rg.TextField(name="prompt"), rg.ChatField(name="chosen", use_markdown=False, required=False)],
        questions=[rg.TextQuestion(name="note")],
    )
    dataset = rg.Dataset(name="awkward", workspace="world", settings=schema, client=client).create()
    id = str(dataset.id)
    long = "lorem " * 16000 + "needle"
    items = [
        {"external_id": "empty chat", "fields": {"prompt": "one", "chosen": []}},
        {"external_id": "empty message", "fields": {"prompt": "two", "chosen": [{"role": "user", "content": ""}]}},
        {"external_id": "long", "fields": {"prompt": "three", "chosen": [{"role": "user", "content": long}]}},
        {"external_id": "nul", "fields": {"prompt": "four\u0000five"}},
        {"external_id": "rare han", "fields": {"prompt": "昔𠮷野家で"}},
    ]
    world.owner.call("POST", f"/datasets/{id}/records/bulk", json={"items": items})
    expected = {
        "one": "empty chat",
        "two": "empty message",
        "needle": "long",
        "three": "long",
        "five": "nul",
        "𠮷": "rare han",
    }
    assert {query: world.owner.search(id, query)[0] for query in expected} == {
        q: [name] for q, name in expected.items()
    }


def test_similar_records(server: Endpoint, world: World) -> None:
    client = connect(server)
    schema = settings()
    schema.vectors.add(rg.VectorField(name="embedding", dimensions=8))
    dataset = rg.Dataset(name="vectors", workspace="world", settings=schema, client=client).create()
    rng = np.random.default_rng(5)
    vectors = {f"r-{number:04}": rng.normal(size=8).round(4) for number in range(60)}
    rows = {row.id: row for row in generate(5, 60)}
    for row in rows.values():
        row.answers = []
    records = [to_record(row, {}) for row in rows.values()]
    for record in records:
        record.vectors["embedding"] = vectors[record.id].tolist()
    dataset.records.log(records)
    target = rng.normal(size=8)

    def cosine(id: str) -> float:
        return float(vectors[id] @ target / np.linalg.norm(vectors[id]) / np.linalg.norm(target))

    def search(order: str, **more: Any) -> list[tuple[str, float]]:
        vector = {"name": "embedding", "value": target.tolist(), "order": order}
        body = {"query": {"vector": vector} | more.pop("query", {}), **more}
        found = world.owner.call("POST", f"/datasets/{dataset.id}/records/search", json=body, params={"limit": 10})
        return [(item["record"]["external_id"], item["query_score"]) for item in found["items"]]

    best = sorted(vectors, key=cosine, reverse=True)
    most = search("most_similar")
    assert [id for id, _ in most] == best[:10]
    assert [score for _, score in most] == pytest.approx([(1 + cosine(id)) / 2 for id in best[:10]], abs=1e-5)
    assert [id for id, _ in search("least_similar")] == best[:-11:-1]
    zebras = [id for id in best if "zebra" in (rows[id].prompt + " " + rows[id].chosen).split()]
    assert len(zebras) > 3
    assert [id for id, _ in search("most_similar", query={"text": {"q": "zebra"}})] == zebras[:10]


def test_a_dataset_update_recomputes_statuses_in_the_queue(server: Endpoint, argilla_home: Path, world: World) -> None:
    dataset, _ = make_dataset(server, world, "queue")
    id = str(dataset.id)
    completed = world.owner.call("GET", f"/datasets/{id}/progress")["completed"]
    assert completed > 3
    with sqlite3.connect(argilla_home / "argilla.db", timeout=30) as con:
        con.execute("UPDATE records SET status='pending' WHERE dataset_id=?", (dataset.id.hex,))
    con.close()
    assert world.owner.call("GET", f"/datasets/{id}/progress")["completed"] == 0
    answer = world.owner.call("PATCH", f"/datasets/{id}", json={"guidelines": "Prefer the truth."})
    assert answer["guidelines"] == "Prefer the truth."
    until(lambda: world.owner.call("GET", f"/datasets/{id}/progress")["completed"] == completed)


def test_min_submitted_can_be_changed_before_the_first_answer(server: Endpoint, world: World) -> None:
    client = connect(server)
    dataset = rg.Dataset(name="overlap", workspace="world", settings=settings(), client=client).create()
    wish = {"distribution": {"strategy": "overlap", "min_submitted": 3}}
    assert world.owner.call("PATCH", f"/datasets/{dataset.id}", json=wish)["distribution"]["min_submitted"] == 3


def test_webhooks_are_delivered(server: Endpoint, world: World) -> None:
    """The speed patches ask for webhooks first; with one there, events must flow as upstream's."""
    heard: list[dict[str, Any]] = []

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Keep the test's output clean."""

    # A record that comes with answers is "updated" in upstream's words: its status changes after its insertion.
    events = ["record.created", "record.updated", "response.created"]
    listener = HTTPServer(("127.0.0.1", 0), Listener)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    hook = world.owner.call(
        "POST",
        "/webhooks",
        json={"url": f"http://127.0.0.1:{listener.server_port}/", "events": events},
    )
    try:
        dataset, _ = make_dataset(server, world, "hooks", count=3)
        record = world.owner.call("GET", f"/datasets/{dataset.id}/records")["items"][0]
        until(lambda: len({e["data"]["external_id"] for e in heard if e["type"].startswith("record.")}) == 3)
        user = add_annotator(world.owner, str(dataset.workspace.id), "hooks-new")
        body = {"status": "submitted", "values": {"preference": {"value": "tie"}}}
        Api(server.url, user[1]).call("POST", f"/records/{record['id']}/responses", json=body)
        event = until(lambda: [e for e in heard if e["type"] == "response.created"])[0]
        assert event["data"]["values"]["preference"]["value"] == "tie"
        assert event["data"]["record"]["external_id"] == record["external_id"]
    finally:
        world.owner.call("DELETE", f"/webhooks/{hook['id']}")
        listener.shutdown()
        listener.server_close()
