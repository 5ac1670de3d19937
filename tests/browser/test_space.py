"""The studio on a Space: another host and scheme before it, a frame around it, people who sign in with the Hub."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import App
from tests.browser.spaces import Space, space_of
from tests.browser.steps import patient
from tests.doubles.hub import HubDouble


@pytest.fixture(scope="module")
def space(
    launch: Callable[..., Browser],
    app_server: Callable[..., App],
    _hub_running: HubDouble,
    shared_argilla: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Space]:
    """A Space of Olga's, where Vera and Walt visit."""
    for name in ("olga", "vera", "walt"):
        _hub_running.add_user(name)
    with space_of(app_server, _hub_running, tmp_path_factory.mktemp("front"), shared_argilla, launch=launch) as made:
        yield made


def test_a_visitor_signs_in_and_sees_what_is_theirs(space: Space, pictures: Path | None) -> None:
    page = space.window()
    page.goto(f"{space.front.url}/?project=none")
    expect(page.locator("h1")).to_have_text("Sign in to Align Studio")
    if pictures:
        page.screenshot(path=pictures / "space-sign-in.png")
    page.get_by_role("link", name="Sign in with Hugging Face").click()
    page.get_by_role("button", name="Authorize as vera").click()
    expect(page.locator("#dataset-load")).to_be_visible()
    assert page.url == f"{space.front.url}/?project=none"
    page.locator("#dataset-load").click()
    expect(page.locator("#dataset-preview")).to_be_visible(timeout=60_000)
    expect(page.locator("#status-items")).to_contain_text("vera")
    page.locator("#status-account").click()
    expect(page.locator("#account-status")).to_contain_text("signed in with Hugging Face")
    expect(page.locator("#account-form")).to_be_hidden()
    if pictures:
        page.screenshot(path=pictures / "space-account.png")
    page.locator("#project-delete").click()
    expect(page.locator("#project-delete-about")).to_contain_text("cannot be brought back")
    if pictures:
        page.locator("#project-delete-about").scroll_into_view_if_needed()
        page.screenshot(path=pictures / "space-delete.png")
    (mine,) = (space.app.home / "people").glob("hf-*/projects/*")

    other = space.window()
    other.goto(space.front.url)
    other.get_by_role("link", name="Sign in with Hugging Face").click()
    other.get_by_role("button", name="Authorize as walt").click()
    expect(other.locator("#dataset-empty")).to_be_visible()
    expect(other.locator("#status-project input")).to_have_value("")
    other.context.close()

    page.locator("#project-delete-yes").click()
    expect(page.locator("#dataset-empty")).to_be_visible()
    expect(page.locator("#status-project input")).to_have_value("")
    assert not mine.exists() and not (mine.parent.parent / "gone").exists()

    second = patient(page.context.new_page())  # another tab of the same browser
    second.goto(space.front.url)
    expect(second.locator("#status-items")).to_contain_text("vera")
    page.get_by_role("button", name="Sign out of this studio").click()
    expect(page.locator("h1")).to_have_text("Sign in to Align Studio")
    expect(second.locator(".stream-ended")).to_be_visible()
    second.reload()
    expect(second.locator("h1")).to_have_text("Sign in to Align Studio")
    page.context.close()


def test_in_the_hubs_frame_the_sign_in_opens_a_tab_and_the_frame_follows(space: Space, pictures: Path | None) -> None:
    page = space.window()
    page.goto("https://huggingface.co/spaces/olga/studio?project=none")
    frame = page.frame_locator("iframe")
    link = frame.get_by_role("link", name="Sign in with Hugging Face")
    expect(frame.locator("body")).to_contain_text("Hugging Face opens in a new tab")
    if pictures:
        page.screenshot(path=pictures / "space-frame.png")
    with page.expect_popup() as opened:
        link.click()
    tab = patient(opened.value)
    tab.get_by_role("button", name="Authorize as vera").click()
    expect(tab.locator("#dataset-source")).to_be_visible()
    again = frame.get_by_role("button", name="I have signed in")
    again.click()  # Chromium keeps third parties' cookies to itself in windows like this one
    expect(frame.locator("#blocked")).to_be_visible()
    page.context.grant_permissions(["storage-access"])
    again.click()
    expect(frame.locator("#dataset-source")).to_be_visible()
    expect(frame.locator("#status-items")).to_contain_text("vera")
    page.context.close()
