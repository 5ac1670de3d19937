"""The studio with all of its page built at once: every function has its number without a tab being opened."""

from __future__ import annotations

import os
import sys

from app import arguments, check, serve


def main(argv: list[str]) -> None:
    """Serve it, as `app.py` does."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "0")
    settings = arguments(argv)
    check(settings)
    serve(settings, whole=True)


if __name__ == "__main__":
    main(sys.argv[1:])
