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
        pro: Whether there is a paid plan; Docker Spaces need one.
    """

    name: str
    id: str
    credit: float = 10.0
    organisations: dict[str, str] = field(default_factory=dict)
    quota: int | None = None
    can_pay: bool = True
    pro: bool = False

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
        scopes: Of one that an application got: what was granted.
        client: The id of that application.
        own: Repositories that the application made for the user, which it may write.
    """

    secret: str
    user: User
    role: Role
    permissions: dict[str, tuple[str, ...]]
    read_gated: bool
    expires: datetime | None
    created: datetime
    scopes: tuple[str, ...] | None = None
    client: str = ""
    own: set[str] = field(default_factory=set)

    def allows(self, permission: str, entity: str) -> bool:
        """Return whether the token itself (not its user) allows something on a namespace or a repository.

        Permissions are the Hub's, and `repo.create` and `repo.delete`, which scopes of applications tell apart.
        """
        if self.role == "write":
            return True
        if self.role == "read":
            return permission == "repo.content.read"
        namespace = entity.split("/")[0]
        granted = {name for place in (entity, namespace, "*") for name in self.permissions.get(place, ())}
        if self.scopes is None and permission in ("repo.create", "repo.delete"):
            return "repo.write" in granted
        if entity in self.own:
            return permission.startswith("repo.")
        if permission in ("repo.create", "repo.delete"):
            return "repo.manage" in granted or (permission == "repo.create" and "repo.contribute" in granted)
        return permission in granted or (permission == "repo.content.read" and "repo.write" in granted)


class Directory:
    """All users and tokens."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.users: dict[str, User] = {}
        self.organisations: set[str] = set()
        self.paid: set[str] = set()  # organisations with a Team or Enterprise plan
        self._own: dict[tuple[str, str], set[str]] = {}  # by application and user
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

    def own(self, client: str, user: User) -> set[str]:
        """Return the repositories that an application made for a user; it may add to them."""
        return self._own.setdefault((client, user.name), set())

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
            "isPro": user.pro,
            "canPay": user.can_pay,
            "billingMode": "prepaid",
            "periodEnd": None,
            "avatarUrl": "/avatars/none.svg",
            "orgs": [self.organisation(name, role, user) for name, role in user.organisations.items()],
            "auth": self._auth(token),
        }

    def organisation(self, name: str, role: str, user: User) -> dict[str, Any]:
        """Return what whoami-v2 tells of an organisation of a user."""
        return {
            "type": "org",
            "id": self.organisation_id(name),
            "name": name,
            "fullname": name.title(),
            "isEnterprise": name in self.paid,
            "canPay": user.can_pay,
            "periodEnd": None,
            "avatarUrl": "/avatars/none.svg",
            "roleInOrg": role,
        }

    def organisation_id(self, name: str) -> str:
        """Return the id of an organisation: 24 hex digits."""
        return _id(name)

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
