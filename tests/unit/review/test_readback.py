"""Answers read back step by step are counted as if they were counted at once."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.base import project
from pipeline.base.home import open_home
from pipeline.base.project import Record, ReviewRecord
from pipeline.review import plan as review_plan
from pipeline.review import readback
from pipeline.review.answers import Answer
from pipeline.review.project import arbitration_of, refresh_answers, save_arbitration, settled_of, votes_of
from pipeline.review.service import Endpoint
from pipeline.review.settle import NOBODY, Arbitration, Settling, Votes, count, decide
from tests.unit.review.test_settle import random_answers

ENDPOINT = Endpoint("http://127.0.0.1:1", "key", 1)
Key = tuple[str, str]


@pytest.fixture
def of(tmp_path: Path) -> project.Project:
    found = project.create(open_home(tmp_path), "rivers")
    plan = review_plan.suggest([], "rivers", "words").model_dump(mode="json") | {"order": "chosen_first"}

    def change(record: Record) -> None:
        record.review = ReviewRecord(plan=plan, server="embedded", dataset_id="1")

    found.update(change)
    return found


@pytest.mark.parametrize("seed", range(3))
def test_only_what_has_changed_is_counted_again(
    seed: int, of: project.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(seed)
    there = {(each.record_id, each.annotator): each for each in random_answers(seed)}
    counted: list[int] = []
    steps = iter(range(1, 100))

    def read(_: Endpoint, __: str, known: list[Answer], *___: object) -> tuple[list[Answer], str]:
        before: dict[Key, Answer] = {(each.record_id, each.annotator): each for each in known}
        return [before[key] if before.get(key) == each else each for key, each in there.items()], str(next(steps))

    def noted(answers: Iterable[Answer], arbitration: Arbitration) -> dict[str, Votes]:
        found = list(answers)
        counted.append(len(found))
        return count(found, arbitration)

    monkeypatch.setattr(readback, "read_answers", read)
    monkeypatch.setattr("pipeline.review.project.count", noted)
    for arbitration in (NOBODY, NOBODY, NOBODY, Arbitration("annotator-1", frozenset(("record-1", "record-2")))):
        if arbitration != arbitration_of(of):
            save_arbitration(of, arbitration)
        refresh_answers(of, ENDPOINT)
        whole = count(there.values(), arbitration)
        assert votes_of(of) == whole
        assert settled_of(of, Settling()) == decide(whole)
        for key in rng.sample(sorted(there), 3):
            later = there[key].updated_at + timedelta(hours=1)
            there[key] = replace(there[key], status="submitted", preference="tie", updated_at=later)
        for key in rng.sample(sorted(there), 2):
            del there[key]
    # Everything the first time and when the owner has settled disputes, else the answers to five records at most.
    assert len(counted) == 4 and counted[0] > 100 < counted[3]
    assert max(counted[1:3]) <= 5 * 6
