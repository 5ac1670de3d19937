"""Who speaks to the Hub: the token of the present visitor or run, and nobody else's.

No function takes a token. Whoever acts for somebody says so once, `with acting_as(token):`, and every call to the Hub
below it uses `api()` or `token()`. What the machine has stored is never used unasked.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from huggingface_hub import HfApi

# Environment variables from which Hugging Face's libraries take a token; children get only what their run needs.
TOKEN_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACEHUB_API_TOKEN")

_token: ContextVar[str | None] = ContextVar("hub_token", default=None)


@contextmanager
def acting_as(token: str | None) -> Iterator[None]:
    """Use a token for every call to the Hub within the block, in this thread or task.

    Args:
        token: A user access token; None: anonymous.
    """
    before = _token.set(token or None)
    try:
        yield
    finally:
        _token.reset(before)


def token() -> str | None:
    """Return the token that calls use now; None: anonymous."""
    return _token.get()


def api() -> HfApi:
    """Return the Hub's client for the present token; without one it is anonymous, whatever the machine has stored."""
    from huggingface_hub import HfApi  # noqa: PLC0415 - half a second, which supervisors and tasks need not pay

    return HfApi(token=token() or False)
