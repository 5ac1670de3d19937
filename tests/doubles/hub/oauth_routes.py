"""Routes of signing in with the Hub."""

from __future__ import annotations

import base64
import binascii
from html import escape
from urllib.parse import parse_qs, unquote, urlencode, urlsplit, urlunsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from tests.doubles.hub.oauth import SCOPES, Client, OAuth, OAuthError
from tests.doubles.hub.web import HubError, Router, answer

COOKIE = "hub_account"  # who is signed in to the Hub in this browser

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Authorize {name}</title></head><body>
<h1>{name} wants to act for you</h1><p>Scopes: <code>{scopes}</code></p>
<form method="get" action="/oauth/authorize">{hidden}{accounts}
<button name="account" value="" id="cancel">Cancel</button></form></body></html>"""


class OAuthRoutes:
    """Discovery, the page where somebody agrees, tokens and what they tell."""

    def __init__(self, oauth: OAuth, router: Router) -> None:
        self._oauth = oauth
        router.add("GET", "/.well-known/openid-configuration", self.discovery)
        router.add("GET", "/oauth/authorize", self.authorize)
        router.add("POST", "/oauth/token", self.token)
        for method in ("GET", "POST"):
            router.add(method, "/oauth/userinfo", self.userinfo)
        router.add("GET", "/oauth/jwks", self.jwks)
        router.add("POST", "/oauth/revoke", self.revoke)

    async def discovery(self, request: Request) -> Response:
        url = self._oauth.url
        return answer(
            {
                "issuer": url,
                "authorization_endpoint": f"{url}/oauth/authorize",
                "token_endpoint": f"{url}/oauth/token",
                "userinfo_endpoint": f"{url}/oauth/userinfo",
                "revocation_endpoint": f"{url}/oauth/revoke",
                "jwks_uri": f"{url}/oauth/jwks",
                "scopes_supported": list(SCOPES),
                "response_types_supported": ["code"],
                "grant_types_supported": ["authorization_code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
                "code_challenge_methods_supported": ["S256"],
            }
        )

    async def jwks(self, request: Request) -> Response:
        return answer(self._oauth.keys())

    async def authorize(self, request: Request) -> Response:
        """Ask who signs in, unless `account` or the cookie says so; `account=` without a name is a refusal."""
        asked = {key: value for key, value in request.query_params.items() if key not in ("account", "orgs")}
        client = self._oauth.clients.get(asked.get("client_id", ""))
        # Neither is told at the address that was asked for: it may be anybody's.
        if client is None:
            raise HubError(400, "Invalid client_id")
        if not client.returns_to(asked.get("redirect_uri", "")):
            raise HubError(400, "Invalid redirect_uri: it is not registered for this application")
        try:
            scopes = self._oauth.check_asked(client, asked)
            users = self._oauth.directory.users
            user = users.get(request.query_params.get("account", request.cookies.get(COOKIE, "")))
            if user is None and "account" in request.query_params:
                raise OAuthError("access_denied", "The user did not agree")
            if user is None:
                return self._page(client, asked, scopes)
        except OAuthError as error:
            told = {"error": error.code, "error_description": error.description}
            return _back(asked, told)
        wanted = {id_ for text in request.query_params.getlist("orgIds") for id_ in text.split(",")}
        chosen = set(request.query_params.getlist("orgs"))
        granted = [
            name
            for name in user.organisations
            if name in chosen or self._oauth.directory.organisation_id(name) in wanted
        ]
        answered = _back(asked, {"code": self._oauth.grant(client, user, asked, scopes, granted)})
        answered.set_cookie(COOKIE, user.name, httponly=True)
        return answered

    def _page(self, client: Client, asked: dict[str, str], scopes: tuple[str, ...]) -> Response:
        hidden = "".join(
            f'<input type="hidden" name="{escape(key)}" value="{escape(value)}">' for key, value in asked.items()
        )
        users = self._oauth.directory.users.values()
        organisations = sorted({name for user in users for name in user.organisations})
        boxes = "".join(
            f'<label><input type="checkbox" name="orgs" value="{escape(name)}">{escape(name)}</label> '
            for name in organisations
        )
        buttons = "".join(
            f'<p><button name="account" value="{escape(user.name)}">Authorize as {escape(user.name)}</button></p>'
            for user in users
        )
        words = {"name": escape(client.name), "scopes": escape(" ".join(scopes)), "hidden": hidden}
        return HTMLResponse(PAGE.format(**words, accounts=boxes + buttons), headers={"X-Frame-Options": "DENY"})

    async def token(self, request: Request) -> Response:
        try:
            form = await _form(request)
            client = self._client(request, form)
            if form.get("grant_type") != "authorization_code":
                raise OAuthError("unsupported_grant_type", "Only authorization_code is supported")
            given = self._oauth.exchange(
                client, form.get("code", ""), form.get("redirect_uri", ""), form.get("code_verifier", "")
            )
        except OAuthError as error:
            return _refusal(error)
        return answer(given, headers={"Cache-Control": "no-store"})

    async def revoke(self, request: Request) -> Response:
        """Withdraw a token; one that is not known, or another application's, is no error (RFC 7009)."""
        try:
            form = await _form(request)
            client = self._client(request, form)
        except OAuthError as error:
            return _refusal(error)
        token = self._oauth.directory.tokens.get(form.get("token", ""))
        if token is not None and token.client == client.id:
            del self._oauth.directory.tokens[token.secret]
        return answer({})

    async def userinfo(self, request: Request) -> Response:
        return answer(self._oauth.userinfo(self._oauth.directory.require(request)))

    def _client(self, request: Request, form: dict[str, str]) -> Client:
        """Return the application that asks: by Basic authentication, or by the body."""
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return self._oauth.authenticated(form.get("client_id", ""), form.get("client_secret"))
        try:
            id_, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise OAuthError("invalid_client", "Invalid authorization header", 401) from None
        return self._oauth.authenticated(unquote(id_), unquote(secret))


async def _form(request: Request) -> dict[str, str]:
    return {key: values[0] for key, values in parse_qs((await request.body()).decode()).items()}


def _refusal(error: OAuthError) -> Response:
    return answer({"error": error.code, "error_description": error.description}, error.status)


def _back(asked: dict[str, str], told: dict[str, str]) -> Response:
    """Send somebody back to the application; the query of its address is kept."""
    parts = urlsplit(asked["redirect_uri"])
    state = {"state": asked["state"]} if asked.get("state") else {}
    query = "&".join(part for part in (parts.query, urlencode(told | state)) if part)
    return RedirectResponse(urlunsplit(parts._replace(query=query)), 302)
