"""Runs on a Hugging Face Job: what is chosen, what it may cost, what stops it before anything is paid."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Any, Literal

from pydantic import BaseModel, Field

from pipeline.base.errors import StudioError
from pipeline.base.preflight import Notice
from pipeline.carriers import bundle
from pipeline.hardware import flavors
from pipeline.hardware.flavors import Flavor, Listing, Misfit, Need
from pipeline.hub import account
from pipeline.hub.account import Account
from pipeline.runs.ledger import Run

LONGEST_S = 24 * 3600  # no run may go on for longer, however cheap its hardware
SHORTEST_S = 10 * 60  # less is over before a Job has installed what it needs
TOKEN_MARGIN_S = 15 * 60  # the token must outlive the hard stop by so much: the result is uploaded with it


class JobOptions(BaseModel, extra="forbid", validate_assignment=True):
    """Where a run goes, and what it may cost there."""

    where: Literal["local", "job"] = Field(
        "local", description="local: this machine; job: a Hugging Face Job, rented by the minute."
    )
    flavor: str = Field(
        flavors.DEFAULT, pattern=r"^[a-z0-9][a-z0-9.-]{0,39}$", description="Hardware of the Job, as the Hub names it."
    )
    budget: float = Field(
        2.0,
        gt=0,
        le=1000,
        description="What the Job may cost at most; it is stopped when that is spent, after 24 hours at the latest.",
        json_schema_extra={"unit": "USD"},
    )

    @property
    def remote(self) -> bool:
        """Whether the run goes to a Job."""
        return self.where == "job"


@dataclass(frozen=True)
class Estimate:
    """How long a run may take on a Job, its start included.

    Attributes:
        seconds: The time.
        source: former: a finished run of this kind on the same hardware; formula: a rough calculation.
    """

    seconds: float
    source: Literal["former", "formula"]


@dataclass(frozen=True)
class Quote:
    """What a run on a Job is going to be, shown before it is started.

    Attributes:
        flavor: The hardware.
        listing: Where its price comes from.
        hard_stop: Seconds after which the Hub ends it, whatever it does.
        soft_stop: Seconds after which the run is asked to stop and save.
        at_most: USD it costs at most.
        estimate: How long it may take; None: not known.
    """

    flavor: Flavor
    listing: Listing
    hard_stop: int
    soft_stop: int
    at_most: float
    estimate: Estimate | None = None

    @property
    def cost(self) -> float | None:
        """USD the estimated time costs, whole minutes."""
        if self.estimate is None:
            return None
        return price(self.flavor.price_per_minute, min(self.estimate.seconds, self.hard_stop))


def quote(options: JobOptions, estimate: Estimate | None = None, listing: Listing | None = None) -> Quote:
    """Return what a run on a Job costs at most and when it ends at the latest.

    The hard stop is the number of whole minutes that the budget pays, at most 24 hours.

    Args:
        options: Hardware and budget.
        estimate: How long it may take.
        listing: Flavors and prices; by default the Hub's.

    Raises:
        StudioError: There is no such hardware, or the list does not say its price.
    """
    listing = listing or flavors.listing()
    flavor = listing.find(options.flavor)
    if flavor is None:
        names = ", ".join(one.name for one in listing.flavors if one.gpus == 1)
        raise StudioError(f"There is no hardware “{options.flavor}” for Jobs.", "", f"Choose one of: {names}.")
    # Half a micro-dollar is the Hub's own rounding: 2.50 USD of 0.041667 a minute are an hour.
    minutes = int(options.budget / max(flavor.price_per_minute - 5e-7, 1e-9))
    hard = min(LONGEST_S, minutes * 60)
    at_most = min(options.budget, price(flavor.price_per_minute, hard))
    return Quote(flavor, listing, hard, soft_stop(hard), at_most, estimate)


def soft_stop(timeout: int) -> int:
    """Return the second at which a run is asked to stop and save, so that it is done before the hard stop.

    Args:
        timeout: The hard stop, seconds.
    """
    return int(bundle.soft_stop(timeout))


def price(per_minute: float, seconds: float) -> float:
    """Return what a time costs: each minute that was begun.

    Args:
        per_minute: USD.
        seconds: The time.

    Returns:
        USD, to a hundredth of a cent.
    """
    return round(per_minute * -(-max(0.0, seconds) // 60), 4)


def money(usd: float) -> str:
    """Return an amount as US$0.36; below one cent as “less than”, never as nothing."""
    return "< US$0.01" if 0 < usd < 0.005 else f"US${usd:,.2f}"


def blockers(offer: Quote, need: Need) -> list[Notice]:
    """Return what stops a run on a Job, before anything is sent or paid.

    Args:
        offer: What it is going to be.
        need: What the run asks of the hardware.
    """
    found = [_misfit(offer.flavor, need), _short(offer)]
    try:
        found.append(_token_life(account.require_jobs(), offer))
    except StudioError as error:
        found.insert(0, Notice(error.what, error.why, error.next))
    return [notice for notice in found if notice]


def warnings(offer: Quote) -> list[Notice]:
    """Return what to beware of in a run on a Job.

    Args:
        offer: What it is going to be.
    """
    return [notice for notice in (_too_long(offer), _old_prices(offer), _unpaid()) if notice]


def placed(offer: Quote, who: Account) -> dict[str, Any]:
    """Return what a run's spec says of its Job: `place`, `user` and `job`.

    Args:
        offer: What was agreed to.
        who: Whose Job it is.
    """
    job = {
        "flavor": offer.flavor.name,
        "namespace": who.name,
        "timeout": offer.hard_stop,
        "price_per_minute": offer.flavor.price_per_minute,
    }
    return {"place": "job", "user": who.name, "job": job}


@dataclass(frozen=True)
class Spent:
    """What a Job has cost so far, by the price that was shown.

    Attributes:
        seconds: How long it ran: as the Hub says it of one that has ended, else by our own clock.
        usd: Price of that.
        flavor: Name of its hardware.
    """

    seconds: float
    usd: float
    flavor: str


def spent(run: Run) -> Spent | None:
    """Return what a run on a Job has cost, None before its Job ran or for a run on this machine.

    Args:
        run: The run.
    """
    job = run.worker or {}
    if run.place != "job" or (run.started is None and not job.get("seconds")):
        return None
    seconds = job.get("seconds")
    if seconds is None:
        seconds = max(0.0, (run.ended or time.time()) - (run.started or 0.0))
    usd = price(float(job.get("price_per_minute") or 0), float(seconds))
    return Spent(float(seconds), usd, str(job.get("flavor") or ""))


def user() -> str:
    """Return the account whose token a run would use, "" for none or when the Hub does not tell."""
    try:
        who = account.current()
    except StudioError:
        return ""
    return who.name if who else ""


def words(misfit: Misfit, flavor: Flavor) -> str:
    """Return why a flavor is not for a run, one sentence."""
    if misfit.why == "cpu":
        return f"{flavor.pretty} has no GPU."
    if misfit.why == "several":
        return f"It has {flavor.gpus} GPUs, and a run uses one: the others would be paid for nothing."
    if misfit.why == "bf16":
        return f"{flavor.gpu} cannot compute in bf16."
    memory = "GPU memory" if flavor.gpus else "memory"
    return f"It has {_gb(misfit.has)} of {memory}, and the run may need {_gb(misfit.need)}."


def _misfit(flavor: Flavor, need: Need) -> Notice | None:
    found = flavors.fits(flavor, need)
    if found is None:
        return None
    after = {
        "bf16": "Choose other hardware, or another number format than bf16.",
        "memory": "Choose larger hardware, or a smaller batch_size.",
    }
    return Notice(
        f"{flavor.pretty} ({flavor.name}) is not for this run.",
        words(found, flavor),
        after.get(found.why, "Choose hardware with one GPU."),
    )


def _short(offer: Quote) -> Notice | None:
    if offer.hard_stop >= SHORTEST_S:
        return None
    least = price(offer.flavor.price_per_minute, SHORTEST_S) + 0.005
    return Notice(
        "The budget is too small.",
        f"It pays {offer.hard_stop // 60} minutes of {offer.flavor.label}, and a Job needs several to begin.",
        f"Raise the budget to {money(least)} or more, or choose cheaper hardware.",
    )


def _token_life(who: Account, offer: Quote) -> Notice | None:
    """Refuse a hard stop that lies beyond the token's life: the result could not be uploaded."""
    if who.expires is None:
        return None
    left = int((who.expires - timedelta(seconds=TOKEN_MARGIN_S) - who.now()).total_seconds())
    if offer.hard_stop <= left:
        return None
    what = "The sign-in ends before the Job has to."
    end = who.expires.astimezone(UTC)
    why = (
        f"The token expires at {end:%Y-%m-%d %H:%M} UTC, the Job may go on for {_minutes(offer.hard_stop)}, and "
        f"{TOKEN_MARGIN_S // 60} minutes are kept for the upload."
    )
    affordable = offer.flavor.price_per_minute * (left // 60)
    if left < SHORTEST_S or affordable < 0.01:
        return Notice(what, why, "Sign in again, with a token that lives longer.")
    lower = int(affordable * 100) / 100
    return Notice(what, why, f"Lower the budget to {money(lower)}, or sign in with a token that lives longer.")


def _too_long(offer: Quote) -> Notice | None:
    if offer.estimate is None or offer.estimate.seconds <= offer.soft_stop:
        return None
    return Notice(
        "The run may not come to its end within the budget.",
        f"It may take about {_minutes(offer.estimate.seconds)}; after {_minutes(offer.soft_stop)} it is asked to stop, "
        "and what there is then is saved.",
        "Raise the budget, or choose faster hardware.",
    )


def _old_prices(offer: Quote) -> Notice | None:
    if offer.listing.live:
        return None
    return Notice(
        f"The prices are of {offer.listing.date}.",
        "The Hub did not tell today's; it bills what it asks today.",
        "Try again in a minute.",
    )


def _unpaid() -> Notice | None:
    """Say what the Hub tells of the account's means; credit it does not tell is found out when the Job is asked for."""
    try:
        who = account.current()
    except StudioError:  # said as a blocker
        return None
    if who is None or who.can_pay is not False:
        return None
    return Notice(
        "The Hub knows no way to pay for this account.",
        "Jobs need credit; without any the Hub refuses the Job, and nothing is billed.",
        "Add credit on the Hub's billing page.",
    )


def _minutes(seconds: float) -> str:
    whole = max(1, round(seconds / 60))
    return f"{whole} min" if whole < 60 else f"{whole // 60} h {whole % 60:02d} min"


def _gb(count: int) -> str:
    """Return memory as the Hub counts it, in units of 10⁹ bytes."""
    return f"{count / 1e9:.0f} GB" if count >= 10e9 else f"{count / 1e9:.1f} GB"
