"""Command line of the step: `python -m pipeline.train`."""

from __future__ import annotations

from pipeline.train.trainings import main

raise SystemExit(main())
