"""Words of the pages: `t` for what is laid out once, `say` for what a handler builds.

The browser picks the language of `t`; Gradio 6.31 does not translate toasts, table headers, progress or sentences with
values, so those are said in the language of the visitor whose handler is running.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import gradio as gr
from gradio.i18n import I18nData

from pipeline.base import words
from pipeline.base.words import has, say, speak

__all__ = ["I18N", "has", "say", "speak", "spoken", "t", "translations"]

# A bare zh or zh-Hans-CN browser is served English by Gradio 6.31; zh-TW only when it has a dictionary of its own.
_TAGS = {"zh": ("zh", "zh-CN", "zh-TW", "zh-HK", "zh-Hans-CN")}


def dictionaries() -> dict[str, dict[str, str]]:
    """Return the words of each tag that a browser may ask for."""
    found = words.catalogues().items()
    return {tag: texts for language, texts in found for tag in _TAGS.get(language, (language,))}


I18N = gr.I18n(**dictionaries())

_laid_out: set[str] = set()  # keys that the browser has to know


def translations() -> gr.I18n:
    """Return the words of what has been laid out: the others, four of five, need not go to every page."""
    found = I18N.translations.items()
    return gr.I18n(**{tag: {key: texts[key] for key in texts.keys() & _laid_out} for tag, texts in found})


_spoken = ContextVar("spoken", default=False)


@contextmanager
def spoken() -> Iterator[None]:
    """Let `t` return the words themselves: what is laid out in here is for the one visitor who is spoken to."""
    token = _spoken.set(True)
    try:
        yield
    finally:
        _spoken.reset(token)


def t(key: str) -> I18nData | str:
    """Return the marker of a text that the browser shows in its own language.

    Raises:
        KeyError: The catalogue has no such key.
    """
    words.catalogues()[words.ENGLISH][key]
    if _spoken.get():
        return say(key)
    _laid_out.add(key)
    return I18N(key)
