"""Who may speak to the studio: programs of this machine that address it as this machine."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.base import words

NAMES = ("127.0.0.1", "localhost", "[::1]")


class LocalOnly:
    """Refuse requests whose Host or Origin is not this machine.

    The studio trusts whoever reaches its loopback port. A web page elsewhere can make a browser send requests there
    (its Origin tells) or give its own name this machine's address (DNS rebinding; its Host tells).
    """

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._app = app
        self._hosts = {f"{name}:{port}" for name in NAMES} | (set(NAMES) if port == 80 else set())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 403."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        known = headers.get("host", "") in self._hosts and (origin is None or urlsplit(origin).netloc in self._hosts)
        if known:
            await self._app(scope, receive, send)
        else:
            with words.speaking(headers.get("accept-language", "")):
                refusal = PlainTextResponse(words.say("serve.foreign_address"), 403)
            await refusal(scope, receive, send)
