"""People who come by an invitation, on the real server: accounts without passwords, which are nobody else's."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from pipeline.base.errors import StudioError
from pipeline.base.home import Home, open_home
from pipeline.review.annotators import create_annotators, list_annotators, remove_annotator, reset_password
from pipeline.review.api import Api, NotOwner, Refused
from pipeline.review.joining import Joined, account_id, let_in
from pipeline.review.service import Endpoint


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(tmp_path / "home")


def as_browser(endpoint: Endpoint, joined: Joined, path: str) -> Any:
    """Ask as Argilla's page does with a token."""
    headers = {"Authorization": f"Bearer {joined.token}"}
    answer = httpx.get(f"{endpoint.url}/api/v1/{path}", headers=headers, trust_env=False)
    answer.raise_for_status()
    return answer.json()


def test_who_is_invited_has_one_account_in_the_workspaces_they_were_let_into(
    argilla: Endpoint, home: Home, unique: str
) -> None:
    person, name = f"hf-{unique}", f"Ada.{unique}"
    joined = let_in(home, argilla, f"one-{unique}", person, name)
    me = as_browser(argilla, joined, "me")
    assert (me["username"], me["role"], me["id"]) == (name, "annotator", account_id(person))
    again = let_in(home, argilla, f"one-{unique}", person, f"renamed-{unique}")  # the account's name may change
    let_in(home, argilla, f"two-{unique}", person, name)
    assert again.username == name
    spaces = {each["name"] for each in as_browser(argilla, again, "me/workspaces")["items"]}
    assert spaces == {f"one-{unique}", f"two-{unique}"}
    with pytest.raises(StudioError, match="has no password"):
        reset_password(argilla, f"one-{unique}", name, anybodys=True)
    remove_annotator(argilla, f"one-{unique}", name)
    assert list_annotators(argilla, f"one-{unique}") == [] and list_annotators(argilla, f"two-{unique}") == [name]


def test_a_name_that_is_taken_stays_with_whom_has_it(argilla: Endpoint, home: Home, unique: str) -> None:
    (ann,) = create_annotators(argilla, f"ws-{unique}", [unique])
    joined = let_in(home, argilla, f"ws-{unique}", f"hf-{unique}", unique)
    assert joined.username == f"{unique}-hf"
    other = let_in(home, argilla, f"ws-{unique}", f"hf-2{unique}", unique)
    assert other.username == f"{unique}-hf-2"
    signed = httpx.post(
        f"{argilla.url}/api/v1/token", data={"username": ann.username, "password": ann.password}, trust_env=False
    )
    assert signed.status_code == 201
    owner = let_in(home, argilla, f"ws-{unique}", f"hf-3{unique}", "argilla")
    assert owner.username.startswith("argilla-hf") and as_browser(argilla, owner, "me")["role"] == "annotator"


def test_an_account_that_became_more_is_not_signed_in(argilla: Endpoint, home: Home, unique: str) -> None:
    person = f"hf-{unique}"
    let_in(home, argilla, f"ws-{unique}", person, unique)
    with Api(argilla) as api:
        api.send("PATCH", f"users/{account_id(person)}", {"role": "admin"})
        with pytest.raises(StudioError, match="cannot sign in here"):
            let_in(home, argilla, f"ws-{unique}", person, unique)
        with pytest.raises(Refused):
            api.send("POST", f"studio/users/{account_id(person)}/session")


def test_the_endpoint_signs_in_invited_annotators_alone_and_for_owners_alone(
    argilla: Endpoint, home: Home, unique: str
) -> None:
    (ann,) = create_annotators(argilla, f"ws-{unique}", [unique])
    joined = let_in(home, argilla, f"ws-{unique}", f"hf-{unique}", "b" + unique)
    with Api(argilla) as api:
        users = {user["username"]: user for user in api.get("users")["items"]}
        for refused in (users[ann.username]["id"], users["argilla"]["id"]):
            with pytest.raises(Refused, match="invitation"):
                api.send("POST", f"studio/users/{refused}/session")
        with pytest.raises(Refused) as missing:
            api.send("POST", f"studio/users/{uuid4()}/session")
        assert missing.value.status == 404
    path, theirs = f"studio/users/{account_id(f'hf-{unique}')}/session", users["b" + unique]["api_key"]
    with Api(Endpoint(argilla.url, theirs, argilla.port)) as api, pytest.raises(NotOwner):
        api.send("POST", path)
    headers = {"Authorization": f"Bearer {joined.token}"}
    answers = [
        httpx.post(f"{argilla.url}/api/v1/{path}", headers=given, trust_env=False).status_code
        for given in ({}, headers, {"Authorization": "Bearer x"})
    ]
    assert answers == [401, 403, 401]
