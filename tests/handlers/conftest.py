"""The page without a browser: it is built once, and its handlers are called for a visit."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.base.settings import Settings

# Imported in functions: pytest's own process reads this file before it starts the others, and calls nothing.
if TYPE_CHECKING:
    from pipeline.studio import Studio
    from pipeline.visit import Visit
    from ui.handlers import Handler, Update, Wired


@dataclass(frozen=True)
class Built:
    """The page's handlers with what their parts hold when the page is opened."""

    wired: list[Wired]

    def of(self, handler: Handler) -> Wired:
        """Return how a handler was wired first."""
        return next(each for each in self.wired if each.handler is handler)

    def given(self, wired: Wired, **changed: Any) -> dict[str, Any]:
        """Return what a handler is given on a fresh page."""
        from ui.handlers import Asked

        return {"asked": Asked("page"), **{name: initial(wired.parts[name]) for name in wired.inputs}, **changed}

    def call(self, handler: Handler, visit: Visit, /, **changed: Any) -> Update:
        """Call a handler as the page would: nothing but the parts it was wired to goes in or comes out.

        Args:
            handler: The function.
            visit: Who asks.
            **changed: What a part holds, by its name with `__` for the dots; the others hold what they do at first.
        """
        wired = self.of(handler)
        names = {name.replace("__", "."): value for name, value in changed.items()}
        assert names.keys() <= {*wired.inputs, "event"}, f"{names.keys()} of {wired.inputs}"
        updates = handler(visit, self.given(wired, **names))
        assert updates.keys() <= set(wired.outputs), f"{updates.keys() - set(wired.outputs)} are no outputs"
        return updates


def initial(part: Any) -> Any:
    """Return what a part holds when the page is opened."""
    from gradio import Textbox  # after `ui`, which imports it without its stubs

    value = getattr(part, "value", None)
    return "" if value is None and isinstance(part, Textbox) else value


def value(update: Any) -> Any:
    """Return the value that an update gives a part."""
    return update.get("value") if isinstance(update, dict) and "__type__" in update else update


@functools.cache
def page() -> Built:
    """Return the page; it is built once, of a home that is not needed any more then."""
    from pipeline.studio import Studio
    from pipeline.visit import Visit
    from ui import layout
    from ui.handlers import Wiring

    with tempfile.TemporaryDirectory(prefix="align-studio-page-") as folder:
        studio = Studio(Settings(home=Path(folder)))
        wiring = Wiring(lambda request: Visit(studio), whole=True)
        layout.build(studio, wiring)
    return Built(wiring.wired)


@pytest.fixture(scope="session")
def built() -> Built:
    """The page, built once."""
    return page()


@pytest.fixture
def studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Studio:
    """A studio with a home of its own, and `gradio` beside it for uploads; nothing is started."""
    from pipeline.studio import Studio

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    return Studio(Settings(home=tmp_path / "home"))


@pytest.fixture
def visit(studio: Studio) -> Visit:
    """The one person of a studio on their own machine."""
    from pipeline.visit import Visit

    return Visit(studio)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[list[str]]]:
    """Commands of the supervisors that would have been started."""
    from pipeline.runs import launch

    commands: list[list[str]] = []

    def start(command: list[str], **more: Any) -> None:
        commands.append(command)

    monkeypatch.setattr(launch, "start_detached", start)
    yield commands
