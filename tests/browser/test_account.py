"""The account panel: every state of the sign-in, and where a typed token is not to be found."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import App
from tests.browser.steps import load_sample, patient
from tests.doubles.hub import HubDouble


def open_panel(page: Page, app: App) -> None:
    """Open the page with the account panel."""
    patient(page).goto(app.url)
    expect(page.locator("#status-items")).to_contain_text("Argilla")
    page.locator("#status-account").click()
    expect(page.locator("#account-token")).to_be_visible()


def type_token(page: Page, token: str) -> None:
    page.locator("#account-token input").fill(token)
    page.locator("#account-sign-in").click()


def bar(page: Page, text: str) -> None:
    expect(page.locator("#status-items")).to_contain_text(text)


def test_signing_in_with_tokens_of_all_kinds(page: Page, hub_app: App, hub: HubDouble) -> None:
    open_panel(page, hub_app)
    about, field = page.locator("#account-status"), page.locator("#account-token input")
    expect(about).to_contain_text("Nobody is signed in")
    expect(about.get_by_role("link")).to_have_attribute(
        "href",
        f"{hub.url}/settings/tokens/new?"
        "ownUserPermissions=repo.content.read&ownUserPermissions=repo.write&ownUserPermissions=job.write"
        "&canReadGatedRepos=true&tokenType=fineGrained",
    )
    expect(page.locator("#account-sign-out")).to_be_hidden()
    expect(field).to_have_attribute("type", "password")

    type_token(page, "two words")
    expect(page.get_by_text("That is not a token.")).to_be_visible()
    expect(field).to_have_value("")

    hub.fault("GET", r"^/api/whoami-v2", delay=8)
    token = hub.add_user("nora", "read", expires=datetime.now(UTC) + timedelta(days=3), organisations=("lab",))
    type_token(page, token)
    expect(field).to_have_value("", timeout=7_000)  # emptied before the Hub has answered
    expect(about).to_contain_text("Asking the Hub")
    expect(about).to_contain_text("Signed in as nora.")
    expect(about).to_contain_text("This token is read-only")
    expect(about).to_contain_text("create and write repositories, run Jobs")
    expect(about).to_contain_text("lab")
    expect(about).to_contain_text("what was typed on this page")
    bar(page, "nora (may not write)")

    field.fill(hub.add_user("nora", "fine-grained", permissions=("repo.content.read", "repo.write")))
    field.press("Enter")
    expect(about).to_contain_text("permissions do not include Jobs")
    type_token(page, "hf_" + "madeUp" * 5)
    expect(about).to_contain_text("does not accept the token")
    bar(page, "Sign-in refused")
    type_token(page, hub.add_user("nora"))
    expect(about).to_contain_text("Signed in as nora.")
    expect(about.locator(".notice")).to_have_count(0)
    expect(about).not_to_contain_text("May not")
    page.locator("#account-sign-out").click()
    expect(about).to_contain_text("Nobody is signed in")
    bar(page, "Not signed in")
    page.locator("#account-close").click()
    expect(page.locator("#account-panel")).to_be_hidden()


def test_a_hub_that_is_away_keeps_the_token_and_may_be_asked_again(page: Page, hub_app: App, hub: HubDouble) -> None:
    open_panel(page, hub_app)
    about = page.locator("#account-status")
    with hub.away():
        type_token(page, hub.add_user("olga"))
        expect(about).to_contain_text("The token is kept and tried again")
        bar(page, "The Hub is not reached")
    page.locator("#account-retry").click()
    expect(about).to_contain_text("Signed in as olga.")
    expect(page.locator("#account-retry")).to_be_hidden()
    page.locator("#account-sign-out").click()
    expect(about).to_contain_text("Nobody is signed in")


@pytest.mark.matrix
def test_the_environments_token_signs_in_by_itself_and_can_be_set_aside(
    page: Page, app_server: Callable[..., App], hub: HubDouble
) -> None:
    token = hub.add_user("quinn")
    hub.fault("GET", r"^/api/whoami-v2", delay=8)
    app = app_server(environment=hub.environment() | {"HF_HUB_OFFLINE": "0", "HF_TOKEN": token})
    open_panel(page, app)  # the page does not wait for the Hub
    about = page.locator("#account-status")
    expect(about).to_contain_text("Signed in as quinn.")
    expect(about).to_contain_text("the environment variable HF_TOKEN")
    page.locator("#account-sign-out").click()
    expect(about).to_contain_text("The token of the environment variable HF_TOKEN is set aside")
    page.reload()
    bar(page, "Not signed in")
    page.locator("#status-account").click()
    page.locator("#account-take-up").click()
    expect(about).to_contain_text("Signed in as quinn.")
    argilla = [p for p in processes(app) if "launcher.py" in " ".join(p.info["cmdline"])]
    assert argilla
    assert all(token not in p.environ().values() for p in argilla)
    app.end()


@pytest.mark.matrix
def test_on_a_phone_in_the_dark_and_in_chinese(browser: Browser, hub_app: App, hub: HubDouble) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, locale="zh-CN", color_scheme="dark")
    page = context.new_page()
    open_panel(page, hub_app)
    type_token(page, hub.add_user("rosa", "read"))
    expect(page.locator("#account-status")).to_contain_text("已登录：rosa。")
    expect(page.locator("#account-status")).to_contain_text("该令牌为只读")
    assert "__i18n__" not in page.locator("body").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator("#account-sign-out").click()
    expect(page.locator("#account-status")).to_contain_text("尚未登录")
    context.close()


def processes(app: App) -> list[psutil.Process]:
    """Return the app's process and all that work in its home."""
    found = []
    for process in psutil.process_iter(["cmdline", "pid"]):
        words = " ".join(process.info["cmdline"] or [])
        if str(app.home) in words or (app.process and process.info["pid"] == app.process.pid):
            found.append(process)
    return found


