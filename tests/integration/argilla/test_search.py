"""The embedded search engine through Argilla's API, each answer compared with brute force over the same records."""

from __future__ import annotations

import re
import statistics
import unicodedata
from collections import Counter
from typing import Any

import pytest

from tests.integration.argilla.conftest import RECORDS, SOURCES, Row, World


def tokens(text: str) -> list[str]:
    spaced = re.sub(r"([\u3040-\u30ff\u4e00-\u9fff])", r" \1 ", unicodedata.normalize("NFKC", text))
    return re.findall(r"\w+", spaced.lower())


def has(text: str, phrase: str, prefix: bool = False) -> bool:
    have, want = tokens(text), tokens(phrase)
    return any(
        have[i : i + len(want) - 1] == want[:-1]
        and (have[i + len(want) - 1].startswith(want[-1]) if prefix else have[i + len(want) - 1] == want[-1])
        for i in range(len(have) - len(want) + 1)
    )


def anywhere(row: Row, phrase: str, prefix: bool = False) -> bool:
    return has(row.prompt, phrase, prefix) or has(row.chosen, phrase, prefix)


TEXT_QUERIES = {
    "word": ("zebra", lambda r: anywhere(r, "zebra")),
    "case": ("ZEBRA", lambda r: anywhere(r, "zebra")),
    "and": ("zebra alpha", lambda r: anywhere(r, "zebra") and anywhere(r, "alpha")),
    "plus": ("zebra + alpha", lambda r: anywhere(r, "zebra") and anywhere(r, "alpha")),
    "phrase": ('"alpha beta"', lambda r: anywhere(r, "alpha beta")),
    "curly quotes": ("“alpha beta”", lambda r: anywhere(r, "alpha beta")),
    "whole words only": ("run", lambda r: anywhere(r, "run")),
    "prefix": ("run*", lambda r: anywhere(r, "run", prefix=True)),
    "or": ("zebra | delta", lambda r: anywhere(r, "zebra") or anywhere(r, "delta")),
    "not": ("alpha -zebra", lambda r: anywhere(r, "alpha") and not anywhere(r, "zebra")),
    "only not": ("-zebra", lambda r: not anywhere(r, "zebra")),
    "not phrase": ('-"alpha beta" gamma', lambda r: anywhere(r, "gamma") and not anywhere(r, "alpha beta")),
    "brackets": (
        "(zebra | delta) -(alpha beta)",
        lambda r: (anywhere(r, "zebra") or anywhere(r, "delta")) and not (anywhere(r, "alpha") and anywhere(r, "beta")),
    ),
    "stray brackets": ("zebra) (delta", lambda r: anywhere(r, "zebra") and anywhere(r, "delta")),
    "hyphen": ("well-known", lambda r: anywhere(r, "well known")),
    "accent": ("naïve", lambda r: anywhere(r, "naïve")),
    "accent, decomposed": (unicodedata.normalize("NFD", "café"), lambda r: anywhere(r, "café")),
    "full width": ("ｚｅｂｒａ", lambda r: anywhere(r, "zebra")),
    "chinese, one character": ("学", lambda r: "学" in r.prompt + r.chosen),
    "chinese, two characters": ("模型", lambda r: "模型" in r.prompt + r.chosen),
    "chinese, longer": ("机器学习", lambda r: "机器学习" in r.prompt + r.chosen),
    "chinese and english": ("学习 zebra", lambda r: "学习" in r.prompt + r.chosen and anywhere(r, "zebra")),
    "chinese, not": ("学 -习", lambda r: "学" in r.prompt + r.chosen and "习" not in r.prompt + r.chosen),
    "japanese, kanji": ("説明", lambda r: "説明" in r.prompt + r.chosen),
    "japanese, katakana": ("モデル", lambda r: "モデル" in r.prompt + r.chosen),
    "japanese, half-width katakana": ("ﾓﾃﾞﾙ", lambda r: "モデル" in r.prompt + r.chosen),
    "japanese, hiragana in a word": ("ひら", lambda r: "ひら" in r.prompt + r.chosen),
    "japanese, phrase": ('"機械学習"', lambda r: "機械学習" in r.prompt + r.chosen),
}


