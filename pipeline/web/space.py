"""Who may open the studio on a Space: whoever signs in with Hugging Face, as themselves.

A browser has a session: a random cookie, of which only the digest is kept, in memory. Who somebody is stands in the
session and comes from the provider; the token they gave goes to `arrived` and is nowhere else.
"""

from __future__ import annotations

import hashlib
import html
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.base import words
from pipeline.base.errors import StudioError
from pipeline.web.oauth import CALLBACK, Arrival, Flow, ours
from pipeline.web.sign_in import STYLE

COOKIE = "__Host-align-studio"
IN, OUT = "/sign-in", "/sign-out"
KEPT = 5_000  # sessions at most
EACH = 20  # of one person at most
LONGEST_S = 30 * 24 * 3600.0
HUB = "https://huggingface.co"  # whose pages show a Space in a frame
_STATE = "align_studio_session"
_ASIDE = {"/": "page", IN: "in", OUT: "out", CALLBACK: "back"}

# Browsers keep cookies of a frame's site from it until somebody lets it have them (Storage Access API).
_FRAMED = """<p>{framed}</p><p><button id="again">{again}</button></p><p class="bad" id="blocked" hidden>{blocked}</p>
<script nonce="{nonce}">document.getElementById("again").onclick = async () => {{
  try {{ await document.requestStorageAccess() }} catch {{ document.getElementById("blocked").hidden = false; return }}
  location.reload()
}}</script>"""

Joining = Callable[[Request, Arrival], Awaitable[Response]]


@dataclass(frozen=True)
class Session:
    """A browser that is signed in.

    Attributes:
        who: The person, as `Home.of` and `Ledger.of` name owners.
        name: The account's name when they signed in.
        owner: Whether they own the studio.
        expires: When it ends, Unix seconds: with the token.
        key: Digest of its cookie.
    """

    who: str
    name: str
    owner: bool
    expires: float
    key: str = ""


def session_of(scope: Mapping[str, Any]) -> Session | None:
    """Return the session of a request that passed the door, None on one machine, where there is one person."""
    found: Session | None = (scope.get("state") or {}).get(_STATE)
    return found


class Sessions:
    """The sessions there are, in memory: a restart ends them all.

    Args:
        left: Called with a person's name when their last session ends.
    """

    def __init__(self, left: Callable[[str], None]) -> None:
        self._left = left
        self._all: OrderedDict[str, Session] = OrderedDict()

    def begin(self, session: Session) -> str:
        """Add a session and return the cookie's value."""
        cookie = secrets.token_urlsafe(32)
        key = _digest(cookie)
        self._all[key] = replace(session, key=key)
        theirs = [one.key for one in self._all.values() if one.who == session.who]
        for old in [*theirs[:-EACH], *list(self._all)[:-KEPT]]:
            self._drop(old)
        return cookie

    def of(self, cookie: str) -> Session | None:
        """Return the session of a cookie, None for none or one that is over."""
        found = self._all.get(_digest(cookie)) if cookie else None
        if found is not None and found.expires <= time.time():
            self._drop(found.key)
            return None
        return found

    def going(self, session: Session) -> bool:
        """Return whether a session goes on."""
        return session.key in self._all and session.expires > time.time()

    def end(self, session: Session) -> None:
        """End one session."""
        self._drop(session.key)

    def _drop(self, key: str) -> None:
        ended = self._all.pop(key, None)
        if ended is not None and not any(one.who == ended.who for one in self._all.values()):
            self._left(ended.who)


