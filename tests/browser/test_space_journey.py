"""The whole way on a Space, behind its proxy: a visitor signs in, an invited annotator annotates, and an AutoTrain Space
of the Hub double trains the model and is paused. Nobody's token is anywhere afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import steps
from tests.browser.conftest import App
from tests.browser.spaces import HOST, OWN, Space, space_of
from tests.browser.steps import Judgement
from tests.browser.test_hub_journey import BASE, MIX, load
from tests.browser.test_journey import PAIRS, pairs_like_the_mix
from tests.browser.test_train_job import make_it_quick
from tests.doubles.hub import HubDouble
from tests.tiny_model import make_tiny_model

VISITOR, ANNOTATOR = "vivian", "arno"
DATA, MODEL, SPACE = f"{VISITOR}/curated", f"{VISITOR}/from-space", f"{VISITOR}/autotrain-from-space"
REVIEWED = 2
LINK = re.compile(rf"https://{re.escape(HOST)}/join/\S+")


@pytest.fixture(scope="module")
def space(
    launch: Callable[..., Browser],
    app_server: Callable[..., App],
    _hub_running: HubDouble,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Space]:
    """A Space of Olga's with an Argilla of its own, and a Hub with a dataset and a base model."""
    folder, hub = tmp_path_factory.mktemp("space-journey"), _hub_running
    if not hub.has_repo("dataset", MIX):
        hub.add_repo("dataset", MIX, {"train.jsonl": pairs_like_the_mix(folder / "mix.jsonl")}, downloads=10_000)
        model = make_tiny_model(folder / "tiny")
        hub.add_repo("model", BASE, {file.name: file for file in model.iterdir()})
    hub.add_user("olga", pro=True)
    hub.add_user(VISITOR, pro=True)
    hub.add_user(ANNOTATOR)
    with space_of(app_server, hub, folder, {}, launch=launch) as made:
        yield made


def test_the_whole_journey_on_a_space(space: Space, hub: HubDouble, pictures: Path | None) -> None:
    page = space.window()
    page.goto(f"https://huggingface.co/spaces/{HOST}")  # the Hub shows the sign-in in its frame, which opens a tab
    with page.expect_popup() as opened:
        page.frame_locator("iframe").get_by_role("link", name="Sign in with Hugging Face").click()
    page = steps.patient(opened.value)
    page.get_by_role("button", name=f"Authorize as {VISITOR}").click()
    expect(page.locator("#status-items")).to_contain_text(VISITOR)
    load(page)
    invite_and_review(space, page)
    publish(page, hub)
    train(page, hub, pictures)
    see_no_token(space, hub)
    page.context.close()


def invite_and_review(space: Space, page: Page) -> None:
    """Import, make an invitation, and let somebody who follows it annotate as who they are on the Hub."""
    steps.start_import(page)
    assert steps.ended(page, "import") == "Finished"
    page.locator("#invitation-make").click()
    letter = page.locator("#invitation-letter")
    expect(letter).to_contain_text("/join/")
    found = LINK.search(letter.inner_text())
    assert found is not None
    other = space.window()
    other.goto(found[0])
    other.get_by_text("Sign in with Hugging Face").click()
    other.get_by_role("button", name=f"Authorize as {ANNOTATOR}").click()
    expect(other.get_by_role("form", name="Annotation Questions")).to_be_visible()
    for done in range(REVIEWED):
        steps.rate(other, lambda _: Judgement(5, "A"), done, keyboard=True)
    other.goto(space.front.url)  # an annotator has no session in the studio
    expect(other.locator("h1")).to_have_text("Sign in to Align Studio")
    other.context.close()
    expect(page.locator("#review-card")).to_contain_text(f"{REVIEWED} of {PAIRS} pairs completed")


def publish(page: Page, hub: HubDouble) -> None:
    """Export, take a file home, and push to a private repository."""
    steps.export(page, test_share=0.2)
    with page.expect_download() as taken:
        page.locator("#export-downloads").get_by_role("link", name="train.jsonl").click()
    assert taken.value.suggested_filename == "train.jsonl"
    page.locator("#publish-repository").get_by_role("textbox").fill(DATA)
    expect(page.locator("#publish-look")).to_be_enabled()
    page.locator("#publish-look").click()
    expect(page.locator("#publish-confirm")).to_contain_text("Private")
    page.locator("#publish-go").click()
    assert steps.ended(page, "publish") == "Finished"
    assert hub.files("dataset", DATA)["train.jsonl"] == Path(taken.value.path()).read_bytes()


def train(page: Page, hub: HubDouble, pictures: Path | None) -> None:
    """Train on an AutoTrain Space; this machine is the owner's alone."""
    steps.open_train(page)
    steps.choose(page, "train-base-model", BASE)
    expect(page.locator("#train-where input[value=job]")).to_be_checked()
    expect(page.locator("#train-where input[value=local]")).to_have_count(0)
    page.locator("#train-where input[value=space]").check()
    expect(page.locator("#train-start")).to_be_enabled()
    make_it_quick(page)
    page.locator("#train-project-name").get_by_role("textbox").fill("from-space")
    page.locator("#train-project-name").get_by_role("textbox").blur()
    expect(page.locator("#train-start")).to_be_enabled()
    page.locator("#train-start").click()
    question = page.locator("#train-confirm")
    expect(question).to_contain_text("US$1.80 per hour")
    expect(question).to_contain_text(SPACE)
    if pictures:
        page.screenshot(path=pictures / "space-journey-confirm.png", full_page=True)
    page.locator("#train-pay").click()
    assert steps.ended(page, "train", 2 * steps.RUN_MS) == "Finished"
    if pictures:
        page.screenshot(path=pictures / "space-journey-trained.png", full_page=True)
    assert hub.space(SPACE).stage == "PAUSED"
    assert "model.safetensors" in hub.files("model", MODEL)
    expect(page.locator("#spend-item")).to_have_text("Nothing is billing", timeout=60_000)


def see_no_token(space: Space, hub: HubDouble) -> None:
    """Look for the Space's own token, the client's secret and every token that was given, on disk and in the log."""
    given = [secret for secret in hub.directory.tokens if secret.startswith("hf_oauth_")]
    assert given
    needles = [each.encode() for each in (OWN, space.app.environment["OAUTH_CLIENT_SECRET"], *given)]
    files = [path for path in space.app.home.rglob("*") if path.is_file()]
    for path in [*files, space.app.home.with_name(space.app.home.name + ".log")]:
        content = path.read_bytes()
        assert not any(needle in content for needle in needles), path
