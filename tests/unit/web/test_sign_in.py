"""Who may open the studio: whoever has the address it printed."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from pipeline.base.home import open_home
from pipeline.web.sign_in import AT, SignedIn, token_of
from tests.aside import run_aside

TOKEN = "a-right-token"


def asked(method: str, path: str, *, token: str = TOKEN, port: int = 7860, **given: object) -> httpx.Response:
    """Return the studio's answer to one request."""

    def answer(request: Request) -> PlainTextResponse:
        return PlainTextResponse(f"inside {request.url.path}")

    inside = Starlette(routes=[Route("/{rest:path}", answer, methods=["GET", "POST"])])
    app = SignedIn(inside, token, port)

    async def go() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:7860") as client:
            return await client.request(method, path, **given)  # type: ignore[arg-type]

    return run_aside(go())


def cookies(answer: httpx.Response) -> dict[str, str]:
    """Return the headers that send back the cookies an answer gives."""
    pairs = "; ".join(f"{name}={value}" for name, value in answer.cookies.items())
    return {"cookie": pairs} if pairs else {}


@pytest.mark.parametrize("path", ["/", "/config", "/stream?topic=bar:", "/assets/a.js", "/annotated", "//annotate"])
def test_a_stranger_is_asked_who_they_are(path: str) -> None:
    answer = asked("GET", path)
    assert answer.status_code == 401 and "inside" not in answer.text and not cookies(answer)
    assert 'name="token"' in answer.text and "frame-ancestors 'none'" in answer.headers["content-security-policy"]


def test_the_annotation_pages_ask_for_themselves() -> None:
    assert asked("GET", "/annotate/datasets").text == "inside /annotate/datasets"


def test_the_printed_address_signs_in_once_and_loses_its_token() -> None:
    answer = asked("GET", f"/?run=r1&token={TOKEN}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/?run=r1")
    said = answer.headers["set-cookie"].lower()
    assert "httponly" in said and "samesite=lax" in said and TOKEN not in said
    assert asked("GET", "/config", headers=cookies(answer)).text == "inside /config"
    again = asked("GET", f"/?token={TOKEN}", headers=cookies(answer))
    assert again.status_code == 303 and TOKEN not in again.headers["location"]


def test_the_form_takes_the_token_and_goes_where_the_address_led() -> None:
    assert asked("GET", "/?project=<b>").text.count(f'action="{AT}?project=%3Cb%3E"') == 1
    answer = asked("POST", f"{AT}?project=p", data={"token": f" {TOKEN} "})
    assert (answer.status_code, answer.headers["location"]) == (303, "/?project=p")
    assert asked("GET", "/", headers=cookies(answer)).text == "inside /"


@pytest.mark.parametrize(
    ("method", "path", "given"),
    [
        ("GET", "/?token=wrong", {}),
        ("GET", "/?token=", {}),
        ("GET", f"/config?token={TOKEN}", {}),
        ("GET", f"http://127.0.0.1:7860//evil.example/?token={TOKEN}", {}),
        ("POST", f"/gradio_api/queue/join?token={TOKEN}", {"json": {}}),
        ("POST", AT, {"data": {"token": "wrong"}}),
        ("POST", AT, {"data": {"token": "x" * 10_000}}),
        ("GET", "/", {"headers": {"cookie": f"align-studio-7860={TOKEN}"}}),
        ("GET", "/", {"headers": {"cookie": "align-studio-7860=; \x01=;;"}}),
    ],
)
def test_nothing_else_signs_in(method: str, path: str, given: dict[str, object]) -> None:
    answer = asked(method, path, **given)
    assert answer.status_code == 401 and not cookies(answer)


def test_a_cookie_is_good_for_one_studio_alone() -> None:
    signed_in = cookies(asked("GET", f"/?token={TOKEN}"))
    assert asked("GET", "/", headers=signed_in, token="another").status_code == 401
    assert asked("GET", "/", headers=signed_in, port=7861).status_code == 401


def test_the_page_speaks_the_visitors_language() -> None:
    assert "登录" in asked("GET", "/", headers={"accept-language": "zh-CN"}).text


def test_a_home_keeps_its_token_for_its_owners_eyes(tmp_path: Path) -> None:
    home = open_home(tmp_path / "home")
    token = token_of(home)
    assert len(token) >= 32 and token_of(home) == token
    assert (home.path / "sign_in.token").stat().st_mode & 0o777 == 0o600
    assert token_of(open_home(tmp_path / "other")) != token
