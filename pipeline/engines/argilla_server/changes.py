"""A read-only endpoint of our own on Argilla's API: which responses were written since a moment.

Editing a response does not touch its record's `updated_at` unless the record's status changes, so a client that
compares records misses it. Only owners may ask.

    GET /api/v1/studio/datasets/{dataset_id}/changes?since=<cursor>&ids=<bool>&limit=<n>

The answer holds `items` (responses, oldest change first), `cursor` (to pass as `since` next time), `more` (ask again at
once), `now`, and on the last page `total`, the number of responses there are, and, where asked, the `ids` of all of
them: a reader whose own number differs finds the deleted ones by these.

A response gets its time before its transaction gets the database's write lock, so it can appear with a time in the
past. A cursor therefore points `OVERLAP` back: what was written shortly before comes again; the reader must not mind.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from argilla_server.api.policies.v1 import authorize
from argilla_server.database import get_async_db
from argilla_server.errors.future import UnprocessableEntityError
from argilla_server.models import Dataset, Record, Response, User
from argilla_server.security import auth
from fastapi import APIRouter, Depends, Query, Security
from fastapi import Response as Answer
from sqlalchemy import String, func, literal_column, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

LOCK_TIMEOUT = 30
"""Seconds a transaction waits for the database's write lock; the launcher sets Argilla to it."""
OVERLAP = timedelta(seconds=LOCK_TIMEOUT + 15)
PAGE = 5000

router = APIRouter(tags=["studio"])


@dataclass(frozen=True)
class Cursor:
    """Where a reader is.

    Attributes:
        since: Responses changed at or after this moment (UTC without zone) are wanted; None: all.
        after: Within a reading of several pages, the id of the last response read at `since`.
        start: When that reading began.
    """

    since: datetime | None = None
    after: UUID | None = None
    start: datetime | None = None

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Read a cursor: empty, an ISO time, or what an earlier answer gave.

        Raises:
            ValueError: It is none of these.
        """
        since, after, start = [*text.strip().split("|"), "", ""][:3]
        return cls(_moment(since), UUID(after) if after else None, _moment(start))

    def __str__(self) -> str:
        parts = (
            _iso(self.since) if self.since else "",
            str(self.after) if self.after else "",
            _iso(self.start) if self.start else "",
        )
        return "|".join(parts).rstrip("|")


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    # "+" of a zone arrives as a space where a client did not quote it.
    moment = datetime.fromisoformat(text.replace("Z", "+00:00").replace(" ", "+" if "T" in text else " "))
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds") + "Z"


async def _owner(actor: User) -> bool:
    return bool(actor.is_owner)


@router.get("/studio/datasets/{dataset_id}/changes")
async def changes(
    *,
    dataset_id: UUID,
    since: str = Query(""),
    ids: bool = Query(False),
    limit: int = Query(PAGE, ge=1, le=PAGE),
    db: AsyncSession = Depends(get_async_db),
    current_user: User = Security(auth.get_current_user),
) -> Answer:
    """Answer with the responses written since a moment (see the module's text)."""
    await authorize(current_user, _owner)
    await Dataset.get_or_raise(db, dataset_id)
    try:
        cursor = Cursor.parse(since)
    except ValueError as error:
        raise UnprocessableEntityError(f"`since` is neither a cursor nor an ISO time: {error}") from error
    now = datetime.now(UTC).replace(tzinfo=None)
    start = cursor.start or now
    rows = (await db.execute(_changed(dataset_id, cursor).limit(limit + 1))).all()
    more = len(rows) > limit
    rows = rows[:limit]
    following = Cursor(rows[-1].updated_at, rows[-1].id, start) if more else Cursor(start - OVERLAP)
    answer: dict[str, Any] = {"cursor": str(following), "more": more, "now": _iso(now)}
    if not more:
        answer["total"] = await _number(db, dataset_id)
        if ids:
            answer["ids"] = await _all_ids(db, dataset_id)
    items = ",".join(row.item for row in rows)
    return Answer(f'{{"items":[{items}],{json.dumps(answer)[1:]}', media_type="application/json")


def _dashed(column: str) -> str:
    """Return SQL for an id as Argilla's interface writes it; SQLite holds its 32 digits."""
    pieces = (f"substr({column}, {start}, {length})" for start, length in ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12)))
    return " || '-' || ".join(pieces)


def _zoned(column: str) -> str:
    """Return SQL for a time as `_iso` writes it."""
    return f"replace({column}, ' ', 'T') || 'Z'"


# A response as the answer has it, written by SQLite: of the 120,000 of a whole review, Python would make objects,
# dictionaries and text again, which took five times as long as all the rest.
_ITEM = f"""json_object(
    'id', {_dashed("responses.id")}, 'record_id', {_dashed("responses.record_id")},
    'external_id', records.external_id, 'user_id', {_dashed("responses.user_id")}, 'username', users.username,
    'status', responses.status, 'values', json(coalesce(nullif(responses."values", 'null'), '{{}}')),
    'inserted_at', {_zoned("responses.inserted_at")}, 'updated_at', {_zoned("responses.updated_at")}
)"""


def _changed(dataset_id: UUID, cursor: Cursor) -> Any:
    statement = (
        select(Response.id, Response.updated_at, literal_column(_ITEM, String).label("item"))
        .join(Record, Record.id == Response.record_id)
        .join(User, User.id == Response.user_id)
        # “+” keeps SQLite from beginning with the dataset's records and sorting all their responses for each page: the
        # index of text_index.py has them in order.
        .where(literal_column("+records.dataset_id", Record.dataset_id.type) == dataset_id)
        .order_by(Response.updated_at, Response.id)
    )
    if cursor.since is None:
        return statement
    if cursor.after is None:
        return statement.where(Response.updated_at >= cursor.since)
    return statement.where(tuple_(Response.updated_at, Response.id) > tuple_(cursor.since, cursor.after))


async def _number(db: AsyncSession, dataset_id: UUID) -> int:
    ours = select(Record.id).where(Record.dataset_id == dataset_id, Record.external_id.is_not(None))
    # By two indexes alone; a join would look at each of the responses, which takes four times as long.
    statement = select(func.count()).select_from(Response).where(Response.record_id.in_(ours))
    return int((await db.execute(statement)).scalar_one())


async def _all_ids(db: AsyncSession, dataset_id: UUID) -> list[dict[str, Any]]:
    statement = (
        select(Response.id, Record.external_id, Response.updated_at)
        .join(Record, Record.id == Response.record_id)
        .where(Record.dataset_id == dataset_id)
    )
    return [
        {"id": str(id), "external_id": external_id, "updated_at": _iso(updated_at)}
        for id, external_id, updated_at in (await db.execute(statement)).all()
    ]


def install() -> None:
    """Add the endpoint to Argilla's API; call before it serves."""
    from argilla_server.api.routes import api_v1

    api_v1.include_router(router)
