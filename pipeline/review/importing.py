"""Review in Argilla: importing pairs, and the door to the rest of it.

Speaks the SDK and REST only, with a URL and a key: the same code for the embedded server and for one the user has.
The plan is in `plan`, annotators in `annotators`, progress and answers in `readback`; all are reached from here.
"""

from __future__ import annotations

import html
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx

from pipeline.base.errors import StudioError, disk_full
from pipeline.base.message import Message, message, verbatim
from pipeline.base.pair import Messages, Pair
from pipeline.models.tokens import PairCounts
from pipeline.review import beside
from pipeline.review.api import Api, Refused, ReviewError, ServerUnreachable, server_full
from pipeline.review.order import CHOSEN_FIRST, Order
from pipeline.review.plan import (
    PAIR,
    Kept,
    ReviewPlan,
    metadata_kinds,
    planned_shape,
    settings_of,
    shown_beside,
    slug,
)

if TYPE_CHECKING:
    from pipeline.review.service import Endpoint


_EMBEDDED_LONGEST, _FOREIGN_LONGEST = 500_000, 20_000  # characters of a message; ARGILLA_MAX_MESSAGE_LENGTH
_LONGEST_ROLE = 20  # characters, ARGILLA_MAX_ROLE_LENGTH
_MOST_MESSAGES = 500  # of one field, argilla-server 2.8 schemas
_LONGEST_SOURCE = 250  # characters; Elasticsearch refuses terms above 32 kB
_BULK = 500  # records, the server's limit for one request
_BULK_BYTES = 16 << 20
_TERMS = 250  # values of one filter, the server's limit
_PARTS = ("prompt", "chosen", "rejected")
_READ_AS_HTML = re.compile("<|&(?=[#A-Za-z])")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # not in PostgreSQL's text, not in UTF-8


@dataclass(frozen=True)
class Skipped:
    """A pair that was not imported.

    Attributes:
        number: Its place among the pairs given, from 1.
        record_id: Its id.
        reason: Why.
    """

    number: int
    record_id: str
    reason: Message


def reason_of(skipped: dict[str, Any]) -> Message:
    """Return why a pair named in an import's result was not imported; older results have a sentence."""
    reason = skipped["reason"]
    return verbatim(reason) if isinstance(reason, str) else Message.from_dict(reason)


@dataclass(frozen=True)
class Imported:
    """What an import did.

    Attributes:
        dataset_id: Argilla's id of the dataset.
        total: Records in it now.
        added: Records this import added.
        already_there: Pairs given that were there before.
        skipped: Pairs the server cannot take.
        altered: Pairs added with characters shown as U+FFFD that cannot be stored; our own data keeps them.
        stopped: Whether `should_stop` ended it early.
    """

    dataset_id: str
    total: int
    added: int
    already_there: int
    skipped: tuple[Skipped, ...] = ()
    altered: int = 0
    stopped: bool = False


