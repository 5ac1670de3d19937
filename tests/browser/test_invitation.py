"""On a Space: a visitor invites, somebody signs in with Hugging Face and answers, and the visitor sees it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import steps
from tests.browser.conftest import App
from tests.browser.spaces import HOST, Space, space_of
from tests.browser.steps import Judgement
from tests.doubles.hub import HubDouble

PAIRS = 2
LONG = "one two three four five six seven eight nine ten"


@pytest.fixture(scope="module")
def space(
    launch: Callable[..., Browser],
    app_server: Callable[..., App],
    _hub_running: HubDouble,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Space]:
    """A Space with an Argilla of its own, which has the Space's address."""
    for name in ("vera", "ann"):
        _hub_running.add_user(name)
    with space_of(app_server, _hub_running, tmp_path_factory.mktemp("front"), {}, launch=launch) as made:
        yield made


def sign_in(page: Page, name: str) -> None:
    """Sign in to the studio at the Hub double."""
    page.get_by_role("link", name="Sign in with Hugging Face").click()
    page.get_by_role("button", name=f"Authorize as {name}").click()
    expect(page.locator("#status-items")).to_contain_text(name)


def test_somebody_who_is_invited_answers_and_sees_argilla_alone(
    space: Space, tmp_path: Path, pictures: Path | None
) -> None:
    rows = [
        {"prompt": f"Question {n}?", "chosen": f"Good {n} {LONG}", "rejected": f"Poor {n} {LONG}"} for n in range(PAIRS)
    ]
    file = tmp_path / "asked.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    page = space.window()
    page.goto(space.front.url)
    sign_in(page, "vera")
    steps.upload(page, file, PAIRS)
    steps.start_import(page)
    assert steps.ended(page, "import") == "Finished"
    expect(page.locator("#review-owner")).to_be_hidden()  # administration is Olga's
    page.locator("#invitation-make").click()
    letter = page.locator("#invitation-letter [data-letter]")
    expect(letter).to_contain_text(f"https://{HOST}/join/")
    link = next(word for word in letter.inner_text().split() if "/join/" in word)
    if pictures:
        page.locator("#review-invitation").scroll_into_view_if_needed()
        page.screenshot(path=pictures / "invitation.png")

    guest = space.window()
    guest.goto(link)
    expect(guest.locator("h1")).to_have_text("You are invited to compare answers")
    if pictures:
        guest.screenshot(path=pictures / "invitation-join.png")
    guest.get_by_role("button", name="Sign in with Hugging Face").click()
    expect(guest.locator("body")).to_contain_text("Scopes: openid profile")
    guest.get_by_role("button", name="Authorize as ann").click()
    questions = guest.get_by_role("form", name="Annotation Questions")
    expect(questions).to_be_visible()
    assert guest.url.startswith(f"https://{HOST}/annotate/dataset/") and "annotation-mode" in guest.url
    steps.rate(guest, lambda text: Judgement(4, "A"), 0, keyboard=False)
    guest.goto(guest.url.split("?")[0])
    expect(guest.locator(".record")).to_be_visible()  # Argilla has kept the sign-in
    if pictures:
        guest.screenshot(path=pictures / "invitation-answer.png")
    guest.goto(space.front.url)
    expect(guest.locator("h1")).to_have_text("Sign in to Align Studio")  # nothing of the studio is theirs
    guest.context.close()

    expect(page.locator("#review-progress")).to_contain_text(f"1 of {PAIRS} pairs completed")
    expect(page.locator("#review-progress")).to_contain_text("ann")
    with page.expect_popup() as opened:
        page.locator("#review-open").get_by_role("button", name="Open Argilla").click()
    own = steps.patient(opened.value)  # Vera signs in to Argilla nowhere: the studio knows her
    expect(own.get_by_role("form", name="Annotation Questions")).to_be_visible()
    own.close()
    page.locator("#invitation-revoke").click()
    expect(page.locator("#invitation-letter [data-letter]")).to_have_count(0)
    late = space.window()
    late.goto(link)
    expect(late.locator("body")).to_contain_text("This invitation is not valid")
    if pictures:
        late.screenshot(path=pictures / "invitation-ended.png")
    late.context.close()
    page.context.close()


def test_the_hubs_page_around_the_studio_says_where_one_is(space: Space, tmp_path: Path) -> None:
    page = space.window()
    page.context.grant_permissions(["storage-access"])
    page.goto(space.front.url)
    sign_in(page, "vera")
    for name in ("one", "two"):
        file = tmp_path / f"{name}.jsonl"
        file.write_text(json.dumps({"prompt": "Why?", "chosen": f"So {LONG}", "rejected": f"No {LONG}"}) + "\n")
        steps.upload(page, file, 1)
    assert "project=" not in page.url  # in a window of its own the address stays
    around = "https://huggingface.co/spaces/olga/studio"
    page.goto(f"{around}?project=one&theme=dark")
    frame = page.frame_locator("iframe")
    shown = frame.locator("#status-project input")
    expect(shown).to_have_value("one")
    expect(page).to_have_url(re.compile(rf"^{around}[?](project=one&theme=dark|theme=dark&(project=one|run=[\w-]+))$"))
    shown.fill("two")
    shown.press("Enter")
    expect(frame.locator("#dataset-facts")).to_contain_text("two.jsonl")
    expect(page).to_have_url(re.compile(rf"^{around}[?]theme=dark&(project=two|run=[\w-]+)$"))
    page.reload()  # the Hub's page hands its query on: the same is shown again
    expect(shown).to_have_value("two")
    page.context.close()