class HubSignedIn:
    """Let in who has signed in with Hugging Face; the annotation pages have a sign-in of their own.

    Args:
        app: The studio.
        flow: Signs people in.
        sessions: Those who are signed in.
        owns: Whether an account (id, name) owns the studio.
        visitors: Whether others than owners are let in.
        arrived: Called with a new session and the token, before the browser gets its cookie.
        scopes: What is asked for.
        free: Path prefixes that ask for nothing.
        join: Answers who signed in because of an invitation (a target below `/join/`): they get no session.
    """

    def __init__(
        self,
        app: ASGIApp,
        flow: Flow,
        sessions: Sessions,
        owns: Callable[[str, str], bool],
        visitors: bool,
        arrived: Callable[[Session, str], None],
        scopes: str,
        free: tuple[str, ...] = ("/annotate", "/join"),
        join: Joining | None = None,
    ) -> None:
        self._app, self._flow, self._sessions = app, flow, sessions
        self._owns, self._visitors, self._arrived = owns, visitors, arrived
        self._scopes, self._free, self._join = scopes, free, join

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or ask who it is."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {}).pop(_STATE, None)
        path, session = scope["path"], self._sessions.of(_cookie(scope))
        if session is not None and path not in (IN, OUT, CALLBACK):
            scope["state"][_STATE] = session
            if path == "/" and scope["type"] == "http":
                send = _framed(send)
            await self._app(scope, receive, self._while_signed_in(send, session))
        elif any(path == prefix or path.startswith(prefix + "/") for prefix in self._free):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            with words.speaking(Headers(scope=scope).get("accept-language", "")):
                answer = await self._answer(Request(scope, receive), session)
            await answer(scope, receive, send)

    def _while_signed_in(self, send: Send, session: Session) -> Send:
        """Return what ends an answer that goes on and on, a stream, when its session does."""
        over = False

        async def sent(message: Any) -> None:
            nonlocal over
            if message["type"] == "http.response.body" and not over and not self._sessions.going(session):
                over = True
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            if not over:
                await send(message)

        return sent

    async def _answer(self, request: Request, session: Session | None) -> Response:
        what = _ASIDE.get(request.scope["path"]), request.method
        if what == ("in", "GET"):
            return self._flow.begin("/" + _rest(request), self._scopes)
        if what == ("back", "GET"):
            return await self._back(request)
        if what == ("out", "POST"):
            if session is not None:
                self._sessions.end(session)
            answer = RedirectResponse("/", 303)
            answer.delete_cookie(COOKIE, secure=True, httponly=True, samesite="none")
            return answer
        return _asking(request)

    async def _back(self, request: Request) -> Response:
        """Take in who comes back from the provider."""
        try:
            arrival = await self._flow.finish(request)
            if self._join is not None and arrival.target.startswith("/join/"):
                return await self._join(request, arrival)
        except StudioError as error:
            return _asking(request, problem=str(error))
        owner = self._owns(arrival.sub, arrival.name)
        if not owner and not self._visitors:
            return _asking(request, problem=words.say("sign_in.no_visitors", name=arrival.name), status=403)
        ends = min(arrival.expires, time.time() + LONGEST_S)
        session = Session(person(arrival.sub), arrival.name, owner, ends)
        self._arrived(session, arrival.token)
        answer = RedirectResponse(ours(arrival.target), 303, headers={"cache-control": "no-store"})
        # `none`: the Hub shows a Space in a frame of its own pages. What that lets in, `pipeline.web.guard` keeps out.
        answer.set_cookie(
            COOKIE,
            self._sessions.begin(session),
            max_age=int(ends - time.time()),
            secure=True,
            httponly=True,
            samesite="none",
        )
        return answer


def person(sub: str) -> str:
    """Return what an account's owner is called here: by its id, for names can be given up and taken by others."""
    return f"hf-{sub}" if sub.isalnum() and sub.isascii() else f"hf-{_digest(sub)[:24]}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _cookie(scope: Scope) -> str:
    try:
        found = SimpleCookie(Headers(scope=scope).get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found is not None else ""


def _framed(send: Send) -> Send:
    """Return what lets only the Hub's pages show this one in a frame."""

    async def sent(message: Any) -> None:
        if message["type"] == "http.response.start":
            rule = (b"content-security-policy", f"frame-ancestors 'self' {HUB}".encode())
            # Where the frame was let have our cookies before, what the page asks for gets them too.
            load = (b"activate-storage-access", b"load")
            message = {**message, "headers": [*message.get("headers", ()), rule, load]}
        await send(message)

    return sent


def _rest(request: Request) -> str:
    """Return what an address asks for: `?project=…`, `?run=…`."""
    rest = [(name, value) for name, value in request.query_params.multi_items() if name in ("project", "run")]
    return f"?{urlencode(rest)}" if rest else ""


def _asking(request: Request, *, problem: str = "", status: int = 401) -> Response:
    """Return the page that asks to sign in."""
    framed = request.headers.get("sec-fetch-dest") == "iframe"
    names = ("title", "hub.why", "hub.button", "hub.framed", "hub.again", "hub.blocked")
    say = {name: html.escape(words.say(f"serve.sign_in.{name}")) for name in names}
    note = f'<p class="bad">{html.escape(problem)}</p>' if problem else ""
    rest = html.escape(_rest(request))
    # Hugging Face does not sign in within a frame.
    button = f'<p><a class="button" href="{IN}{rest}"{" target=_blank rel=noopener" if framed else ""}>'
    nonce = secrets.token_urlsafe(16)
    again = _FRAMED.format(nonce=nonce, **{name.removeprefix("hub."): text for name, text in say.items()})
    page = (
        f'<!doctype html><html lang="{words.spoken()}"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{say["title"]}</title>'
        f"<style>{STYLE}</style><h1>{say['title']}</h1>{note}<p>{say['hub.why']}</p>"
        f"{button}{say['hub.button']}</a></p>{again}"
    )
    headers = {
        "cache-control": "no-store",
        "referrer-policy": "same-origin",
        "content-security-policy": f"default-src 'none'; style-src 'unsafe-inline'; "
        f"script-src 'nonce-{nonce}'; frame-ancestors 'self' {HUB}",
    }
    if request.headers.get("sec-fetch-storage-access") == "inactive":  # the browser may send our cookies, if we like
        headers["activate-storage-access"] = f'retry; allowed-origin="{HUB}"'
    return HTMLResponse(page, status, headers=headers)
