"""What reviewers have done: progress, and their answers, read back step by step."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from pipeline.review.answers import Answer, moment
from pipeline.review.api import Api
from pipeline.review.order import AsStored, Meaning

if TYPE_CHECKING:
    from pipeline.review.service import Endpoint

_PAGE = 500  # records read at once
_AS_STORED = AsStored()


class AnnotatorProgress(NamedTuple):
    """Responses of one annotator, by status."""

    username: str
    submitted: int
    draft: int
    discarded: int


@dataclass(frozen=True)
class Progress:
    """How far a review is, in records.

    Attributes:
        total: Records in the dataset.
        completed: Those with as many answers as the plan asks for.
        pending: The others.
        per_annotator: Everybody who has answered at least once.
    """

    total: int
    completed: int
    pending: int
    per_annotator: list[AnnotatorProgress]


@dataclass(frozen=True)
class Changes:
    """What happened to a dataset's answers since a cursor.

    Attributes:
        answers: New and changed answers; all there are if `complete`.
        cursor: Where to go on next time.
        complete: Whether `answers` are all there are.
        live: Record and time of change of every answer there is, to find the deleted ones; None: none were deleted.
        total: Number of answers there are; None where the server does not say.
    """

    answers: list[Answer]
    cursor: str
    complete: bool
    live: frozenset[tuple[str, datetime]] | None = None
    total: int | None = None


def progress(endpoint: Endpoint, dataset_id: str) -> Progress:
    """Return how far a review is.

    Raises:
        ReviewError: See `pipeline.review.api`; `Refused` with status 404 when the dataset is gone.
    """
    with Api(endpoint) as api:
        counted = api.get(f"datasets/{dataset_id}/progress")
        users = api.get(f"datasets/{dataset_id}/users/progress")["users"]
    return Progress(
        counted["total"],
        counted["completed"],
        counted["pending"],
        [
            AnnotatorProgress(
                user["username"],
                *(
                    user["completed"][status] + user["pending"][status]
                    for status in ("submitted", "draft", "discarded")
                ),
            )
            for user in users
        ],
    )


def changes(endpoint: Endpoint, dataset_id: str, since: str | None, meaning: Meaning = _AS_STORED) -> Changes:
    """Return the answers written since a cursor.

    Nothing is read while the dataset's `last_activity_at` stands still: writing, editing and deleting a response move
    it (a record's `updated_at` stays when an answer of a completed record is edited). The embedded server then says
    which answers changed; a foreign one is read in full.

    Args:
        endpoint: The review server.
        dataset_id: Argilla's id of the dataset.
        since: The cursor of the last call for this dataset; empty or None: everything.
        meaning: What the answers mean.

    Raises:
        ReviewError: See `pipeline.review.api`; `Refused` with status 404 when the dataset is gone.
    """
    seen, _, position = (since or "").partition(" ")
    with Api(endpoint) as api:
        activity = str(api.get(f"datasets/{dataset_id}")["last_activity_at"])  # first: what comes later is read again
        if activity == seen:
            return Changes([], since or "", complete=False)
        if not endpoint.embedded:
            return Changes(_latest(_all_answers(api, dataset_id, meaning)), activity, complete=True)
        return _changed_answers(api, dataset_id, activity, position, meaning)


def read_answers(
    endpoint: Endpoint, dataset_id: str, known: Iterable[Answer], cursor: str, meaning: Meaning = _AS_STORED
) -> tuple[list[Answer], str]:
    """Bring the answers already read up to date.

    Args:
        endpoint: The review server.
        dataset_id: Argilla's id of the dataset.
        known: What was read up to the cursor.
        cursor: Where the last reading ended, empty for the first.
        meaning: What the answers mean: where answer A is not always the chosen one.

    Returns:
        All answers there are now, and the new cursor.

    Raises:
        ReviewError: See `pipeline.review.api`.
    """
    found = changes(endpoint, dataset_id, cursor, meaning)
    before = list(known)
    merged = merge(before, found)
    if found.total is not None and found.total != len(merged):
        # Some were deleted. All ids are asked for now alone: of 120,000 answers they are 15 MB.
        with Api(endpoint) as api:
            merged = merge(before, replace(found, live=_live(api, dataset_id, found.cursor, meaning)))
    return merged, found.cursor


def merge(known: Iterable[Answer], found: Changes) -> list[Answer]:
    """Return the answers there are after some changes.

    Args:
        known: The answers before.
        found: What has changed since.
    """
    if found.complete:
        return found.answers
    merged = {(answer.record_id, answer.annotator): answer for answer in (*known, *found.answers)}
    if found.live is None:
        return list(merged.values())
    here = {(answer.record_id, answer.updated_at) for answer in merged.values()}
    # An answer edited between the server's two reads is alive under a time not read yet; the next call brings it.
    in_motion = {record_id for record_id, _ in found.live - here}
    return [
        answer
        for answer in merged.values()
        if (answer.record_id, answer.updated_at) in found.live or answer.record_id in in_motion
    ]


def _changed_answers(api: Api, dataset_id: str, activity: str, position: str, meaning: Meaning) -> Changes:
    """Read the embedded server's own endpoint (`engines/argilla_server/changes.py`) to its last page."""
    complete = not position
    answers: list[Answer] = []
    while True:
        page = api.get(f"studio/datasets/{dataset_id}/changes", since=position)
        for item in page["items"]:
            answer = meaning.answer(item["external_id"], item["username"], item) if item["external_id"] else None
            if answer is not None:
                answers.append(answer)
        position = page["cursor"]
        if not page["more"]:
            break
    total = None if complete else int(page["total"])
    return Changes(_latest(answers), f"{activity} {position}", complete, total=total)


def _live(api: Api, dataset_id: str, cursor: str, meaning: Meaning) -> frozenset[tuple[str, datetime]]:
    """Return record and time of change of every answer there is."""
    position = cursor.partition(" ")[2]
    while True:
        page = api.get(f"studio/datasets/{dataset_id}/changes", since=position, ids=True)
        if not page["more"]:
            break
        position = page["cursor"]
    named = ((meaning.record(str(item["external_id"])), item["updated_at"]) for item in page["ids"])
    return frozenset((record_id, moment(updated_at)) for record_id, updated_at in named if record_id is not None)


def _all_answers(api: Api, dataset_id: str, meaning: Meaning) -> Iterator[Answer]:
    users = {user["id"]: user["username"] for user in api.get("users")["items"]}
    for offset in itertools.count(0, _PAGE):
        page = api.get(f"datasets/{dataset_id}/records", include="responses", limit=_PAGE, offset=offset)["items"]
        for record in page:
            if not record["external_id"]:
                continue  # a record somebody added in Argilla: none of our pairs
            for response in record.get("responses") or []:
                name = users.get(response["user_id"], response["user_id"])
                answer = meaning.answer(record["external_id"], name, response)
                if answer is not None:
                    yield answer
        if len(page) < _PAGE:
            return


def _latest(answers: Iterable[Answer]) -> list[Answer]:
    """Return one answer per record and annotator: what changes during a reading of several pages comes twice."""
    return list({(answer.record_id, answer.annotator): answer for answer in answers}.values())
