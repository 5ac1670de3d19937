"""What a run on rented hardware costs, said before it is started."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from pipeline.base import words
from pipeline.base.preflight import Preflight
from pipeline.command import table
from pipeline.command.frame import Call
from pipeline.hardware import pricing
from pipeline.hardware.pricing import Quote


class Price(BaseModel):
    """What a run on rented hardware is going to be."""

    where: str = Field(description="job or space.")
    flavor: str = Field(description="The hardware, as the Hub names it.")
    usd_per_hour: float
    usd_at_most: float
    usd_worst: float = Field(
        description="What it costs if a Space is not paused in time; of a Job the same as at most."
    )
    hard_stop_seconds: int = Field(description="It is ended then: a Job by the Hub, a Space by its own program.")
    soft_stop_seconds: int = Field(description="It is asked to stop and save then.")
    seconds: float | None = Field(description="How long it may take; null where that is not known.")
    usd: float | None = Field(description="What that costs.")


def price_of(offer: Quote | None) -> Price | None:
    """Return an offer for the output."""
    if offer is None:
        return None
    return Price(
        where=offer.where,
        flavor=offer.flavor.name,
        usd_per_hour=offer.flavor.price_per_hour,
        usd_at_most=offer.at_most,
        usd_worst=offer.worst,
        hard_stop_seconds=offer.hard_stop,
        soft_stop_seconds=offer.soft_stop,
        seconds=offer.estimate.seconds if offer.estimate else None,
        usd=offer.cost,
    )


def minutes(seconds: float) -> str:
    """Return a time in minutes, or in seconds where it is short."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def agree(call: Call, offer: Quote, found: Preflight[Any], lines: dict[str, object]) -> None:
    """Say what a run on rented hardware costs, and go on only with consent.

    Args:
        call: Gives the consent.
        offer: What it is going to be.
        found: The check; its warnings are said too.
        lines: What else it reads and writes, by name.

    Raises:
        StudioError: There is no consent.
    """
    space = offer.where == "space"
    times = {"time": minutes(offer.hard_stop), "soft": minutes(offer.soft_stop)}
    stop = words.say("hardware.confirm.space_stop" if space else "hardware.confirm.stop", **times)
    worst = words.say("hardware.confirm.space_worst", worst=pricing.money(offer.worst), time=minutes(offer.sleep))
    time = words.say("hardware.time.unknown")
    if offer.estimate is not None and offer.cost is not None:
        known = {"time": minutes(offer.estimate.seconds), "cost": pricing.money(offer.cost)}
        time = words.say(f"hardware.time.{offer.estimate.source}", **known)
    facts: dict[str, object] = {
        words.say("hardware.fact.hardware"): f"{offer.flavor.pretty} ({offer.flavor.name})",
        words.say("hardware.fact.price"): words.say(
            "hardware.confirm.price", price=pricing.money(offer.flavor.price_per_hour)
        ),
        words.say("hardware.fact.time"): time,
        words.say("hardware.fact.stop"): stop,
        words.say("hardware.fact.most_space" if space else "hardware.fact.most"): pricing.money(offer.at_most),
        **({words.say("hardware.fact.worst"): worst} if space else {}),
        **lines,
    }
    warned = [words.say("command.warning", what=str(warning)) for warning in found.warnings]
    most = pricing.money(offer.at_most)
    call.agree("\n".join([table.pairs(facts), *warned]), words.say("command.pay.question", most=most))
