"""What of Gradio is served: what the page asks for, and no file but the visitor's own uploads."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.aside import run_aside
from ui.gate import LONGEST, UPLOAD, Gate, references

JOIN = "/gradio_api/queue/join"
MINE = "/tmp/gradio/0a1b/my pairs.csv"
SECRET = "/proc/self/environ"


def reference(path: str, **more: object) -> dict[str, object]:
    """Return what Gradio takes for a file."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}, **more}


def asked(*requests: tuple[str, str, Any]) -> list[httpx.Response]:
    """Return the answers of one gate to requests one after another: method, path, and a body as JSON or as it is."""

    async def answer(request: Request) -> JSONResponse:
        if request.url.path == UPLOAD:
            return JSONResponse([MINE])
        body = await request.body()
        return JSONResponse({"inside": json.loads(body) if body else None})

    app = Gate(Starlette(routes=[Route("/{rest:path}", answer, methods=["GET", "POST", "PUT", "HEAD"])]))

    async def go() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:7860") as client:
            return [
                await client.request(method, path, **({"content": body} if isinstance(body, bytes) else {"json": body}))
                for method, path, body in requests
            ]

    return run_aside(go())


@pytest.mark.parametrize(
    "hidden",
    [
        reference(SECRET),
        {"a": [{"b": [reference(SECRET)]}]},
        {"PATH": SECRET},
        {"path": None, "url": "http://169.254.169.254/"},
        {"url": "file:///etc/shadow"},
        {"meta": {"_type": "gradio.FileData"}},
        {"value": {"nested": {"_type": "gradio.FileData", "path": SECRET}}},
        reference(MINE),
    ],
)
def test_a_reference_to_a_file_is_refused_wherever_it_stands(hidden: object) -> None:
    for body in ({"data": [hidden]}, {"data": [], "event_data": hidden}, {"data": [json.loads(json.dumps([hidden]))]}):
        (answer,) = asked(("POST", JOIN, body))
        assert answer.status_code == 403 and "not uploaded here" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("url", "status"),
    [
        (None, 200),
        (f"http://127.0.0.1:7860/gradio_api/file={quote(MINE)}", 200),
        (f"http://127.0.0.1:7860/gradio_api/file={SECRET}", 403),
        (f"http://10.0.0.1/gradio_api/file={MINE}", 403),
        (["http://10.0.0.1/"], 403),
        ("http://[::1", 403),
    ],
)
def test_an_upload_may_be_used_as_what_it_is(url: object, status: int) -> None:
    body = {"data": [reference(MINE, url=url)], "fn_index": 1}
    _, answer = asked(("POST", UPLOAD, b"file"), ("POST", JOIN, body))
    assert answer.status_code == status
    assert status != 200 or answer.json()["inside"] == body


def test_a_key_that_stands_twice_is_read_as_it_was_looked_at() -> None:
    twice = f'{{"data": [{{"path": "{SECRET}", "path": "{MINE}", "meta": {{"_type": "gradio.FileData"}}}}]}}'
    _, answer = asked(("POST", UPLOAD, b"file"), ("POST", JOIN, twice.encode()))
    assert answer.json()["inside"]["data"][0]["path"] == MINE


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"{", 400), (b"[" * 200_000, 400), (b'"' + b"x" * (LONGEST + 1) + b'"', 413), (b"\xff\xfe", 400)],
)
def test_what_cannot_be_looked_at_is_not_passed_on(body: bytes, status: int) -> None:
    assert [answer.status_code for answer in asked(("POST", JOIN, body))] == [status]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/gradio_api/file={SECRET}"),
        ("GET", "/gradio_api/file=/etc/shadow"),
        ("GET", "/file=/etc/shadow"),
        ("GET", "/gradio_api/proxy=http://169.254.169.254/"),
        ("GET", "/gradio_api/deep_link?session_hash=a"),
        ("GET", "/gradio_api/token"),
        ("GET", "/gradio_api/user"),
        ("GET", "/gradio_api/info"),
        ("GET", "/gradio_api/dev/reload"),
        ("GET", "/monitoring/summary"),
        ("GET", "/login/callback?_target_url=////evil.example"),
        ("GET", "/logout"),
        ("POST", "/gradio_api/call/load"),
        ("POST", "/gradio_api/run/load"),
        ("POST", "/gradio_api/api/load"),
        ("POST", "/gradio_api/component_server"),
        ("POST", "/gradio_api/vibe-edit"),
        ("POST", "/gradio_api/process_recording"),
        ("POST", "/gradio_api/queue/join/"),
        ("PUT", JOIN),
        ("GET", "http://127.0.0.1:7860//config"),
        ("GET", "/config/"),
        ("GET", "/annotated"),
        ("POST", "/"),
    ],
)
def test_what_the_page_does_not_ask_for_is_not_served(method: str, path: str) -> None:
    assert [answer.status_code for answer in asked((method, path, None))] == [404]


@pytest.mark.parametrize(
    "path", ["/", "/config", "/theme.css?v=1", "/assets/a.js", "/gradio_api/heartbeat/abc", "/annotate/api/v1/me"]
)
def test_what_the_page_asks_for_is_served(path: str) -> None:
    assert [answer.status_code for answer in asked(("GET", path, None))] == [200]


def test_plain_values_are_no_references() -> None:
    plain = {"data": ["/etc/shadow", {"index": [0, 1], "value": "path"}, {"headers": ["path"], "metadata": None}]}
    assert list(references(plain)) == []
