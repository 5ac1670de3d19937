"""What the stream says of a run: state, progress, problem, log and the points of its curves."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from pipeline.runs.view import View, see
from pipeline.visit import Visit
from ui.parts.run_view import inside, shape
from ui.stream import Said

MEMORY = 32  # runs whose points are kept


class RunTopic:
    """What the stream says of a run.

    Args:
        metrics: Names of what is drawn as curves, in the order of a row behind its step.
    """

    every, slow = 0.5, False

    def __init__(self, metrics: Sequence[str]) -> None:
        self._metrics = metrics
        self._rows: OrderedDict[str, list[list[Any]]] = OrderedDict()

    def admit(self, visit: Visit, name: str) -> None:
        """Let the visitor watch runs of their own.

        Raises:
            LookupError: There is none of that id, or it is somebody else's.
        """
        visit.run(name)

    def look(self, visit: Visit, name: str) -> Said:
        """Return state, progress, problem, log and points of a run."""
        seen = see(visit.run(name))
        values = {"html": inside(seen), "shape": shape(seen), "columns": ["step", *self._metrics]}
        return Said(values, seen.log.split("\n"), self._points(seen), last=not seen.run.active)

    def _points(self, seen: View) -> list[list[Any]]:
        """Return step and metrics of each logged step; those seen before are kept."""
        rows = self._rows.pop(seen.run.id, [])
        rows += [self._row(entry) for entry in seen.folded.metrics[len(rows) :]]
        self._rows[seen.run.id] = rows
        while len(self._rows) > MEMORY:
            self._rows.popitem(last=False)
        return list(rows)

    def _row(self, entry: dict[str, Any]) -> list[Any]:
        values = (entry.get(name) for name in self._metrics)
        return [entry.get("step"), *(float(f"{value:.6g}") if _is_number(value) else None for value in values)]


def _is_number(value: object) -> bool:
    """Return whether a value can be drawn: JSON has no NaN."""
    return isinstance(value, int | float) and math.isfinite(value)
