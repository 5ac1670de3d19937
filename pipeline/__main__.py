"""Align Studio without a page: `python -m pipeline <step> …`."""

from __future__ import annotations

from pipeline.command.main import main

raise SystemExit(main())
