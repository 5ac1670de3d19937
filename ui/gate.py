"""What a request may ask of Gradio: what the page itself asks, and no file but the visitor's own uploads.

Gradio 6.31 takes a reference to a file in any value of a request, copies that file into its cache and serves it: any
file the studio can read. It serves pages, tools and files besides that nothing here needs.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.base import words
from pipeline.base.home import LOCAL
from pipeline.web.space import session_of

OURS = ("/annotate", "/download", "/join", "/page", "/stream")  # they answer for themselves
READ = {
    "/",
    "/config",
    "/theme.css",
    "/favicon.ico",
    "/manifest.json",
    "/gradio_api/queue/data",
    "/gradio_api/upload_progress",
}
READ_BELOW = ("/assets/", "/static/", "/gradio_api/heartbeat/")
UPLOAD = "/gradio_api/upload"
ASKED = {"/gradio_api/queue/join", "/gradio_api/reset", "/gradio_api/cancel"}  # posted, with a body of JSON
FILE_AT = "/gradio_api/file="  # where Gradio would serve an upload; the page never asks for it
LONGEST = 64 << 20  # bytes of a request that is no upload
UPLOADS = 1_000  # of one visitor, remembered; the studio moves an upload away as soon as it is used
PAGES = 50_000  # open pages whose visitor is remembered
LISTENS = ("/gradio_api/heartbeat/", "/gradio_api/queue/data", "/gradio_api/upload_progress")


class Refused(Exception):
    """A request that is not passed on.

    Args:
        status: Status of the answer.
        code: Words of the answer.
    """

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


class Gate:
    """Pass on what the page asks of Gradio, and nothing else.

    Args:
        app: Serves the page.
        room: Bytes that the uploads of a visitor who is not the owner may take before the studio has moved them away;
            None: as many as there is disk.
    """

    def __init__(self, app: ASGIApp, room: int | None = None) -> None:
        self._app, self._room = app, room
        self._uploads: dict[str, OrderedDict[str, None]] = {}
        self._pages: OrderedDict[str, str] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "lifespan" or _below(scope["path"], OURS):
            await self._app(scope, receive, send)
            return
        try:
            if scope["type"] != "http":
                raise Refused(404, "serve.not_served")
            receive, send = await self._looked_at(scope, receive, send)
        except Refused as refused:
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
                return
            with words.speaking(Headers(scope=scope).get("accept-language", "")):
                answer = JSONResponse({"detail": words.say(refused.code)}, refused.status)
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _looked_at(self, scope: Scope, receive: Receive, send: Send) -> tuple[Receive, Send]:
        """Return how a request is read and answered that may pass.

        Raises:
            Refused: It may not.
        """
        method, path, who = scope["method"], scope["path"], _who(scope)
        if method in ("GET", "HEAD") and (path in READ or path.startswith(READ_BELOW)):
            for page in _pages_of(scope):
                self._is_theirs(page, who)
            return receive, send
        if method == "POST" and path == UPLOAD:
            for page in _pages_of(scope):
                self._is_theirs(page, who)
            self._check_room(scope, who)
            plain = [each for each in scope["headers"] if each[0] != b"accept-encoding"]  # the answer is read here
            scope["headers"] = plain
            return receive, self._noting(send, who)
        if method != "POST" or path not in ASKED:
            raise Refused(404, "serve.not_served")
        asked = _read(await _whole(receive))
        host = Headers(scope=scope).get("host", "")
        if any(not self._own(reference, host, who) for reference in references(asked)):
            raise Refused(403, "serve.file_reference")
        if isinstance(asked, dict):
            for name in ("session_hash", "event_id"):
                self._is_theirs(asked.get(name), who)
        # Written anew: no other reader can find in it what was not looked at, such as a key that stands twice.
        return _again(json.dumps(asked).encode(), receive), send

    def _check_room(self, scope: Scope, who: str) -> None:
        """Check that an upload leaves its visitor within what they may have.

        Raises:
            Refused: It does not, or does not say how long it is.
        """
        session = session_of(scope)
        if self._room is None or session is None or session.owner:
            return
        length = Headers(scope=scope).get("content-length", "")
        if not length.isdigit():
            raise Refused(411, "serve.unreadable")
        waiting = (Path(path) for path in self._uploads.get(who, ()))
        if int(length) + sum(path.stat().st_size for path in waiting if path.is_file()) > self._room:
            raise Refused(413, "serve.too_large")

    def _is_theirs(self, name: object, who: str) -> None:
        """Note whose a page (or an event or upload of one) is: what it holds and hears is for nobody else.

        Raises:
            Refused: It is another visitor's.
        """
        if name is None:
            return
        if not isinstance(name, str) or len(name) > 200:
            raise Refused(400, "serve.unreadable")
        if self._pages.setdefault(name, who) != who:
            raise Refused(403, "serve.not_yours")
        self._pages.move_to_end(name)
        while len(self._pages) > PAGES:
            self._pages.popitem(last=False)

    def _own(self, reference: dict[str, Any], host: str, who: str) -> bool:
        """Return whether a reference is to an upload of the visitor's, and to that alone."""
        path, address = reference.get("path"), reference.get("url")
        if not isinstance(path, str) or path not in self._uploads.get(who, ()):
            return False
        if not address:
            return True
        try:
            parts = urlsplit(address if isinstance(address, str) else "")
        except ValueError:
            return False
        return parts.netloc in ("", host) and unquote(parts.path) == FILE_AT + path and not parts.query

    def _noting(self, send: Send, who: str) -> Send:
        """Return what passes an upload's answer on and remembers where the files are."""
        parts: list[bytes] = []

        async def passed(message: Message) -> None:
            if message["type"] == "http.response.body":
                parts.append(message.get("body", b""))
                if not message.get("more_body"):
                    self._remember(b"".join(parts), who)
            await send(message)

        return passed

    def _remember(self, answer: bytes, who: str) -> None:
        try:
            paths = json.loads(answer)
        except ValueError:
            return
        theirs = self._uploads.setdefault(who, OrderedDict())
        for path in paths if isinstance(paths, list) else ():
            # Gradio 6.31 names an upload's folder after its content: the same file of two people has one path, and each
            # may name it, for each has it.
            if isinstance(path, str):
                theirs[path] = None
        while len(theirs) > UPLOADS:
            theirs.popitem(last=False)


