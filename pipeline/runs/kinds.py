"""Kinds of runs: where each is shown and what carries it; each step declares its own in `kind.py`."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from pipeline.base.members import members


@dataclass(frozen=True)
class RunKind:
    """One kind of run.

    Attributes:
        name: As the ledger has it, and the first part of a run's id.
        tab: Step in whose tab it is shown.
        task: `module:function` that does it in our own environment; "" for a run of an engine.
        engine: Engine whose worker does it; "" for a task.
        turns: Whether it needs this machine for itself: those runs go one after another.
        places: Carriers that can carry it.
    """

    name: str
    tab: str
    task: str = ""
    engine: str = ""
    turns: bool = False
    places: tuple[str, ...] = ("local",)


@functools.cache
def kinds() -> dict[str, RunKind]:
    """Return all kinds by name."""
    return {kind.name: kind for kind in members(RunKind, "pipeline", "kind")}


def added() -> dict[str, RunKind]:
    """Return the kinds by name that extensions add to those of this program."""
    own = {kind.name for kind in members(RunKind, "pipeline", "kind", extended=False)}
    return {name: kind for name, kind in kinds().items() if name not in own}


def kind_of(name: str) -> RunKind:
    """Return a kind; one that this program does not know (any more) is only shown, on the first tab."""
    return kinds().get(name) or RunKind(name, "dataset")
