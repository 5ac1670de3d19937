"""Command line of the step: `python -m pipeline.evaluate`."""

from __future__ import annotations

from pipeline.evaluate.evaluations import main

raise SystemExit(main())
