"""Invitations: a link is good for the project it was made for, for so many people, until it is revoked."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.base import project as projects
from pipeline.base.errors import StudioError
from pipeline.base.home import Home, open_home
from pipeline.base.project import Project
from pipeline.review.invitations import (
    InvitationOptions,
    find,
    invitation_of,
    invite,
    revoke,
    shut_out,
    take_place,
)

TWO = InvitationOptions(limit=2)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(tmp_path / "home")


@pytest.fixture
def ada(home: Home) -> Home:
    return home.of("hf-ada")


@pytest.fixture
def project(ada: Home) -> Project:
    return projects.create(ada, "pairs")


def refused(home: Home, secret: str) -> bool:
    with pytest.raises(StudioError, match="not valid"):
        find(home, secret)
    return True


def test_a_link_leads_to_its_project_and_is_kept_nowhere(home: Home, ada: Home, project: Project) -> None:
    secret = invite(ada, project, TWO)
    theirs, of, invitation = find(home, secret)
    assert (theirs.owner, of.folder, invitation.limit, len(secret)) == ("hf-ada", project.folder, 2, 43)
    kept = [file.read_text() for file in home.path.rglob("*") if file.is_file() and file.stat().st_size < 10_000]
    assert not any(secret in text for text in kept)
    assert not any(secret in str(file) for file in home.path.rglob("*"))


@pytest.mark.parametrize(
    "secret", ["", "x" * 43, "../invitations", "..%2f", "A" * 42, "A" * 44, "A" * 42 + "\n", "é" * 43, "/" * 43]
)
def test_what_is_no_link_is_refused(home: Home, ada: Home, project: Project, secret: str) -> None:
    invite(ada, project, TWO)
    assert refused(home, secret)


def test_a_new_link_ends_the_one_before_and_revoking_ends_both(home: Home, ada: Home, project: Project) -> None:
    first = invite(ada, project, TWO)
    second = invite(ada, project, TWO)
    assert refused(home, first) and find(home, second)
    revoke(ada, project)
    revoke(ada, project)
    assert refused(home, second) and invitation_of(project) is None
    assert list((home.path / "invitations").iterdir()) == []


def test_a_link_is_not_good_for_another_project_of_that_name(home: Home, ada: Home, project: Project) -> None:
    secret = invite(ada, project, TWO)
    shutil.rmtree(project.folder)
    assert refused(home, secret)
    again = projects.create(ada, "pairs")
    assert again.name == project.name and refused(home, secret)
    other = invite(ada, again, TWO)
    assert refused(home, secret) and find(home, other)


def test_so_many_people_come_by_it_and_each_counts_once(home: Home, ada: Home, project: Project) -> None:
    digest = find(home, invite(ada, project, TWO))[2].digest
    for person in ("hf-1", "hf-1", "hf-2", "hf-1"):
        take_place(project, digest, person, f"name of {person}")
    with pytest.raises(StudioError, match="no places left"):
        take_place(project, digest, "hf-3")
    take_place(project, digest, "hf-2")  # who has a place keeps it, and the name
    now = invitation_of(project)
    assert now is not None and now.people == {"hf-1": "name of hf-1", "hf-2": "name of hf-2"}


def test_no_more_than_so_many_at_once(home: Home, ada: Home, project: Project) -> None:
    digest = find(home, invite(ada, project, InvitationOptions(limit=5)))[2].digest

    def come(number: int) -> bool:
        try:
            take_place(project, digest, f"hf-{number}")
        except StudioError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(come, range(24))) == 5


def test_a_place_is_not_taken_by_a_link_that_has_ended(home: Home, ada: Home, project: Project) -> None:
    digest = find(home, invite(ada, project, TWO))[2].digest
    invite(ada, project, TWO)
    with pytest.raises(StudioError, match="not valid"):
        take_place(project, digest, "hf-1")


def test_who_was_taken_out_does_not_come_back_by_the_link(home: Home, ada: Home, project: Project) -> None:
    digest = find(home, invite(ada, project, TWO))[2].digest
    take_place(project, digest, "hf-1", "bob")
    shut_out(home.of("hf-eve"), "bob")  # another's invitations are not touched
    take_place(project, digest, "hf-1")
    shut_out(ada, "bob")
    with pytest.raises(StudioError, match="taken out"):
        take_place(project, digest, "hf-1")


def test_visitors_invite_as_long_as_the_studio_takes_visitors(home: Home, ada: Home, project: Project) -> None:
    theirs = invite(ada, project, TWO, by_visitor=True)
    assert find(home, theirs)[1].folder == project.folder
    with pytest.raises(StudioError, match="not valid"):
        find(home, theirs, visitors=False)
    owners = invite(ada, project, TWO)
    assert find(home, owners, visitors=False)[2].by_visitor is False


@pytest.mark.parametrize("limit", [0, -1, 201, None, "many"])
def test_the_number_of_people_has_bounds(limit: object) -> None:
    with pytest.raises(ValidationError):
        InvitationOptions.model_validate({"limit": limit})
