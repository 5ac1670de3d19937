"""A studio as a Space has it, with what stands before it and people who sign in at the Hub double."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
from playwright.sync_api import Browser, Page

from tests.browser.conftest import App
from tests.browser.steps import patient
from tests.doubles.front import Front
from tests.doubles.hub import HubDouble

HOST = "olga-studio.hf.space"
OWN = "hf_theSpacesOwnSecret"  # a token that the Space has and nobody may see
SCOPES = ("read-repos", "write-repos", "manage-repos", "jobs")


@dataclass
class Space:
    """A studio as a Space has it.

    Attributes:
        app: The studio.
        front: What stands before it.
        browser: A browser that finds it by its names.
    """

    app: App
    front: Front
    browser: Browser | None = None

    def window(self) -> Page:
        """Return a window of somebody's own."""
        assert self.browser is not None
        context = self.browser.new_context(
            viewport={"width": 1280, "height": 900}, locale="en-US", ignore_https_errors=True
        )
        return patient(context.new_page())

    def client(self, name: str) -> httpx.Client:
        """Return a client that has signed in at the double."""
        client = self.front.client()
        began = client.get("/sign-in", follow_redirects=False)
        back = httpx.get(began.headers["location"] + f"&account={name}", trust_env=False, follow_redirects=False)
        cookie = {"cookie": "; ".join(f"{key}={value}" for key, value in began.cookies.items())}
        ended = client.get(back.headers["location"], headers=cookie, follow_redirects=False)
        assert ended.status_code == 303, ended.text
        client.headers["cookie"] = "; ".join(f"{key}={value}" for key, value in ended.cookies.items())
        client.headers["origin"] = self.front.url
        return client


@contextlib.contextmanager
def space_of(
    app_server: Callable[..., App],
    hub: HubDouble,
    folder: Path,
    environment: dict[str, str],
    *,
    launch: Callable[..., Browser] | None = None,
    program: tuple[str, ...] = ("app.py",),
) -> Iterator[Space]:
    """Run a Space of Olga's.

    Args:
        app_server: Starts studios.
        hub: Where people sign in; it runs.
        folder: An empty folder.
        environment: More variables of the studio.
        launch: Starts the browser, where one is wanted.
        program: What Python is to run.
    """
    client = hub.add_oauth_client([f"https://{HOST}/login/callback"], SCOPES, name="Align Studio")
    told = {
        "HF_HUB_OFFLINE": "0",
        "HF_TOKEN": OWN,
        "SYSTEM": "spaces",
        "SPACE_ID": "olga/studio",
        "SPACE_HOST": HOST,
        "SPACE_AUTHOR_NAME": "olga",
        "OAUTH_CLIENT_ID": client.id,
        "OAUTH_CLIENT_SECRET": client.secret or "",
        "OAUTH_SCOPES": " ".join(client.scopes),
        "OPENID_PROVIDER_URL": hub.url,
    }
    app = app_server(options=["--host", "0.0.0.0"], environment=hub.environment() | told | environment, program=program)
    front = Front(folder, HOST, app.port).start()
    browser = launch(*front.rules) if launch else None
    try:
        yield Space(app, front, browser)
    finally:
        if browser is not None:
            browser.close()
        front.stop()
        app.end()
