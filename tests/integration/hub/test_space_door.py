"""The door of a Space, with the Hub double's sign-in: sessions, owners, an off switch, the provider away."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from pipeline.base.settings import Settings
from pipeline.web.oauth import Flow, ours
from pipeline.web.space import EACH, HubSignedIn, Session, Sessions, person, session_of
from tests.aside import run_aside
from tests.doubles.hub import HubDouble

BASE = "https://olga-studio.hf.space"


@dataclass
class Door:
    """A Space's door, the double before it, and what it told the studio."""

    hub: HubDouble
    settings: Settings
    arrived: list[tuple[Session, str]] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        client = self.hub.add_oauth_client([f"{BASE}/login/callback"], ("read-repos",))
        self.flow = Flow(self.hub.url, client.id, client.secret or "", BASE)
        self.sessions = Sessions(self.left.append)

        def inside(request: Request) -> JSONResponse:
            session = session_of(request.scope)
            return JSONResponse({"who": session.who if session else None, "owner": bool(session and session.owner)})

        self.app = HubSignedIn(
            Starlette(routes=[Route("/{rest:path}", inside)]),
            self.flow,
            self.sessions,
            self.settings.owns,
            self.settings.visitors,
            lambda session, token: self.arrived.append((session, token)),
            "openid profile read-repos",
        )

    def ask(self, method: str, path: str, cookies: dict[str, str] | None = None, **more: str) -> httpx.Response:
        """Return the answer to one request."""

        async def go() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url=BASE, cookies=cookies) as client:
                return await client.request(method, path, headers=more)

        return run_aside(go())

    def sign_in(self, name: str, target: str = "") -> httpx.Response:
        """Return the last answer to somebody who signs in."""
        began = self.ask("GET", f"/sign-in{target}")
        back = httpx.get(f"{began.headers['location']}&account={name}", trust_env=False)
        return self.ask("GET", back.headers["location"], dict(began.cookies))


@pytest.fixture
def door(hub: HubDouble, unique: str) -> Door:
    """A door of a Space of {unique}."""
    hub.add_user(unique)
    hub.add_user(f"{unique}-visitor")
    return Door(hub, Settings(space_id="x/y", space_host="olga-studio.hf.space", space_author=unique))


def test_who_signed_in_is_let_in_as_themselves_and_their_token_goes_to_the_studio_alone(
    door: Door, unique: str, hub: HubDouble
) -> None:
    assert door.ask("GET", "/config").status_code == 401
    answer = door.sign_in(unique, "?project=mine&x=1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/?project=mine")
    ((session, token),) = door.arrived
    sub = hub.directory.users[unique].id
    assert (session.who, session.name, session.owner) == (person(sub), unique, True)
    assert token.startswith("hf_oauth_") and token not in str(answer.headers) and token not in repr(door.flow)
    assert door.ask("GET", "/config", dict(answer.cookies)).json() == {"who": f"hf-{sub}", "owner": True}

    other = door.sign_in(f"{unique}-visitor")
    assert not door.arrived[1][0].owner
    assert door.ask("GET", "/", dict(other.cookies)).headers["content-security-policy"].startswith("frame-ancestors")
    assert door.ask("GET", "/annotate/").json()["who"] is None

    assert door.ask("POST", "/sign-out", dict(answer.cookies)).status_code == 303
    assert door.left == [f"hf-{sub}"]
    assert door.ask("GET", "/config", dict(answer.cookies)).status_code == 401
    assert door.ask("GET", "/config", dict(other.cookies)).status_code == 200


def test_a_session_ends_with_its_token_and_one_person_has_so_many() -> None:
    left: list[str] = []
    sessions = Sessions(left.append)
    short = sessions.begin(Session("hf-b", "b", False, time.time() + 0.2))
    assert sessions.of(short) is not None
    time.sleep(0.25)
    assert sessions.of(short) is None and left == ["hf-b"]
    one = Session("hf-a", "a", False, time.time() + 60)
    cookies = [sessions.begin(one) for _ in range(EACH + 3)]
    assert [sessions.of(cookie) is not None for cookie in cookies] == [False] * 3 + [True] * EACH
    assert sessions.of("") is None and sessions.of("guessed") is None
    assert "hf-a" not in left


def test_a_stream_ends_with_its_session(door: Door, unique: str) -> None:
    answer = door.sign_in(unique)
    ((session, _),) = door.arrived
    told: list[bytes] = []

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number in range(5):
            if number == 2:
                door.sessions.end(session_of(scope) or session)
            await send({"type": "http.response.body", "body": b"x", "more_body": True})

    async def keep(message: Any) -> None:
        told.append(message.get("body", b"start") + (b"" if message.get("more_body", True) else b"end"))

    cookie = "; ".join(f"{name}={value}" for name, value in answer.cookies.items()).encode()
    scope = {"type": "http", "method": "GET", "path": "/stream", "query_string": b"", "headers": [(b"cookie", cookie)]}
    door.app._app = endless
    run_aside(door.app(scope, lambda: None, keep))  # type: ignore[arg-type, return-value]
    assert told == [b"start", b"x", b"x", b"end"]


def test_visitors_can_be_turned_away_and_owners_are_named(door: Door, unique: str, hub: HubDouble) -> None:
    visitor = f"{unique}-visitor"
    alone = Door(hub, door.settings.model_copy(update={"visitors": False}))
    answer = alone.sign_in(visitor)
    assert answer.status_code == 403 and not alone.arrived and f"You are signed in as {visitor}" in answer.text
    assert alone.sign_in(unique).status_code == 303
    named = Door(hub, alone.settings.model_copy(update={"owners": f"somebody, {visitor}"}))
    assert named.sign_in(visitor).status_code == 303 and named.arrived[0][0].owner
    by_id = door.settings.model_copy(update={"space_author": "org", "space_creator": hub.directory.users[visitor].id})
    assert by_id.owns(hub.directory.users[visitor].id, "renamed") and not by_id.owns("", "")


def test_a_refusal_and_a_provider_that_is_away_are_said(door: Door, hub: HubDouble, unique: str) -> None:
    began = door.ask("GET", "/sign-in")
    refused = httpx.get(f"{began.headers['location']}&account=", trust_env=False)
    answer = door.ask("GET", refused.headers["location"], dict(began.cookies))
    assert answer.status_code == 401 and "did not sign you in" in answer.text
    began = door.ask("GET", "/sign-in")
    back = httpx.get(f"{began.headers['location']}&account={unique}", trust_env=False).headers["location"]
    with hub.away():
        answer = door.ask("GET", back, dict(began.cookies))
    assert answer.status_code == 401 and "cannot be reached" in answer.text and not door.arrived
    chinese = door.ask("GET", "/", **{"accept-language": "zh", "sec-fetch-dest": "iframe"})
    assert "用 Hugging Face 登录" in chinese.text and "requestStorageAccess" in chinese.text


@pytest.mark.parametrize("target", ["//evil", "/\\evil", "https://evil", "", "javascript:1", "/\n/evil", "/é"])
def test_no_sign_in_ends_elsewhere(target: str) -> None:
    assert ours(target) == "/"


def test_what_is_kept_of_somebody_does_not_show_their_token() -> None:
    from pipeline.web.oauth import Arrival

    arrival = Arrival("1", "ada", "hf_oauth_secret", 0.0, "/")
    assert "secret" not in repr(arrival) and "secret" not in repr(replace(arrival, name="x"))
