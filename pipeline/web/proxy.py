"""Reverse proxy of one loopback HTTP service under a path prefix of the app's own port.

A plain ASGI application on httpx. Bodies stream both ways, the raw path and query are passed on untouched, a client
that leaves closes the request to the service, and a service that is down becomes a page that tries again by itself.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import html
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from pipeline.base import words
from pipeline.base.message import message

Target = Callable[[], str | None]
RawHeaders = list[tuple[bytes, bytes]]

# RFC 9110 §7.6.1: they belong to one connection and are not passed on, nor is what `Connection` names.
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "trailers",
        "transfer-encoding",
        "upgrade",
    }
)
# Set anew here, so that a client cannot forge them; a client's `Expect` is answered by the app's own server.
_REPLACED = frozenset(
    {"forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-prefix", "expect"}
)
# The app's own server writes Server and Date; the others are ours to say.
_OURS = frozenset({"server", "date", "content-security-policy", "x-content-type-options", "referrer-policy"})
_INLINE_SCRIPT = re.compile(rb"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL | re.IGNORECASE)
_LONGEST_PAGE = 1 << 20  # bytes; Argilla's pages are a few thousand

_UNAVAILABLE_PAGE = """<!doctype html><html lang="{language}"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta http-equiv="refresh" content="5">
<title>{title}</title>
<style>body{{font:1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:20vh auto;padding:0 1rem;
color-scheme:light dark}}</style><h1>{what}</h1>
<p>{why}</p>"""


class _TooLarge(Exception):
    """The request body passed the limit while it was being sent."""


class ServiceProxy:
    """ASGI application that passes requests on to a loopback service which knows its own prefix.

    Args:
        target: Returns the service's root URL without the prefix ("http://127.0.0.1:6900"), or None while it is not
            running. Asked for every request, so the service may come back on another port.
        prefix: Public path the service is reached under ("/annotate"); the service has to know it as its base URL.
        max_body: Largest request body, in bytes; an import sends 500 records in one request.
        connections: Most connections open to the service at a time.
    """

    def __init__(self, target: Target, prefix: str, *, max_body: int = 256 << 20, connections: int = 64) -> None:
        self._target = target
        self._prefix = prefix.rstrip("/")
        self._max_body = max_body
        self._connections = connections
        self._client: httpx.AsyncClient | None = None

    def routes(self) -> list[BaseRoute]:
        """Return the routes to put before any other application is mounted at "/"."""
        return [Route(self._prefix, self), Route(self._prefix + "/{path:path}", self)]

    async def aclose(self) -> None:
        """Close the connections to the service."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        async with AsyncExitStack() as cleanup:
            response = await self._respond(Request(scope, receive), cleanup)
            await response(scope, receive, send)

    @property
    def _http(self) -> httpx.AsyncClient:
        if self._client is None:  # made on first use: inside the event loop that serves
            self._client = httpx.AsyncClient(
                trust_env=False,  # HTTP_PROXY must not catch loopback
                follow_redirects=False,
                timeout=httpx.Timeout(None, connect=3.0, pool=30.0),  # no read timeout: bulk writes take seconds
                limits=httpx.Limits(
                    max_connections=self._connections,
                    max_keepalive_connections=16,
                    keepalive_expiry=4.0,  # below uvicorn's 5 s, else a request meets a connection just closed
                ),
            )
        return self._client

    async def _respond(self, request: Request, cleanup: AsyncExitStack) -> Response:
        target = self._target()
        if target is None:
            return _unavailable(request, "not running")
        length = request.headers.get("content-length", "")
        if length.isdigit() and int(length) > self._max_body:
            return _too_large(self._max_body)
        try:
            upstream = self._upstream_request(request, target)
        except httpx.InvalidURL:
            return JSONResponse({"detail": {"code": "bad_address"}}, 400)
        try:
            answer = await self._send(upstream, request)
        except _TooLarge:
            return _too_large(self._max_body)
        except httpx.TransportError as error:
            return _unavailable(request, type(error).__name__)
        if answer is None:
            return Response(status_code=499)  # nobody reads it: the client has left
        cleanup.push_async_callback(answer.aclose)
        return await self._relay(request, answer, target)

    def _upstream_request(self, request: Request, target: str) -> httpx.Request:
        raw = request.scope.get("raw_path") or request.scope["path"].encode()
        query = request.scope.get("query_string", b"")
        url = httpx.URL(target).copy_with(raw_path=raw + (b"?" + query if query else b""))
        # Not client.build_request: httpx 0.28 adds its own Accept-Encoding there, and Argilla then answers Brotli to
        # clients that never asked for it.
        return httpx.Request(
            request.method,
            url,
            headers=_request_headers(request),
            content=self._body(request) if _has_body(request) else None,
            extensions={"timeout": self._http.timeout.as_dict()},
        )

    async def _body(self, request: Request) -> AsyncIterator[bytes]:
        seen = 0
        async for chunk in request.stream():
            seen += len(chunk)
            if seen > self._max_body:
                raise _TooLarge
            if chunk:
                yield chunk

    async def _send(self, upstream: httpx.Request, request: Request) -> httpx.Response | None:
        """Return the service's answer, its body not yet read, or None if the client left first."""
        sending = asyncio.ensure_future(self._http.send(upstream, stream=True))
        waiting: set[asyncio.Future[Any]] = {sending}
        if not _has_body(request):
            # With a body, request.stream() is the reader of receive() and notices; without one nobody would.
            waiting.add(asyncio.ensure_future(_disconnected(request)))
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            return sending.result() if sending.done() else None
        except ClientDisconnect:
            return None
        finally:
            for task in waiting:
                if not task.done():
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError, httpx.HTTPError):
                        await task

    async def _relay(self, request: Request, answer: httpx.Response, target: str) -> Response:
        inline: list[bytes] = []
        body: bytes | None = None
        if _is_page(request, answer):
            body = b"".join([chunk async for chunk in answer.aiter_raw()])
            inline = _INLINE_SCRIPT.findall(body)
        named = _named_in_connection(answer.headers.get("connection", ""))
        headers: RawHeaders = [
            (name.lower(), _location(request, value, target) if name.lower() == b"location" else value)
            for name, value in answer.headers.raw
            if name.decode("latin-1").lower() not in _HOP_BY_HOP | named | _OURS
        ]
        headers += [
            (b"content-security-policy", content_security_policy(inline).encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"same-origin"),
        ]
        response = StreamingResponse(answer.aiter_raw(), answer.status_code) if body is None else Response(body)
        response.status_code = answer.status_code
        response.raw_headers = headers  # the list as it is: two Set-Cookie lines stay two
        return response


