"""The way in for annotators: an invitation's link, the Hub double's sign-in, Argilla's token handed to the browser."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from pipeline.base.home import Home, open_home
from pipeline.base.project import Project, Record, ReviewRecord
from pipeline.review import joining
from pipeline.review.invitations import InvitationOptions, invitation_of, invite, revoke
from pipeline.review.joining import Joined
from pipeline.review.project import plan_of
from pipeline.review.workspace import workspace_of
from pipeline.web.guard import Addressed
from pipeline.web.join import Join
from pipeline.web.oauth import CALLBACK, Flow
from pipeline.web.space import HubSignedIn, Sessions, person
from tests.aside import run_aside
from tests.doubles.hub import HubDouble
from tests.reviewed import make_reviewed

HOST = "ada-studio.hf.space"
BASE = f"https://{HOST}"


class Space:
    """The doors of a Space, with a page behind them that only who is signed in sees."""

    def __init__(self, hub: HubDouble, home: Home) -> None:
        self.client = hub.add_oauth_client([BASE + CALLBACK], ["read-repos", "write-repos"])
        assert self.client.secret is not None
        flow = Flow(hub.url, self.client.id, self.client.secret, BASE)
        argilla = SimpleNamespace(embedded=True, endpoint=lambda: None)
        join = Join(home, cast(Any, argilla), flow, hub.url)
        self.arrivals: list[str] = []
        app = Starlette(routes=[*join.routes(), Route("/", lambda request: PlainTextResponse("the studio"))])
        app.add_middleware(
            HubSignedIn,
            flow=flow,
            sessions=Sessions(lambda who: None),
            owns=lambda sub, name: False,
            visitors=True,
            arrived=lambda session, token: self.arrivals.append(session.name),
            scopes="openid profile write-repos",
            join=join.arrived,
        )
        app.add_middleware(Addressed, hosts={HOST}, secure=True)
        self.app = app

    def browser(self) -> Browser:
        """Return a browser of its own."""
        return Browser(self)


class Browser:
    """A person's browser: cookies, and forms posted as from our own page."""

    def __init__(self, space: Space) -> None:
        self._app = space.app
        self.cookies = httpx.Cookies()

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def one() -> httpx.Response:
            transport = httpx.ASGITransport(app=self._app)
            async with httpx.AsyncClient(transport=transport, base_url=BASE, cookies=self.cookies) as client:
                answer = await client.request(method, path, **more)
                self.cookies = client.cookies
                return answer

        return run_aside(one())

    def press(self, path: str, **headers: str) -> httpx.Response:
        """Press the button of an invitation."""
        return self.ask("POST", path, headers={"origin": BASE, **headers})


def agree(address: str, account: str) -> str:
    """Agree on the Hub's page; return where it sends the browser, without the host."""
    answer = httpx.get(address, params=httpx.URL(address).params.merge({"account": account}), trust_env=False)
    assert answer.status_code == 302, answer.text
    back = urlsplit(answer.headers["location"])
    assert (back.scheme, back.netloc, back.path) == ("https", HOST, CALLBACK)
    return f"{back.path}?{back.query}"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(tmp_path / "home")


@pytest.fixture
def ada(home: Home) -> Home:
    return home.of("hf-ada")


@pytest.fixture
def project(ada: Home) -> Project:
    """A visitor's project, imported into their workspace."""
    return imported(ada)


def imported(owner: Home, name: str = "pairs") -> Project:
    """Make a project whose pairs are in Argilla."""
    made = make_reviewed(owner, name, reviewed=False)
    plan = plan_of(made).model_dump(mode="json")

    def change(record: Record) -> None:
        record.review = ReviewRecord(plan=plan, server="embedded", dataset_id="7d")

    made.update(change)
    return made


@pytest.fixture
def space(hub: HubDouble, home: Home) -> Space:
    return Space(hub, home)


@pytest.fixture
def let_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, ...]]]:
    """Who was let in where; the review server itself has tests of its own (`argilla/test_joining.py`)."""
    asked: list[tuple[str, ...]] = []

    def one(home: Home, endpoint: object, workspace: str, who: str, name: str) -> Joined:
        asked.append((workspace, who, name))
        return Joined(name, "to.</script>.ken", 1_900_000_000)

    monkeypatch.setattr(joining, "let_in", one)
    yield asked


def test_who_opens_the_link_lands_in_the_dataset_and_not_in_the_studio(
    hub: HubDouble, space: Space, home: Home, ada: Home, project: Project, unique: str, let_in: list[tuple[str, ...]]
) -> None:
    hub.add_user(unique)
    link = f"/join/{invite(ada, project, InvitationOptions(limit=1))}"
    browser = space.browser()
    shown = browser.ask("GET", link)
    assert shown.status_code == 200 and "Sign in with Hugging Face" in shown.text and "<script" not in shown.text
    assert "frame-ancestors 'none'" in shown.headers["content-security-policy"] and not browser.cookies
    asked = browser.press(link)
    assert asked.status_code == 303
    scopes = parse_qs(urlsplit(asked.headers["location"]).query)["scope"]
    assert scopes == ["openid profile"]  # less than the Space asks its visitors for
    back = agree(asked.headers["location"], unique)
    landed = browser.ask("GET", back)
    sub = hub.directory.users[unique].id
    assert landed.status_code == 200 and let_in == [(workspace_of(ada), person(sub), unique)]
    given = re.search(r'id="given">(.*?)</script>', landed.text)
    assert given and json.loads(given[1]) == {
        "token": "to.</script>.ken",
        "to": "/annotate/dataset/7d/annotation-mode",
        "ends": 1_900_000_000,
    }
    nonce = re.search(r'nonce="([\w-]+)"', landed.text)
    assert nonce and f"script-src 'nonce-{nonce[1]}'" in landed.headers["content-security-policy"]
    assert (landed.headers["cache-control"], landed.headers["referrer-policy"]) == ("no-store", "same-origin")
    # No session in the studio, and what the Hub gave is nowhere.
    assert browser.ask("GET", "/").status_code == 401 and space.arrivals == []
    kept = "".join(file.read_text("latin-1") for file in home.path.rglob("*") if file.is_file())
    assert "hf_oauth" not in kept + landed.text + str(browser.cookies)
    assert browser.ask("GET", back).status_code == 401 and len(let_in) == 1  # once
    # The same person again, and no second one.
    assert browser.ask("GET", agree(browser.press(link).headers["location"], unique)).status_code == 200
    hub.add_user(f"{unique}-b")
    full = browser.ask("GET", agree(browser.press(link).headers["location"], f"{unique}-b"))
    assert full.status_code == 404 and "no places left" in full.text and len(let_in) == 2
    now = invitation_of(project)
    assert now is not None and now.people == {person(sub): unique}


