"""Who may do what: users, their tokens, organisations, and the rules for repositories and Jobs."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from starlette.requests import Request

from tests.doubles.hub.clock import Clock, stamp
from tests.doubles.hub.web import HubError

Role = Literal["read", "write", "fine-grained", "oauth"]

# What an OAuth token or a fine-grained token may do when the test names nothing else.
EVERYTHING = ("repo.content.read", "repo.write", "job.write")


@dataclass
class User:
    """An account.

    Attributes:
        name: Its namespace.
        credit: Prepaid credit, USD; Jobs are refused without.
        organisations: Role in each organisation: admin, write, contributor or read.
        quota: Bytes of private storage; None: no limit.
        can_pay: Whether a payment method is there.
    """

    name: str
    id: str
    credit: float = 10.0
    organisations: dict[str, str] = field(default_factory=dict)
    quota: int | None = None
    can_pay: bool = True

    def writes_to(self, namespace: str) -> bool:
        return namespace == self.name or self.organisations.get(namespace) in ("admin", "write", "contributor")


@dataclass
class Token:
    """A token and what it may do.

    Attributes:
        permissions: For fine-grained and OAuth tokens: what on which entity (a namespace, or owner/name).
        read_gated: Whether a fine-grained token reads gated repositories its user has access to.
        expires: When it ends; None: never.
        created: When it was made.
    """

    secret: str
    user: User
    role: Role
    permissions: dict[str, tuple[str, ...]]
    read_gated: bool
    expires: datetime | None
    created: datetime

    def allows(self, permission: str, entity: str) -> bool:
        """Return whether the token itself (not its user) allows something on a namespace or a repository."""
        if self.role == "write":
            return True
        if self.role == "read":
            return permission == "repo.content.read"
        namespace = entity.split("/")[0]
        granted = {name for place in (entity, namespace, "*") for name in self.permissions.get(place, ())}
        return permission in granted or (permission == "repo.content.read" and "repo.write" in granted)


class Directory:
    """All users and tokens."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.users: dict[str, User] = {}
        self.organisations: set[str] = set()
        self.tokens: dict[str, Token] = {}

    def add(
        self,
        name: str,
        role: Role,
        expires: datetime | None,
        credit: float,
        organisations: Iterable[str] | Mapping[str, str],
        permissions: Iterable[str] | Mapping[str, Iterable[str]] | None,
        read_gated: bool,
        quota: int | None,
        can_pay: bool | None,
    ) -> str:
        """Add a user, or a further token of one, and return the token."""
        roles = dict(organisations) if isinstance(organisations, Mapping) else dict.fromkeys(organisations, "admin")
        user = self.users.setdefault(name, User(name, secrets.token_hex(12)))
        user.credit, user.quota = credit, quota
        user.organisations.update(roles)
        user.can_pay = credit > 0 if can_pay is None else can_pay
        self.organisations.update(roles)
        if isinstance(permissions, Mapping):
            granted = {entity: tuple(names) for entity, names in permissions.items()}
        else:
            names = EVERYTHING if permissions is None else tuple(permissions)
            granted = dict.fromkeys([name, *roles], names)
        secret = ("hf_oauth_" if role == "oauth" else "hf_") + secrets.token_hex(17)
        self.tokens[secret] = Token(secret, user, role, granted, read_gated, expires, self._clock.now())
        return secret

    def who(self, request: Request) -> Token | None:
        """Return the token of a request; None: anonymous.

        Raises:
            HubError: The token is not known, or it has expired.
        """
        header = request.headers.get("authorization", "")
        if not header:
            return None
        token = self.tokens.get(header.removeprefix("Bearer ").strip())
        if token is None:
            raise HubError(401, "Invalid credentials in Authorization header")
        if token.expires is not None and token.expires <= self._clock.now():
            raise HubError(401, f'User Access Token "{token.user.name}" is expired')
        return token

    def require(self, request: Request) -> Token:
        """Return the token of a request that must have one."""
        token = self.who(request)
        if token is None:
            raise HubError(401, "Invalid username or password.")
        return token

    def whoami(self, token: Token) -> dict[str, Any]:
        """Return the answer of whoami-v2."""
        user = token.user
        return {
            "type": "user",
            "id": user.id,
            "name": user.name,
            "fullname": user.name.title(),
            "isPro": False,
            "canPay": user.can_pay,
            "billingMode": "prepaid",
            "periodEnd": None,
            "avatarUrl": "/avatars/none.svg",
            "orgs": [self._organisation(name, role, user) for name, role in user.organisations.items()],
            "auth": self._auth(token),
        }

    def _organisation(self, name: str, role: str, user: User) -> dict[str, Any]:
        return {
            "type": "org",
            "id": _id(name),
            "name": name,
            "fullname": name.title(),
            "canPay": user.can_pay,
            "periodEnd": None,
            "avatarUrl": "/avatars/none.svg",
            "roleInOrg": role,
        }

    def _auth(self, token: Token) -> dict[str, Any]:
        if token.role == "oauth":
            return {"type": "oauth"} | ({"expiresAt": stamp(token.expires)} if token.expires else {})
        role = "fineGrained" if token.role == "fine-grained" else token.role
        access: dict[str, Any] = {"displayName": "test", "role": role, "createdAt": stamp(token.created)}
        if token.expires:
            access["expiresAt"] = stamp(token.expires)
        if token.role == "fine-grained":
            access["fineGrained"] = {
                "canReadGatedRepos": token.read_gated,
                "global": list(token.permissions.get("*", ())),
                "scoped": [
                    {"entity": self._entity(name), "permissions": list(names)}
                    for name, names in token.permissions.items()
                    if name != "*"
                ],
            }
        return {"type": "access_token", "accessToken": access}

    def _entity(self, name: str) -> dict[str, str]:
        kind = "model" if "/" in name else "org" if name in self.organisations else "user"
        return {"_id": _id(name), "type": kind, "name": name}


def _id(name: str) -> str:
    return hashlib.sha1(name.encode()).hexdigest()[:24]
