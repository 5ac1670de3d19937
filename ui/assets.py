"""What the page draws with by itself: scripts and a style, served as they are."""

from __future__ import annotations

import hashlib
from pathlib import Path

from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

FOLDER = Path(__file__).parent / "static"
AT = "/page"
FIRST = "quiet.js"  # before Gradio's own
SCRIPTS = ("stream.js", "curves.js")


def route() -> Mount:
    """Return the route that serves them."""
    return Mount(AT, StaticFiles(directory=FOLDER))


def head() -> str:
    """Return what the page's head says of them; another version has another address, whatever a browser keeps."""
    content = b"".join((FOLDER / name).read_bytes() for name in (FIRST, *SCRIPTS))
    version = hashlib.sha256(content).hexdigest()[:8]
    scripts = [f'<script src="page/{FIRST}?{version}"></script>']
    scripts += [f'<script defer src="page/{name}?{version}"></script>' for name in SCRIPTS]
    return "".join(scripts)
