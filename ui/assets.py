"""What the page draws with by itself: scripts and a style, served as they are, and how they get into the page."""

from __future__ import annotations

import hashlib
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

FOLDER = Path(__file__).parent / "static"
AT = "/page"
FIRST = "quiet.js"
SCRIPTS = ("stream.js", "address.js", "curves.js", "copy.js")
HASHED = "/assets/"  # where Gradio's files have their content in their names


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


class Kept:
    """Answer for Gradio's own files from memory, as compressed as they were sent the first time.

    A page asks for about eighty of them. Gradio 6.31 reads and compresses each one for each page, which was half of the
    time until a page could be used, and lets browsers keep none, though a changed file has another name.

    Args:
        app: Serves the page.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._kept: dict[str, list[Message]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer with what is kept."""
        if scope["type"] != "http" or not scope["path"].startswith(HASHED) or not self._plain(scope):
            await self._app(scope, receive, send)
            return
        messages = self._kept.get(scope["path"]) or await self._fetched(scope, receive)
        for message in messages:
            await send(message)

    @staticmethod
    def _plain(scope: Scope) -> bool:
        """Return whether it is asked for as every browser does: whole, and compressed."""
        headers = Headers(scope=scope)
        return scope["method"] == "GET" and "range" not in headers and "br" in headers.get("accept-encoding", "")

    async def _fetched(self, scope: Scope, receive: Receive) -> list[Message]:
        messages: list[Message] = []

        async def collect(message: Message) -> None:
            messages.append(message)

        # What a browser holds already does not matter: kept is the whole answer.
        whole = [(name, value) for name, value in scope["headers"] if not name.startswith(b"if-")]
        await self._app({**scope, "headers": whole}, receive, collect)
        if messages[0]["status"] == 200:
            MutableHeaders(raw=messages[0]["headers"])["cache-control"] = "public, max-age=31536000, immutable"
            self._kept[scope["path"]] = messages
        return messages
