"""Filters and sorts of Argilla's search, as SQL on Argilla's own tables.

The tables are attached as `arg`; alias `r` is always a row of `arg.records`. Semantics follow argilla-server's
Elasticsearch queries (search_engine/commons.py of 2.8.0): a response VALUE filter looks at the responses of all users
and all statuses (or of the asking user, where the page asks for one), and is independent of a status filter beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from argilla_server.search_engine.base import (
    AndFilter,
    Filter,
    MetadataFilterScope,
    Order,
    RangeFilter,
    RecordFilterScope,
    ResponseFilterScope,
    SuggestionFilterScope,
    TermsFilter,
)

RECORDS_INDEX = "studio_records_scan"
RECORDS = f"arg.records r INDEXED BY {RECORDS_INDEX}"
"""Scan of a dataset's records that touches the covering index alone, never the pages with the texts."""

_RECORD_COLUMNS = frozenset({"id", "external_id", "inserted_at", "updated_at", "status"})
_SUGGESTION_JSON = frozenset({"value", "score"})
_SUGGESTION_TEXT = frozenset({"agent", "type"})


def json_path(*keys: str) -> str:
    """Return the SQLite JSON path of nested keys, quoted so that dots in a name are part of the name."""
    return "$" + "".join("." + json.dumps(key, ensure_ascii=False) for key in keys)


def hex_id(value: Any) -> str:
    """Return an id as Argilla's SQLite tables store it: 32 hexadecimal digits; other text unchanged."""
    try:
        return UUID(str(value)).hex
    except ValueError:
        return str(value)


def number(value: Any) -> int | float | None:
    """Return a number if the value reads as one that SQLite can hold exactly, else None."""
    try:
        whole = int(str(value))
    except ValueError:
        try:
            return float(value)
        except (TypeError, ValueError):
            return None
    return whole if abs(whole) < 2**63 else float(whole)


def timestamp(value: Any) -> str:
    """Return a moment as Argilla's SQLite tables store it: UTC without zone.

    Args:
        value: ISO 8601 text, or milliseconds since 1970.

    Raises:
        ValueError: The text is not a date.
    """
    if isinstance(value, int | float):
        moment = datetime.fromtimestamp(value / 1000, tz=UTC)
    else:
        moment = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    if moment.tzinfo:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")


