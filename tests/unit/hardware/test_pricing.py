from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.base.errors import StudioError
from pipeline.hardware import pricing
from pipeline.hardware.flavors import Flavor, Listing, Need
from pipeline.hardware.pricing import Estimate, JobOptions, Quote
from pipeline.hub import account
from pipeline.hub.account import Account

L40S = Flavor("l40sx1", "1x Nvidia L40S", "L40S", 1, 48 * 10**9, 0.03)
A100 = Flavor("a100-large", "Nvidia A100 - large", "A100", 1, 80 * 10**9, 0.041667)
BASIC = Flavor("cpu-basic", "CPU Basic", "", 0, 16 * 10**9, 0.000167)
LIVE = Listing((BASIC, L40S, A100), live=True)
ADA = Account("ada", "Ada", "write", may_write=True, may_run_jobs=True, may_read_gated=True)


def offer(budget: float = 2.0, flavor: str = "l40sx1", seconds: float | None = None) -> Quote:
    estimate = None if seconds is None else Estimate(seconds, "formula")
    return pricing.quote(JobOptions(where="job", flavor=flavor, budget=budget), estimate, LIVE)


def test_the_default_is_this_machine_and_l40s_for_two_dollars() -> None:
    expected = {"where": "local", "flavor": "l40sx1", "budget": 2.0, "namespace": ""}
    assert JobOptions().model_dump() == expected


@pytest.mark.parametrize("values", [{"budget": 0}, {"budget": -1}, {"budget": 1e9}, {"flavor": "L40S; rm"}, {"gpu": 1}])
def test_wrong_options_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        JobOptions(**values)


def test_the_budget_becomes_the_hard_stop() -> None:
    quoted = offer(2.0)
    assert quoted.hard_stop == 66 * 60  # 66 minutes of 0.03 USD are 1.98
    assert quoted.at_most == pytest.approx(1.98)
    assert quoted.soft_stop == 66 * 60 - int(0.15 * 66 * 60)


def test_no_run_goes_on_for_more_than_a_day() -> None:
    quoted = offer(5.0, "cpu-basic")
    assert quoted.hard_stop == 24 * 3600
    assert quoted.at_most == pytest.approx(24 * 60 * 0.000167, abs=1e-4)


@pytest.mark.parametrize("budget", [0.01, 0.3, 1, 2, 2.5, 7, 123.45])
@pytest.mark.parametrize("flavor", ["l40sx1", "a100-large", "cpu-basic"])
def test_a_run_never_costs_more_than_its_budget(budget: float, flavor: str) -> None:
    quoted = offer(budget, flavor)
    assert quoted.at_most <= budget
    # The minutes' price is rounded by the Hub to a millionth of a dollar: less than a cent in all.
    assert quoted.hard_stop / 60 * quoted.flavor.price_per_minute <= budget + 0.005


def test_two_dollars_fifty_are_an_hour_of_a100() -> None:
    assert offer(2.5, "a100-large").hard_stop == 3600


@pytest.mark.parametrize(("timeout", "soft"), [(600, 510), (300, 240), (3600, 3060), (86400, 85800)])
def test_the_soft_stop_leaves_time_to_save(timeout: int, soft: int) -> None:
    assert pricing.soft_stop(timeout) == soft


def test_each_minute_begun_is_paid() -> None:
    assert pricing.price(0.03, 61) == pytest.approx(0.06)
    assert pricing.price(0.03, 0) == pricing.price(0.03, -5) == 0


@pytest.mark.parametrize(
    ("usd", "words"), [(0.36, "US$0.36"), (0.0001, "< US$0.01"), (0, "US$0.00"), (1234.5, "US$1,234.50")]
)
def test_money(usd: float, words: str) -> None:
    assert pricing.money(usd) == words


def test_unknown_hardware_is_said_with_what_there_is() -> None:
    with pytest.raises(StudioError) as caught:
        offer(flavor="gpu-9000")
    assert "gpu-9000" in caught.value.what and "l40sx1" in caught.value.next


def test_who_is_not_signed_in_starts_no_job() -> None:
    notices = pricing.blockers(offer(), Need(memory=10**9))
    assert [notice.what for notice in notices] == ["You are not signed in to Hugging Face."]


def test_what_does_not_fit_is_a_blocker() -> None:
    said = [notice.what + notice.why for notice in pricing.blockers(offer(), Need(memory=60 * 10**9))]
    assert any("48 GB" in text and "60 GB" in text for text in said)


def test_a_budget_for_a_few_minutes_is_refused_with_the_least_that_works() -> None:
    notice = pricing._short(offer(0.1))
    assert notice is not None and "3 minutes" in notice.why and "US$0.30" in notice.next
    assert pricing._short(offer(0.31)) is None


def expiring(minutes: float, **changes: Any) -> Account:
    return replace(ADA, expires=datetime.now(UTC) + timedelta(minutes=minutes), **changes)


