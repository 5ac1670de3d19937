"""Accounts on the embedded review server for people who come by an invitation: they have no password.

Such an account is known by its id alone, which is made of the person's: whoever has another account of that name, made
with a password, keeps it. Who has one is signed in by a token that the server's own endpoint gives to the owner's key
(`engines/argilla_server/sessions.py`).
"""

from __future__ import annotations

import base64
import itertools
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from filelock import FileLock

from pipeline.base.errors import StudioError
from pipeline.base.home import Home
from pipeline.review.annotators import MOST, people_in
from pipeline.review.api import Api, Refused

if TYPE_CHECKING:
    from pipeline.review.service import Endpoint

_OURS = UUID("5c1b2a5e-6b0f-4f0a-9f55-0a1d3c7e9b42")  # drawn once: the name space of these ids (RFC 9562, 5.5)


@dataclass(frozen=True)
class Joined:
    """Somebody who is let in.

    Attributes:
        username: Their name on the review server.
        token: Signs a browser in there.
        ends: When the token ends, Unix seconds.
    """

    username: str
    token: str
    ends: int

    def __repr__(self) -> str:
        return f"Joined({self.username!r})"


def account_id(person: str) -> str:
    """Return the id of the account of a person, as the studio calls them."""
    return str(uuid5(_OURS, person))


def let_in(home: Home, endpoint: Endpoint, workspace: str, person: str, name: str) -> Joined:
    """Give a person an account on the embedded server, and access to a workspace.

    Args:
        home: The home; of several at once, one after the other is let in.
        endpoint: The review server.
        workspace: Name of the workspace.
        person: Who.
        name: What their account on the Hub is called, and theirs here where nobody else is.

    Raises:
        StudioError: Their account is more than an annotator's, or the workspace is full.
        ReviewError: See `pipeline.review.api`.
    """
    with FileLock(home.locks / "joining.lock"), Api(endpoint) as api:
        user = _member(api, workspace, person, name)
        token = api.send("POST", f"studio/users/{user['id']}/session")["access_token"]
    return Joined(str(user["username"]), str(token), _end_of(token))


def as_themselves(home: Home, endpoint: Endpoint, workspace: str, person: str, name: str) -> Endpoint:
    """Return the embedded server with a person's own key; they are let in as `let_in` does it, and raises what it does.

    Args:
        home: The home.
        endpoint: The review server, with an owner's key.
        workspace: Name of the workspace.
        person: Who.
        name: What their account on the Hub is called.
    """
    with FileLock(home.locks / "joining.lock"), Api(endpoint) as api:
        return replace(endpoint, api_key=str(_member(api, workspace, person, name)["api_key"]))


def _end_of(token: str) -> int:
    """Return when a token of the server's ends; it is read and not checked, for the server has just given it."""
    claims = token.split(".")[1]
    return int(json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["exp"])


def _member(api: Api, workspace: str, person: str, name: str) -> dict[str, Any]:
    """Return a person's account, which has access to a workspace."""
    api.check_owner()
    user = _account(api, person, name)
    if user["role"] != "annotator":
        raise StudioError("join.not_annotator", name=user["username"])
    here = api.ensure_workspace(workspace)
    if not any(each["id"] == here for each in api.get(f"users/{user['id']}/workspaces")["items"]):
        if len(people_in(api, workspace)) >= MOST:
            raise StudioError("annotators.too_many", most=MOST, there=MOST)
        api.send("POST", f"workspaces/{here}/users", {"user_id": user["id"]})
    return user


def _account(api: Api, person: str, name: str) -> dict[str, Any]:
    """Return a person's account, made when missing."""
    try:
        found: dict[str, Any] = api.get(f"users/{account_id(person)}")
    except Refused as error:
        if error.status != 404:
            raise
        taken = {user["username"] for user in api.get("users")["items"]}
        body = {
            "id": account_id(person),
            "username": next(each for each in _names(name) if each not in taken),
            "first_name": name,
            "role": "annotator",
            "password": secrets.token_urlsafe(48),  # nobody knows it
        }
        found = api.send("POST", "users", body)
    return found


def _names(name: str) -> Iterator[str]:
    """Yield what an account may be called: as on the Hub, else with something behind it."""
    yield name
    yield f"{name}-hf"
    yield from (f"{name}-hf-{number}" for number in itertools.count(2))
