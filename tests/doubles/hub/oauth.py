"""Sign in with the Hub: applications, what people let them do, codes and tokens (OAuth 2.0 and OpenID Connect)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from tests.doubles.hub.access import Directory, Token, User
from tests.doubles.hub.clock import Clock
from tests.doubles.hub.web import HubError

CODE_SECONDS = 60
TOKEN_SECONDS = 480 * 60  # what a Space's application has when its card says nothing else
# What a scope lets an application do in a namespace; see docs/hub/oauth.md of the Hub's documentation.
SCOPES: dict[str, tuple[str, ...]] = {
    "openid": (),
    "profile": (),
    "email": (),
    "read-billing": (),
    "read-memberships": (),
    "read-repos": ("repo.content.read",),
    "gated-repos": ("repo.gated.read",),
    "contribute-repos": ("repo.contribute",),
    "write-repos": ("repo.content.read", "repo.write"),
    "manage-repos": ("repo.content.read", "repo.write", "repo.manage"),
    "jobs": ("job.write",),
    "inference-api": (),
    "write-discussions": (),
    "webhooks": (),
}
ALWAYS = ("openid", "profile")


class OAuthError(Exception):
    """What an OAuth endpoint refuses, by the code of RFC 6749."""

    def __init__(self, code: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.code, self.description, self.status = code, description, status


@dataclass
class Client:
    """An application.

    Attributes:
        secret: None: a public one, which must use PKCE.
        redirects: Where it may be returned to: scheme, host, port and path are compared, a path of `*` is any.
        scopes: What it may ask for.
        seconds: How long its tokens last.
        space: The Space it belongs to, if any.
    """

    id: str
    secret: str | None
    redirects: tuple[str, ...]
    scopes: tuple[str, ...]
    name: str
    seconds: int = TOKEN_SECONDS
    space: str = ""

    def returns_to(self, address: str) -> bool:
        """Return whether somebody may be sent back to an address with a code."""
        return any(_fits(address, known) for known in self.redirects)


@dataclass
class Code:
    """What somebody agreed to, until the application has fetched its token."""

    client: Client
    user: User
    redirect: str
    scopes: tuple[str, ...]
    nonce: str
    challenge: str
    organisations: tuple[str, ...]
    ends: datetime
    token: str = ""  # what was given for it


@dataclass
class OAuth:
    """All applications, and what was granted to them.

    Attributes:
        url: The Hub's address, which signs the identity tokens.
    """

    directory: Directory
    clock: Clock
    url: str
    clients: dict[str, Client] = field(default_factory=dict)
    codes: dict[str, Code] = field(default_factory=dict)

    @cached_property
    def key(self) -> RSAKey:
        """The key that signs identity tokens."""
        return RSAKey.generate_key(2048, {"kid": "hub", "use": "sig", "alg": "RS256"})

    def register(
        self,
        redirects: Iterable[str],
        scopes: Iterable[str] = (),
        *,
        public: bool = False,
        name: str = "Application",
        seconds: int = TOKEN_SECONDS,
        space: str = "",
    ) -> Client:
        """Add an application."""
        asked = tuple(dict.fromkeys([*ALWAYS, *scopes]))
        if unknown := set(asked) - set(SCOPES):
            raise ValueError(f"No such scopes: {sorted(unknown)}")
        secret = None if public else secrets.token_hex(16)
        client = Client(secrets.token_hex(18), secret, tuple(redirects), asked, name, seconds, space)
        self.clients[client.id] = client
        return client

    def keys(self) -> dict[str, Any]:
        """Return the public keys of identity tokens."""
        return dict(KeySet([self.key]).as_dict(private=False))

    # Asking

    def check_asked(self, client: Client, asked: dict[str, str]) -> tuple[str, ...]:
        """Return the scopes that an application asks for.

        Raises:
            OAuthError: The request is not a proper one; the application is told at its own address.
        """
        if asked.get("response_type") != "code":
            raise OAuthError("unsupported_response_type", "Only the authorization code flow is supported")
        if not asked.get("state"):
            raise OAuthError("invalid_request", "state is missing")
        scopes = tuple(asked.get("scope", "").split()) or ALWAYS
        if more := set(scopes) - set(client.scopes):
            raise OAuthError("invalid_scope", f"Not among the application's scopes: {' '.join(sorted(more))}")
        challenge, method = asked.get("code_challenge", ""), asked.get("code_challenge_method", "plain")
        if challenge and method != "S256":
            raise OAuthError("invalid_request", "code_challenge_method must be S256")
        if client.secret is None and not challenge:
            raise OAuthError("invalid_request", "code_challenge is required for applications without a secret")
        return scopes

    def grant(
        self, client: Client, user: User, asked: dict[str, str], scopes: tuple[str, ...], organisations: Iterable[str]
    ) -> str:
        """Return the code for what somebody agreed to."""
        code = secrets.token_urlsafe(24)
        self.codes[code] = Code(
            client,
            user,
            asked["redirect_uri"],
            scopes,
            asked.get("nonce", ""),
            asked.get("code_challenge", ""),
            tuple(organisations),
            self.clock.now() + timedelta(seconds=CODE_SECONDS),
        )
        return code

    # Giving

    def exchange(self, client: Client, code: str, redirect: str, verifier: str) -> dict[str, Any]:
        """Return the token answer for a code.

        Raises:
            OAuthError: The code is none of this application's, was used, is over, or the verifier does not fit.
        """
        found = self.codes.get(code)
        if found is None or found.client is not client:
            raise OAuthError("invalid_grant", "Invalid code")
        if found.token:  # somebody has it twice: what the first one got is withdrawn (RFC 6749, 4.1.2)
            self.directory.tokens.pop(found.token, None)
            raise OAuthError("invalid_grant", "The code was used already")
        if found.ends <= self.clock.now():
            raise OAuthError("invalid_grant", "The code has expired")
        if found.redirect != redirect:
            raise OAuthError("invalid_grant", "redirect_uri is not the one of the authorization request")
        if bool(found.challenge) != bool(verifier) or (verifier and challenge_of(verifier) != found.challenge):
            raise OAuthError("invalid_grant", "code_verifier does not fit code_challenge")
        token = self._token(found)
        found.token = token.secret
        given = {
            "access_token": token.secret,
            "token_type": "bearer",
            "expires_in": client.seconds,
            "scope": " ".join(found.scopes),
        }
        return given | ({"id_token": self._identity(found)} if "openid" in found.scopes else {})

    def _token(self, code: Code) -> Token:
        permissions = tuple(dict.fromkeys(p for scope in code.scopes for p in SCOPES[scope]))
        places = [code.user.name, *code.organisations]
        now = self.clock.now()
        token = Token(
            "hf_oauth_" + secrets.token_urlsafe(40).replace("-", "0"),
            code.user,
            "oauth",
            dict.fromkeys(places, permissions),
            "repo.gated.read" in permissions or "read-repos" in code.scopes,
            now + timedelta(seconds=code.client.seconds),
            now,
            scopes=code.scopes,
            client=code.client.id,
            own=self.directory.own(code.client.id, code.user),
        )
        self.directory.tokens[token.secret] = token
        return token

    def _identity(self, code: Code) -> str:
        now = int(self.clock.now().timestamp())
        claims = {
            "iss": self.url,
            "aud": code.client.id,
            "iat": now,
            "auth_time": now,
            "exp": now + 3600,
            **self.profile(code.user, code.scopes, code.organisations),
        }
        if code.nonce:
            claims["nonce"] = code.nonce
        return jwt.encode({"alg": "RS256", "kid": "hub"}, claims, self.key)

    def userinfo(self, token: Token) -> dict[str, Any]:
        """Return what the userinfo endpoint says to a token."""
        if token.scopes is None:
            raise HubError(401, "Not a token of an application")
        granted = tuple(name for name in token.permissions if name != token.user.name)
        return self.profile(token.user, token.scopes, granted)

    def profile(self, user: User, scopes: Iterable[str], organisations: Iterable[str]) -> dict[str, Any]:
        """Return what an application learns about somebody; more of the organisations it was let into."""
        scopes, granted = set(scopes), set(organisations)
        said: dict[str, Any] = {"sub": user.id}
        if "profile" in scopes:
            said |= {
                "name": user.name.title(),
                "preferred_username": user.name,
                "profile": f"{self.url}/{user.name}",
                "picture": f"{self.url}/avatars/none.svg",
                "website": "",
                "isPro": user.pro,
                "orgs": [self._organisation(name, user, name in granted) for name in user.organisations],
            }
        if "email" in scopes:
            said |= {"email": f"{user.name}@example.com", "email_verified": True}
        if "read-billing" in scopes:
            said["canPay"] = user.can_pay
        return said

    def _organisation(self, name: str, user: User, granted: bool) -> dict[str, Any]:
        one = self.directory.organisation(name, user.organisations[name], user)
        said = {
            "sub": one["id"],
            "name": one["fullname"],
            "preferred_username": name,
            "picture": f"{self.url}/avatars/none.svg",
            "isEnterprise": False,
        }
        return said | ({"canPay": one["canPay"], "roleInOrg": one["roleInOrg"]} if granted else {})

    def authenticated(self, id_: str, secret: str | None) -> Client:
        """Return the application that shows its id, and its secret if it has one.

        Raises:
            OAuthError: There is none, or the secret is not its own.
        """
        client = self.clients.get(id_)
        if client is None:
            raise OAuthError("invalid_client", "No such application", 401)
        if not hmac.compare_digest(client.secret or "", secret or ""):
            raise OAuthError("invalid_client", "Invalid client secret", 401)
        return client


def challenge_of(verifier: str) -> str:
    """Return the S256 challenge of a PKCE verifier (RFC 7636)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def _fits(address: str, known: str) -> bool:
    """Return whether an address is a registered one; the query is free, and so is the port of a loopback address."""
    here, there = urlsplit(address), urlsplit(known)
    loopback = there.hostname in ("127.0.0.1", "localhost", "::1") and there.port is None
    same_port = loopback or here.port == there.port
    same_path = there.path == "/*" or here.path == there.path
    return (here.scheme, here.hostname) == (there.scheme, there.hostname) and same_port and same_path
