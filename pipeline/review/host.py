"""The Argilla server of a studio: the user's own, or the embedded one, started beside the app."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.base import install
from pipeline.base.errors import StudioError
from pipeline.base.home import Home
from pipeline.base.message import Message
from pipeline.base.settings import Settings
from pipeline.review.service import ArgillaService, Endpoint

ArgillaState = Literal["installing", "starting", "ready", "failed"]


@dataclass(frozen=True)
class ArgillaStatus:
    """What the status bar says of Argilla.

    Attributes:
        state: What it is doing.
        message: The last line of an installation or start.
        problem: Why it failed.
    """

    state: ArgillaState
    message: Message | None = None
    problem: StudioError | None = None


class ArgillaHost:
    """The Argilla server this studio uses: the user's own, or the embedded one, started beside the app."""

    def __init__(self, settings: Settings, home: Home) -> None:
        self._settings = settings
        self._home = home
        self._endpoint: Endpoint | None = None
        self._thread: threading.Thread | None = None
        self.status = ArgillaStatus("starting")
        if settings.argilla_api_url:
            key = settings.argilla_api_key.get_secret_value()
            self._endpoint = Endpoint(settings.argilla_api_url.rstrip("/"), key, port=0, embedded=False)
            self.status = ArgillaStatus("ready")

    @property
    def embedded(self) -> bool:
        """Whether the server is ours."""
        return not self._settings.argilla_api_url

    def start(self) -> None:
        """Start, or find again, the embedded server in the background; nothing to do for the user's own."""
        if not self.embedded or (self._thread is not None and self._thread.is_alive()):
            return
        self._thread = threading.Thread(target=self._start, daemon=True, name="argilla-start")
        self._thread.start()

    def _start(self) -> None:
        try:
            self.status = ArgillaStatus("installing")
            python = install.ensure("argilla_server", self._settings.engines_folder, self._installing)
            self.status = ArgillaStatus("starting")
            self._endpoint = ArgillaService(self._home.argilla, python).start()
            self.status = ArgillaStatus("ready")
        except StudioError as error:
            self.status = ArgillaStatus("failed", problem=error)
        except OSError as error:
            self.status = ArgillaStatus("failed", problem=StudioError("argilla.disk", detail=str(error)))

    def _installing(self, line: Message) -> None:
        self.status = ArgillaStatus("installing", line)

    def endpoint(self) -> Endpoint:
        """Return where the server is reached.

        Raises:
            StudioError: It is not ready.
        """
        if self._endpoint is not None and self.status.state == "ready":
            return self._endpoint
        if self.status.problem is not None:
            raise self.status.problem
        if self.status.message is None:
            raise StudioError("argilla.starting")
        raise StudioError("argilla.installing", line=self.status.message)

    def target(self) -> str | None:
        """Return the embedded server's root for the proxy, or None while it is not running."""
        if not self.embedded or self._endpoint is None:
            return None
        return f"http://127.0.0.1:{self._endpoint.port}"

    def owner_login(self) -> tuple[str, str]:
        """Return name and password with which the embedded server's owner signs in on its page."""
        return ArgillaService(self._home.argilla, Path(sys.executable)).owner_login()

    def stop(self) -> None:
        """Stop the embedded server."""
        if self.embedded:
            # Stopping needs no Python of the engine: it works even when its environment is gone.
            ArgillaService(self._home.argilla, Path(sys.executable)).stop()