@pytest.mark.matrix
def test_a_typed_token_is_nowhere_but_in_memory(page: Page, app_server: Callable[..., App], hub: HubDouble) -> None:
    app = app_server(environment=hub.environment() | {"HF_HUB_OFFLINE": "0", "HF_TOKEN": ""})
    sent: list[str] = []
    page.on("response", lambda response: sent.append(response.url))
    open_panel(page, app)
    token = hub.add_user("tess")
    type_token(page, token)
    expect(page.locator("#account-status")).to_contain_text("Signed in as tess.")
    page.locator("#account-close").click()
    load_sample(page)  # a run of the studio's own, with a home, a log and children
    hub.revoke(token)
    page.locator("#status-account").click()
    page.locator("#account-sign-in").click()  # an empty field: an error that could quote what it saw

    secret = token.encode()
    places = [app.home, app.temporary, app.home.with_name(app.home.name + ".log"), *hf_homes(app)]
    files = [file for place in places for file in (place.rglob("*") if place.is_dir() else [place]) if file.is_file()]
    assert any(file.suffix == ".log" for file in files)
    assert len(files) > 5
    assert [str(file) for file in files if secret in file.read_bytes()] == []
    assert [url for url in sent if token in url] == []
    assert token not in page.content()
    assert token not in page.evaluate("JSON.stringify([localStorage, sessionStorage, document.cookie])")
    assert [p.info["pid"] for p in psutil.process_iter(["cmdline", "pid"]) if token in str(p.info["cmdline"])] == []
    others = [p for p in processes(app) if app.process and p.pid != app.process.pid]
    assert others
    assert [p.pid for p in [*others, psutil.Process(app.process.pid)] if token in str(p.environ())] == []
    reloaded = page.request.get(f"{app.url}/config")
    assert reloaded.ok
    assert token not in reloaded.text()
    assert token not in page.request.get(app.url).text()
    app.end()


def hf_homes(app: App) -> list[Path]:
    """Return the Hub client's homes of an app."""
    return [Path(home) for home in [app.environment.get("HF_HOME", "")] if home and Path(home).is_dir()]


def test_the_program_can_be_deployed_from_the_page(page: Page, hub_app: App, hub: HubDouble, unique: str) -> None:
    open_panel(page, hub_app)
    type_token(page, hub.add_user(unique, pro=True))
    expect(page.locator("#account-status")).to_contain_text(f"Signed in as {unique}.")
    page.locator("#account-deploy").click()
    name = page.locator("#deploy-space").get_by_role("textbox")
    expect(name).to_have_value(f"{unique}/align-studio")
    name.fill(f"{unique}/ours")
    page.locator("#deploy-look").click()
    shown = page.locator("#deploy-shown")
    for text in (f"{unique}/ours, a new one", "cpu-basic: no charge by the hour", f"{unique}/ours-data", "git tracks"):
        expect(shown).to_contain_text(text)
    expect(page.locator("#deploy-go")).to_be_visible()
    name.fill(f"{unique}/others")  # not what was shown
    expect(page.locator("#deploy-go")).to_be_hidden()
    expect(shown).not_to_contain_text("a new one")
    page.locator("#deploy-close").click()
    expect(page.locator("#deploy-panel")).to_be_hidden()
    page.locator("#account-deploy").click()
    expect(page.locator("#deploy-panel")).to_be_visible()
    assert not hub.has_repo("space", f"{unique}/ours")
