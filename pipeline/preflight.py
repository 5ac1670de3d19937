"""What a step knows before it starts: what stops it, what to beware of, and the numbers it goes by."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pipeline.errors import StudioError
from pipeline.runs.ledger import Ledger, Run

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


def spec_of(run: Run) -> dict[str, Any]:
    """Return the spec of a run; empty when its folder is gone."""
    try:
        spec = json.loads(run.spec.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return spec if isinstance(spec, dict) else {}


def twin(ledger: Ledger, kind: str, project: str, spec: dict[str, Any]) -> Run | None:
    """Return the active run of the same spec: asked for twice, a run is started once.

    Args:
        ledger: The home's ledger.
        kind: Kind of the run.
        project: Name of the project.
        spec: What the worker would be given.
    """
    active = ledger.list(project=project, kind=kind, active=True)
    return next((run for run in active if all(spec_of(run).get(key) == value for key, value in spec.items())), None)
