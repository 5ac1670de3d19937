"""How the page calls its handlers: for a visit, values in by name, updates out by name.

A handler is a function at the top of a module: `def checked(visit: Visit, given: Given) -> Update`. `given` maps the
names of the parts it was wired to (`form.learning_rate`, `page.project`) to what they hold, `asked` to which page asks,
and `event` to Gradio's data of a select or key event; what it returns maps names of parts to updates, and a part that
it leaves out stays as it is. It can be called without a page, which is how it is tested, and it reaches nothing but
what the visit gives.
"""

from __future__ import annotations

import dataclasses
import functools
import html
import inspect
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component
from gradio.events import Dependency
from gradio.utils import get_upload_folder
from pydantic import ValidationError

from pipeline.base.errors import StudioError
from pipeline.base.options import readable
from pipeline.hub import client
from pipeline.visit import Visit
from ui.text import say, speak

LOG = logging.getLogger("align_studio")

Given = Mapping[str, Any]
Update = dict[str, Any]
Handler = Callable[[Visit, Given], Update]

# Internal events: never behind another, no spinner over the page, not in the published API. In the queue all the same:
# Gradio 6.31 tells the page of a changed gr.State only for queued events, without it no State's change event is seen.
QUIET: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None, "show_progress": "hidden"}
# Events a person waits for: queued, with Gradio's spinner on the outputs.
BUSY: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": 8}
# A check may ask the Hub and count tokens: queued, but without a spinner, and only the last of several changes counts.
CHECK: dict[str, Any] = {**BUSY, "show_progress": "hidden", "trigger_mode": "always_last"}


@dataclass(frozen=True)
class Wired:
    """One handler and the parts it was wired to, for tests that call every handler.

    Attributes:
        handler: The function.
        inputs: Names of the parts it is given.
        outputs: Names of the parts it may update.
        parts: The components by name.
    """

    handler: Handler
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    parts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """The page whose event it is.

    Attributes:
        page: Id of the page: a reloaded one, and each window, has one of its own.
        query: The query of its address.
        base: Scheme and host it was asked by.
    """

    page: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    base: str = ""

    @classmethod
    def by(cls, request: gr.Request) -> Asked:
        """Return which page a request comes from."""
        query = getattr(request, "query_params", None)
        base = f"{scope_of(request).get('scheme', 'http')}://{request.headers.get('host', '')}"
        return cls(str(getattr(request, "session_hash", "") or ""), dict(query or {}), base)


@dataclass
class Wiring:
    """Connects parts of the page with handlers.

    Attributes:
        visit: Makes the visit of a request.
        parts: Every part by name; see `parts_of`.
        wired: What was connected so far.
        anchor: A component nobody sees, which shows the progress of events that show none. Gradio 6.31 keeps a loading
            state for every output that any event has had, and at each step of each event (pending, running, done)
            copies all of them into their components: with 150 components that have been drawn once, a single event
            keeps the page busy for a second.
        whole: Whether every part of the page is built at once: for those that look at the page without opening it.
    """

    visit: Callable[[gr.Request], Visit]
    parts: dict[str, Any] = field(default_factory=dict)
    wired: list[Wired] = field(default_factory=list)
    anchor: Component | None = None
    whole: bool = False

    def within(self, **named: Any) -> Wiring:
        """Return a wiring that also knows other parts, and adds to the same list.

        Args:
            **named: Dataclasses of components; the parts of one named `page` are called `page.…`, those of one named
                `_` have no prefix.
        """
        found = dict(self.parts)
        for name, holder in named.items():
            found |= parts_of(holder, "" if name == "_" else f"{name}.")
        return dataclasses.replace(self, parts=found)

    def on(
        self,
        events: Any,
        handler: Handler,
        inputs: str | Sequence[str] = (),
        outputs: str | Sequence[str] = (),
        how: Mapping[str, Any] = QUIET,
        *,
        event: type[gr.EventData] | None = None,
        **more: Any,
    ) -> Any:
        """Call a handler at events.

        Args:
            events: One event of a component (`tab.start.click`), a list of them, or what `on` returned for another
                handler: then this one follows it.
            handler: The function.
            inputs: Names of the parts whose values it is given; `form.*` stands for all parts of a form.
            outputs: Names of the parts it may update, the same way.
            how: QUIET, BUSY or CHECK.
            event: Kind of the event's own data, which is given as `event`: `gr.SelectData`, `gr.KeyUpData`.
            **more: More options of Gradio's event, such as `js`.

        Returns:
            Gradio's dependency.

        Raises:
            KeyError: There is no such part.
        """
        given, changed = self.names(inputs), self.names(outputs)
        self.wired.append(Wired(handler, given, changed, {name: self.parts[name] for name in (*given, *changed)}))
        call = self._call(handler, given, changed, event)
        parts = [[self.parts[name] for name in names] for names in (given, changed)]
        options = {**how, **more}
        if options.get("show_progress") == "hidden":
            options["show_progress_on"] = self.anchor
        if isinstance(events, Dependency):
            return events.then(call, *parts, **options)
        return gr.on(events if isinstance(events, list) else [events], call, *parts, **options)

    def names(self, patterns: str | Iterable[str]) -> tuple[str, ...]:
        """Return the names of parts that patterns stand for, each once.

        Raises:
            KeyError: A pattern stands for nothing.
        """
        found: dict[str, None] = {}
        for pattern in [patterns] if isinstance(patterns, str) else patterns:
            if pattern.endswith("*"):
                matching = [name for name in self.parts if name.startswith(pattern[:-1])]
            else:
                matching = [pattern] if pattern in self.parts else []
            if not matching:
                raise KeyError(f"no part is called {pattern}; there are {', '.join(self.parts)}")
            found |= dict.fromkeys(matching)
        return tuple(found)

    def _call(
        self, handler: Handler, inputs: tuple[str, ...], outputs: tuple[str, ...], event: type[gr.EventData] | None
    ) -> Callable[..., Any]:
        parts = {name: self.parts[name] for name in outputs}

        @functools.wraps(handler, assigned=("__module__", "__name__", "__qualname__", "__doc__"))
        def call(request: gr.Request, *values: Any) -> Any:
            given: dict[str, Any] = {"asked": Asked.by(request)}
            held = list(values)
            if event is not None:
                given["event"] = held.pop(0)
            with said_to(request):
                visit = self.visit(request)
                with client.acting_as(visit.token):
                    updates = handler(visit, given | dict(zip(inputs, held, strict=True)))
            unknown = updates.keys() - parts.keys()
            assert not unknown, f"{handler.__qualname__} updates {unknown}, which it was not wired to"
            if not updates:  # Gradio 6.31 takes an empty dict for a value
                return gr.skip() if parts else None
            return {parts[name]: update for name, update in updates.items()}

        # Gradio 6.31 reads the signature to find the parameters it fills itself.
        filled = {"request": gr.Request} | ({"event": event} if event else {})
        call.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [
                *(inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in filled),
                inspect.Parameter("values", inspect.Parameter.VAR_POSITIONAL),
            ]
        )
        call.__annotations__ = filled
        del call.__wrapped__  # inspect would look through it
        return call


