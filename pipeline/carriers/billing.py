"""What one Job or Space costs, what all of them do, and what came of ending them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

from pipeline.base.errors import StudioError
from pipeline.base.message import Message
from pipeline.carriers.rented import Rented
from pipeline.runs.ledger import Run

State = Literal["none", "billing", "unknown", "hidden", "signed out"]


@dataclass(frozen=True)
class Billing:
    """One Job or Space that costs money, or is about to; times are Unix seconds by this machine's clock.

    Attributes:
        place: job or space.
        job_id: Its id on the Hub; a Space's name.
        namespace: Who pays.
        run_id: Id of the run it carries, as its label says.
        kind: train or evaluate.
        named: What people see, see `title`; None where the run is not known here.
        project: Name of the project, as its label says.
        flavor: Name of the hardware.
        stage: As the Hub says: SCHEDULING, RUNNING, …
        price_per_hour: In USD, as it was agreed; None: its label does not say.
        since: Since when it runs; None: it waits for its hardware and costs nothing yet.
        stops_at: When it is ended at the latest; None: not running yet, or its label does not say.
        url: Its page on the Hub.
        known: Whether the run is in this disk's ledger.
        elsewhere: Whether another studio of the same account has started it.
    """

    place: str
    job_id: str
    namespace: str
    run_id: str
    kind: str
    named: Message | None
    project: str
    flavor: str
    stage: str
    price_per_hour: float | None
    since: float | None
    stops_at: float | None
    url: str
    known: bool
    elsewhere: bool = False

    @property
    def title(self) -> str:
        """What people see, in the present language; "" where the run is not known here."""
        return self.named.what if self.named else ""

    @property
    def seconds(self) -> float:
        """Seconds billed so far."""
        return max(0.0, time.time() - self.since) if self.since is not None else 0.0

    @property
    def cost(self) -> float:
        """USD so far, about."""
        return self.seconds / 3600 * (self.price_per_hour or 0.0)


@dataclass(frozen=True)
class Spend:
    """What is billing, as far as is known.

    Attributes:
        state: none: nothing; billing: `items`; unknown: the Hub does not say, `items` were seen last; hidden:
            the token may not ask; signed out: the Jobs of `unseen` may be billing, and only their user may ask.
        items: The Jobs, newest first.
        checked_at: When the Hub last said so, Unix seconds; None: never.
        problem: Why it is not known.
        unseen: Unfinished runs in Jobs of users who are not signed in.
    """

    state: State
    items: tuple[Billing, ...] = ()
    checked_at: float | None = None
    problem: StudioError | None = None
    unseen: tuple[Run, ...] = ()

    @property
    def total(self) -> float:
        """USD of all items so far, about."""
        return sum(item.cost for item in self.items)

    @property
    def price_per_hour(self) -> float:
        """USD per hour of all items that run."""
        return sum(item.price_per_hour or 0.0 for item in self.items if item.since is not None)


@dataclass(frozen=True)
class Left:
    """A Job that did not end.

    Attributes:
        item: The Job.
        problem: Why, as far as the Hub said; None if it only did not end in time.
    """

    item: Billing
    problem: StudioError | None = None

    @property
    def why(self) -> str:
        """What the Hub said, in the present language."""
        return str(self.problem) if self.problem else ""


@dataclass(frozen=True)
class Stopped:
    """What came of stopping everything.

    Attributes:
        ended: Jobs that have ended, as the Hub confirms.
        left: Jobs that have not, as far as is known.
    """

    ended: tuple[Billing, ...] = ()
    left: tuple[Left, ...] = ()


def billing(one: Rented, run: Run | None, studio: str, clock_offset: float = 0.0) -> Billing:
    """Return what a Job or Space that is not over costs.

    Args:
        one: As the Hub describes it.
        run: Its run, if this disk knows it.
        studio: Id of this studio.
        clock_offset: The Hub's clock minus ours, seconds; needed only where the Hub does not say how long it runs.
    """
    worker = one.worker
    since = _since(one, run, time.time(), clock_offset)
    return Billing(
        place=one.place,
        job_id=one.id,
        namespace=one.namespace,
        run_id=one.run,
        kind=one.labels.get("kind", ""),
        named=run.named if run else None,
        project=one.labels.get("project", ""),
        flavor=worker["flavor"],
        stage=one.stage,
        price_per_hour=round(worker["price_per_minute"] * 60, 4) or None,
        since=since,
        stops_at=since + worker["timeout"] if since is not None and worker["timeout"] else None,
        url=worker["url"],
        known=run is not None,
        elsewhere=worker["studio"] not in ("", studio),
    )


def _since(one: Rented, run: Run | None, now: float, clock_offset: float) -> float | None:
    """Return since when it runs by our clock: a Job's seconds the Hub counts, so that neither clock need be right.

    Of a Space the Hub says nothing of the kind: what its supervisor saw counts, else when its files came.
    """
    if one.waiting:
        return None
    if one.seconds is not None:
        return now - max(0.0, one.seconds)
    if run is not None and (run.worker or {}).get("began"):
        return min(now, float((run.worker or {})["began"]))
    return min(now, one.began - clock_offset) if one.began else now
