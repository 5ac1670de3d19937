"""Every word of the pages, from one catalogue: `ui/locale/*.json`, {"key": {"en": …, "zh": …}}.

`t` is for what is laid out once (the browser picks the language), `say` for what a handler builds (Gradio 6.31 does not
translate toasts, table headers, progress or sentences with values).
"""

from __future__ import annotations

import json
from contextvars import ContextVar
from pathlib import Path

import gradio as gr
from gradio.i18n import I18nData

LANGUAGES = ("en", "zh")
_language: ContextVar[str] = ContextVar("language", default="en")


def load_catalogue() -> dict[str, dict[str, str]]:
    """Return key → language → text, of all files under ui/locale."""
    catalogue: dict[str, dict[str, str]] = {}
    for path in sorted((Path(__file__).parent / "locale").glob("*.json")):
        catalogue |= json.loads(path.read_text(encoding="utf-8"))
    return catalogue


CATALOGUE = load_catalogue()


def _of(language: str) -> dict[str, str]:
    return {key: texts[language] for key, texts in CATALOGUE.items()}


# A bare zh or zh-Hans-CN browser is served English by Gradio 6.31; zh-TW only when it has a dictionary of its own.
I18N = gr.I18n(en=_of("en"), **{name: _of("zh") for name in ("zh", "zh-CN", "zh-TW", "zh-HK", "zh-Hans-CN")})


def t(key: str) -> I18nData:
    """Return the marker of a text that the browser shows in its own language.

    Raises:
        KeyError: The catalogue has no such key.
    """
    CATALOGUE[key]
    return I18N(key)


def say(key: str, **values: object) -> str:
    """Return a text in the language of the visitor whose handler is running, with values filled in.

    Raises:
        KeyError: The catalogue has no such key, or the text needs a value not given.
    """
    return CATALOGUE[key][_language.get()].format(**values)


def speak(accept_language: str) -> None:
    """Choose the language of `say` for the running handler from the browser's Accept-Language."""
    _language.set(language_of(accept_language))


def language_of(accept_language: str) -> str:
    """Return the language of the pages for a browser's Accept-Language: en or zh."""
    return "zh" if accept_language.lower().lstrip().startswith("zh") else "en"
