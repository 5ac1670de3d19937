"""The words of every message, by code and language: `ui/locale/<language>/*.json`, {"code": "text"}.

A text names its values in braces. `{count:|pair|pairs}` chooses by number. A value may be an option (see
`pipeline.base.message`), a message (`{cause}` is all of it; `{cause:what}`, `{cause:why}` and `{cause:next}` are its
parts) or a list of these, joined by commas or, `{causes:sentences}`, as sentences. What is said belongs to a visitor:
the language is a context variable. A file `<language>.json` in the folder of extensions adds a language; what it lacks
is said in English.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import string
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from pipeline.base.extensions import extensions
from pipeline.base.plain import plain

LOCALE = Path(__file__).resolve().parents[2] / "ui" / "locale"
ENGLISH = "en"
_PARTS = ("what", "why", "next")  # of a message
_language: ContextVar[str] = ContextVar("language", default=ENGLISH)
_as_flags: ContextVar[bool] = ContextVar("as_flags", default=False)


@runtime_checkable
class Sayable(Protocol):
    """A value that has words of its own."""

    def said(self) -> str:
        """Return its words in the present language."""


@functools.cache
def catalogues() -> dict[str, dict[str, str]]:
    """Return language → code → text, of this program and of the extensions.

    Raises:
        ValueError: A file is no JSON object of texts.
    """
    files = [(path.parent.name, path) for path in sorted(LOCALE.glob("*/*.json"))]
    own = extensions()
    files += [(path.stem, path) for path in sorted(own.glob("*.json"))] if own else []
    found: dict[str, dict[str, str]] = {}
    for language, path in files:
        found.setdefault(language, {}).update(json.loads(path.read_text(encoding="utf-8")))
    return found


def languages() -> list[str]:
    """Return the languages there are, English first."""
    return sorted(catalogues(), key=lambda name: (name != ENGLISH, name))


def has(code: str) -> bool:
    """Return whether there are words for a code."""
    return code in catalogues()[ENGLISH]


def say(code: str, /, **values: object) -> str:
    """Return a text in the present language, with values filled in.

    Raises:
        KeyError: There is no such code, or the text needs a value not given.
    """
    return text(code, values)


def text(code: str, values: Mapping[str, object]) -> str:
    """Return a text in the present language; see `say`."""
    of = catalogues()
    spoken = of.get(_language.get(), {})
    return _Formatter().vformat(spoken[code] if code in spoken else of[ENGLISH][code], (), values)


def speak(language: str) -> None:
    """Choose the language of this context: a language, or a browser's Accept-Language."""
    _language.set(closest(language))


@contextlib.contextmanager
def speaking(language: str, *, flags: bool = False) -> Iterator[None]:
    """Choose the language for a while.

    Args:
        language: See `speak`.
        flags: Whether options are called as on the command line, not as on the page.
    """
    before, named = _language.set(closest(language)), _as_flags.set(flags)
    try:
        yield
    finally:
        _language.reset(before)
        _as_flags.reset(named)


def spoken() -> str:
    """Return the language of this context."""
    return _language.get()


def flags() -> bool:
    """Return whether options are called as on the command line."""
    return _as_flags.get()


def of_the_terminal() -> str:
    """Return the language that the terminal's environment names, as a browser would say it; "" where it names none."""
    named = (os.environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    return next((name for name in named if name), "").partition(".")[0].replace("_", "-")


def closest(wanted: str) -> str:
    """Return the language there is that somebody reads, by its name or a browser's Accept-Language."""
    for tag in wanted.split(","):
        name = tag.partition(";")[0].strip().lower()
        for language in (name, name.partition("-")[0]):
            if language in catalogues():
                return language
    return ENGLISH


class _Formatter(string.Formatter):
    """Python's format language with numbered forms, messages and lists."""

    def format_field(self, value: Any, format_spec: str) -> str:
        if format_spec.startswith("|"):
            one, _, many = format_spec[1:].partition("|")
            return one if value == 1 else many
        if isinstance(value, str):  # first: it is quick to see, a protocol is not
            return format(plain(value), format_spec)
        if isinstance(value, int | float):
            return format(value, format_spec)
        if isinstance(value, Sayable):
            return str(getattr(value, format_spec)) if format_spec in _PARTS else value.said()
        if isinstance(value, list | tuple):
            if format_spec == "sentences":
                return say("list.sentences").join(self.format_field(each, "") for each in value)
            return say("list.comma").join(self.format_field(each, format_spec) for each in value)
        return format(value, format_spec)
