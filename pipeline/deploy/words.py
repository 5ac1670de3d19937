"""A deployment's plan in words, for the page and the command line."""

from __future__ import annotations

from pipeline.base import words
from pipeline.deploy.plan import MOUNT, Plan
from pipeline.hub.spaces import FREE


def facts(planned: Plan) -> dict[str, object]:
    """Return what would be done, by name, in the present language."""
    wanted, code = planned.wanted, planned.code
    lines = {
        "space": words.say("deploy.space.new" if planned.new else "deploy.space.there", space=wanted.name),
        "seen": words.say(f"deploy.seen.{'private' if wanted.private else 'public'}"),
        "hardware": _hardware(planned),
        "bucket": words.say("deploy.storage", bucket=planned.bucket, folder=MOUNT)
        if planned.bucket
        else words.say("deploy.storage.none"),
        "files": words.say(
            "deploy.files", count=len(code.files), size=f"{code.size / 1e6:.1f}", commit=code.commit[:12]
        ),
        "gone": ", ".join(planned.gone),
        "stay": ", ".join(planned.stay),
        "variables": ", ".join(f"{name}={value}" for name, value in wanted.variables.items()),
        "secrets": ", ".join(sorted(wanted.secrets)),
    }
    return {words.say(f"deploy.fact.{name}"): text for name, text in lines.items() if text}


def _hardware(planned: Plan) -> str:
    wanted = planned.wanted
    if wanted.hardware == FREE:
        return words.say("deploy.hardware.free", hardware=wanted.hardware)
    if planned.price is None:
        return words.say("deploy.hardware.unknown", hardware=wanted.hardware)
    sleep = wanted.sleep
    rest = (
        words.say("deploy.hardware.sleep", minutes=sleep // 60)
        if sleep and sleep > 0
        else words.say("deploy.hardware.awake")
    )
    dated = "" if planned.listing.live else words.say("deploy.hardware.dated", date=planned.listing.date)
    price = words.say("deploy.hardware.paid", hardware=wanted.hardware, price=f"US${planned.price:,.2f}")
    return "".join([price, rest, dated])
