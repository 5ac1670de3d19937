"""Answers survive the file, and several of them become one by the definitions in pipeline/review/settle.py."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from statistics import mean

import pytest

from pipeline.base.errors import StudioError
from pipeline.review.answers import SCHEMA, Answer, Preference, Status, open_answers, save
from pipeline.review.settle import Arbitration, Settled, Settling, count, decide, settle

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def answer(
    annotator: str,
    preference: Preference | None = "chosen",
    relevance: float | None = None,
    status: Status = "submitted",
    minutes: int = 0,
    record_id: str = "a",
) -> Answer:
    return Answer(record_id, annotator, status, relevance, preference, NOON + timedelta(minutes=minutes))


def random_answers(seed: int) -> list[Answer]:
    """Answers of 6 annotators to 30 records, many of them changed later, some at the same moment."""
    rng = random.Random(seed)
    preferences: list[Preference | None] = ["chosen", "rejected", "tie", None]
    statuses: list[Status] = ["submitted", "submitted", "submitted", "draft", "discarded"]
    return [
        answer(
            f"annotator-{rng.randrange(6)}",
            rng.choice(preferences),
            rng.choice([None, 1, 2, 3, 4, 5]),
            rng.choice(statuses),
            rng.randrange(20),
            f"record-{rng.randrange(30)}",
        )
        for _ in range(400)
    ]


@pytest.mark.parametrize(
    ("votes", "verdict"),
    [
        (["chosen"], "chosen"),
        (["rejected", "rejected", "chosen"], "rejected"),
        (["chosen", "chosen", "rejected", "tie"], "chosen"),  # plurality: half of the votes are enough
        (["tie", "tie", "chosen"], "tie"),
        (["chosen", "rejected"], "undecided"),
        (["chosen", "tie"], "undecided"),
        (["chosen", "chosen", "rejected", "rejected", "tie"], "undecided"),
        (["chosen", None, None], "chosen"),  # an open question is no vote
        ([None, None], None),
    ],
)
def test_preference_is_the_strict_plurality(votes: list[Preference | None], verdict: str | None) -> None:
    settled = settle(answer(f"annotator-{index}", vote) for index, vote in enumerate(votes))
    assert settled["a"].preference == verdict
    assert settled["a"].answers == len(votes)


def test_relevance_is_the_mean_of_those_who_rated() -> None:
    settled = settle([answer("ann", relevance=5), answer("bob", relevance=2), answer("eve", relevance=None)])
    assert settled == {"a": Settled("a", 3, 3.5, "chosen")}
    assert settle([answer("ann", relevance=None)])["a"].relevance is None


def test_only_the_latest_submitted_answer_of_an_annotator_counts() -> None:
    edited = [
        answer("ann", "chosen", 1, minutes=0),
        answer("ann", "rejected", 4, minutes=5),
        answer("ann", "tie", 5, status="draft", minutes=9),
        answer("bob", "rejected", 2, minutes=1),
    ]
    assert settle(edited) == {"a": Settled("a", 2, 3.0, "rejected")}


def test_drafts_and_discarded_answers_settle_nothing() -> None:
    assert settle([answer("ann", status="draft"), answer("bob", status="discarded")]) == {}
    assert settle([]) == {}


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_answers_makes_no_difference(seed: int) -> None:
    answers = random_answers(seed)
    shuffled = random.Random(seed + 100).sample(answers, len(answers))
    assert settle(answers) == settle(shuffled)


@pytest.mark.parametrize("seed", range(5))
def test_settled_values_agree_with_a_plain_count(seed: int) -> None:
    # one answer per annotator and record, so that counting needs no history
    answers = list({(each.record_id, each.annotator): each for each in random_answers(seed)}.values())
    settled = settle(answers)
    for record_id, verdict in settled.items():
        mine = [each for each in answers if each.record_id == record_id and each.status == "submitted"]
        ratings = [each.relevance for each in mine if each.relevance is not None]
        votes = sorted(
            (sum(each.preference == option for each in mine), option) for option in ("chosen", "rejected", "tie")
        )
        expected = None if not votes[-1][0] else votes[-1][1] if votes[-1][0] > votes[-2][0] else "undecided"
        assert verdict.preference == expected
        assert verdict.answers == len(mine) > 0
        assert verdict.relevance == (pytest.approx(mean(ratings)) if ratings else None)
    assert set(settled) == {each.record_id for each in answers if each.status == "submitted"}


def test_answers_survive_the_file(tmp_path: Path) -> None:
    answers = random_answers(1)
    path = tmp_path / "review" / "answers.parquet"
    assert open_answers(path) == []
    save(answers, path)
    assert open_answers(path) == answers
    save(answers[:3], path)
    assert open_answers(path) == answers[:3]
    save([], path)
    assert open_answers(path) == []
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_times_are_stored_in_utc_and_must_have_a_zone(tmp_path: Path) -> None:
    east = Answer(
        "a", "ann", "submitted", 4.0, "tie", datetime(2026, 11, 20, 20, 0, tzinfo=timezone(timedelta(hours=8)))
    )
    save([east], tmp_path / "answers.parquet")
    [read] = open_answers(tmp_path / "answers.parquet")
    assert read == east
    assert read.updated_at.utcoffset() == timedelta(0)
    assert SCHEMA.field("updated_at").type.tz == "UTC"
    with pytest.raises(ValueError, match="time zone"):
        Answer("a", "ann", "submitted", 4.0, "tie", datetime(2026, 11, 20, 20, 0))


def test_a_damaged_file_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "answers.parquet"
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(StudioError, match="review server"):
        open_answers(path)


@pytest.mark.parametrize(
    ("votes", "policy", "verdict"),
    [
        (["chosen", "chosen", "rejected", "tie"], {"preference": "majority"}, "undecided"),
        (["chosen", "chosen", "rejected"], {"preference": "majority"}, "chosen"),
        (["chosen", "chosen", "rejected"], {"preference": "unanimity"}, "undecided"),
        (["tie", "tie", None], {"preference": "unanimity"}, "tie"),
        (["rejected"], {"at_least": 2}, "too_few"),
        (["rejected", None], {"at_least": 2}, "too_few"),  # an open question is no comparison
        (["rejected", "rejected"], {"at_least": 2}, "rejected"),
        ([None], {"at_least": 2}, None),
    ],
)
def test_policies(votes: list[Preference | None], policy: dict[str, object], verdict: str | None) -> None:
    answers = [answer(f"annotator-{index}", vote) for index, vote in enumerate(votes)]
    assert settle(answers, Settling.model_validate(policy))["a"].preference == verdict


def test_the_median_of_ratings() -> None:
    answers = [answer(f"annotator-{index}", relevance=rating) for index, rating in enumerate([1, 4, 5])]
    assert settle(answers, Settling(relevance="median"))["a"].relevance == 4.0
    assert settle(answers[:2], Settling(relevance="median"))["a"].relevance == 2.5


def test_what_the_owner_settles_decides() -> None:
    answers = [answer("ann", "chosen", 5), answer("bob", "chosen", 4), answer("owner", "rejected", 2)]
    unsettled, settled = count(answers), count(answers, Arbitration("owner", frozenset({"a"})))
    strict = Settling(preference="unanimity", at_least=9)
    assert decide(unsettled, strict)["a"].preference == "too_few"
    assert decide(settled, strict) == {"a": Settled("a", 3, 2.0, "rejected")}
    assert decide(count(answers, Arbitration("owner", frozenset({"b"})))) == decide(unsettled)
