"""What event handlers share: the one way they are wrapped (language, errors, no public endpoint), and their events."""

from __future__ import annotations

import functools
import html
import inspect
import logging
import time
from collections.abc import Callable
from typing import Any, get_type_hints

import gradio as gr
from pydantic import ValidationError

from pipeline.base.errors import StudioError
from pipeline.base.options import readable
from pipeline.hub import client
from ui.text import say, speak

LOG = logging.getLogger("align_studio")

# Internal events: never behind another, no spinner over the page, not in the published API. In the queue all the same:
# Gradio 6.31 tells the page of a changed gr.State only for queued events, without it no State's change event is seen.
QUIET: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": None, "show_progress": "hidden"}
# Events a person waits for: queued, with Gradio's spinner on the outputs.
BUSY: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": 8}


def _nobody(request: gr.Request) -> str | None:
    return None


# Says whose token the calls to the Hub of a visitor's request use; `layout.build` puts the studio's answer here.
identify: Callable[[gr.Request], str | None] = _nobody


def handle(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a handler: it speaks and acts for its visitor, and a StudioError becomes a message on the page.

    `say` speaks the visitor's language; the Hub is asked with the visitor's token.

    Args:
        function: Plain function, values in, values out; may ask for `*, request: gr.Request`.

    Returns:
        The handler to give to Gradio.
    """
    wanted = inspect.signature(function)
    asks = "request" in wanted.parameters

    @functools.wraps(function)
    def wrapper(request: gr.Request, *values: Any) -> Any:
        speak(request.headers.get("accept-language", "") if request else "")
        try:
            with client.acting_as(identify(request)):
                return function(*values, request=request) if asks else function(*values)
        except StudioError as error:
            raise message(error) from error
        except ValidationError as error:
            raise message(readable(error)) from error
        except OSError as error:  # a full disk, a folder that went away: the visitor can do something about it
            LOG.exception("handler failed")
            raise message(StudioError(say("error.system"), str(error), say("error.system.next"))) from error

    # Gradio 6.31 reads the signature to find the parameters it fills itself (request, event data): show it the
    # function's own, the request first, with annotations resolved where the function lives.
    first = inspect.Parameter("request", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    others = [parameter for name, parameter in wanted.parameters.items() if name != "request"]
    hints = {name: hint for name, hint in get_type_hints(function).items() if name not in ("request", "return")}
    wrapper.__signature__ = inspect.Signature([first, *others])  # type: ignore[attr-defined]
    wrapper.__annotations__ = {**hints, "request": gr.Request}
    del wrapper.__wrapped__  # inspect would look through it
    return wrapper


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


def look_again(looked: float) -> Any:
    """Return the time for a tab that has been looked at before: all of it is to be drawn again."""
    # Never the 0.0 it was given: the tab may have been selected meanwhile, and its time would be lost.
    return time.time() if looked else gr.skip()