@pytest.mark.parametrize("name", TEXT_QUERIES)
def test_text(world: World, name: str) -> None:
    query, wanted = TEXT_QUERIES[name]
    expected = world.ids(wanted)
    found, total = world.owner.search(world.dataset, query)
    assert 0 < len(expected) < RECORDS, "the query would prove nothing"
    assert set(found) == expected
    assert total == len(found) == len(expected)


@pytest.mark.parametrize("name", ["prompt", "chosen"])
@pytest.mark.parametrize("query", ["zebra", "模型", "-zebra"])
def test_text_in_one_field(world: World, name: str, query: str) -> None:
    expected = world.ids(lambda r: has(getattr(r, name), query.lstrip("-")) != query.startswith("-"))
    assert set(world.owner.search(world.dataset, query, in_field=name)[0]) == expected


@pytest.mark.parametrize("query", ["", " ", "?!", '""', "()", "-", "|", "*", "nowhere"])
def test_text_without_a_match(world: World, query: str) -> None:
    assert world.owner.search(world.dataset, query) == ([], 0)


def test_refused_requests_are_the_users_error(world: World) -> None:
    path = f"/datasets/{world.dataset}/records/search"
    deep = {"query": {"text": {"q": "(" * 100 + "zebra"}}}
    date = {"filters": {"and": [terms({"entity": "record", "property": "inserted_at"}, "yesterday")]}}
    field = {"query": {"text": {"q": "zebra", "field": "nothing"}}}
    for body in (deep, date, field):
        assert world.owner.status_of("POST", path, json=body) == 422


def test_a_long_query_is_answered(world: World) -> None:
    assert set(world.owner.search(world.dataset, " | ".join(["zebra"] * 400))[0]) == world.ids(
        lambda r: anywhere(r, "zebra")
    )


def terms(scope: dict[str, Any], *values: Any) -> dict[str, Any]:
    return {"type": "terms", "scope": scope, "values": list(values)}


def between(scope: dict[str, Any], ge: Any = None, le: Any = None) -> dict[str, Any]:
    return (
        {"type": "range", "scope": scope}
        | ({"ge": ge} if ge is not None else {})
        | ({"le": le} if le is not None else {})
    )


def metadata(name: str) -> dict[str, Any]:
    return {"entity": "metadata", "metadata_property": name}


def suggestion(prop: str = "value") -> dict[str, Any]:
    return {"entity": "suggestion", "question": "preference", "property": prop}


def response(question: str) -> dict[str, Any]:
    return {"entity": "response", "question": question}


RESPONSE_STATUS = {"entity": "response", "property": "status"}


def answered(row: Row, question: str, *values: Any) -> bool:
    given = [a.values[question] for a in row.answers if question in a.values]
    return any(v in values for answer in given for v in (answer if isinstance(answer, list) else [answer]))


FILTERS = {
    "metadata terms": (terms(metadata("source"), "orca"), lambda r: r.metadata.get("source") == "orca"),
    "metadata several terms": (
        terms(metadata("source"), *SOURCES[1:3]),
        lambda r: r.metadata.get("source") in SOURCES[1:3],
    ),
    "integer at least": (between(metadata("tokens"), ge=250), lambda r: r.metadata["tokens"] >= 250),
    "integer between": (between(metadata("tokens"), 100, 200), lambda r: 100 <= r.metadata["tokens"] <= 200),
    "float at most": (between(metadata("margin"), le=-0.25), lambda r: r.metadata.get("margin", 9) <= -0.25),
    "suggestion value": (terms(suggestion(), "tie"), lambda r: bool(r.suggestion) and r.suggestion[0] == "tie"),
    "suggestion score": (
        between(suggestion("score"), ge=0.5, le=0.9),
        lambda r: bool(r.suggestion) and 0.5 <= r.suggestion[1] <= 0.9,
    ),
    "suggestion agent": (
        terms(suggestion("agent"), "judge-b"),
        lambda r: bool(r.suggestion) and r.suggestion[2] == "judge-b",
    ),
    "response label of anybody, any status": (
        terms(response("preference"), "rejected"),
        lambda r: answered(r, "preference", "rejected"),
    ),
    "response rating as a term": (terms(response("rating"), 2), lambda r: answered(r, "rating", 2)),
    "response rating range": (between(response("rating"), ge=4), lambda r: answered(r, "rating", 4, 5)),
    "response with several labels": (terms(response("aspects"), "safety"), lambda r: answered(r, "aspects", "safety")),
    "response status": (
        terms(RESPONSE_STATUS, "draft", "discarded"),
        lambda r: any(a.status in ("draft", "discarded") for a in r.answers),
    ),
    "no response": (terms(RESPONSE_STATUS, "pending"), lambda r: not r.answers),
    "no response or a draft": (
        terms(RESPONSE_STATUS, "pending", "draft"),
        lambda r: not r.answers or any(a.status == "draft" for a in r.answers),
    ),
    "record status": (
        terms({"entity": "record", "property": "status"}, "completed"),
        lambda r: r.status == "completed",
    ),
    "external id": (
        terms({"entity": "record", "property": "external_id"}, "r-0003", "r-0200"),
        lambda r: r.id in ("r-0003", "r-0200"),
    ),
}


