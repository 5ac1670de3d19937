"""What a run was asked to do: its spec.json."""

from __future__ import annotations

import json
from typing import Any

from pipeline.runs.ledger import Ledger, Run


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
