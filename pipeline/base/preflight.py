"""What a step knows before it starts: what stops it, what to beware of, and the numbers it goes by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pipeline.base.errors import StudioError
from pipeline.base.message import Message

Numbers = TypeVar("Numbers")


@dataclass(frozen=True)
class Preflight(Generic[Numbers]):
    """The outcome of a check.

    Attributes:
        numbers: What was counted and estimated.
        blockers: What makes the run impossible; it is not started while there is one.
        warnings: What makes it worse than it could be.
    """

    numbers: Numbers
    blockers: Sequence[Message] = field(default_factory=list)
    warnings: Sequence[Message] = field(default_factory=list)

    def stop_if_blocked(self) -> None:
        """Raise the first blocker, if there is one.

        Raises:
            StudioError: The first blocker.
        """
        if self.blockers:
            raise StudioError(self.blockers[0])
