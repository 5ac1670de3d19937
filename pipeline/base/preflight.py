"""What a step knows before it starts: what stops it, what to beware of, and the numbers it goes by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pipeline.base.errors import StudioError

Numbers = TypeVar("Numbers")


@dataclass(frozen=True)
class Notice:
    """One thing to say: what, why, and what to do."""

    what: str
    why: str = ""
    next: str = ""

    def error(self) -> StudioError:
        """Return it as the error that stops the step."""
        return StudioError(self.what, self.why, self.next)


@dataclass(frozen=True)
class Preflight(Generic[Numbers]):
    """The outcome of a check.

    Attributes:
        numbers: What was counted and estimated.
        blockers: What makes the run impossible; it is not started while there is one.
        warnings: What makes it worse than it could be.
    """

    numbers: Numbers
    blockers: list[Notice] = field(default_factory=list)
    warnings: list[Notice] = field(default_factory=list)

    def stop_if_blocked(self) -> None:
        """Raise the first blocker, if there is one.

        Raises:
            StudioError: The first blocker.
        """
        if self.blockers:
            raise self.blockers[0].error()
