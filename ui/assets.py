"""What the page draws with by itself: scripts and a style, served as they are, and how they get into the page."""

from __future__ import annotations

import hashlib
from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

FOLDER = Path(__file__).parent / "static"
AT = "/page"
FIRST = "quiet.js"
SCRIPTS = ("stream.js", "curves.js")


def route() -> Mount:
    """Return the route that serves them."""
    return Mount(AT, StaticFiles(directory=FOLDER))


def head() -> str:
    """Return what the page's head says of them; another version has another address, whatever a browser keeps."""
    content = b"".join((FOLDER / name).read_bytes() for name in (FIRST, *SCRIPTS))
    version = hashlib.sha256(content).hexdigest()[:8]
    first = f'<script src="{AT[1:]}/{FIRST}?{version}"></script>'
    return first + "".join(f'<script defer src="{AT[1:]}/{name}?{version}"></script>' for name in SCRIPTS)


class WithScripts:
    """Put the scripts into the page itself.

    Gradio 6.31 adds what it is given as `head` from its own script, once that runs: too late for `FIRST`.

    Args:
        app: Serves the page.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._head = head().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; the page's answer gets the scripts."""
        if scope["type"] != "http" or scope["method"] != "GET" or scope["path"] != "/":
            await self._app(scope, receive, send)
            return
        began: list[Message] = []
        parts: list[bytes] = []

        async def collect(message: Message) -> None:
            if message["type"] == "http.response.start":
                began.append(message)
                return
            parts.append(message.get("body", b""))
            if message.get("more_body"):
                return
            # Before everything of Gradio's, behind the base that addresses are relative to.
            body = b"".join(parts).replace(b'<meta property="og:title"', self._head + b'<meta property="og:title"', 1)
            headers = MutableHeaders(raw=began[0]["headers"])
            if "content-length" in headers:
                headers["content-length"] = str(len(body))
            await send(began[0])
            await send({"type": "http.response.body", "body": body})

        await self._app(scope, receive, collect)
