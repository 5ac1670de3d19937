"""Visitors of a Space: whose visit a request is, what they may do, how much they may have, and deleting a project."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from pipeline.base import project as projects
from pipeline.base.errors import StudioError
from pipeline.base.limits import Limits
from pipeline.base.settings import Settings
from pipeline.runs.ledger import State
from pipeline.studio import Studio
from pipeline.visit import ACCOUNT, ARGILLA, COMPUTE, FILES, TOKEN, Visit, visit_of
from pipeline.web.space import Session
from tests.handlers.conftest import Built
from tests.projects import make_project, trained
from ui.bar import account
from ui.dataset import deletion, load
from ui.evaluate import tab as evaluate
from ui.train import tab as train


def test_on_a_space_the_session_says_who_asks_and_nothing_else_does(tmp_path: Path) -> None:
    studio = Studio(Settings(home=tmp_path, space_id="o/s", space_host="o-s.hf.space", hf_token="hf_theSpaces"))
    assert studio.sign_in.token is None
    headers = {"x-user": "olga", "cookie": "who=olga", "accept-language": "zh"}
    with pytest.raises(StudioError, match="Nobody is signed in"):
        visit_of(studio, headers, {"state": {}})
    for owner, may in ((True, {ACCOUNT, COMPUTE, ARGILLA}), (False, {ACCOUNT})):
        session = Session("hf-1", "olga", owner, time.time() + 60)
        visit = visit_of(studio, headers, {"state": {"align_studio_session": session}})
        assert (visit.who, visit.may, visit.limits is None) == ("hf-1", may, owner)
        assert visit.language == "zh" and visit.token is None and visit.home.own == studio.home.path / "people" / "hf-1"
        assert FILES not in visit.may and TOKEN not in visit.may
        for handler in (account.taken, account.signed_out, account.asked_again):
            with pytest.raises(StudioError):
                handler(visit, {"account.token": "hf_typed"})
        for tab, kind in ((train, "train"), (evaluate, "evaluate")):
            where = tab.opened(visit, {"page.project": ""}).get("hardware.where")
            assert where is None if owner else where["value"] == "job" and "local" not in str(where["choices"]), kind
        drawn = account.draw(visit)
        assert not drawn["account.form"]["visible"] and 'action="/sign-out"' in drawn["account.about"]


def test_a_visitor_has_room_for_so_much(studio: Studio, tmp_path: Path, built: Built, started: Any) -> None:
    visitor = Visit(studio, "hf-1", may=frozenset({ACCOUNT}), limits=Limits(projects=1, runs=2, megabytes=1))
    for number in range(2):
        visitor.ledger.add("export", "p", f"run {number}", {"n": number})
    again, new = visitor.ledger.add("export", "p", "run 0", {"n": 0})
    assert not new  # the same one asked for again needs no room
    with pytest.raises(StudioError, match="You have 2 runs going"):
        visitor.ledger.add("export", "p", "third", {"n": 3})
    Visit(studio, "hf-2").ledger.add("export", "p", "another's", {"n": 0})
    studio.ledger.end(again.id, State.SUCCEEDED)
    built.call(load.load, visitor, form__kind="sample")
    refused = built.call(load.load, visitor, form__kind="sample")
    assert "You have 1 project" in str(refused["form.problem"]) and len(visitor.projects()) == 1
    with pytest.raises(StudioError, match="You have 1 project"):
        visitor.ledger.add("load", "", "load", {"n": 4})
    (visitor.home.own / "big").write_bytes(b"x" * 1_000_000)
    with pytest.raises(StudioError, match="You use 1 MB of the 1 MB"):
        visitor.ledger.add("export", "p", "third", {"n": 3})


def test_a_project_is_deleted_with_all_it_has_and_nothing_else(
    studio: Studio, tmp_path: Path, built: Built, started: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "done", lambda *words, **more: None)
    visit = Visit(studio)
    kept = make_project(visit.home, "kept", tmp_path / "a", pairs=8)
    gone = make_project(visit.home, "gone", tmp_path / "b", pairs=8)
    run = trained(visit.ledger, gone, "model")
    other = trained(visit.ledger, kept, "model")
    job, _ = visit.ledger.add("train", gone.name, "job", {"place": "job"})
    about = built.call(deletion.asked, visit, page__project=gone.name)
    assert "1 export, 1 model and 2 runs go" in about["delete.about"]
    with pytest.raises(StudioError, match="“job” is still going on"):
        built.call(deletion.deleted, visit, page__project=gone.name)
    assert gone.folder.exists()
    studio.ledger.end(job.id, State.FAILED)
    update = built.call(deletion.deleted, visit, page__project=gone.name)
    assert update["shown.project"] == "kept" and visit.projects() == ["kept"]
    assert not gone.folder.exists() and not run.folder.exists() and not (visit.home.own / "gone").exists()
    left = {each.id: each.project for each in visit.ledger.list()}
    assert left == {other.id: "kept", job.id: ""}  # a Job's line stays: unknown, it would be taken in from the Hub
    assert projects.create(visit.home, "gone").name == "gone" and visit.ledger.list(project="gone") == []