def import_pairs(
    endpoint: Endpoint,
    plan: ReviewPlan,
    pairs: Iterable[Pair],
    counts: Iterable[PairCounts],
    *,
    order: Order = CHOSEN_FIRST,
    kinds: Mapping[str, Kept] | None = None,
    on_progress: Callable[[int, int | None], None] = lambda done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
    chunk: int = _BULK,
) -> Imported:
    """Put pairs into Argilla; what is there already is left alone, so an import can be stopped and repeated.

    The dataset is made when missing. One of the same name and the same settings is continued; its guidelines and
    question texts stay as they are there.

    Args:
        endpoint: The review server.
        plan: How they are shown.
        pairs: The pairs; may be a generator, at most `chunk` are held at a time.
        counts: Lengths of each pair's parts, in the same order.
        order: Which answer is A, and what each pair's record is called there; the plan says whether it is drawn.
        kinds: What the dataset's own columns are, where the plan names any.
        on_progress: Called with the pairs done and their number (None for a generator) after each chunk.
        should_stop: Asked before each chunk.
        chunk: Pairs in a chunk.

    Raises:
        ReviewError: The server cannot be reached, does not accept the key, is too old or full: `pipeline.review.api`.
        StudioError: The name is in use by a dataset with other settings.
        ValueError: There are not as many counts as pairs, or the order is not the plan's.
    """
    if (plan.order == "drawn") != (order.key is not None):
        raise ValueError("The order of this review is not the one its plan names.")
    sender = _Sender(plan, order, kinds or {}, endpoint.embedded)
    total = len(pairs) if isinstance(pairs, Sized) else None
    tally = _Tally()
    with Api(endpoint) as api:
        api.check_owner()
        dataset_id = _ensure_dataset(endpoint, api, plan, kinds or {})
        has_records = api.get(f"datasets/{dataset_id}/progress")["total"] > 0
        numbered = enumerate(zip(pairs, counts, strict=True), 1)
        stopped = False
        while batch := list(itertools.islice(numbered, chunk)):
            if stopped := should_stop():
                break
            ids = [order.place(pair.record_id).external_id for _, (pair, _) in batch]
            there = _ids_there(api, dataset_id, ids) if has_records else set()
            tally.already_there += sum(name in there for name in ids)
            missing = [each for each, name in zip(batch, ids, strict=True) if name not in there]
            records = sender.encoded(missing, tally)
            for bulk in _bulks(records):
                _put(api, dataset_id, bulk, tally)
            tally.done += len(batch)
            on_progress(tally.done, total)
        now = int(api.get(f"datasets/{dataset_id}/progress")["total"])
    return Imported(
        dataset_id, now, tally.added, tally.already_there, tuple(tally.skipped), tally.altered, stopped=stopped
    )


class _Tally:
    """What an import has done so far."""

    def __init__(self) -> None:
        self.done = self.added = self.already_there = self.altered = 0
        self.skipped: list[Skipped] = []


class _Record(NamedTuple):
    number: int
    record_id: str
    json: bytes


def _ensure_dataset(endpoint: Endpoint, api: Api, plan: ReviewPlan, kinds: Mapping[str, Kept]) -> str:
    """Return the id of the plan's dataset, made when missing; a draft that a crash left is made anew."""
    planned = planned_shape(plan, embedded=endpoint.embedded)
    workspace = api.ensure_workspace(plan.workspace)
    for dataset in api.get("me/datasets", workspace_id=workspace, name=plan.dataset_name)["items"]:
        if dataset["status"] == "ready":
            if _shape(api, dataset) != planned:
                raise _name_in_use(plan)
            return str(dataset["id"])
        # A draft holds no records; with names of our own it is what a crash in mid-creation left.
        found = _shape(api, dataset)
        if any(not found[part].keys() <= planned[part].keys() for part in ("fields", "questions")):
            raise _name_in_use(plan)
        api.send("DELETE", f"datasets/{dataset['id']}")
    return _create_dataset(endpoint, plan, kinds)


def _create_dataset(endpoint: Endpoint, plan: ReviewPlan, kinds: Mapping[str, Kept]) -> str:
    import argilla as rg  # noqa: PLC0415  two seconds of imports, needed only when a dataset is made
    from argilla._exceptions import ArgillaError  # noqa: PLC0415  2.8 has no public name for it

    try:
        client = rg.Argilla(api_url=endpoint.url, api_key=endpoint.api_key, headers={"Accept-Encoding": "identity"})
        template = beside.template(plan, endpoint.url) if shown_beside(plan, embedded=endpoint.embedded) else ""
        settings = settings_of(plan, client, kinds, template)
        dataset = rg.Dataset(name=plan.dataset_name, workspace=plan.workspace, settings=settings, client=client)
        return str(dataset.create().id)
    except httpx.TransportError as error:
        raise ServerUnreachable("argilla.unreachable", url=endpoint.url, reason=verbatim(str(error))) from error
    except ArgillaError as error:
        reason = str(error.__cause__ or error)
        if disk_full(reason):
            raise server_full() from error
        raise ReviewError("argilla.not_made", detail=reason) from error


