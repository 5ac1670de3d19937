"""The plan, the errors and the merging of answers; what needs Argilla is in integration/test_review_server.py."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from pipeline.base import words
from pipeline.base.errors import StudioError
from pipeline.base.pair import Message, Pair
from pipeline.review import api
from pipeline.review.annotators import create_annotators
from pipeline.review.answers import Answer, Preference
from pipeline.review.plan import ReviewPlan, metadata_titles, suggest
from pipeline.review.readback import Changes, merge
from pipeline.review.service import Endpoint
from pipeline.web.annotate import Listener, serve_annotators

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def pair(source: str = "") -> Pair:
    return Pair("1", (Message("user", "p"),), (Message("assistant", "a"),), (Message("assistant", "b"),), source)


def test_suggestion_has_a_source_only_if_the_pairs_have() -> None:
    lengths = ["prompt_tokens", "answer_a_tokens", "answer_b_tokens"]
    assert suggest([pair()], "project", "tokens").metadata == lengths
    assert suggest([pair(), pair("web")], "project", "tokens").metadata[0] == "source"


def test_suggestion_is_valid_for_any_name() -> None:
    assert suggest([], "  ", "tokens").dataset_name == "pairs"
    assert len(suggest([], "x" * 500, "tokens").dataset_name) == 200


def test_the_unit_is_in_the_titles() -> None:
    plan = ReviewPlan(dataset_name="d", unit="words (estimate)", metadata=["answer_a_tokens"])
    assert metadata_titles(plan) == {"answer_a_tokens": "Answer A (words (estimate))"}


def test_plan_survives_json() -> None:
    plan = suggest([pair("web")], "project", "tokens")
    assert ReviewPlan.model_validate_json(plan.model_dump_json()) == plan


def test_a_suggestion_speaks_to_annotators_in_the_language_of_whoever_asks_and_keeps_it() -> None:
    english = suggest([], "project", "tokens")
    assert (english.language, english.labels["tie"]) == ("en", "Tie")
    assert english == ReviewPlan(dataset_name="project", metadata=english.metadata)
    with words.speaking("zh"):
        chinese = suggest([], "project", "tokens")
    assert chinese.relevance_title == "较好的那个回答与提示的相关程度如何？" and chinese.guidelines.startswith(
        "每个任务"
    )
    assert list(chinese.titles.values()) == ["提示", "回答 A", "回答 B"]
    assert metadata_titles(chinese)["prompt_tokens"] == "提示（词元）"
    with words.speaking("zh"):  # a plan of an older home names no language
        assert ReviewPlan(dataset_name="d").relevance_title == english.relevance_title


@pytest.mark.parametrize(
    "change",
    [
        {"dataset_name": ""},
        {"min_submitted": 0},
        {"min_submitted": 11},
        {"workspace": "with space"},
        {"guidelines": ""},
        {"relevance_title": "x" * 501},
        {"questions": [{"name": "relevance", "title": "again?", "kind": "text"}]},
        {"questions": [{"name": "one", "title": "one option", "options": ["a", "a "]}]},
        {"questions": [{"name": "x", "title": "?", "kind": "text"}] * 2},
        {"unknown": 1},
    ],
)
def test_plan_refuses(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ReviewPlan.model_validate({"dataset_name": "d"} | change)


def test_every_field_of_the_plan_explains_itself() -> None:
    assert [name for name, field in ReviewPlan.model_fields.items() if not field.description] == []


@pytest.mark.parametrize("names", [[""], ["a b"], ["-a"], ["a/b"], ["x" * 51], ["ann", "ann "]])
def test_annotator_names_are_checked_before_anything_is_sent(names: list[str]) -> None:
    with pytest.raises(StudioError, match="user name"):
        create_annotators(Endpoint("http://127.0.0.1:9", "key", 9), "w", names)


def answer(record: str, annotator: str, minutes: int = 0, preference: Preference = "chosen") -> Answer:
    return Answer(record, annotator, "submitted", 3, preference, NOON + timedelta(minutes=minutes))


def live(*answers: Answer) -> frozenset[tuple[str, datetime]]:
    return frozenset((given.record_id, given.updated_at) for given in answers)


def test_merge_takes_everything_after_a_full_reading() -> None:
    assert merge([answer("1", "ann")], Changes([answer("2", "bob")], "", complete=True)) == [answer("2", "bob")]


def test_merge_replaces_edited_answers_and_adds_new_ones() -> None:
    edited, new = answer("1", "ann", 5, "tie"), answer("1", "bob", 6)
    kept = answer("2", "ann")
    found = Changes([edited, new], "", complete=False, live=live(edited, new, kept))
    assert set(merge([answer("1", "ann"), kept], found)) == {edited, new, kept}


def test_merge_drops_deleted_answers() -> None:
    kept = answer("1", "bob", 1)
    assert merge([answer("1", "ann"), kept], Changes([], "", complete=False, live=live(kept))) == [kept]
    assert merge([answer("1", "ann")], Changes([], "", complete=False, live=frozenset())) == []


def test_merge_keeps_all_when_nothing_happened() -> None:
    assert merge([answer("1", "ann")], Changes([], "", complete=False)) == [answer("1", "ann")]


def test_merge_keeps_an_answer_that_is_being_edited() -> None:
    found = Changes([], "", complete=False, live=live(answer("1", "ann", 9)))
    assert merge([answer("1", "ann")], found) == [answer("1", "ann")]


@pytest.fixture(scope="module")
def strange_server() -> Iterator[Listener]:
    """A server that answers /NUMBER/... with that status, or with something that is not Argilla's."""

    async def any_path(request: Request) -> Response:
        kind = request.path_params["kind"]
        if kind == "html":
            return PlainTextResponse("<html>A router's page</html>")
        if kind == "moved":
            return RedirectResponse("/elsewhere")
        if kind == "old":
            return JSONResponse({"version": "2.3.1", "username": "me", "role": "owner"})
        if kind == "annotator":
            return JSONResponse({"version": "2.8.0", "username": "me", "role": "annotator"})
        if kind == "full":
            return JSONResponse({"detail": "database or disk is full"}, 500)
        return JSONResponse({"detail": {"code": "x", "params": {"detail": "the reason"}}}, int(kind))

    listener = serve_annotators(Starlette(routes=[Route("/{kind}/{rest:path}", any_path)]), "127.0.0.1", 0)
    yield listener
    listener.stop()