class Sql:
    """Collects the parameters of one statement while its conditions are written.

    Args:
        dataset_id: The dataset's id, 32 hexadecimal digits.
    """

    def __init__(self, dataset_id: str) -> None:
        self.dataset_id = dataset_id
        self.params: list[Any] = []

    def bind(self, value: Any) -> str:
        """Add a parameter and return its placeholder; conditions must be written in the order they are used."""
        self.params.append(value)
        return "?"

    def where(self, condition: Filter) -> str:
        """Return the condition on `r` that a filter of Argilla's means.

        Raises:
            ValueError: The filter names a property that cannot be filtered, or a date that is none.
        """
        if isinstance(condition, AndFilter):
            return (
                "(" + " AND ".join(self.where(part) for part in condition.filters) + ")" if condition.filters else "1"
            )
        scope = condition.scope
        if isinstance(scope, RecordFilterScope):
            return self._record(scope, condition)
        if isinstance(scope, MetadataFilterScope):
            path = self.bind(json_path(scope.metadata_property))
            return f"EXISTS (SELECT 1 FROM json_each(r.metadata, {path}) je WHERE {self._json_match(condition)})"
        if isinstance(scope, SuggestionFilterScope):
            return self._suggestion(scope, condition)
        if isinstance(scope, ResponseFilterScope) and scope.question:
            return self._response_value(scope, condition)
        if isinstance(scope, ResponseFilterScope) and scope.property == "status" and isinstance(condition, TermsFilter):
            return self._response_status(scope, condition)
        raise ValueError(f"Cannot filter by {scope}.")

    def order(self, order: Order) -> str:
        """Return one term of ORDER BY; records without a value come last in both directions, as in Elasticsearch."""
        scope, direction = order.scope, "DESC" if order.order == "desc" else "ASC"
        if isinstance(scope, RecordFilterScope):
            return f"{self._record_column(scope)} {direction}"
        if isinstance(scope, MetadataFilterScope):
            value = f"json_extract(r.metadata, {self.bind(json_path(scope.metadata_property))})"
        elif isinstance(scope, SuggestionFilterScope):
            value = self._suggestion_order(scope, "max" if direction == "DESC" else "min")
        elif isinstance(scope, ResponseFilterScope):
            value = self._response_order(scope)
        else:
            raise ValueError(f"Cannot sort by {scope}.")
        return f"{value} {direction} NULLS LAST"

    def _in(self, column: str, values: Iterable[Any]) -> str:
        placeholders = ",".join(self.bind(value) for value in values)
        return f"{column} IN ({placeholders})" if placeholders else "0"

    def _between(self, column: str, low: Any, high: Any) -> str:
        parts = []
        if low is not None:
            parts.append(f"{column} >= {self.bind(low)}")
        if high is not None:
            parts.append(f"{column} <= {self.bind(high)}")
        return "(" + " AND ".join(parts) + ")" if parts else "1"

    def _json_match(self, condition: Filter) -> str:
        """Condition on `je`, a row of json_each: a list matches if one of its elements does."""
        if isinstance(condition, RangeFilter):
            low, high = (number(bound) if bound is not None else None for bound in (condition.ge, condition.le))
            if (condition.ge is not None and low is None) or (condition.le is not None and high is None):
                raise ValueError(f"A range needs numbers, not {condition.ge!r} to {condition.le!r}.")
            return "je.type IN ('integer', 'real') AND " + self._between("je.value", low, high)
        texts = [str(value) for value in condition.values]
        match = self._in("je.value", texts)
        if numbers := [value for value in map(number, texts) if value is not None]:
            match = f"({match} OR (je.type IN ('integer', 'real') AND {self._in('je.value', numbers)}))"
        return match

    def _text_match(self, column: str, condition: Filter) -> str:
        if isinstance(condition, RangeFilter):
            return self._between(column, condition.ge, condition.le)
        return self._in(column, [str(value) for value in condition.values])

    def _question(self, name: str) -> str:
        dataset, question = self.bind(self.dataset_id), self.bind(name)
        return f"(SELECT q.id FROM arg.questions q WHERE q.dataset_id={dataset} AND q.name={question})"

    def _record_column(self, scope: RecordFilterScope) -> str:
        if scope.property not in _RECORD_COLUMNS:
            raise ValueError(f"Records have no property {scope.property}.")
        return f"r.{scope.property!s}"

    def _record(self, scope: RecordFilterScope, condition: Filter) -> str:
        column = self._record_column(scope)
        convert = {"r.id": hex_id, "r.inserted_at": timestamp, "r.updated_at": timestamp}.get(column, str)
        if isinstance(condition, TermsFilter):
            return self._in(column, [convert(value) for value in condition.values])
        low, high = (convert(bound) if bound is not None else None for bound in (condition.ge, condition.le))
        return self._between(column, low, high)

    def _suggestion_property(self, scope: SuggestionFilterScope) -> str:
        return scope.property if scope.property in _SUGGESTION_JSON | _SUGGESTION_TEXT else "value"

    def _suggestion(self, scope: SuggestionFilterScope, condition: Filter) -> str:
        prop = self._suggestion_property(scope)
        rows = f"arg.suggestions s, json_each(s.{prop}) je" if prop in _SUGGESTION_JSON else "arg.suggestions s"
        head = f"SELECT 1 FROM {rows} WHERE s.record_id=r.id AND s.question_id={self._question(scope.question)}"
        match = self._json_match(condition) if prop in _SUGGESTION_JSON else self._text_match(f"s.{prop}", condition)
        return f"EXISTS ({head} AND {match})"

    def _suggestion_order(self, scope: SuggestionFilterScope, side: str) -> str:
        prop = self._suggestion_property(scope)
        in_json = prop in _SUGGESTION_JSON
        rows = f"arg.suggestions s, json_each(s.{prop}) je" if in_json else "arg.suggestions s"
        value = "je.value" if in_json else f"s.{prop}"
        question = self._question(scope.question)
        return f"(SELECT {side}({value}) FROM {rows} WHERE s.record_id=r.id AND s.question_id={question})"

    def _by_user(self, scope: ResponseFilterScope) -> str:
        return f" AND p.user_id={self.bind(scope.user.id.hex)}" if scope.user else ""

    def _answers(self, scope: ResponseFilterScope) -> str:
        """FROM and WHERE of one question's answers to record `r`; `je` is an answer or an element of one."""
        path = self.bind(json_path(scope.question, "value"))
        return f'FROM arg.responses p, json_each(p."values", {path}) je WHERE p.record_id=r.id{self._by_user(scope)}'

    def _response_value(self, scope: ResponseFilterScope, condition: Filter) -> str:
        answers = self._answers(scope)
        return f"EXISTS (SELECT 1 {answers} AND {self._json_match(condition)})"

    def _response_status(self, scope: ResponseFilterScope, condition: TermsFilter) -> str:
        statuses = [str(value) for value in condition.values]
        parts = []
        if "pending" in statuses:
            parts.append(f"NOT EXISTS (SELECT 1 FROM arg.responses p WHERE p.record_id=r.id{self._by_user(scope)})")
        if answered := [status for status in statuses if status != "pending"]:
            match = self._in("p.status", answered)
            parts.append(
                f"EXISTS (SELECT 1 FROM arg.responses p WHERE p.record_id=r.id AND {match}{self._by_user(scope)})"
            )
        return "(" + " OR ".join(parts) + ")" if parts else "1"

    def _response_order(self, scope: ResponseFilterScope) -> str:
        if scope.question:
            return f"(SELECT avg(je.value) {self._answers(scope)})"
        return f"(SELECT min(p.status) FROM arg.responses p WHERE p.record_id=r.id{self._by_user(scope)})"
