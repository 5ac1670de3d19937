"""Runs on rented hardware, a Job or a Space: what is chosen, what it may cost, what stops it before it is paid."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator

from pipeline.base.errors import StudioError, Wrong
from pipeline.base.message import Message, message
from pipeline.base.options import choices
from pipeline.carriers import bundle
from pipeline.hardware import flavors
from pipeline.hardware.flavors import Flavor, Listing, Misfit, Need
from pipeline.hub import account
from pipeline.hub.account import Account
from pipeline.runs.ledger import Run
from pipeline.runs.places import LOCAL, carrier_of, carriers

LONGEST_S = 24 * 3600  # no run may go on for longer, however cheap its hardware
SHORTEST_S = 10 * 60  # less is over before a Job has installed what it needs
SLEEP_MARGIN_S = 30 * 60  # after its time limit a Space that nobody could pause falls asleep
RENTED = ("job", "space")
TOKEN_MARGIN_S = 15 * 60  # the token must outlive the hard stop by so much: the result is uploaded with it


class JobOptions(BaseModel, extra="forbid", validate_assignment=True):
    """Where a run goes, and what it may cost there."""

    where: str = Field(
        LOCAL,
        description="local: this machine; job: a Hugging Face Job; space: an AutoTrain Space. Both are rented.",
        json_schema_extra=choices(carriers),
    )
    flavor: str = Field(
        flavors.DEFAULT,
        pattern=r"^[a-z0-9][a-z0-9.-]{0,39}$",
        description="Rented hardware, as the Hub names it; AutoTrain's names, as spaces-l40sx1, are understood too.",
    )
    namespace: str = Field(
        "",
        pattern=r"^[A-Za-z0-9._-]{0,96}$",
        description="Account or organisation that pays; empty: the account signed in.",
    )
    budget: float = Field(
        2.0,
        gt=0,
        le=1000,
        description="What the run may cost at most; it is stopped when that is spent, after 24 hours at the latest.",
        json_schema_extra={"unit": "USD"},
    )

    @field_validator("where")
    @classmethod
    def _there(cls, where: str) -> str:
        if where not in carriers():
            raise Wrong("hardware.no_place", place=where, places=list(carriers()))
        return where

    @field_validator("flavor")
    @classmethod
    def _flavor(cls, flavor: str) -> str:
        return flavor.removeprefix("spaces-")

    @property
    def place(self) -> dict[str, str]:
        """What a run's spec says of a place that needs no offer: of what is rented more is said, see `placed`."""
        return {} if self.where == LOCAL or self.remote else {"place": self.where}

    @property
    def here(self) -> bool:
        """Whether the run uses this machine's processors."""
        return carrier_of(self.where).here

    @property
    def remote(self) -> bool:
        """Whether the run goes to rented hardware, a Job or a Space."""
        return self.where in RENTED

    @property
    def rented(self) -> flavors.Place:
        """Which kind of hardware is rented."""
        return "space" if self.where == "space" else "job"


@dataclass(frozen=True)
class Estimate:
    """How long a run may take on rented hardware, its start included.

    Attributes:
        seconds: The time.
        source: former: a finished run of this kind on the same hardware; formula: a rough calculation.
    """

    seconds: float
    source: Literal["former", "formula"]


@dataclass(frozen=True)
class Quote:
    """What a run on rented hardware is going to be, shown before it is started.

    Attributes:
        flavor: The hardware.
        listing: Where its price comes from.
        hard_stop: Seconds after which it is ended, whatever it does: a Job by the Hub, a Space by its own program.
        soft_stop: Seconds after which the run is asked to stop and save.
        at_most: USD it costs at most.
        estimate: How long it may take; None: not known.
        where: job or space.
        namespace: Who pays; "": the account signed in.
    """

    flavor: Flavor
    listing: Listing
    hard_stop: int
    soft_stop: int
    at_most: float
    estimate: Estimate | None = None
    where: flavors.Place = "job"
    namespace: str = ""

    @property
    def sleep(self) -> int:
        """Seconds without a visitor after which a Space falls asleep, working or not; so it is longer than its time."""
        return self.hard_stop + SLEEP_MARGIN_S

    @property
    def worst(self) -> float:
        """USD it costs if a Space is not paused in time, neither by itself nor from here."""
        return price(self.flavor.price_per_minute, self.sleep) if self.where == "space" else self.at_most

    @property
    def cost(self) -> float | None:
        """USD the estimated time costs, whole minutes."""
        if self.estimate is None:
            return None
        return price(self.flavor.price_per_minute, min(self.estimate.seconds, self.hard_stop))


