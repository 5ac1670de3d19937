"""Where a run can go: each carrier is declared once, in a file of `pipeline/carriers/places/` or of the extensions."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.base import words
from pipeline.base.errors import StudioError
from pipeline.base.members import members
from pipeline.base.message import Message, message, verbatim
from pipeline.runs.kinds import kind_of

if TYPE_CHECKING:
    from pipeline.runs.ledger import Ledger
    from pipeline.runs.run import Run

LOCAL = "local"


@dataclass(frozen=True)
class Carrier:
    """What brings a run to its end somewhere.

    Attributes:
        name: As the ledger and a run's spec have it (`place`).
        title: Key of what people call it, or the words themselves.
        carry: `module:function`, called with the ledger and the run in a supervisor process of the run's own. It
            returns when the run has ended (`Ledger.end`) or waits for its user's sign-in (`State.WAITING`). It takes up
            what a former supervisor left (`Run.worker`), passes a stop on when `Run.stop_file` is there and ends the
            work at once when `Run.kill_file` is. It may raise `pipeline.runs.task.Cancelled` or a StudioError.
        kinds: Kinds of runs it carries besides those that name it among their `places`.
        here: Whether it uses this machine's processors: runs whose kind takes turns then go one after another.
        bills: Whether it costs money: people are asked before.
        signed: Whether it needs its user's token as long as the run goes on.
    """

    name: str
    title: str
    carry: str
    kinds: tuple[str, ...] = ()
    here: bool = False
    bills: bool = False
    signed: bool = False

    @property
    def called(self) -> Message:
        """What people call it."""
        return message(self.title) if words.has(self.title) else verbatim(self.title)


@functools.cache
def carriers() -> dict[str, Carrier]:
    """Return all carriers by name, this machine first."""
    found = sorted(members(Carrier, "pipeline.carriers.places"), key=lambda carrier: carrier.name != LOCAL)
    return {carrier.name: carrier for carrier in found}


def carrier_of(place: str) -> Carrier:
    """Return the carrier of a place; one that is not there (any more) carries nothing, and says so."""
    return carriers().get(place) or Carrier(place, title=place, carry="pipeline.runs.places:nobody")


def offered(kind: str) -> list[Carrier]:
    """Return where runs of a kind can go, this machine first."""
    places = kind_of(kind).places
    return [carrier for carrier in carriers().values() if carrier.name in places or kind in carrier.kinds]


def carrying(carrier: Carrier) -> Callable[[Ledger, Run], None]:
    """Return the function that carries.

    Raises:
        ImportError: There is no such module.
        AttributeError: There is no such function in it.
    """
    module, function = carrier.carry.split(":")
    found: Callable[[Ledger, Run], None] = getattr(importlib.import_module(module), function)
    return found


def nobody(ledger: Ledger, run: Run) -> None:
    """Carry nothing: the file that declared the run's carrier is gone.

    Raises:
        StudioError: Always.
    """
    raise StudioError("run.no_carrier", place=run.place)
