"""One real embedded Argilla per session, and a world of generated records that tests compare with brute force."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import argilla as rg
import httpx
import pytest

from pipeline.review.service import ArgillaService, Endpoint

RECORDS = 320
SOURCES = ["orca", "capybara", "toxic-dpo", "math"]
LABELS = ["chosen", "rejected", "tie"]
ASPECTS = ["facts", "style", "safety"]
AGENTS = ["judge-a", "judge-b"]
WORDS = ["alpha", "beta", "gamma", "delta", "naïve", "running", "runner", "run", "well-known", "café", "zebra", "the"]
CHINESE = "模型可以解释机器学习的基本概念并且给出例子"
JAPANESE = "このモデルは機械学習の例をカタカナとひらがなで説明します"


@pytest.fixture
def new_service(argilla_python: Path, tmp_path: Path) -> Iterator[Callable[[], ArgillaService]]:
    """Makes handles on one home of this test's own; its server is stopped afterwards."""

    def make() -> ArgillaService:
        return ArgillaService(tmp_path / "argilla", argilla_python)

    yield make
    make().stop()


@pytest.fixture(scope="session")
def server(argilla: Endpoint) -> Endpoint:
    """The session's Argilla."""
    return argilla


class Api:
    """Argilla's HTTP API with one user's key."""

    def __init__(self, url: str, key: str) -> None:
        self.key = key
        self._client = httpx.Client(
            base_url=f"{url}/api/v1", headers={"X-Argilla-Api-Key": key}, trust_env=False, timeout=60
        )

    def call(self, method: str, path: str, **request: Any) -> Any:
        answer = self._client.request(method, path, **request)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer.json() if answer.content else None

    def status_of(self, method: str, path: str, **request: Any) -> int:
        return self._client.request(method, path, **request).status_code

    def search(
        self,
        dataset: str,
        text: str | None = None,
        in_field: str | None = None,
        filters: list[dict[str, Any]] | None = None,
        sort: list[dict[str, Any]] | None = None,
        offset: int = 0,
        limit: int = 1000,
        me: bool = False,
    ) -> tuple[list[str], int]:
        """Return the external ids of a page, in order, and the total."""
        body: dict[str, Any] = {}
        if text is not None:
            body["query"] = {"text": {"q": text} | ({"field": in_field} if in_field else {})}
        if filters:
            body["filters"] = {"and": filters}
        if sort:
            body["sort"] = sort
        path = f"{'/me' if me else ''}/datasets/{dataset}/records/search"
        found = self.call("POST", path, json=body, params={"offset": offset, "limit": limit})
        return [item["record"]["external_id"] for item in found["items"]], found["total"]


@dataclass
class Answer:
    user: str
    status: str
    values: dict[str, Any]


@dataclass
class Row:
    """A record as the test knows it."""

    id: str
    prompt: str
    chosen: str
    metadata: dict[str, Any]
    suggestion: tuple[str, float, str] | None
    answers: list[Answer] = field(default_factory=list)

    @property
    def status(self) -> str:
        return "completed" if any(a.status == "submitted" for a in self.answers) else "pending"


@dataclass
class World:
    owner: Api
    annotators: dict[str, Api]
    user_ids: dict[str, str]
    dataset: str
    rows: list[Row]
    server_ids: dict[str, str]

    def ids(self, wanted: Callable[[Row], bool]) -> set[str]:
        return {row.id for row in self.rows if wanted(row)}