def test_the_hard_stop_never_lies_beyond_the_tokens_life() -> None:
    quoted = offer(2.0)  # 66 minutes
    assert pricing._token_life(ADA, quoted) is None
    assert pricing._token_life(expiring(66 + 15 + 1), quoted) is None
    notice = pricing._token_life(expiring(66 + 14), quoted)
    assert notice is not None and "Lower the budget to US$1.9" in notice.next
    assert pricing._token_life(expiring(66 + 14), offer(1.92)) is None
    short = pricing._token_life(expiring(20), quoted)
    assert short is not None and short.next == "Sign in again, with a token that lives longer."


def test_the_tokens_life_is_measured_with_the_hubs_clock() -> None:
    wrong_clock = expiring(66 + 20, clock_offset=600.0)  # the Hub is ten minutes ahead of this machine
    assert pricing._token_life(wrong_clock, offer(2.0)) is not None
    assert pricing._token_life(replace(wrong_clock, clock_offset=0.0), offer(2.0)) is None


def test_a_run_longer_than_its_budget_is_warned_of() -> None:
    (warning,) = pricing.warnings(offer(2.0, seconds=2 * 3600))
    assert "about 2 h 00 min" in warning.why and "56 min" in warning.why
    assert pricing.warnings(offer(2.0, seconds=600)) == []


def test_the_expected_cost_is_never_above_what_can_be_spent() -> None:
    assert offer(2.0, seconds=600).cost == pytest.approx(0.3)
    assert offer(2.0, seconds=10 * 3600).cost == pytest.approx(1.98)
    assert offer(2.0).cost is None


def test_old_prices_are_warned_of() -> None:
    old = replace(offer(), listing=Listing(LIVE.flavors, live=False, date="2026-08"))
    assert [notice.what for notice in pricing.warnings(old)] == ["The prices are of 2026-08."]


def test_the_spec_says_where_and_for_how_much() -> None:
    assert pricing.placed(offer(), ADA) == {
        "place": "job",
        "user": "ada",
        "job": {"flavor": "l40sx1", "namespace": "ada", "timeout": 3960, "price_per_minute": 0.03},
    }


def test_a_space_sleeps_after_its_time_which_bounds_what_it_can_cost() -> None:
    quoted = pricing.quote(JobOptions(where="space", flavor="spaces-l40sx1"), None, LIVE)
    assert (quoted.flavor.name, quoted.where) == ("l40sx1", "space")
    assert quoted.sleep == quoted.hard_stop + pricing.SLEEP_MARGIN_S  # a sleep before that would end what works
    assert quoted.at_most == pytest.approx(1.98) and quoted.worst == pytest.approx(96 * 0.03)
    assert offer().worst == offer().at_most
    placed = pricing.placed(quoted, ADA, "ada/autotrain-tuned")
    assert placed["place"] == "space" and placed["job"]["space"] == "ada/autotrain-tuned"
    assert placed["job"]["sleep"] == quoted.sleep and placed["job"]["namespace"] == "ada"


def test_an_organisation_pays_where_the_account_belongs_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    member = replace(ADA, organisations=("lab",))
    monkeypatch.setattr(account, "current", lambda: member)
    options = JobOptions(where="job", namespace="lab")
    quoted = pricing.quote(options, None, LIVE)
    assert (
        pricing.placed(quoted, member)["job"]["namespace"] == "lab" and pricing.placed(quoted, member)["user"] == "ada"
    )
    assert pricing.blockers(quoted, Need()) == []
    other = pricing.quote(options.model_copy(update={"namespace": "other"}), None, LIVE)
    assert [notice.code for notice in pricing.blockers(other, Need())] == ["hardware.foreign"]
    with pytest.raises(ValidationError):
        JobOptions(namespace="../lab")


@pytest.mark.parametrize(
    ("pro", "paying", "namespace", "said"),
    [
        (True, frozenset(), "", None),
        (False, frozenset(), "", "hardware.no_plan"),
        (None, frozenset(), "", "hardware.plan_unknown"),
        (False, frozenset({"lab"}), "lab", None),
        (True, frozenset(), "lab", "hardware.plan_unknown"),
    ],
)
def test_the_plan_a_space_needs_is_said_before_the_click(
    monkeypatch: pytest.MonkeyPatch, pro: bool | None, paying: frozenset[str], namespace: str, said: str | None
) -> None:
    member = replace(ADA, organisations=("lab",), pro=pro, paying=paying)
    monkeypatch.setattr(account, "current", lambda: member)
    quoted = pricing.quote(JobOptions(where="space", namespace=namespace), None, LIVE)
    shared = ["hardware.shared_space"] if namespace else []  # its members can change it, and it holds the token
    assert [notice.code for notice in pricing.warnings(quoted)] == ([said] if said else []) + shared
    assert pricing.warnings(replace(quoted, where="job")) == []