@pytest.mark.parametrize("name", FILTERS)
def test_filter(world: World, name: str) -> None:
    condition, wanted = FILTERS[name]
    expected = world.ids(wanted)
    found, total = world.owner.search(world.dataset, filters=[condition])
    assert 0 < len(expected) < RECORDS, "the filter would prove nothing"
    assert set(found) == expected
    assert total == len(expected)


def test_filters_and_text_are_joined_by_and(world: World) -> None:
    conditions = [FILTERS["integer at least"], FILTERS["suggestion value"], FILTERS["response status"]]
    expected = world.ids(lambda r: all(wanted(r) for _, wanted in conditions) and anywhere(r, "alpha"))
    assert expected
    assert set(world.owner.search(world.dataset, "alpha", filters=[c for c, _ in conditions])[0]) == expected


def test_value_and_status_of_a_response_are_independent(world: World) -> None:
    """Upstream's meaning: one answer may have the value and another one the status."""
    filters = [terms(response("rating"), 5), terms(RESPONSE_STATUS, "submitted")]
    expected = world.ids(lambda r: answered(r, "rating", 5) and any(a.status == "submitted" for a in r.answers))
    same = world.ids(lambda r: any(a.values.get("rating") == 5 and a.status == "submitted" for a in r.answers))
    assert expected != same, "the records would not tell the two meanings apart"
    assert set(world.owner.search(world.dataset, filters=filters)[0]) == expected


@pytest.mark.parametrize("user", ["ada", "bo"])
def test_an_annotator_sees_their_own_responses(world: World, user: str) -> None:
    api = world.annotators[user]

    def own(row: Row) -> list[Any]:
        return [a for a in row.answers if a.user == user]

    cases = {
        "value": (terms(response("rating"), 3), lambda r: any(a.values["rating"] == 3 for a in own(r))),
        "pending": (terms(RESPONSE_STATUS, "pending"), lambda r: not own(r)),
        "submitted": (terms(RESPONSE_STATUS, "submitted"), lambda r: any(a.status == "submitted" for a in own(r))),
    }
    for name, (condition, wanted) in cases.items():
        expected = world.ids(wanted)
        assert expected
        found, total = api.search(world.dataset, filters=[condition], me=True)
        assert (set(found), total) == (expected, len(expected)), name


def test_two_annotators_have_different_stable_orders(world: World) -> None:
    orders = {}
    for user, api in world.annotators.items():
        first = api.search(world.dataset, me=True)[0]
        assert first == api.search(world.dataset, me=True)[0]
        pages = [api.search(world.dataset, me=True, offset=offset, limit=100)[0] for offset in range(0, RECORDS, 100)]
        assert [id for page in pages for id in page] == first
        assert sorted(first) == sorted(row.id for row in world.rows)
        orders[user] = [int(id[2:]) for id in first]
    for order in orders.values():
        assert abs(statistics.correlation(range(RECORDS), order)) < 0.25
    assert abs(statistics.correlation(orders["ada"], orders["bo"])) < 0.25
    followers = [set(zip(order, order[1:], strict=False)) for order in orders.values()]
    assert len(followers[0] & followers[1]) < RECORDS / 10, "one order is the other one, rotated"


def score(row: Row) -> Any:
    return row.suggestion[1] if row.suggestion else None


def mean_rating(row: Row) -> Any:
    ratings = [a.values["rating"] for a in row.answers]
    return statistics.mean(ratings) if ratings else None


