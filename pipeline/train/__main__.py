"""Command line of the step: `python -m pipeline.train`."""

from __future__ import annotations

from pipeline.train import main

raise SystemExit(main())