def content_security_policy(inline_scripts: list[bytes]) -> str:
    """Return the policy for the service's pages: their own files, and just the inline scripts they came with.

    Args:
        inline_scripts: Bodies of the inline scripts that may run; each is named by its SHA-256 (CSP level 3), so
            that a script that dataset text smuggled into the page does not run.
    """
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'" for script in inline_scripts]
    return "; ".join(
        [
            "default-src 'self'",
            " ".join(["script-src 'self'", *hashes]),
            "style-src 'self' 'unsafe-inline'",  # Vue sets style attributes
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self'",
            "object-src 'none'",
            "frame-src 'none'",
            "base-uri 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        ]
    )


def _has_body(request: Request) -> bool:
    return request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers


def _named_in_connection(value: str) -> frozenset[str]:
    return frozenset(name.strip().lower() for name in value.split(",") if name.strip())


def _wants_page(request: Request) -> bool:
    return request.method == "GET" and "text/html" in request.headers.get("accept", "")


def _request_headers(request: Request) -> RawHeaders:
    dropped = _HOP_BY_HOP | _REPLACED | _named_in_connection(",".join(request.headers.getlist("connection")))
    dropped |= {"cookie"}  # Argilla needs none, and ours hold sign-ins it must not see
    # Its pages ask for no parts of files, and its starlette takes half a second over a long list of them
    # (CVE-2025-62727).
    dropped |= {"range", "if-range"}
    if "transfer-encoding" in request.headers:
        dropped |= {"content-length"}  # RFC 9112 §6.3: the chunks count; both together smuggle requests
    if _wants_page(request):
        # Pages are read here for their inline scripts: uncompressed, and never "304 not modified", which would put a
        # policy without those scripts on the copy the browser keeps.
        dropped |= {"accept-encoding", "if-none-match", "if-modified-since"}
    headers = [(name, value) for name, value in request.headers.raw if name.decode("latin-1").lower() not in dropped]
    if _wants_page(request):
        headers.append((b"accept-encoding", b"identity"))
    if request.client:
        headers.append((b"x-forwarded-for", request.client.host.encode()))
    first = {
        b"x-forwarded-proto": request.headers.get("x-forwarded-proto", request.url.scheme),
        b"x-forwarded-host": request.headers.get("x-forwarded-host", request.headers.get("host", "")),
    }
    return headers + [(name, value.split(",")[0].strip().encode("latin-1")) for name, value in first.items()]


def _is_page(request: Request, answer: httpx.Response) -> bool:
    length = answer.headers.get("content-length", "")
    return (
        _wants_page(request)
        and answer.headers.get("content-type", "").startswith("text/html")
        and "content-encoding" not in answer.headers
        and length.isdigit()
        and int(length) <= _LONGEST_PAGE
    )


def _location(request: Request, value: bytes, target: str) -> bytes:
    """Make a redirect to ourselves host-relative: right behind any TLS in front of us."""
    try:
        url = httpx.URL(value.decode("latin-1"))
    except httpx.InvalidURL:
        return value
    if url.host and url.netloc.decode() in (request.headers.get("host"), httpx.URL(target).netloc.decode()):
        return url.raw_path + (b"#" + url.fragment.encode() if url.fragment else b"")
    return value


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue


def _too_large(limit: int) -> Response:
    detail = {"code": "request_too_large", "limit_mb": limit >> 20}
    # The rest of the body is not read: without closing, uvicorn would take it for the next request's time.
    return JSONResponse({"detail": detail}, 413, {"connection": "close"})


def _unavailable(request: Request, reason: str) -> Response:
    headers = {
        "retry-after": "5",
        "cache-control": "no-store",
        "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    }
    if "text/html" in request.headers.get("accept", ""):
        with words.speaking(request.headers.get("accept-language", "")):
            said = message("serve.annotation_away")
            parts = {"what": said.what, "why": said.why, "title": words.say("serve.annotation")}
            filled = {name: html.escape(text) for name, text in parts.items()}
            return HTMLResponse(_UNAVAILABLE_PAGE.format(language=words.spoken(), **filled), 503, headers)
    return JSONResponse({"detail": {"code": "annotation_unavailable", "reason": reason}}, 503, headers)
