"""The bar tells each visitor of what is theirs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.base.errors import StudioError
from pipeline.hub.account import Account, SignInStatus
from pipeline.studio import Studio
from pipeline.visit import Visit
from ui.bar import account, spend, status


def test_runs_account_and_bill_are_shown_to_whom_they_belong(studio: Studio) -> None:
    ada, bob = (Visit(studio, name, may=frozenset()) for name in ("ada", "bob"))
    ada.ledger.add("train", "", "Hers", {})
    assert "Hers" in status.inside(ada) and "Hers" not in status.inside(bob)
    assert "Not signed in" in status.inside(Visit(studio)) and "Not signed in" not in status.inside(bob)
    button = [status.redrawn(visit, {})["bar.account"]["visible"] for visit in (Visit(studio), bob)]
    assert button == [True, False]
    assert "spend-item" in status.inside(Visit(studio)) and "spend-item" not in status.inside(bob)


@pytest.mark.parametrize("handler", [account.taken, account.signed_out, account.asked_again, spend.asked, spend.ended])
def test_the_studios_account_is_touched_by_its_owner_alone(studio: Studio, handler: object) -> None:
    with pytest.raises(StudioError):
        handler(Visit(studio, "bob", may=frozenset()), {"account.token": "hf_his"})  # type: ignore[operator]
    assert studio.sign_in.status.state == "none"


def test_another_token_of_the_same_account_is_news_and_the_clock_is_not(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = Account("pia", "Pia", "read", may_write=False, may_run_jobs=False, may_read_gated=True)
    said = []
    for each in (reader, replace(reader, clock_offset=3.0), replace(reader, kind="write", may_write=True)):
        monkeypatch.setattr(type(studio.sign_in), "status", SignInStatus("ready", each, source="typed"))
        said.append((account.who(Visit(studio)), status.shape(Visit(studio))))
    assert said[0] == said[1]
    assert said[1][0] != said[2][0] and said[1][1] != said[2][1]
