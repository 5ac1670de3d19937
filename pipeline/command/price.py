"""What a run on a Job costs, said before it is started."""

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
    """What a run on a Hugging Face Job is going to be."""

    flavor: str = Field(description="The hardware, as the Hub names it.")
    usd_per_hour: float
    usd_at_most: float
    hard_stop_seconds: int = Field(description="The Hub ends it then, whatever it does.")
    soft_stop_seconds: int = Field(description="It is asked to stop and save then.")
    seconds: float | None = Field(description="How long it may take; null where that is not known.")
    usd: float | None = Field(description="What that costs.")


def price_of(offer: Quote | None) -> Price | None:
    """Return an offer for the output."""
    if offer is None:
        return None
    return Price(
        flavor=offer.flavor.name,
        usd_per_hour=offer.flavor.price_per_hour,
        usd_at_most=offer.at_most,
        hard_stop_seconds=offer.hard_stop,
        soft_stop_seconds=offer.soft_stop,
        seconds=offer.estimate.seconds if offer.estimate else None,
        usd=offer.cost,
    )


def minutes(seconds: float) -> str:
    """Return a time in minutes, or in seconds where it is short."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def agree(call: Call, offer: Quote, found: Preflight[Any], lines: dict[str, object]) -> None:
    """Say what a run on a Job costs, and go on only with consent.

    Args:
        call: Gives the consent.
        offer: What it is going to be.
        found: The check; its warnings are said too.
        lines: What else it reads and writes, by name.

    Raises:
        StudioError: There is no consent.
    """
    stop = words.say("hardware.confirm.stop", time=minutes(offer.hard_stop), soft=minutes(offer.soft_stop))
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
        words.say("hardware.fact.most"): pricing.money(offer.at_most),
        **lines,
    }
    warned = [words.say("command.warning", what=str(warning)) for warning in found.warnings]
    most = pricing.money(offer.at_most)
    call.agree("\n".join([table.pairs(facts), *warned]), words.say("command.pay.question", most=most))