def quote(options: JobOptions, estimate: Estimate | None = None, listing: Listing | None = None) -> Quote:
    """Return what a run on rented hardware costs at most and when it ends at the latest.

    The hard stop is the number of whole minutes that the budget pays, at most 24 hours.

    Args:
        options: Hardware and budget.
        estimate: How long it may take.
        listing: Flavors and prices; by default the Hub's.

    Raises:
        StudioError: There is no such hardware, or the list does not say its price.
    """
    listing = listing or flavors.listing(options.rented)
    flavor = listing.find(options.flavor)
    if flavor is None:
        names = [one.name for one in listing.flavors if one.gpus == 1]
        raise StudioError("hardware.no_flavor", flavor=options.flavor, names=names)
    # Half a micro-dollar is the Hub's own rounding: 2.50 USD of 0.041667 a minute are an hour.
    minutes = int(options.budget / max(flavor.price_per_minute - 5e-7, 1e-9))
    hard = min(LONGEST_S, minutes * 60)
    at_most = min(options.budget, price(flavor.price_per_minute, hard))
    return Quote(flavor, listing, hard, soft_stop(hard), at_most, estimate, options.rented, options.namespace)


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


def blockers(offer: Quote, need: Need) -> list[Message]:
    """Return what stops a run on rented hardware, before anything is sent or paid.

    Args:
        offer: What it is going to be.
        need: What the run asks of the hardware.
    """
    found = [_misfit(offer.flavor, need), _short(offer)]
    try:
        who = required(offer)
        found += [_foreign(who, offer), _token_life(who, offer)]
    except StudioError as error:
        found.insert(0, error.message)
    return [notice for notice in found if notice]


def warnings(offer: Quote) -> list[Message]:
    """Return what to beware of in a run on rented hardware.

    Args:
        offer: What it is going to be.
    """
    found = (_too_long(offer), _old_prices(offer), _unpaid(offer), _no_plan(offer), _shared(offer))
    return [notice for notice in found if notice]


def required(offer: Quote) -> Account:
    """Return the account in use, which may rent the hardware.

    Raises:
        StudioError: Nobody is signed in, the token may not do it, or it cannot be checked.
    """
    return account.require_write() if offer.where == "space" else account.require_jobs()


def payer(offer: Quote, who: Account) -> str:
    """Return the account or organisation that pays."""
    return offer.namespace or who.name


def placed(offer: Quote, who: Account, space: str = "") -> dict[str, Any]:
    """Return what a run's spec says of its hardware: `place`, `user` and `job`.

    Args:
        offer: What was agreed to.
        who: Whose run it is.
        space: Id of the Space to be made; "" for a Job.
    """
    job: dict[str, Any] = {
        "flavor": offer.flavor.name,
        "namespace": payer(offer, who),
        "timeout": offer.hard_stop,
        "price_per_minute": offer.flavor.price_per_minute,
    }
    if offer.where == "space":
        job |= {"space": space, "sleep": offer.sleep}
    return {"place": offer.where, "user": who.name, "job": job}


@dataclass(frozen=True)
class Spent:
    """What rented hardware has cost so far, by the price that was shown.

    Attributes:
        seconds: How long it ran: as the Hub says it of a Job that has ended, else by our own clock.
        usd: Price of that.
        flavor: Name of its hardware.
    """

    seconds: float
    usd: float
    flavor: str


def spent(run: Run) -> Spent | None:
    """Return what a run on rented hardware has cost, None before that ran or for a run on this machine.

    Args:
        run: The run.
    """
    job = run.worker or {}
    if run.place not in RENTED or (run.started is None and not job.get("seconds") and not job.get("began")):
        return None
    seconds = job.get("seconds")
    if seconds is None:
        seconds = max(0.0, (run.ended or time.time()) - (job.get("began") or run.started or 0.0))
    usd = price(float(job.get("price_per_minute") or 0), float(seconds))
    return Spent(float(seconds), usd, str(job.get("flavor") or ""))


