"""Who may open the studio on its own machine: whoever has the address it printed, as with Jupyter.

Other people may have accounts on the machine, and 127.0.0.1 is theirs too. The address carries a token; the browser
gets a cookie for it, and the token goes from its address bar.
"""

from __future__ import annotations

import hashlib
import hmac
import html
import secrets
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlencode

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.base import words
from pipeline.base.home import Home
from pipeline.base.secret import kept

FIELD = "token"
AT = "/sign-in"
KEPT_S = 30 * 24 * 3600  # how long a browser stays signed in
_LONGEST = 4096  # bytes of what is posted to it
STYLE = """body{font:1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:18vh auto;padding:0 1rem;
color-scheme:light dark}
input,button,.button{font:inherit;padding:.5rem .75rem;border-radius:.4rem;border:1px solid #8888}
input{width:100%;box-sizing:border-box;margin:.25rem 0 .75rem}
button,.button{background:#0f766e;color:#fff;border:0;display:inline-block;text-decoration:none}
.bad{border-left:.25rem solid #d97706;padding-left:.75rem}"""
_PAGE = """<!doctype html><html lang="{language}"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{title}</title>
<style>{style}</style><h1>{title}</h1>{wrong}
<p>{why}</p><form method="post" action="{action}"><label for="token">{label}</label>
<input id="token" name="token" type="password" autocomplete="off" spellcheck="false" autofocus required>
<button>{button}</button></form>"""


def token_of(home: Home) -> str:
    """Return the token of a home's studio, made the first time; restarts keep it, so that open pages come back."""
    return kept(home.path / "sign_in.token", lambda: secrets.token_urlsafe(24).encode()).decode()


class SignedIn:
    """Let in who has the token; others see where to type it, and the annotation pages, which have their own sign-in.

    Args:
        app: The studio.
        token: The token.
        port: The studio's port: a browser keeps cookies by host alone, and several studios may run.
        free: Path prefixes that ask for nothing.
    """

    def __init__(self, app: ASGIApp, token: str, port: int, free: tuple[str, ...] = ("/annotate",)) -> None:
        self._app = app
        self._token = token.encode()
        self._cookie = f"align-studio-{port}"
        # Not the token itself: what a cookie shows cannot be put into an address.
        self._worth = hmac.new(self._token, b"cookie", hashlib.sha256).hexdigest()
        self._free = free

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or ask who it is."""
        if scope["type"] not in ("http", "websocket") or self._is_free(scope["path"]) or self._passes(scope):
            await self._app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        with words.speaking(Headers(scope=scope).get("accept-language", "")):
            answer = await self._answer(Request(scope, receive))
        await answer(scope, receive, send)

    def _is_free(self, path: str) -> bool:
        return any(path == prefix or path.startswith(prefix + "/") for prefix in self._free)

    def _passes(self, scope: Scope) -> bool:
        """Return whether a request needs no answer of ours; a token in the address goes from it even so."""
        return self._known(scope) and not (scope["path"] == "/" and f"{FIELD}=".encode() in scope["query_string"])

    def _known(self, scope: Scope) -> bool:
        try:
            cookies = SimpleCookie(Headers(scope=scope).get("cookie", ""))
        except CookieError:
            return False
        given = cookies.get(self._cookie)
        return given is not None and _same(given.value, self._worth)

    async def _answer(self, request: Request) -> Response:
        """Return the answer to a stranger: signed in with a right token, else the page that asks for one."""
        if request.method == "POST" and request.scope["path"] == AT:
            return self._signed_in(request) if self._right(await _posted(request)) else _asking(request, wrong=True)
        given = request.query_params.get(FIELD)
        if request.method != "GET" or request.scope["path"] != "/" or given is None:
            return _asking(request)
        if not self._right(given) and not self._known(request.scope):
            return _asking(request, wrong=True)
        return self._signed_in(request)

    def _right(self, given: str) -> bool:
        return _same(given.strip(), self._token.decode())

    def _signed_in(self, request: Request) -> Response:
        headers = {"referrer-policy": "no-referrer", "cache-control": "no-store"}
        answer = RedirectResponse("/" + _rest(request), 303, headers=headers)
        answer.set_cookie(self._cookie, self._worth, max_age=KEPT_S, httponly=True, samesite="lax")
        return answer


def _rest(request: Request) -> str:
    """Return what an address asks for besides: `?project=…`, without the token."""
    rest = [(name, value) for name, value in request.query_params.multi_items() if name != FIELD]
    return f"?{urlencode(rest)}" if rest else ""


def _same(given: str, right: str) -> bool:
    """Compare in a time that tells nothing."""
    return hmac.compare_digest(given.encode(), right.encode())


async def _posted(request: Request) -> str:
    """Return the token in a posted form, "" for none."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _LONGEST:
            return ""
    return parse_qs(body.decode("latin-1")).get(FIELD, [""])[0]


def _asking(request: Request, *, wrong: bool = False) -> Response:
    """Return the page that asks for the token."""
    say = {name: html.escape(words.say(f"serve.sign_in.{name}")) for name in ("title", "why", "label", "button")}
    note = f'<p class="bad">{html.escape(words.say("serve.sign_in.wrong"))}</p>' if wrong else ""
    action = html.escape(AT + _rest(request))
    page = _PAGE.format(language=words.spoken(), style=STYLE, action=action, wrong=note, **say)
    headers = {
        "cache-control": "no-store",
        "referrer-policy": "same-origin",  # with no-referrer a browser calls the form's origin null
        "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
        "frame-ancestors 'none'",
    }
    return HTMLResponse(page, 401, headers=headers)
