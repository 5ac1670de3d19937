"""Signing in with Hugging Face: the authorization code flow of OAuth 2.1 with PKCE, in the browser that began it.

Protocol: https://huggingface.co/docs/hub/oauth and RFC 6749, 7636. Who somebody is comes from the provider's own answer
to the token it has just given us over TLS (OpenID Connect Core 3.1.3.7, 6), never from anything a browser says.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass

import httpx2
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from pipeline.base.errors import StudioError

CALLBACK = "/login/callback"
COOKIE = "__Host-align-studio-begun"
LEAST = "openid profile"
BEGUN_S = 600.0  # how long somebody may take to sign in
ATTEMPTS = 2_000  # remembered at once
TIMEOUT_S = 15.0


@dataclass(frozen=True)
class Arrival:
    """Somebody who has signed in.

    Attributes:
        sub: The account's id, which stays when it is renamed.
        name: The account's name.
        token: Their access token, with the scopes that were asked for.
        expires: When the token ends, Unix seconds.
        target: Where they wanted to go: a path of ours with its query.
    """

    sub: str
    name: str
    token: str
    expires: float
    target: str

    def __repr__(self) -> str:
        return f"Arrival({self.name!r}, {self.target!r})"


@dataclass(frozen=True)
class _Attempt:
    verifier: str
    browser: bytes  # digest of the cookie of the browser that began
    target: str
    scopes: str
    begun: float


class Flow:
    """Sign-ins that have begun, in memory: each can be ended once, by the browser that began it, within ten minutes.

    Args:
        provider: Root URL of the provider.
        client_id: Of our registration there.
        client_secret: The same.
        base: Scheme and host by which we are reached; never taken from a request.
    """

    def __init__(self, provider: str, client_id: str, client_secret: str, base: str) -> None:
        self._provider = provider.rstrip("/")
        self._id, self._secret, self._base = client_id, client_secret, base
        self._attempts: OrderedDict[str, _Attempt] = OrderedDict()

    def begin(self, target: str, scopes: str = LEAST) -> Response:
        """Send a browser to the provider.

        Args:
            target: Where to go afterwards: a path of ours, with its query; what is none leads to the page.
            scopes: What to ask for.
        """
        verifier, browser = secrets.token_urlsafe(48), secrets.token_urlsafe(24)
        with_state = self._client(scopes)
        address, state = with_state.create_authorization_url(
            f"{self._provider}/oauth/authorize", code_verifier=verifier, nonce=secrets.token_urlsafe(16)
        )
        self._attempts[state] = _Attempt(verifier, _digest(browser), ours(target), scopes, time.monotonic())
        while len(self._attempts) > ATTEMPTS:
            self._attempts.popitem(last=False)
        answer = RedirectResponse(address, 303, headers={"cache-control": "no-store"})
        answer.set_cookie(COOKIE, browser, max_age=int(BEGUN_S), secure=True, httponly=True, samesite="lax")
        return answer

    async def finish(self, request: Request) -> Arrival:
        """Return who came back from the provider.

        Raises:
            StudioError: This browser has begun no such sign-in, it was refused, or the provider is not reached.
        """
        attempt = self._attempts.pop(request.query_params.get("state", ""), None)
        browser = request.cookies.get(COOKIE, "")
        if (
            attempt is None
            or time.monotonic() - attempt.begun > BEGUN_S
            or not secrets.compare_digest(_digest(browser), attempt.browser)
        ):
            raise StudioError("sign_in.not_begun")
        if not request.query_params.get("code"):
            raise StudioError("sign_in.refused")
        try:
            async with self._client(attempt.scopes) as client:
                token = await client.fetch_token(
                    f"{self._provider}/oauth/token",
                    code=request.query_params["code"],
                    code_verifier=attempt.verifier,
                    grant_type="authorization_code",
                )
                told = await client.get(f"{self._provider}/oauth/userinfo")
                told.raise_for_status()
                said = told.json()
        except (AuthlibBaseError, httpx2.HTTPStatusError) as error:
            raise StudioError("sign_in.refused") from error
        except (httpx2.HTTPError, ValueError) as error:
            raise StudioError("sign_in.unreachable") from error
        sub, name = said.get("sub"), said.get("preferred_username")
        if not (isinstance(sub, str) and sub and isinstance(name, str) and name):
            raise StudioError("sign_in.refused")
        ends = time.time() + float(token.get("expires_in") or 3600)
        return Arrival(sub, name, str(token["access_token"]), ends, attempt.target)

    def _client(self, scopes: str) -> AsyncOAuth2Client:
        return AsyncOAuth2Client(
            self._id,
            self._secret,
            scope=scopes,
            redirect_uri=self._base + CALLBACK,
            code_challenge_method="S256",
            timeout=TIMEOUT_S,
            follow_redirects=False,
        )


def ours(target: str) -> str:
    """Return a target if it is a path of ours, else that of the page: no sign-in ends on another site."""
    plain = target.isascii() and target.isprintable() and "\\" not in target
    return target if plain and target.startswith("/") and not target.startswith("//") else "/"


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