@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [
        ("401", api.WrongKey, "does not accept the API key"),
        ("403", api.NotOwner, "the reason"),
        ("annotator", api.NotOwner, "me, who is annotator"),
        ("404", api.Refused, "the reason"),
        ("422", api.Refused, "the reason"),
        ("429", api.ServerFull, "the reason"),
        ("507", api.ServerFull, "the reason"),
        ("full", api.ServerFull, "disk is full"),
        ("500", api.ReviewError, "HTTP 500: the reason"),
        ("503", api.ServerUnreachable, "cannot be reached"),
        ("moved", api.ServerUnreachable, "HTTP 307"),
        ("html", api.ServerUnreachable, "not Argilla"),
        ("old", api.WrongVersion, "2.3.1"),
    ],
)
def test_errors_say_what_happened(strange_server: Listener, kind: str, error: type[StudioError], words: str) -> None:
    endpoint = Endpoint(f"http://127.0.0.1:{strange_server.port}/{kind}", "secret-key", strange_server.port)
    with api.Api(endpoint) as server, pytest.raises(error, match=words) as caught:
        server.check_owner()
    assert type(caught.value) is error
    assert caught.value.next and "secret-key" not in str(caught.value)


def test_nobody_there() -> None:
    with api.Api(Endpoint("http://127.0.0.1:9/annotate", "key", 9)) as server, pytest.raises(api.ServerUnreachable):
        server.check()