def test_another_browser_cannot_end_what_one_has_begun(
    hub: HubDouble, space: Space, ada: Home, project: Project, unique: str, let_in: list[tuple[str, ...]]
) -> None:
    hub.add_user(unique)
    link = f"/join/{invite(ada, project, InvitationOptions())}"
    hers, his = space.browser(), space.browser()
    back = agree(hers.press(link).headers["location"], unique)
    assert his.ask("GET", back).status_code == 401
    his.press(link)
    assert his.ask("GET", back).status_code == 401
    assert hers.ask("GET", back).status_code == 401  # and with that it is used up
    assert let_in == []


Change = Callable[[Home, Project], object]


@pytest.mark.parametrize(
    ("meanwhile", "said"),
    [
        (lambda ada, project: revoke(ada, project), "not valid"),
        (lambda ada, project: invite(ada, project, InvitationOptions()), "not valid"),
        (lambda ada, project: project.update(lambda record: setattr(record.review, "dataset_id", "")), "nothing to"),
        (lambda ada, project: project.update(lambda record: setattr(record.review, "server", "x")), "nothing to"),
    ],
    ids=["revoked", "a newer link", "nothing imported", "another server"],
)
def test_what_changes_while_somebody_signs_in_counts(
    hub: HubDouble,
    space: Space,
    ada: Home,
    project: Project,
    unique: str,
    let_in: list[tuple[str, ...]],
    meanwhile: Change,
    said: str,
) -> None:
    hub.add_user(unique)
    link = f"/join/{invite(ada, project, InvitationOptions())}"
    browser = space.browser()
    back = agree(browser.press(link).headers["location"], unique)
    meanwhile(ada, project)
    answer = browser.ask("GET", back)
    assert answer.status_code == 404 and said in answer.text and let_in == []


def test_people_of_the_studio_open_argilla_as_themselves(
    hub: HubDouble, space: Space, home: Home, unique: str, let_in: list[tuple[str, ...]]
) -> None:
    hub.add_user(unique)
    sub = hub.directory.users[unique].id
    theirs = home.of(person(sub))
    imported(theirs)
    stranger = space.browser()
    assert stranger.press("/join?project=pairs").status_code == 403 and let_in == []
    browser = space.browser()
    browser.ask("GET", agree(browser.ask("GET", "/sign-in").headers["location"], unique))
    landed = browser.press("/join?project=pairs&status=draft")
    assert landed.status_code == 200 and let_in == [(workspace_of(theirs), person(sub), unique)]
    assert '"/annotate/dataset/7d/annotation-mode?page=1&status=draft"' in landed.text
    for other in ("", "nothing", "../hf-ada/projects/pairs", "..%2fpairs", "pairs/../pairs"):
        assert browser.press(f"/join?project={other}").status_code == 404
    imported(home.of("hf-ada"), "hers")
    assert browser.press("/join?project=hers").status_code == 404
    for headers in ({}, {"origin": "https://evil.example"}, {"origin": "https://huggingface.co"}):
        assert browser.ask("POST", "/join?project=pairs", headers=headers).status_code == 403
    assert browser.ask("GET", "/join?project=pairs").status_code == 405
    assert len(let_in) == 1


def test_a_sign_in_is_begun_from_our_own_page_alone(space: Space, ada: Home, project: Project) -> None:
    link = f"/join/{invite(ada, project, InvitationOptions())}"
    for headers in ({"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
        assert space.browser().ask("POST", link, headers=headers).status_code == 403
    assert space.browser().ask("POST", link).status_code == 403
    assert space.browser().press(link, host="evil.example").status_code == 403


@pytest.mark.parametrize("path", ["/join/x", "/join/", "/join", "/join/..", "/join/a/b", "/join/%2e%2e", "/join//x"])
def test_what_is_no_invitation_begins_nothing(space: Space, path: str) -> None:
    browser = space.browser()
    for answer in (browser.ask("GET", path), browser.press(path)):
        # 307: from `/join/` to `/join`, which asks for a session
        assert answer.status_code in (307, 401, 403, 404, 405) and not browser.cookies
        assert answer.headers.get("location", f"{BASE}/join") == f"{BASE}/join"


def test_a_refused_sign_in_lets_nobody_in(
    hub: HubDouble, space: Space, ada: Home, project: Project, let_in: list[tuple[str, ...]]
) -> None:
    link = f"/join/{invite(ada, project, InvitationOptions())}"
    browser = space.browser()
    back = agree(browser.press(link).headers["location"], "")
    assert browser.ask("GET", back).status_code == 401 and let_in == []