def generate(seed: int, count: int) -> list[Row]:
    rng = random.Random(seed)
    rows = []
    for number in range(count):
        texts = []
        for _ in range(2):
            words = rng.choices(WORDS, k=rng.randint(3, 9))
            if rng.random() < 0.3:
                start = rng.randrange(len(CHINESE) - 4)
                words.insert(rng.randrange(len(words)), CHINESE[start : start + rng.randint(1, 6)])
            if rng.random() < 0.3:
                start = rng.randrange(len(JAPANESE) - 4)
                words.append(JAPANESE[start : start + rng.randint(2, 8)])
            texts.append(" ".join(words))
        metadata: dict[str, Any] = {"tokens": rng.randint(1, 500)}
        if rng.random() < 0.9:
            metadata["source"] = rng.choice(SOURCES)
        if rng.random() < 0.7:
            metadata["margin"] = round(rng.uniform(-1, 1), 3)
        suggestion = (rng.choice(LABELS), round(rng.random(), 2), rng.choice(AGENTS)) if rng.random() < 0.8 else None
        row = Row(f"r-{number:04}", texts[0], texts[1], metadata, suggestion)
        for user in ("ada", "bo"):
            if rng.random() < 0.4:
                status = rng.choice(["submitted", "submitted", "draft", "discarded"])
                values = {"preference": rng.choice(LABELS), "rating": rng.randint(1, 5)}
                if rng.random() < 0.5:
                    values["aspects"] = rng.sample(ASPECTS, k=rng.randint(1, 3))
                row.answers.append(Answer(user, status, values))
        rows.append(row)
    return rows


def settings() -> rg.Settings:
    return rg.Settings(
        fields=[rg.TextField(name="prompt"), rg.ChatField(name="chosen", use_markdown=False)],
        questions=[
            rg.LabelQuestion(name="preference", labels=LABELS),
            rg.RatingQuestion(name="rating", values=[1, 2, 3, 4, 5], required=False),
            rg.MultiLabelQuestion(name="aspects", labels=ASPECTS, required=False),
        ],
        metadata=[
            rg.TermsMetadataProperty(name="source"),
            rg.IntegerMetadataProperty(name="tokens"),
            rg.FloatMetadataProperty(name="margin"),
        ],
    )


def to_record(row: Row, user_ids: dict[str, str]) -> rg.Record:
    return rg.Record(
        id=row.id,
        fields={"prompt": row.prompt, "chosen": [{"role": "assistant", "content": row.chosen}]},
        metadata=row.metadata,
        suggestions=[rg.Suggestion("preference", row.suggestion[0], score=row.suggestion[1], agent=row.suggestion[2])]
        if row.suggestion
        else [],
        responses=[
            rg.Response(question, value, user_id=user_ids[answer.user], status=answer.status)
            for answer in row.answers
            for question, value in answer.values.items()
        ],
    )


def connect(endpoint: Endpoint) -> rg.Argilla:
    return rg.Argilla(api_url=endpoint.url, api_key=endpoint.api_key)


def publish(client: rg.Argilla, name: str, workspace: str, rows: list[Row], user_ids: dict[str, str]) -> rg.Dataset:
    dataset = rg.Dataset(name=name, workspace=workspace, settings=settings(), client=client).create()
    dataset.records.log([to_record(row, user_ids) for row in rows])
    return dataset


def add_annotator(owner: Api, workspace: str, name: str) -> tuple[str, str]:
    """Create an annotator in a workspace and return id and key."""
    user = owner.call(
        "POST",
        "/users",
        json={"username": name, "first_name": name, "password": f"{name}-password", "role": "annotator"},
    )
    owner.call("POST", f"/workspaces/{workspace}/users", json={"user_id": user["id"]})
    return user["id"], user["api_key"]


@pytest.fixture(scope="session")
def world(server: Endpoint) -> World:
    """The generated records on the server; tests here only read it."""
    owner = Api(server.url, server.api_key)
    client = connect(server)
    workspace = client.workspaces.add(rg.Workspace(name="world", client=client))
    accounts = {name: add_annotator(owner, str(workspace.id), name) for name in ("ada", "bo")}
    user_ids = {name: id for name, (id, _) in accounts.items()}
    rows = generate(7, RECORDS)
    dataset = publish(client, "world", "world", rows, user_ids)
    listed = owner.call("GET", f"/datasets/{dataset.id}/records", params={"limit": 1000})["items"]
    return World(
        owner,
        {name: Api(server.url, key) for name, (_, key) in accounts.items()},
        user_ids,
        str(dataset.id),
        rows,
        {item["external_id"]: item["id"] for item in listed},
    )
