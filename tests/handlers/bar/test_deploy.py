"""The panel that deploys: it proposes, says what it would do, asks once, and starts a run that does that alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.errors import StudioError
from pipeline.base.settings import Settings
from pipeline.deploy.code import Code
from pipeline.deploy.plan import Plan
from pipeline.hardware import flavors
from pipeline.hub import account as accounts
from pipeline.hub.account import Account, SignInStatus
from pipeline.hub.spaces import NewSpace
from pipeline.runs import launch
from pipeline.studio import Studio
from pipeline.visit import ON_A_SPACE, Visit
from tests.handlers.conftest import page, value
from ui.bar import account, deploy

ADA = Account("ada", "Ada", "write", may_write=True, may_run_jobs=True, may_read_gated=True)
FORM = {
    "form__space": "ada/studio", "form__hardware": "t4-small", "form__bucket": "",
    "form__visibility": "", "form__visitors": "",
}  # fmt: skip


@pytest.fixture
def visit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Visit:
    """Somebody at their own machine who is signed in; the Hub is not asked."""
    monkeypatch.setattr(Visit, "sign_in", SignInStatus("ready", ADA))
    monkeypatch.setattr(accounts, "current", lambda **more: ADA)
    monkeypatch.setattr(flavors, "listing", lambda place: flavors.snapshot(place))
    monkeypatch.setattr(launch, "start_detached", lambda command, **more: None)
    wanted = NewSpace("ada/studio", "t4-small", variables={"ALIGN_STUDIO_VISITORS": "true"}, sleep=3600)
    listing = flavors.snapshot("space")
    planned = Plan(None, wanted, "ada/studio-data", Code("c" * 40, {"<b>.py": b"1"}), 0.4, listing, ("old.py",))
    monkeypatch.setattr(deploy, "plan", lambda options: replace(planned, wanted=replace(wanted, name=options.space)))
    return Visit(Studio(Settings(home=tmp_path)))


def call(handler: Any, visit: Visit, **more: Any) -> dict[str, Any]:
    return page().call(handler, visit, **more)


def test_it_proposes_a_name_and_the_hardware_there_is(visit: Visit) -> None:
    shown = call(deploy.drawn, visit)
    assert value(shown["form.space"]) == "ada/align-studio"
    names = [name for name, _ in shown["form.hardware"]["choices"]]
    assert names[0] == "" and "t4-small" in names and "h200" not in names
    assert call(account.turned, visit, account__open=False)["account.deploy"]["visible"] is True


def test_what_it_would_do_is_shown_then_done_once(visit: Visit) -> None:
    shown = call(deploy.looked, visit, **FORM)
    for words in ("ada/studio, a new one", "US$0.40 an hour", "60 minutes", "ada/studio-data", "price of", "old.py"):
        assert words in str(shown["shown"])
    assert shown["go"]["visible"] is True and shown["look"]["visible"] is False
    # What is shown goes through the browser and back.
    agreed = json.loads(json.dumps(shown["agreed"]))
    started = call(deploy.gone, visit, agreed=agreed, **FORM)
    run = visit.run(started["view.run"])
    assert (run.kind, run.user, run.title) == ("deploy", "ada", "Deploy to ada/studio")
    spec = json.loads(run.spec.read_text())
    assert spec["agreed"] == agreed and spec["options"]["hardware"] == "t4-small"
    assert call(deploy.gone, visit, agreed=agreed, **FORM)["view.run"] == run.id


def test_another_name_than_was_agreed_to_is_asked_about_again(visit: Visit) -> None:
    agreed = call(deploy.looked, visit, **FORM)["agreed"]
    shown = call(deploy.gone, visit, agreed=agreed, **{**FORM, "form__space": "ada/other"})
    assert "view.run" not in shown and shown["agreed"]["space"] == "ada/other"
    assert visit.ledger.list(kind="deploy") == []
    assert call(deploy.back, visit)["agreed"] is None
    assert call(deploy.closed, visit)["box"]["visible"] is False


def test_a_visitor_of_a_space_deploys_nothing(visit: Visit) -> None:
    visitor = replace(visit, who="eve", may=ON_A_SPACE)
    assert call(account.turned, visitor, account__open=False)["account.deploy"]["visible"] is False
    assert call(deploy.drawn, visitor)["box"]["visible"] is False
    for handler, more in ((deploy.wanted_again, {}), (deploy.looked, FORM), (deploy.gone, {"agreed": None, **FORM})):
        with pytest.raises(StudioError):
            call(handler, visitor, **more)