def _shape(api: Api, dataset: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what must agree for records to go into a dataset that is there."""
    path = f"datasets/{dataset['id']}"
    fields = {item["name"]: item["settings"] for item in api.get(f"{path}/fields")["items"]}
    questions = {item["name"]: item["settings"] for item in api.get(f"{path}/questions")["items"]}
    metadata = api.get(f"me/{path}/metadata-properties")["items"]
    return {
        "fields": {
            name: (value["type"], value.get("advanced_mode", value.get("use_markdown", True)))
            for name, value in fields.items()
        },
        "questions": {
            name: (value["type"], [option["value"] for option in value.get("options", [])])
            for name, value in questions.items()
        },
        "metadata": {item["name"]: item["title"] for item in metadata},
        "distribution": {"min_submitted": dataset["distribution"].get("min_submitted")},
    }


def _name_in_use(plan: ReviewPlan) -> StudioError:
    return StudioError("argilla.name_in_use", name=plan.dataset_name, workspace=plan.workspace)


def _ids_there(api: Api, dataset_id: str, ids: list[str]) -> set[str]:
    """Return which of the ids the dataset has."""
    found: set[str] = set()
    for start in range(0, len(ids), _TERMS):
        scope = {"entity": "record", "property": "external_id"}
        terms = {"type": "terms", "scope": scope, "values": ids[start : start + _TERMS]}
        path = f"datasets/{dataset_id}/records/search"
        answer = api.send("POST", path, {"filters": {"and": [terms]}}, limit=_TERMS)
        found.update(item["record"]["external_id"] for item in answer["items"])
    return found


@dataclass(frozen=True)
class _Sender:
    """Makes records of pairs, as a plan has them.

    Attributes:
        plan: The plan.
        order: Which answer is A.
        kinds: What the dataset's own columns are.
        embedded: Whether the server is ours.
    """

    plan: ReviewPlan
    order: Order
    kinds: Mapping[str, Kept]
    embedded: bool

    def encoded(self, batch: list[tuple[int, tuple[Pair, PairCounts]]], tally: _Tally) -> Iterator[_Record]:
        """Yield the records as JSON the server takes."""
        beside_each_other = shown_beside(self.plan, embedded=self.embedded)
        for number, (pair, counts) in batch:
            place = self.order.place(pair.record_id)
            parts = _PARTS if not place.turned else (_PARTS[0], _PARTS[2], _PARTS[1])
            escape = beside.escaped if beside_each_other else _escaped
            fields: dict[str, Any] = {
                name: _shown_messages(getattr(pair, part), escape, empty=self.embedded)
                for name, part in zip(self.plan.parts, parts, strict=True)
            }
            reason = _obstacle(fields, self.plan, _EMBEDDED_LONGEST if self.embedded else _FOREIGN_LONGEST)
            if reason:
                tally.skipped.append(Skipped(number, pair.record_id, reason))
                continue
            tally.altered += any(
                _altered(turn.content, self.embedded) for part in parts for turn in getattr(pair, part)
            )
            if beside_each_other:
                fields = {PAIR: fields}
            fields |= {
                slug(name): escape(_storable(_as_text(pair.metadata[name])))
                for name in self.plan.columns
                if pair.metadata.get(name) is not None
            }
            lengths = [getattr(counts, part) for part in parts]
            metadata = self._metadata(pair, dict(zip(self.plan.lengths, lengths, strict=True)), beside_each_other)
            record = {"external_id": place.external_id, "fields": fields, "metadata": metadata}
            yield _Record(number, pair.record_id, json.dumps(record, ensure_ascii=False).encode())

    def _metadata(self, pair: Pair, lengths: dict[str, int], beside_each_other: bool) -> dict[str, Any]:
        """Return a record's metadata: what the plan names and the pair has."""
        known: dict[str, Any] = {**pair.metadata, "source": pair.source or None, **lengths}
        kinds, found = metadata_kinds(self.plan, self.kinds), {}
        own = ("source", *self.plan.lengths)
        for name in self.plan.metadata:
            called = name if name in own else slug(name)
            value = known.get(name)
            if value is not None and kinds[called] == "terms":
                text = _storable(_as_text(value))
                value = (beside.plain(text) if beside_each_other else text)[:_LONGEST_SOURCE]
            if value is not None:
                found[called] = value
        return found


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _obstacle(fields: dict[str, list[dict[str, str]]], plan: ReviewPlan, longest: int) -> Message | None:
    """Return why a server that takes messages of at most `longest` characters cannot take the record, if it cannot."""
    for name, messages in fields.items():
        if len(messages) > _MOST_MESSAGES:
            return message(
                "argilla.skipped.messages", part=verbatim(plan.titles[name]), count=len(messages), most=_MOST_MESSAGES
            )
        length = max((len(message["content"]) for message in messages), default=0)
        if length > longest:
            return message("argilla.skipped.length", part=verbatim(plan.titles[name]), length=length, longest=longest)
    return None


def _storable(text: str) -> str:
    return _UNSTORABLE.sub("\ufffd", text)


def _altered(text: str, embedded: bool) -> bool:
    return bool(_UNSTORABLE.search(text)) or not (text or embedded)


def _shown_messages(messages: Messages, escape: Callable[[str], str], *, empty: bool) -> list[dict[str, str]]:
    """Return chat messages that the server takes and that its page shows as they are.

    Argilla 2.8.0 puts a chat message into the page as innerHTML even with `use_markdown=False`: `List<String>` loses
    its `<String>`, and `<img onerror=...>` runs a script with the annotator's rights. So what would be read as HTML is
    escaped in this copy.

    Args:
        messages: The turns.
        escape: Takes the meaning from what would be read as more than text.
        empty: Whether the server takes empty messages; where not, U+FFFD stands for them.
    """
    role = escape if escape is beside.escaped else str  # of a chat it is no HTML, and may not grow
    return [
        {
            "role": role(_storable(turn.role)[:_LONGEST_ROLE]) or "\ufffd",
            "content": escape(_storable(turn.content)) or ("" if empty else "\ufffd"),
        }
        for turn in messages
    ]


def _escaped(text: str) -> str:
    return _READ_AS_HTML.sub(lambda found: html.escape(found[0]), text)


def _bulks(records: Iterable[_Record]) -> Iterator[list[_Record]]:
    """Group records into requests of at most 500 and, one record apart, 16 MB."""
    bulk: list[_Record] = []
    size = 0
    for record in records:
        if bulk and (len(bulk) == _BULK or size + len(record.json) > _BULK_BYTES):
            yield bulk
            bulk, size = [], 0
        bulk.append(record)
        size += len(record.json)
    if bulk:
        yield bulk


def _put(api: Api, dataset_id: str, bulk: list[_Record], tally: _Tally) -> None:
    """Send records; Argilla refuses a request whole, so one that is refused is halved until the bad record is alone."""
    body = b'{"items":[' + b",".join(record.json for record in bulk) + b"]}"
    try:
        api.put_raw(f"datasets/{dataset_id}/records/bulk", body)
    except Refused as error:
        if error.status not in (400, 413, 422):
            raise
        if len(bulk) == 1:
            tally.skipped.append(Skipped(bulk[0].number, bulk[0].record_id, verbatim(error.detail)))
            return
        for half in (bulk[: len(bulk) // 2], bulk[len(bulk) // 2 :]):
            _put(api, dataset_id, half, tally)
    else:
        tally.added += len(bulk)
