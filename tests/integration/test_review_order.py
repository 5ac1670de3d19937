"""The order of the answers is drawn: annotators cannot tell which is the chosen one, and what they say is what is kept."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from typing import Any

import httpx
import pytest

from pipeline.base.pair import Pair, identify
from pipeline.review.annotators import create_annotators
from pipeline.review.answers import Answer
from pipeline.review.importing import import_pairs
from pipeline.review.order import Drawn, Order
from pipeline.review.plan import ReviewPlan, columns_of, suggest
from pipeline.review.questions import Question
from pipeline.review.readback import read_answers
from pipeline.review.service import Endpoint
from tests.integration.test_review_server import Person, counts_of, everything, said

HOSTILE = "<script>alert(1)</script> $& $' $$ #TEMPLATE# &lt; &amp;copy &#36; <!-- <b>x</b>"


def made(number: int) -> list[Pair]:
    parts = [
        (said(f"Question {each}?", "user"), said(f"Good {each} {HOSTILE}"), said(f"Bad {each}"))
        for each in range(number)
    ]
    rows = zip(identify(parts), parts, strict=True)
    return [Pair(name, *three, "web", {"score": at, "judge": f"<i>{at}"}) for at, (name, three) in enumerate(rows)]


def planned(pairs: list[Pair], name: str, **changed: object) -> ReviewPlan:
    return suggest(pairs, name, "words").model_copy(update={"workspace": f"ws-{name}", **changed})


@pytest.mark.parametrize("layout", ["beside", "below"])
def test_nothing_in_argilla_tells_the_chosen_answer(argilla: Endpoint, unique: str, layout: str) -> None:
    pairs, order = made(60), Order(secrets.token_bytes(32))
    plan = planned(pairs, unique, layout=layout)
    dataset_id = import_pairs(argilla, plan, pairs, counts_of(pairs), order=order).dataset_id
    assert import_pairs(argilla, plan, pairs, counts_of(pairs), order=order).already_there == 60
    there = everything(argilla, dataset_id)
    assert len(there) == 60 and not set(there) & {pair.record_id for pair in pairs}
    first = 0
    for pair in pairs:
        record: Any = there[order.place(pair.record_id).external_id]
        fields = record["fields"]["pair"] if layout == "beside" else record["fields"]
        a, b = fields["answer_a"][0]["content"], fields["answer_b"][0]["content"]
        assert {a.split()[0], b.split()[0]} == {"Good", "Bad"}
        first += a.startswith("Good")
        assert "<" not in json.dumps(record["fields"]) and not re.search("chosen|rejected", json.dumps(record))
        # Whoever sees the texts can hash them as `identify` does, in either order: it is no id of the record's.
        assert not re.search(pair.record_id[:8], json.dumps(record))
        assert record["external_id"] not in hashlib.sha256(pair.record_id.encode()).hexdigest()
    assert 15 <= first <= 45  # 60 draws: outside with a probability of 1e-4


def test_what_was_meant_is_read_back(argilla: Endpoint, unique: str) -> None:
    pairs, order = made(12), Order(secrets.token_bytes(32))
    more = [
        Question(kind="multi_label", name="faults", title="What is wrong?", options=["facts", "tone"], required=False),
        Question(kind="ranking", name="rank", title="Rank.", options=["x", "y"], required=False),
        Question(kind="text", name="why", title="Why?", required=False),
        Question(kind="label", name="topic", title="Topic?", options=["a", "b"], required=False),
        Question(kind="rating", name="style", title="Style?", points=3, required=False),
    ]
    plan = planned(
        pairs, unique, questions=more, relevance="optional", columns=["judge"], metadata=["score", "prompt_tokens"]
    )
    dataset_id = import_pairs(argilla, plan, pairs, counts_of(pairs), order=order, kinds=columns_of(pairs)).dataset_id
    people = [
        Person(argilla.url, each) for each in create_annotators(argilla, plan.workspace, [f"{unique}-a", f"{unique}-b"])
    ]
    meaning = Drawn(order, [pair.record_id for pair in pairs])
    for person in people:
        found = person.http.post(f"me/datasets/{dataset_id}/records/search", json={}, params={"limit": 100}).json()
        for item in found["items"]:
            record = item["record"]
            assert isinstance(record["metadata"]["column_score"], int) and record["fields"]["column_judge"]
            shown = record["fields"]["pair"]["answer_a"][0]["content"]
            good = "a" if shown.startswith("Good") else "b"
            values: dict[str, Any] = {"preference": {"value": good}, "why": {"value": "so"}, "style": {"value": 2}}
            body = {"values": values, "status": "submitted"}
            person.http.post(f"records/{record['id']}/responses", json=body).raise_for_status()
    answers, cursor = read_answers(argilla, dataset_id, [], "", meaning)
    assert len(answers) == 24 and {answer.preference for answer in answers} == {"chosen"}
    assert {answer.record_id for answer in answers} == {pair.record_id for pair in pairs}
    assert {answer.others for answer in answers} == {'{"style": 2, "why": "so"}'}
    again, _ = read_answers(argilla, dataset_id, answers, cursor, meaning)
    assert again == answers
    mine = people[0].http.get("me").json()["id"]
    listed = everything_answered(argilla, dataset_id)
    gone = next(each for each in listed if each["user_id"] == mine)
    people[0].delete(gone["id"])
    left, _ = read_answers(argilla, dataset_id, answers, cursor, meaning)
    assert lost(answers, left) == [(meaning.record(gone["external_id"]), f"{unique}-a")]


def everything_answered(endpoint: Endpoint, dataset_id: str) -> list[dict[str, Any]]:
    answer = httpx.get(
        f"{endpoint.url}/api/v1/studio/datasets/{dataset_id}/changes", headers={"X-Argilla-Api-Key": endpoint.api_key}
    )
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def lost(before: list[Answer], after: list[Answer]) -> list[tuple[str, str]]:
    return [(each.record_id, each.annotator) for each in before if each not in after]


def test_the_script_of_the_field_is_served(argilla: Endpoint) -> None:
    answer = httpx.get(f"{argilla.url}/api/v1/studio/pair.js")
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/javascript")
    assert "innerHTML" not in answer.text and "textContent" in answer.text