def parts_of(holder: Any, prefix: str = "") -> dict[str, Any]:
    """Return the components of a dataclass by name, nested ones with their holder's name before a dot.

    A dict of components counts as a holder; a form's controls stand under the form's name.

    Args:
        holder: A dataclass of components, dataclasses, dicts and other values; the latter are passed over.
        prefix: Put before each name.
    """
    if isinstance(holder, dict):
        fields = {str(name): value for name, value in holder.items()}
    else:
        fields = {each.name: getattr(holder, each.name) for each in dataclasses.fields(holder)}
    found: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, Component | gr.blocks.BlockContext):
            found[f"{prefix}{name}"] = value
        elif dataclasses.is_dataclass(value) or isinstance(value, dict):
            inner = "" if name == "components" else f"{name}."
            found |= parts_of(value, f"{prefix}{inner}")
    return found


def under(given: Given, prefix: str) -> dict[str, Any]:
    """Return what the parts under a name hold, without that name: a form's fields.

    Args:
        given: Values by part.
        prefix: The name with its dot, e.g. `form.`.
    """
    return {name.removeprefix(prefix): value for name, value in given.items() if name.startswith(prefix)}


def prefixed(prefix: str, updates: Update) -> Update:
    """Return updates of parts that stand under a name.

    Args:
        prefix: The name with its dot.
        updates: Updates by name without it.
    """
    return {f"{prefix}{name}": update for name, update in updates.items()}


def uploaded(path: str | None) -> Path:
    """Return a file that the web server has just taken; no other file of this machine can be named as one.

    Args:
        path: What an upload button holds: where the web server put it.

    Raises:
        StudioError: It is none.
    """
    found = Path(path or "").resolve()
    if not found.is_relative_to(Path(get_upload_folder()).resolve()) or not found.is_file():
        raise StudioError("file.none", name=found.name)
    return found


def scope_of(request: gr.Request) -> Mapping[str, Any]:
    """Return the ASGI scope of a request; Gradio 6.31 itself would turn it into JSON."""
    inner = getattr(request, "request", None)
    return inner.scope if inner is not None else {}


class said_to:
    """Speak a visitor's language, and turn what goes wrong into a message on their page."""

    def __init__(self, request: gr.Request | None) -> None:
        self._language = request.headers.get("accept-language", "") if request else ""

    def __enter__(self) -> None:
        speak(self._language)

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, StudioError):
            raise message(error) from error
        if isinstance(error, ValidationError):
            raise message(readable(error)) from error
        if isinstance(error, OSError):  # a full disk, a folder that went away: the visitor can do something about it
            LOG.error("handler failed", exc_info=error)
            raise message(StudioError("error.system", detail=str(error))) from error


def message(error: StudioError) -> gr.Error:
    """Return the toast of an error: what happened, why, what next; it stays until it is closed."""
    what, *more = [html.escape(part) for part in (error.what, error.why, error.next) if part]
    # Gradio 6.31 shows its own “Error” in place of a title when the event was queued.
    return gr.Error("<br>".join([f"<b>{what}</b>", *more]), duration=None, print_exception=False)


def done(key: str, **values: object) -> None:
    """Show a short notice that something worked."""
    gr.Info(html.escape(say(key, **values)), duration=4)


def changed(control: Any) -> Any:
    """Return the event of a person changing a control; the change event also comes when a handler fills it.

    A text that is pasted or put there at once fires change and no input (Textbox of Gradio 6.31).
    """
    return control.change if isinstance(control, gr.Textbox) else control.input
