"""Where the extensions are, told without pydantic: every small process asks, if only for its words."""

from __future__ import annotations

import os
from pathlib import Path


def extensions() -> Path | None:
    """Return the folder of extensions; asked also where another setting is wrong and has to be said so."""
    named = os.environ.get("ALIGN_STUDIO_EXTENSIONS")
    return Path(named) if named else None
