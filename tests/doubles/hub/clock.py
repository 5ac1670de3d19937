"""The Hub's clock: the machine's, shifted where a test says so."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import format_datetime


class Clock:
    """Tells the time as the Hub sees it.

    Attributes:
        skew: Seconds by which the Hub is ahead of this machine.
    """

    def __init__(self) -> None:
        self.skew = 0.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time() + self.skew, UTC)

    def header(self) -> str:
        """Return the value of the Date header."""
        return format_datetime(self.now().replace(microsecond=0), usegmt=True)


def stamp(moment: datetime) -> str:
    """Return a time as the Hub writes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