SORTS = {
    "integer": (metadata("tokens"), lambda r: r.metadata["tokens"]),
    "float with gaps": (metadata("margin"), lambda r: r.metadata.get("margin")),
    "terms with gaps": (metadata("source"), lambda r: r.metadata.get("source")),
    "suggestion score": (suggestion("score"), score),
    "suggestion value": (suggestion(), lambda r: r.suggestion[0] if r.suggestion else None),
    "suggestion agent": (suggestion("agent"), lambda r: r.suggestion[2] if r.suggestion else None),
    "response": (response("rating"), mean_rating),
    "record status": ({"entity": "record", "property": "status"}, lambda r: r.status),
    "external id": ({"entity": "record", "property": "external_id"}, lambda r: r.id),
}


@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("name", SORTS)
def test_sort(world: World, name: str, direction: str) -> None:
    scope, value = SORTS[name]
    by_id = {row.id: row for row in world.rows}
    found, _ = world.owner.search(world.dataset, sort=[{"scope": scope, "order": direction}])
    values = [value(by_id[id]) for id in found]
    present = [v for v in values if v is not None]
    assert len(found) == RECORDS
    assert values[: len(present)] == sorted(present, reverse=direction == "desc"), "records without a value come last"


def test_sort_by_age_two_keys_and_pages(world: World) -> None:
    age = {"scope": {"entity": "record", "property": "inserted_at"}, "order": "desc"}
    listed = world.owner.call("GET", f"/datasets/{world.dataset}/records", params={"limit": 1000})["items"]
    inserted = {item["external_id"]: item["inserted_at"] for item in listed}
    found, _ = world.owner.search(world.dataset, sort=[age])
    assert [inserted[id] for id in found] == sorted(inserted.values(), reverse=True)

    by_id = {row.id: row for row in world.rows}
    keys = [{"scope": metadata("source"), "order": "asc"}, {"scope": metadata("tokens"), "order": "desc"}]
    pages = [world.owner.search(world.dataset, sort=keys, offset=o, limit=50) for o in range(0, RECORDS + 50, 50)]
    assert {total for _, total in pages} == {RECORDS}
    together = [id for page, _ in pages for id in page]
    pairs = [(by_id[id].metadata.get("source", "~"), -by_id[id].metadata["tokens"]) for id in together]
    assert pairs == sorted(pairs)
    assert len(set(together)) == RECORDS


def test_filter_by_age(world: World) -> None:
    listed = world.owner.call("GET", f"/datasets/{world.dataset}/records", params={"limit": 1000})["items"]
    middle = sorted(item["inserted_at"] for item in listed)[RECORDS // 2]
    scope = {"entity": "record", "property": "inserted_at"}
    expected = {item["external_id"] for item in listed if item["inserted_at"] >= middle}
    assert set(world.owner.search(world.dataset, filters=[between(scope, ge=middle)])[0]) == expected


def test_progress(world: World) -> None:
    progress = world.owner.call("GET", f"/datasets/{world.dataset}/progress")
    statuses = Counter(row.status for row in world.rows)
    assert (progress["total"], progress["completed"], progress["pending"]) == (
        RECORDS,
        statuses["completed"],
        statuses["pending"],
    )


@pytest.mark.parametrize("user", ["ada", "bo"])
def test_user_progress(world: World, user: str) -> None:
    metrics = world.annotators[user].call("GET", f"/me/datasets/{world.dataset}/metrics")["responses"]
    given = Counter(a.status for row in world.rows for a in row.answers if a.user == user)
    assert metrics == {
        "total": RECORDS,
        "submitted": given["submitted"],
        "draft": given["draft"],
        "discarded": given["discarded"],
        "pending": RECORDS - given.total(),
    }


def test_metadata_metrics(world: World) -> None:
    properties = world.owner.call("GET", f"/me/datasets/{world.dataset}/metadata-properties")["items"]
    metrics = {p["name"]: world.owner.call("GET", f"/metadata-properties/{p['id']}/metrics") for p in properties}
    sources = Counter(row.metadata["source"] for row in world.rows if "source" in row.metadata)
    assert metrics["source"]["total"] == sources.total()
    assert {v["term"]: v["count"] for v in metrics["source"]["values"]} == dict(sources)
    counts = [v["count"] for v in metrics["source"]["values"]]
    assert counts == sorted(counts, reverse=True)
    for name in ("tokens", "margin"):
        values = [row.metadata[name] for row in world.rows if name in row.metadata]
        assert (metrics[name]["min"], metrics[name]["max"]) == (min(values), max(values))
