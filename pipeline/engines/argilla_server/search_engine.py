"""A search engine for argilla-server 2.8.0 without a search server.

Filters, sorts, progress and metrics are SQL on Argilla's own tables, so what Argilla tells its engine about responses,
suggestions and statuses needs no action: nothing is copied, nothing can drift. Only free text has an index.

The dataset objects handed in come with different relations loaded (touching `dataset.questions` in `search` raises
SQLAlchemy's MissingGreenlet); nothing but their id and status is used here.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, TypeVar
from uuid import UUID

from argilla_server.enums import MetadataPropertyType, SimilarityOrder
from argilla_server.errors.future import UnprocessableEntityError
from argilla_server.models import Dataset, MetadataProperty, Record, Response, Suggestion, User, VectorSettings
from argilla_server.search_engine.base import (
    Filter,
    FloatMetadataMetrics,
    IntegerMetadataMetrics,
    MetadataMetrics,
    Order,
    SearchEngine,
    SearchResponseItem,
    SearchResponses,
    TermsMetrics,
    TextQuery,
)

from .query_text import to_fts5
from .sql import RECORDS, Sql, json_path
from .text_index import TextIndex, table_of

ENGINE_NAME = "studio"
THREADS = 4

T = TypeVar("T")


def shuffle_order(user_id: Any) -> tuple[str, list[int]]:
    """Return an ORDER BY term and its parameters: an order of records that looks random, differs by user and stays.

    SQLite has neither a seeded random nor XOR, so the row number is mixed by two rounds of multiply, add, square and
    take the middle bits (von Neumann's middle square); all values stay below 2^62, short of SQLite's floating point.
    """
    seed = UUID(str(user_id)).int
    first = "((r.rowid * 2654435761 + ?) & 1073741823)"
    middle = f"((({first} * {first}) >> 14) & 1073741823)"
    second = f"(({middle} * 48271 + ?) & 1073741823)"
    low, high = seed & 0x3FFFFFFF, (seed >> 64) & 0x3FFFFFFF
    return f"((({second} * {second}) >> 14) & 1073741823), r.id", [low, low, high, low, low, high]


def _counts(rows: Sequence[tuple[Any, ...]]) -> dict[str, int]:
    return {"total": sum(count for _, count in rows), **dict(rows)}


@SearchEngine.register(engine_name=ENGINE_NAME)
class StudioSearchEngine(SearchEngine):  # type: ignore[misc]
    """Argilla makes and closes an instance per request; the index and its threads outlive them."""

    _index: ClassVar[TextIndex | None] = None
    _pool: ClassVar[ThreadPoolExecutor | None] = None

    @classmethod
    def serve(cls, index: TextIndex) -> None:
        """Answer from this index from now on; called once before the server listens."""
        cls._index = index
        cls._pool = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="studio-search")

    @classmethod
    async def new_instance(cls) -> StudioSearchEngine:
        """Return an engine; Argilla asks for one per request."""
        return cls()

    @property
    def index(self) -> TextIndex:
        """The index that `serve` was given."""
        if self._index is None:
            raise RuntimeError("StudioSearchEngine.serve was not called.")
        return self._index

    async def close(self) -> None:
        """Keep everything open: Argilla closes its instance after every request."""

    async def ping(self) -> bool:
        """Say whether the database answers."""
        return bool(await self._rows("SELECT 1"))

    async def info(self) -> dict[str, Any]:
        """Return name and version, as GET /status shows them."""
        return {"name": ENGINE_NAME, "version": {"number": sqlite3.sqlite_version, "distribution": "sqlite-fts5"}}

    async def create_index(self, dataset: Dataset) -> None:
        """Index what a dataset holds when it is published."""
        id = dataset.id.hex
        await self._run(lambda: self.index.attempt(id, lambda: self.index.sync(id)))

    async def delete_index(self, dataset: Dataset) -> None:
        """Forget a dataset."""
        id = dataset.id.hex
        await self._run(lambda: self.index.attempt(id, lambda: self.index.drop(id)))

    async def configure_metadata_property(self, dataset: Dataset, metadata_property: MetadataProperty) -> None:
        """Do nothing: metadata is read from the records."""

    async def configure_index_vectors(self, vector_settings: VectorSettings) -> None:
        """Do nothing: vectors are read from their table."""

    async def index_records(self, dataset: Dataset, records: Iterable[Record]) -> None:
        """Index records that were just committed."""
        id, ids = dataset.id.hex, [record.id.hex for record in records]
        await self._run(lambda: self.index.attempt(id, lambda: self.index.index(id, ids)))

    async def delete_records(self, dataset: Dataset, records: Iterable[Record]) -> None:
        """Forget records."""
        id, ids = dataset.id.hex, [record.id.hex for record in records]
        await self._run(lambda: self.index.attempt(id, lambda: self.index.remove(id, ids)))

    async def partial_record_update(self, record: Record, **update: Any) -> None:
        """Do nothing: the status is read from the records."""

    async def update_record_response(self, response: Response) -> None:
        """Do nothing: responses are read from their table."""

    async def delete_record_response(self, response: Response) -> None:
        """Do nothing: responses are read from their table."""

    async def update_record_suggestion(self, suggestion: Suggestion) -> None:
        """Do nothing: suggestions are read from their table."""

    async def delete_record_suggestion(self, suggestion: Suggestion) -> None:
        """Do nothing: suggestions are read from their table."""

    async def get_dataset_progress(self, dataset: Dataset) -> dict[str, int]:
        """Return the number of records, in total and by status; nothing for a draft."""
        if dataset.is_draft:
            return {}
        return _counts(
            await self._rows(
                f"SELECT r.status, count(*) FROM {RECORDS} WHERE r.dataset_id=? GROUP BY 1", dataset.id.hex
            )
        )

    async def get_dataset_user_progress(self, dataset: Dataset, user: User) -> dict[str, int]:
        """Return the number of a user's responses, in total and by status; nothing for a draft."""
        if dataset.is_draft:
            return {}
        return _counts(
            await self._rows(
                "SELECT p.status, count(*) FROM arg.responses p WHERE p.user_id=? AND p.record_id IN"
                f" (SELECT r.id FROM {RECORDS} WHERE r.dataset_id=?) GROUP BY 1",
                user.id.hex,
                dataset.id.hex,
            )
        )

    async def compute_metrics_for(self, metadata_property: MetadataProperty) -> MetadataMetrics:
        """Return how often each term occurs, or the smallest and largest number."""
        source = f"FROM {RECORDS}, json_each(r.metadata, ?) je WHERE r.dataset_id=?"
        params = (json_path(metadata_property.name), metadata_property.dataset_id.hex)
        if metadata_property.type == MetadataPropertyType.terms:
            rows = await self._rows(
                f"SELECT je.value, count(*) {source} AND je.value IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1", *params
            )
            values = [TermsMetrics.TermCount(term=str(term), count=count) for term, count in rows]
            return TermsMetrics(total=sum(count for _, count in rows), values=values)
        rows = await self._rows(
            f"SELECT min(je.value), max(je.value) {source} AND je.type IN ('integer', 'real')", *params
        )
        whole = metadata_property.type == MetadataPropertyType.integer
        return (IntegerMetadataMetrics if whole else FloatMetadataMetrics)(min=rows[0][0], max=rows[0][1])

    async def search(
        self,
        dataset: Dataset,
        query: TextQuery | str | None = None,
        filter: Filter | None = None,
        sort: list[Order] | None = None,
        offset: int = 0,
        limit: int = 100,
        user_id: str | None = None,
    ) -> SearchResponses:
        """Return one page of the records that match, and how many match.

        Args:
            dataset: The dataset to search.
            query: Free text, in all fields or in one.
            filter: Conditions on records, metadata, suggestions and responses.
            sort: Order; without it the user's shuffle, or relevance, or age.
            offset: Matches to skip.
            limit: Length of the page.
            user_id: The annotator who asks on their own behalf (passed by Argilla, though its base class lacks it).
        """
        return await self._run(lambda: self._search(dataset.id.hex, query, filter, sort, offset, limit, user_id))

    async def similarity_search(
        self,
        dataset: Dataset,
        vector_settings: VectorSettings,
        value: list[float] | None = None,
        record: Record | None = None,
        query: TextQuery | str | None = None,
        filter: Filter | None = None,
        max_results: int = 100,
        order: SimilarityOrder = SimilarityOrder.most_similar,
        threshold: float | None = None,
    ) -> SearchResponses:
        """Return the records whose vectors are most (or least) similar to a vector or to a record's.

        The score is (1 + cosine) / 2, as Elasticsearch's.
        """
        if bool(value) == bool(record):
            raise ValueError("Must provide either vector value or record to compute the similarity search")
        target = value or (record.vector_value_by_vector_settings(vector_settings) if record else None)
        if not target:
            raise ValueError("Cannot find a vector value to apply with provided info")
        sign = -1 if order == SimilarityOrder.least_similar else 1
        itself = record.id.hex if record else ""
        rows = await self._run(lambda: self._vectors(dataset.id.hex, vector_settings.id.hex, itself, query, filter))
        return await self._run(lambda: _most_similar(rows, target, sign, max_results, threshold))

    def _matches(self, sql: Sql, query: TextQuery | str | None, filter: Filter | None) -> tuple[str, bool]:
        """Return FROM and WHERE of the matching records, and whether the text index takes part as `f`."""
        source, conditions, ranked = RECORDS, [], False
        text = TextQuery(q=query) if isinstance(query, str) else query
        if text is not None:
            match = to_fts5(text.q, self._column(sql.dataset_id, text.field))
            if match is None:
                conditions.append("0")  # as simple_query_string: nothing to look for finds nothing
            else:
                # CROSS JOIN keeps the order: the text index first, then its hits by primary key. With JOIN, SQLite 3.40
                # scanned all records (880 ms in place of 24 ms at 40,000 records).
                table = table_of(sql.dataset_id)
                source = f"{table} f CROSS JOIN doc d ON d.rowid=f.rowid CROSS JOIN arg.records r ON r.id=d.record_id"
                conditions.append(f"{table} MATCH {sql.bind(match)}")
                ranked = True
        conditions.append(f"r.dataset_id={sql.bind(sql.dataset_id)}")
        if filter:
            conditions.append(sql.where(filter))
        return f"FROM {source} WHERE {' AND '.join(conditions)}", ranked

    def _column(self, dataset: str, field: str | None) -> str | None:
        if not field:
            return None
        columns = self.index.columns(dataset)
        if field not in columns:
            raise ValueError(f"Field `{field}` cannot be searched.")
        return columns[field]

    def _search(
        self,
        dataset: str,
        query: TextQuery | str | None,
        filter: Filter | None,
        sort: list[Order] | None,
        offset: int,
        limit: int,
        user_id: str | None,
    ) -> SearchResponses:
        sql = Sql(dataset)
        matches, ranked = self._matches(sql, query, filter)
        filter_params = list(sql.params)
        if sort:
            order = ", ".join(sql.order(term) for term in sort) + ", r.inserted_at, r.id"
        elif user_id is not None:
            order, mixing = shuffle_order(user_id)
            sql.params += mixing
        else:
            order = ("f.rank, " if ranked else "") + "r.inserted_at, r.id"
        page = f"SELECT r.id, {'-f.rank' if ranked else '1.0'} {matches} ORDER BY {order} LIMIT ? OFFSET ?"

        def read() -> tuple[int, list[tuple[Any, ...]]]:
            total = self.index.rows(f"SELECT count(*) {matches}", filter_params)[0][0]
            return total, self.index.rows(page, [*sql.params, limit, offset])

        total, rows = self.index.search(dataset, read) if ranked else read()
        items = [SearchResponseItem(record_id=UUID(id), score=score) for id, score in rows]
        return SearchResponses(items=items, total=total)

    def _vectors(
        self, dataset: str, settings: str, itself: str, query: TextQuery | str | None, filter: Filter | None
    ) -> list[tuple[Any, ...]]:
        sql = Sql(dataset)
        matches, ranked = self._matches(sql, query, filter)
        statement = (
            f"SELECT v.record_id, v.value FROM arg.vectors v WHERE v.vector_settings_id=? AND v.record_id<>?"
            f" AND v.record_id IN (SELECT r.id {matches})"
        )

        def read() -> list[tuple[Any, ...]]:
            return self.index.rows(statement, [settings, itself, *sql.params])

        return self.index.search(dataset, read) if ranked else read()

    async def _rows(self, statement: str, *params: Any) -> list[tuple[Any, ...]]:
        return await self._run(lambda: self.index.rows(statement, params))

    async def _run(self, work: Callable[[], T]) -> T:
        """Work in a thread of ours, so that a search never holds up the event loop.

        Raises:
            UnprocessableEntityError: The request asks for something that cannot be (HTTP 422).
        """
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except ValueError as error:
            raise UnprocessableEntityError(str(error)) from error


def _most_similar(
    rows: list[tuple[Any, ...]], target: list[float], sign: int, count: int, threshold: float | None
) -> SearchResponses:
    import numpy as np

    if not rows:
        return SearchResponses(items=[], total=0)
    matrix = np.array([json.loads(value) for _, value in rows], dtype="float32")
    needle = sign * np.array(target, dtype="float32")
    cosine = matrix @ needle / (np.linalg.norm(matrix, axis=1) * np.linalg.norm(needle) + 1e-12)
    scores = (1 + cosine) / 2
    items = [
        SearchResponseItem(record_id=UUID(rows[i][0]), score=float(scores[i]))
        for i in np.argsort(-scores, kind="stable")[:count]
        if threshold is None or scores[i] >= threshold
    ]
    return SearchResponses(items=items, total=len(items))
