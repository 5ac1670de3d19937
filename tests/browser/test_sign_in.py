"""A studio that asks who opens it: the printed address, a stranger, a restart, and files that are nobody's business."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import httpx
from playwright.sync_api import Page, expect

from tests.browser.conftest import App
from tests.browser.steps import patient

SAID = re.compile(r"Align Studio: (\S+)")
SECRETS = ("/proc/self/environ", "/etc/shadow", "ledger.db", "sign_in.token", "argilla/secrets.json")


def printed(app: App) -> str:
    """Return the address that the studio printed last."""
    return SAID.findall(app.log())[-1]


def test_the_printed_address_opens_the_studio_and_nothing_else_does(
    page: Page, app_server: Callable[..., App], shared_argilla: dict[str, str]
) -> None:
    app = app_server(options=["--token"], environment=shared_argilla)
    patient(page)
    page.goto(f"{app.url}/?project=none")
    expect(page.locator("h1")).to_have_text("Sign in to Align Studio")
    page.locator("#token").fill("guessed")
    page.get_by_role("button").click()
    expect(page.locator(".bad")).to_have_text("That is not this studio's token.")
    address = printed(app)
    token = address.partition("token=")[2]
    page.locator("#token").fill(token)
    page.get_by_role("button").click()
    expect(page.locator("#dataset-source")).to_be_visible()
    assert page.url == f"{app.url}/?project=none"

    other = page.context.browser.new_context()  # type: ignore[union-attr]
    window = other.new_page()
    patient(window)
    window.goto(address)
    expect(window.locator("#dataset-load")).to_be_visible()
    assert window.url == f"{app.url}/" and token not in window.content()
    window.locator("#dataset-load").click()
    expect(window.locator("#dataset-preview")).to_be_visible(timeout=60_000)

    app.stop()  # open pages come back by themselves: the token outlives the process
    app.start()
    expect(page.locator("#status-project input")).not_to_have_value("", timeout=60_000)
    assert printed(app) == address
    other.close()


def test_a_second_user_of_the_machine_gets_nothing(
    app_server: Callable[..., App], shared_argilla: dict[str, str]
) -> None:
    app = app_server(options=["--token"], environment=shared_argilla | {"HF_TOKEN": ""})
    names = [name if name.startswith("/") else str(app.home / name) for name in SECRETS]
    with httpx.Client(base_url=app.url, trust_env=False) as stranger:
        for path in ("/", "/config", "/stream?topic=bar:", "/gradio_api/upload_progress?upload_id=a"):
            assert stranger.get(path).status_code == 401
        forged = [{"path": name, "meta": {"_type": "gradio.FileData"}} for name in names]
        tries = [stranger.post("/gradio_api/queue/join", json={"data": [one], "fn_index": 1}) for one in forged]
        assert {answer.status_code for answer in tries} == {401}
        assert stranger.post("/gradio_api/upload", files={"files": b"x"}).status_code == 401


def test_whoever_is_signed_in_gets_no_file_by_its_name(
    app_server: Callable[..., App], shared_argilla: dict[str, str], tmp_path: Path
) -> None:
    app = app_server(options=["--token"], environment=shared_argilla)
    names = [name if name.startswith("/") else str(app.home / name) for name in SECRETS]
    with httpx.Client(base_url=app.url, trust_env=False) as client:
        assert client.get("/?" + printed(app).partition("?")[2]).status_code == 303
        config = client.get("/config").json()
        indices = [each["id"] for each in config["dependencies"]]
        inputs = {each["id"]: len(each["inputs"]) for each in config["dependencies"]}
        seen = []
        for index in indices:
            for name in names:
                forged = {"path": name, "meta": {"_type": "gradio.FileData"}}
                for value in (forged, [forged], {"deep": [forged]}):
                    body = {"data": [value] * max(inputs[index], 1), "fn_index": index, "session_hash": "forged"}
                    seen.append(client.post("/gradio_api/queue/join", json=body).status_code)
        assert len(seen) > 500 and set(seen) == {403}
        assert [client.get(f"/gradio_api/file={name}").status_code for name in names] == [404] * len(names)
        file = ("pairs.csv", b"prompt,chosen,rejected\n" + 100 * b"a,b,c\n")
        sent = client.post("/gradio_api/upload", files={"files": file}, headers={"accept-encoding": "gzip, br"})
        (mine,) = sent.json()
        own = {"path": mine, "meta": {"_type": "gradio.FileData"}}
        join = {"data": [own], "fn_index": indices[0], "session_hash": "own"}
        assert client.post("/gradio_api/queue/join", json=join).status_code == 200
    kept = [path.name for path in app.temporary.rglob("*") if path.is_file()]
    assert not {"environ", "shadow", "ledger.db", "sign_in.token", "secrets.json"} & set(kept)
