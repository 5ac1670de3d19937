"""Who may speak to the studio: browsers and programs that address it by a name of its own, from a page of its own."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.base import words
from pipeline.web.space import HUB

NAMES = ("127.0.0.1", "localhost", "[::1]")
# What a browser asks for itself, such as an address that is typed or linked to; everything else comes from a page.
_LOOKS = ("GET", "HEAD")
_RENAMING = ("x-forwarded-host", "x-forwarded-proto", "x-forwarded-server", "forwarded")


def local_hosts(port: int) -> set[str]:
    """Return the hosts by which this machine addresses a port of its own."""
    return {f"{name}:{port}" for name in NAMES} | (set(NAMES) if port == 80 else set())


class Addressed:
    """Refuse requests whose Host is not ours, or that come from a page of others.

    A web page elsewhere can make a browser send requests to us (its Origin tells), with the visitor's cookies where
    they go into frames, or give its own name this machine's address (DNS rebinding; its Host tells).

    Args:
        app: The studio.
        hosts: Hosts by which it is reached, with the port where it is not the scheme's own.
        secure: Whether it is reached by https, through a proxy that ends the encryption.
    """

    def __init__(self, app: ASGIApp, hosts: set[str], *, secure: bool = False) -> None:
        self._app, self._hosts, self._secure = app, hosts, secure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 403."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        if self._ours(scope):
            if self._secure:
                scope["scheme"] = "wss" if scope["type"] == "websocket" else "https"
            headers = MutableHeaders(scope=scope)
            for name in _RENAMING:  # who we are is not a request's to say; Gradio 6.31 would believe it
                del headers[name]
            await self._app(scope, receive, send)
            return
        with words.speaking(Headers(scope=scope).get("accept-language", "")):
            refusal = PlainTextResponse(words.say("serve.foreign_address"), 403)
        await refusal(scope, receive, send)

    def _of_the_frame(self, scope: Scope, headers: Headers) -> bool:
        """Return whether the Hub's page opens us in its frame.

        A browser that has once let the frame have our cookies names the Hub as the origin of a mere look at the page
        (Storage Access Headers, 2025): it asks whether it shall send them.
        """
        look = scope["method"] in _LOOKS and scope["path"] == "/" and headers.get("sec-fetch-mode") == "navigate"
        return self._secure and scope["type"] == "http" and look and headers.get("origin") == HUB

    def _ours(self, scope: Scope) -> bool:
        headers = Headers(scope=scope)
        if headers.get("host", "").lower() not in self._hosts:
            return False
        origin = headers.get("origin")
        if origin is not None:
            try:
                parts = urlsplit(origin)
            except ValueError:
                return False
            ours = parts.netloc.lower() in self._hosts and (not self._secure or parts.scheme == "https")
            return ours or self._of_the_frame(scope, headers)
        # Every browser names the origin of what is posted across sites; this is for what else they may send.
        return scope.get("method") in _LOOKS or headers.get("sec-fetch-site") not in ("cross-site", "same-site")
