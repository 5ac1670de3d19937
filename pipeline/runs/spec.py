"""What a run was asked to do: its spec.json."""

from __future__ import annotations

import json
from typing import Any

from pipeline.runs.ledger import Run


def spec_of(run: Run) -> dict[str, Any]:
    """Return the spec of a run; empty when its folder is gone."""
    try:
        spec = json.loads(run.spec.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return spec if isinstance(spec, dict) else {}