def _who(scope: Scope) -> str:
    session = session_of(scope)
    return session.who if session else LOCAL


def _pages_of(scope: Scope) -> Iterator[str]:
    """Yield the ids of pages and uploads that a request listens to."""
    if scope["path"].startswith(LISTENS[0]):
        yield scope["path"].removeprefix(LISTENS[0])
    if scope["path"] in (*LISTENS, UPLOAD):
        query = parse_qs(scope["query_string"].decode("latin-1"))
        for name in ("session_hash", "upload_id"):
            yield from query.get(name, ())


def references(value: object) -> Iterator[dict[str, Any]]:
    """Return every dictionary in a value that Gradio may take for a file's.

    Args:
        value: What JSON holds, of any depth.
    """
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting.extend(one)
        elif isinstance(one, dict):
            names = {name.lower() for name in one}
            if names & {"path", "_type", "url"} or (names & {"meta"} and isinstance(one.get("meta"), dict)):
                yield one
            waiting.extend(part for name, part in one.items() if name != "meta")


def _below(path: str, prefixes: tuple[str, ...]) -> bool:
    return any(path == prefix or path.startswith(prefix + "/") for prefix in prefixes)


async def _whole(receive: Receive) -> bytes:
    """Return a request's body.

    Raises:
        Refused: It is longer than any that the page sends.
    """
    parts: list[bytes] = []
    length, more = 0, True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        length += len(parts[-1])
        more = message["type"] == "http.request" and message.get("more_body", False)
        if length > LONGEST:
            raise Refused(413, "serve.too_large")
    return b"".join(parts)


def _read(body: bytes) -> object:
    """Return what a body of JSON holds.

    Raises:
        Refused: It is none, or deeper than can be read.
    """
    try:
        return json.loads(body) if body else None
    except (ValueError, RecursionError) as error:
        raise Refused(400, "serve.unreadable") from error


def _again(body: bytes, receive: Receive) -> Receive:
    """Return what gives a body that has been read once more, and then what comes after it."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
