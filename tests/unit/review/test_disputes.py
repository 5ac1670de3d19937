"""What annotators dispute in a project, and what its owner settled."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.base.home import open_home
from pipeline.base.project import Project
from pipeline.dataset.project import pairs_of
from pipeline.review import answers
from pipeline.review.answers import Answer
from pipeline.review.disputes import opinions_of, said_of
from pipeline.review.project import answers_of, save_arbitration, settled_of, settling_of
from pipeline.review.settle import Arbitration
from tests.reviewed import make_reviewed


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_reviewed(open_home(tmp_path / "home"), "disputed")


def test_the_queue_holds_comparisons_first_then_far_ratings(project: Project) -> None:
    ids = [pair.record_id for pair in pairs_of(project)]
    found = opinions_of(project)
    assert found.disputes == (ids[5], ids[7]) and found.settled == frozenset()
    by_question = {each.question: each for each in found.agreements}
    assert set(by_question) == {"relevance", "preference"}
    # preference of 8 pairs: cc 8, rr 2, tt 2, c-r and c-t one each way: 1 - 15 * 2 / (10*3 + 10*3 + 3*3) = 0.565
    assert by_question["preference"].alpha == pytest.approx(1 - 15 * 2 / 69)
    assert [each.same for each in by_question["preference"].against] == [0.75, 0.75]
    assert set(said_of(project)["relevance"][ids[0]].values()) == {5.0, 4.0}


def test_what_the_owner_settles_is_no_opinion_and_decides(project: Project) -> None:
    ids = [pair.record_id for pair in pairs_of(project)]
    before = opinions_of(project)
    assert settled_of(project)[ids[5]].preference == "undecided"
    save_arbitration(project, Arbitration("argilla", frozenset({ids[5]})))
    said = Answer(ids[5], "argilla", "submitted", 3.0, "rejected", datetime.now(UTC))
    answers.save([*answers_of(project), said], project.answers)
    after = opinions_of(project)
    assert after.agreements == before.agreements and after.disputes == before.disputes
    assert after.settled == {ids[5]}
    assert settled_of(project, settling_of(project))[ids[5]].preference == "rejected"
