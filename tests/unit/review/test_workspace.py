"""Each person's workspace on the review server."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.base.errors import StudioError
from pipeline.base.home import Home, open_home
from pipeline.review.plan import ReviewPlan
from pipeline.review.project import settled_plan
from pipeline.review.workspace import workspace_of


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(tmp_path / "home")


def test_the_local_person_chooses(home: Home) -> None:
    assert workspace_of(home) == "align-studio"
    assert workspace_of(home, "team-a") == "team-a"


def test_everybody_else_has_one_of_their_own_whatever_they_wish(home: Home) -> None:
    ada, bob = home.of("hf-1"), home.of("hf-2")
    hers = workspace_of(ada, account="Ada_Love.lace")
    assert re.fullmatch(r"ada-love-lace-[0-9a-f]{6}", hers)
    assert workspace_of(bob, hers, account="Ada_Love.lace") not in (hers, "align-studio")
    assert workspace_of(bob, "align-studio") == workspace_of(bob, hers, account="another name") == workspace_of(bob)
    ReviewPlan(dataset_name="d", workspace=hers)  # a name that a plan takes


def test_the_local_person_cannot_choose_anothers(home: Home) -> None:
    hers = workspace_of(home.of("hf-1"), account="ada")
    with pytest.raises(StudioError, match="somebody else"):
        workspace_of(home, hers)


def test_names_that_would_be_the_same_are_told_apart(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    class Same:
        def __init__(self, whose: bytes) -> None:
            self.text = "0" * 8 + whose.hex().ljust(56, "f")

        def hexdigest(self) -> str:
            return self.text

    monkeypatch.setattr("pipeline.review.workspace.hashlib.sha256", Same)
    names = [workspace_of(home.of(who), account="ada") for who in ("hf-1", "hf-2", "hf-3")]
    assert len(set(names)) == 3 and names[0] == "ada-000000"


def test_it_is_made_once(home: Home) -> None:
    with ThreadPoolExecutor(8) as pool:
        names = set(pool.map(lambda number: workspace_of(home.of("hf-1"), account=f"ada{number}"), range(16)))
    assert len(names) == 1


def test_a_plan_is_put_into_its_owners_workspace(home: Home) -> None:
    wished = ReviewPlan(dataset_name="d", workspace="somebody-elses")
    assert settled_plan(home, wished).workspace == "somebody-elses"
    assert settled_plan(home.of("hf-1"), wished).workspace == workspace_of(home.of("hf-1"))
