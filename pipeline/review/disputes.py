"""What annotators agree on in a project, and what they dispute: the queue that its owner settles in Argilla.

Argilla shows a person what waits for their own answer, and a record that has the answers it needs waits for nobody. So
a dispute is opened by an empty draft of the owner's: it stands under “Draft” for them alone and counts as nothing.
What they submit there decides the pair, whatever the policy (`pipeline.review.settle.count`).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.base.memory import cached, version
from pipeline.base.project import Project
from pipeline.review.agreement import Agreement, Scale, agreement, disputed
from pipeline.review.answers import PREFERENCE, RELEVANCE, Answer
from pipeline.review.api import Api, ReviewError
from pipeline.review.plan import ReviewPlan
from pipeline.review.project import answers_of, arbitration_of, order_of, plan_of, review_of, save_arbitration
from pipeline.review.service import Endpoint
from pipeline.review.settle import Arbitration, counted

_TERMS = 250  # values of one filter, the server's limit
_BULK = 100  # responses in one request, the server's limit
FAR = 2  # ratings of one pair that differ by as much are disputed
Said = dict[str, dict[str, Any]]  # record id → annotator → value


def scales_of(plan: ReviewPlan) -> dict[str, Scale]:
    """Return the questions whose answers can be compared, and how; free text cannot be."""
    found: dict[str, Scale] = {} if plan.relevance == "off" else {RELEVANCE: "ordinal"}
    found[PREFERENCE] = "nominal"
    for question in plan.questions:
        if question.kind != "text":
            found[question.name] = "ordinal" if question.kind == "rating" else "nominal"
    return found


def said_of(of: Project) -> dict[str, Said]:
    """Return what the annotators of a project said, by question; what its owner settled is not among it."""
    plan, arbitration = plan_of(of), arbitration_of(of)
    found: dict[str, Said] = {name: defaultdict(dict) for name in scales_of(plan)}
    for answer in counted(answers_of(of)):
        if arbitration.decides(answer):
            continue
        for name, value in _values(answer).items():
            if name in found and value is not None:
                found[name][answer.record_id][answer.annotator] = value
    return found


def _values(answer: Answer) -> dict[str, Any]:
    others: dict[str, Any] = json.loads(answer.others) if answer.others else {}
    values = {name: _comparable(value) for name, value in others.items()}
    return {RELEVANCE: answer.relevance, PREFERENCE: answer.preference, **values}


def _comparable(value: Any) -> Any:
    """Return a value that can be counted; of a multi-label, the order in which labels were clicked says nothing."""
    if isinstance(value, list):
        if all(isinstance(item, str) for item in value):
            return tuple(sorted(value))
        return tuple(sorted((str(item.get("value")), item.get("rank")) for item in value))
    return value


@dataclass(frozen=True)
class Opinions:
    """How a project's annotators agree.

    Attributes:
        agreements: By question, in the order of the plan.
        disputes: Ids of the pairs they dispute: those they compare differently first, then those whose ratings differ
            by `FAR` and more, by how far they differ.
        settled: Those of them that the owner has settled.
    """

    agreements: tuple[Agreement, ...]
    disputes: tuple[str, ...]
    settled: frozenset[str]


def opinions_of(of: Project) -> Opinions:
    """Return how the annotators of a project agree, by the answers read back so far."""
    seen = (version(of.answers), arbitration_of(of), version(of.folder / "project.json"))
    return cached("opinions", of.folder, seen, lambda: _opinions(of))


def _opinions(of: Project) -> Opinions:
    said, scales = said_of(of), scales_of(plan_of(of))
    compared = [name for name, _ in disputed(said[PREFERENCE], lambda one, other: float(one != other))]
    rated = disputed(said.get(RELEVANCE, {}), lambda one, other: abs(one - other))
    queue = dict.fromkeys([*compared, *(name for name, far in rated if far >= FAR)])
    arbitration = arbitration_of(of)
    decided = {answer.record_id for answer in counted(answers_of(of)) if arbitration.decides(answer)}
    return Opinions(
        tuple(agreement(name, said[name], scale) for name, scale in scales.items()),
        tuple(queue),
        frozenset(decided & queue.keys()),
    )


def open_disputes(of: Project, endpoint: Endpoint) -> int:
    """Put the pairs that annotators dispute before whoever settles them in Argilla, as drafts.

    Args:
        of: The project.
        endpoint: The review server, with the key of who settles them: an owner's, or that of a Space's visitor who has
            come by an invitation of their own (`pipeline.review.joining`).

    Returns:
        Number of pairs that wait there for the owner now.

    Raises:
        StudioError: Nothing is imported there, or the server is not reached or refuses.
    """
    opinions, plan = opinions_of(of), plan_of(of)
    review, order = review_of(of, endpoint), order_of(of, plan)
    waiting = [record_id for record_id in opinions.disputes if record_id not in opinions.settled]
    before = arbitration_of(of)
    fresh = [record_id for record_id in waiting if record_id not in before.record_ids]
    ours = {order.place(record_id).external_id: record_id for record_id in fresh}
    with Api(endpoint) as api:
        me = api.check().username
        there = _records(api, review.dataset_id, list(ours))
        opened = [there[name] for name in ours if name in there]
        # Noted first: an answer of the owner's that is submitted at once is one of an arbiter already.
        noted = before.record_ids | {record_id for name, record_id in ours.items() if name in there}
        save_arbitration(of, Arbitration(me, noted))
        for start in range(0, len(opened), _BULK):
            # Empty and not null: of a draft without values Argilla's page shows nothing.
            items = [{"record_id": id, "status": "draft", "values": {}} for id in opened[start : start + _BULK]]
            for item in api.send("POST", "me/responses/bulk", {"items": items})["items"]:
                if item["error"]:
                    raise ReviewError("argilla.refused", detail=item["error"]["detail"])
    return len(opened) + len(waiting) - len(fresh)


def _records(api: Api, dataset_id: str, external_ids: list[str]) -> Mapping[str, str]:
    """Return Argilla's ids of records by ours; those that the owner has answered already are left out."""
    found: dict[str, str] = {}
    for start in range(0, len(external_ids), _TERMS):
        scope = {"entity": "record", "property": "external_id"}
        terms = {"type": "terms", "scope": scope, "values": external_ids[start : start + _TERMS]}
        path, body = f"me/datasets/{dataset_id}/records/search", {"filters": {"and": [terms]}}
        answer = api.send("POST", path, body, include="responses", limit=_TERMS)
        records = [item["record"] for item in answer["items"]]
        found |= {record["external_id"]: record["id"] for record in records if not record.get("responses")}
    return found
