"""What a Job costs, by the Hub's count of seconds, and how the page says it."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import JobInfo

from pipeline.base.errors import StudioError
from pipeline.base.home import open_home
from pipeline.base.message import verbatim
from pipeline.carriers import rented
from pipeline.carriers.billing import Billing, Left, Spend, Stopped
from pipeline.carriers.billing import billing as bill
from pipeline.carriers.spend import SpendWatch
from pipeline.hub.account import Account, SignIn, SignInStatus
from pipeline.runs.ledger import Ledger, Run, State
from ui.bar import spend as page


def job(
    stage: str = "RUNNING", running: int | None = 420, *, labels: dict[str, str] | None = None, **more: Any
) -> JobInfo:
    """Return a Job at l40sx1 for US$1.80 an hour, as the Hub describes one."""
    given = {"app": "align-studio", "run": "train-20261122-140500-ab12", "project": "rivers", "kind": "train"}
    return JobInfo(
        id="6740",
        endpoint="https://hub.example",
        createdAt="2026-11-22T14:00:00.000Z",
        flavor="l40sx1",
        labels=given | {"stop": "3600", "price": "30000"} if labels is None else labels,
        status={"stage": stage, "message": None},
        durations={"schedulingSecs": 3, "runningSecs": running, "totalSecs": 9},
        owner={"id": "1", "name": "ada", "type": "user"},
        **more,
    )


def billing(one: JobInfo, run: Run | None, clock_offset: float = 0.0) -> Billing:
    return bill(rented.of_job(one), run, "this-studio", clock_offset)


def ledger_with_job(folder: Path, user: str = "ada") -> tuple[Ledger, Run]:
    ledger = Ledger(open_home(folder / "home"))
    run, _ = ledger.add("train", "rivers", "Train <b>mine</b>", {"place": "job", "user": user})
    ledger.set_worker(run.id, {"job": "6740", "namespace": user, "url": "https://hub.example/jobs/ada/6740"})
    return ledger, ledger.get(run.id)


def test_cost_and_last_stop_follow_the_hubs_seconds() -> None:
    one = billing(job(), None)
    assert one.seconds == pytest.approx(420, abs=2)
    assert one.cost == pytest.approx(1.80 * 420 / 3600, abs=0.002)
    assert one.since is not None and one.stops_at is not None
    assert one.stops_at - one.since == 3600
    assert one.since == pytest.approx(time.time() - 420, abs=2)


@pytest.mark.parametrize("offset", [-7200.0, 0.0, 7200.0])
def test_a_wrong_clock_changes_nothing(offset: float) -> None:
    hub_now = datetime.now(UTC) + timedelta(seconds=offset)
    started = (hub_now - timedelta(seconds=600)).isoformat().replace("+00:00", "Z")
    assert billing(job(startedAt=started), None, offset).seconds == pytest.approx(420, abs=2)
    without = billing(job(running=None, startedAt=started), None, offset)
    assert without.seconds == pytest.approx(600, abs=2)
    wrong = billing(job(running=None, startedAt=started), None, -7200.0 if offset > 0 else offset - 5000)
    assert wrong.seconds >= 0 and wrong.cost >= 0


@pytest.mark.parametrize("seconds", [-500, 0])
def test_a_cost_is_never_negative(seconds: int) -> None:
    one = billing(job(running=seconds), None)
    assert one.seconds >= 0 and one.cost >= 0
    assert replace(one, since=time.time() + 100).cost == 0


def test_waiting_for_hardware_costs_nothing() -> None:
    one = billing(job("SCHEDULING", None), None)
    assert (one.since, one.cost, one.stops_at) == (None, 0.0, None)
    assert "costs nothing yet" in page.sentence(one)


def test_a_stage_nobody_knows_counts_as_billing() -> None:
    assert billing(job("HIBERNATING"), None).cost > 0


def test_a_job_without_price_and_limit_says_so() -> None:
    one = billing(job(labels={"app": "align-studio"}), None)
    assert (one.price_per_hour, one.stops_at, one.known) == (None, None, False)
    assert "an unknown amount" in page.sentence(one) and "stops" not in page.sentence(one)


def test_one_job_in_words(tmp_path: Path) -> None:
    ledger, run = ledger_with_job(tmp_path)
    one = billing(job(), run)
    stop, since = page.clock(one.stops_at), page.clock(one.since)
    said = page.sentence(one)
    assert said == f"L40S Job “{run.title}” since {since}, about US$0.21, stops at the latest {stop}"
    assert page.sentence(billing(job(), None)).startswith("L40S Job “Training rivers” since")
    shown = page._words(Spend("billing", (one,), time.time()))
    assert "<b>" not in shown and "&lt;b&gt;" in shown and 'href="http' in shown


def test_several_are_counted_and_added_up() -> None:
    now = Spend("billing", (billing(job(), None), billing(job(running=1000), None), billing(job("SCHEDULING"), None)))
    assert now.total == pytest.approx(1.80 * 1420 / 3600, abs=0.01)
    assert now.price_per_hour == pytest.approx(3.60)
    assert "3 Jobs" in page._words(now) and "US$0.71" in page._words(now) and "US$3.60 an hour" in page._words(now)


def test_what_is_not_known_is_never_called_nothing() -> None:
    problem = StudioError(verbatim("The Jobs of ada could not be listed.", "The Hub is not reached.", "Try again."))
    shown = page._words(Spend("unknown", (billing(job(), None),), time.time(), problem))
    assert "not known since" in shown and "The Hub is not reached" in shown and "Last seen: L40S Job" in shown
    assert "Nothing" not in page._words(Spend("unknown", (), None, problem))
    assert "Nothing" not in page._words(Spend("unknown"))
    assert "Last seen: L40S Job" in page._words(Spend("unknown", (billing(job(), None),), time.time()))


def test_signed_out_with_a_run_in_a_job(tmp_path: Path) -> None:
    ledger, run = ledger_with_job(tmp_path)
    watch = SpendWatch(ledger, SignIn())
    now = watch.look()
    assert (now.state, [seen.id for seen in now.unseen]) == ("signed out", [run.id])
    shown = page._words(now)
    assert "Nothing" not in shown and "by ada only" in shown and "https://hub.example/jobs/ada/6740" in shown
    with pytest.raises(StudioError, match="not signed in"):
        watch.stop_all()
    assert not run.stop_file.exists()
    ledger.end(run.id, State.SUCCEEDED)
    assert watch.look().state == "none"


def test_a_token_the_hub_was_not_asked_about_is_not_nothing(tmp_path: Path) -> None:
    """No Hub answers here."""
    sign_in = SignIn("hf_nobodyKnowsThisOne")
    sign_in.start()
    watch = SpendWatch(Ledger(open_home(tmp_path / "home")), sign_in)
    assert watch.look().state == "unknown"
    assert sign_in.wait().state == "unreachable"
    now = watch.check()
    assert now.state == "unknown" and now.problem is not None


def test_an_account_is_not_asked_about_anothers_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger, run = ledger_with_job(tmp_path, "ada")
    theirs, _ = ledger.add("train", "lakes", "Train theirs", {"place": "job", "user": "bob"})
    ledger.set_worker(theirs.id, {"job": "6741", "namespace": "rivers-org", "url": "https://hub.example/jobs/r/6741"})
    bob = Account("bob", "Bob", "write", may_write=True, may_run_jobs=True, may_read_gated=True)
    monkeypatch.setattr(SignIn, "status", SignInStatus("ready", bob, source="typed"))
    monkeypatch.setattr(SignIn, "token", "hf_bob")
    asked: list[str] = []
    monkeypatch.setattr(rented, "ours", lambda name: asked.append(name) or [])  # type: ignore[func-returns-value]
    seen = SpendWatch(ledger, SignIn()).check()
    assert asked == ["bob", "rivers-org"]
    assert seen.state != "hidden" and run.id in [one.id for one in seen.unseen]


def test_what_stayed_is_named_with_its_reason() -> None:
    one: Billing = billing(job(), None)
    shown = page.outcome(Stopped((one,), (Left(one, "no <right>"), Left(one))))
    assert "1 ended" in shown and "no &lt;right&gt;" in shown and "still there" in shown
    assert "No Job" in page.outcome(Stopped())


def test_the_confirmation_names_every_job() -> None:
    items = (billing(job(), None), billing(job("SCHEDULING", None), None))
    shown = page.question(Spend("billing", items))
    assert shown.count("<li>") == 2 and "Training rivers" in shown and "lost" in shown
    assert "No Job" in page.question(Spend("none"))
    problem = StudioError(verbatim("It is not known.", "The Hub is not reached."))
    assert "No Job" not in page.question(Spend("unknown", problem=problem))
