"""Every route of Argilla's, through the proxy: nobody, the annotator of another workspace, and one of this one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from pipeline.review.annotators import create_annotators
from pipeline.review.importing import import_pairs
from pipeline.review.service import Endpoint
from pipeline.web.annotate import Listener, build_annotators_app, serve_annotators
from tests.integration.test_review_server import Person, counts_of, make_pair, plan_for

MARK = "zebrafish"
METHODS = ("get", "put", "post", "patch", "delete")
FORGED = {"X-Forwarded-User": "argilla", "X-Argilla-Api-Key": "argilla.apikey", "Authorization": "Bearer e30.e30."}
NEW = {"name": "x", "username": "somebody", "password": "longenough", "role": "owner", "first_name": "x"}
OPEN = re.compile(r"/api/v1/(version|status|settings|oauth2/providers)$|/api/(docs|v1/docs|openapi)|/api/v1/token$")


@pytest.fixture(scope="module")
def base(argilla: Endpoint) -> Iterator[str]:
    """Where annotators are served."""
    listener: Listener = serve_annotators(
        build_annotators_app(lambda: f"http://127.0.0.1:{argilla.port}"), "127.0.0.1", 0
    )
    yield f"http://127.0.0.1:{listener.port}/annotate"
    listener.stop()


def attempts(paths: dict[str, Any], people: list[str]) -> Iterator[tuple[str, str, str, dict[str, str] | None]]:
    """Yield each path with each of its methods, who asks, and a body."""
    for path, methods in paths.items():
        for method in sorted(set(methods) & set(METHODS)):
            for body in [None] if method == "get" else [{}, NEW]:
                for who in people:
                    own_work = method == "get" or path.endswith("/records/search")
                    if who != "an annotator" or not own_work:
                        yield path, method, who, body


def test_argilla_gives_nothing_to_whom_it_does_not_belong(argilla: Endpoint, base: str, unique: str) -> None:
    pairs = [make_pair(number, f"{MARK} {number}?") for number in range(3)]
    hers, his = plan_for(pairs, unique), plan_for(pairs, f"{unique}b")
    dataset = import_pairs(argilla, hers, pairs, counts_of(pairs)).dataset_id
    (anna,) = create_annotators(argilla, hers.workspace, [f"anna{unique}"])
    (wim,) = create_annotators(argilla, his.workspace, [f"wim{unique}"])
    own = httpx.Client(
        base_url=f"{argilla.url}/api/v1/", headers={"X-Argilla-Api-Key": argilla.api_key}, trust_env=False
    )
    record = own.get(f"datasets/{dataset}/records").json()["items"][0]["id"]
    workspaces = {one["name"]: one["id"] for one in own.get("me/workspaces").json()["items"]}
    users = {one["username"]: one["id"] for one in own.get("users").json()["items"]}
    question = own.get(f"datasets/{dataset}/questions").json()["items"][0]["id"]
    ids = {
        "dataset_id": dataset,
        "record_id": record,
        "workspace_id": workspaces[hers.workspace],
        "user_id": users[anna.username],
        "question_id": question,
    }
    paths = own.get("openapi.json").json()["paths"]
    before = own.get(f"datasets/{dataset}/records", params={"include": "responses"}).text, own.get("users").text
    people = {
        "nobody": httpx.Client(trust_env=False, timeout=60),
        "forged": httpx.Client(headers=FORGED, trust_env=False, timeout=60),
        "another's": Person(base, wim).http,
        "an annotator": Person(base, anna).http,
    }
    root = base.removesuffix("/annotate")
    private = (MARK, ids["workspace_id"], anna.username)
    tried: Counter[str] = Counter()
    succeeded = []
    for path, method, who, body in attempts(paths, list(people)):
        filled = re.sub(r"\{(\w+)\}", lambda found: ids.get(found[1], str(uuid4())), path)
        address = f"{root}/annotate{filled if filled.startswith('/api') else f'/api/v1{filled}'}"
        answer = people[who].request(method, address, json=body, params={"workspace_id": ids["workspace_id"]})
        tried[who] += 1
        own_list = who == "another's" and method == "get" and not any(each in answer.text for each in private)
        if MARK in answer.text or (answer.is_success and not own_list and not OPEN.search(address)):
            succeeded.append(f"{who}: {method} {path} {body} {answer.status_code} {answer.text[:200]}")
    print(f"{sum(tried.values())} forged requests to {len(paths)} paths, {len(succeeded)} succeeded: {dict(tried)}")
    assert len(paths) > 40 and not succeeded, "\n".join(succeeded)
    after = own.get(f"datasets/{dataset}/records", params={"include": "responses"}).text, own.get("users").text
    assert after == before