def user() -> str:
    """Return the account whose token a run would use, "" for none or when the Hub does not tell."""
    try:
        who = account.current()
    except StudioError:
        return ""
    return who.name if who else ""


def reason(misfit: Misfit, flavor: Flavor) -> Message:
    """Return why a flavor is not for a run."""
    sizes = {"need": _gb(misfit.need), "has": _gb(misfit.has)}
    return message(f"hardware.misfit.{misfit.why}", gpu=flavor.gpu, gpus=flavor.gpus, **sizes)


def _misfit(flavor: Flavor, need: Need) -> Message | None:
    found = flavors.fits(flavor, need)
    if found is None:
        return None
    return message("hardware.unfit_for", flavor=flavor.pretty, name=flavor.name, reason=reason(found, flavor))


def _short(offer: Quote) -> Message | None:
    if offer.hard_stop >= SHORTEST_S:
        return None
    least = price(offer.flavor.price_per_minute, SHORTEST_S) + 0.005
    minutes = offer.hard_stop // 60
    return message("hardware.budget_small", minutes=minutes, hardware=offer.flavor.label, least=money(least))


def _token_life(who: Account, offer: Quote) -> Message | None:
    """Refuse a hard stop that lies beyond the token's life: the result could not be uploaded."""
    if who.expires is None:
        return None
    left = int((who.expires - timedelta(seconds=TOKEN_MARGIN_S) - who.now()).total_seconds())
    if offer.hard_stop <= left:
        return None
    values = {
        "end": f"{who.expires.astimezone(UTC):%Y-%m-%d %H:%M}",
        "time": _minutes(offer.hard_stop),
        "kept": TOKEN_MARGIN_S // 60,
    }
    affordable = offer.flavor.price_per_minute * (left // 60)
    if left < SHORTEST_S or affordable < 0.01:
        return message("hardware.token_ends", **values)
    return message("hardware.token_ends_soon", lower=money(int(affordable * 100) / 100), **values)


def _too_long(offer: Quote) -> Message | None:
    if offer.estimate is None or offer.estimate.seconds <= offer.soft_stop:
        return None
    takes, stop = _minutes(offer.estimate.seconds), _minutes(offer.soft_stop)
    return message("hardware.too_long", time=takes, stop=stop)


def _old_prices(offer: Quote) -> Message | None:
    if offer.listing.live:
        return None
    return message("hardware.old_prices", date=offer.listing.date)


def _foreign(who: Account, offer: Quote) -> Message | None:
    """Refuse an organisation that the account does not belong to."""
    if payer(offer, who) in (who.name, *who.organisations):
        return None
    return message("hardware.foreign", namespace=offer.namespace, known=[who.name, *who.organisations])


def _shared(offer: Quote) -> Message | None:
    """Say who can get at the token in an organisation's Space; nobody can change what a Job has been given to do."""
    if offer.where != "space" or not offer.namespace or offer.namespace == user():
        return None
    return message("hardware.shared_space", namespace=offer.namespace)


def _no_plan(offer: Quote) -> Message | None:
    """Say that a Space needs a paid plan where the Hub says that there is none; it decides itself when it is asked."""
    try:
        who = account.current()
    except StudioError:  # said as a blocker
        return None
    if offer.where != "space" or who is None or who.has_plan(payer(offer, who)):
        return None
    known = who.has_plan(payer(offer, who)) is False
    return message("hardware.no_plan" if known else "hardware.plan_unknown", namespace=payer(offer, who))


def _unpaid(offer: Quote) -> Message | None:
    """Say what the Hub tells of the account's means; credit it does not tell of shows when hardware is asked for."""
    try:
        who = account.current()
    except StudioError:  # said as a blocker
        return None
    if who is None or who.can_pay is not False or payer(offer, who) != who.name:
        return None
    return message("hardware.unpaid")


def _minutes(seconds: float) -> str:
    whole = max(1, round(seconds / 60))
    return f"{whole} min" if whole < 60 else f"{whole // 60} h {whole % 60:02d} min"


def _gb(count: int) -> str:
    """Return memory as the Hub counts it, in units of 10⁹ bytes."""
    return f"{count / 1e9:.0f} GB" if count >= 10e9 else f"{count / 1e9:.1f} GB"
