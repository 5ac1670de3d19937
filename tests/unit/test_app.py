"""The composition root: addresses, and what a page's address asks for."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

import app
from pipeline.base import project
from pipeline.base.errors import StudioError
from pipeline.base.settings import Settings
from pipeline.visit import Visit

ROOT = Path(__file__).resolve().parents[2]


def test_only_loopback_is_listened_on() -> None:
    with pytest.raises(StudioError, match="stays on 127.0.0.1"):
        app.check(Settings(host="0.0.0.0"))


def test_the_terminals_language_is_spoken(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert app.main(["--bogus"]) == 2
    assert app.main(["--port", "0"]) == 1
    with pytest.raises(SystemExit):
        app.main(["--help"])
    said = capsys.readouterr()
    assert "无法识别的参数：--bogus" in said.err
    assert "--port不得小于 1" in said.err
    assert "第二个监听" in said.out and "listen" not in said.out


@pytest.mark.parametrize("address", ["7861", "0.0.0.0:notaport", "0.0.0.0:99999"])
def test_a_malformed_listener_is_an_error(address: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    with pytest.raises(StudioError) as caught:
        app.check(Settings(port=free, annotators=address))
    assert "HOST:PORT" in str(caught.value)


def test_an_address_opens_its_project_and_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.runs.ledger import State
    from pipeline.studio import Studio
    from ui import layout

    said: list[str] = []
    monkeypatch.setattr(layout.gr, "Warning", said.append)  # a toast needs a page
    studio = Studio(Settings(home=tmp_path))
    assert layout.asked_for(Visit(studio), {}) == ("", "")
    first, second = project.create(studio.home, "first"), project.create(studio.home, "second")
    run = studio.ledger.add("train", first.name, "Train", {})[0]
    assert layout.asked_for(Visit(studio), {}) == (second.name, "")
    assert layout.asked_for(Visit(studio), {"project": "first"}) == ("first", "")
    assert layout.asked_for(Visit(studio), {"run": run.id}) == ("first", "train")
    load = studio.ledger.add("load", "", "Load", {})[0]  # it belongs to no project before it has made one
    assert layout.asked_for(Visit(studio), {"run": load.id}) == (second.name, "dataset")
    studio.ledger.end(load.id, State.SUCCEEDED, result={"project": "first"})
    assert layout.asked_for(Visit(studio), {"run": load.id}) == ("first", "dataset")
    assert said == []
    assert layout.asked_for(Visit(studio), {"project": "<b>no</b>"}) == (second.name, "")
    assert layout.asked_for(Visit(studio), {"run": "no"}) == (second.name, "")
    assert len(said) == 2
    assert "<b>" not in said[0]


def test_another_sites_page_cannot_speak_to_the_studio() -> None:
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route
    from starlette.testclient import TestClient

    from pipeline.web.guard import Addressed, local_hosts

    inner = Starlette(routes=[Route("/", lambda request: PlainTextResponse("in"))])
    client = TestClient(Addressed(inner, local_hosts(7860)), base_url="http://127.0.0.1:7860")
    assert client.get("/").text == "in"
    assert client.get("/", headers={"Origin": "http://localhost:7860"}).text == "in"
    assert client.get("/", headers={"Host": "evil.example:7860"}).status_code == 403
    assert client.get("/", headers={"Host": "127.0.0.1:1"}).status_code == 403
    assert client.get("/", headers={"Origin": "http://evil.example"}).status_code == 403
    assert client.get("/", headers={"Origin": "null"}).status_code == 403


def test_the_hubs_page_opens_a_space_in_its_frame_and_asks_nothing_else() -> None:
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route
    from starlette.testclient import TestClient

    from pipeline.web.guard import Addressed

    async def answer(request: object) -> PlainTextResponse:
        return PlainTextResponse("in")

    inner = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])
    hub = {"Origin": "https://huggingface.co", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "cross-site"}
    host = "ada-studio.hf.space"
    space = TestClient(Addressed(inner, {host}, secure=True), base_url=f"https://{host}")
    assert space.get("/?project=x", headers=hub).text == "in"  # as a browser asks that may send a frame our cookies
    assert space.post("/", headers=hub).status_code == 403
    assert space.get("/stream", headers=hub).status_code == 403
    assert space.get("/", headers=hub | {"Sec-Fetch-Mode": "cors"}).status_code == 403
    for other in ("https://huggingface.co.evil.example", "http://huggingface.co", "https://evil.hf.space", "null"):
        assert space.get("/", headers=hub | {"Origin": other}).status_code == 403
    local = TestClient(Addressed(inner, {"127.0.0.1:7860"}), base_url="http://127.0.0.1:7860")
    assert local.get("/", headers=hub).status_code == 403
