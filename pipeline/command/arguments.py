"""Parsers of command lines that speak the reader's language, in their errors too."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from typing import Any, NoReturn
from unittest import mock

from pipeline.base import words
from pipeline.command.frame import Misuse

_OURS = "command.argparse."  # codes of argparse's own texts


class _Formatter(argparse.HelpFormatter):
    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: str | None = None) -> None:
        super().add_usage(usage, actions, groups, words.say("command.usage") if prefix is None else prefix)


class Parser(argparse.ArgumentParser):
    """A parser that raises what argparse would print, so that a program gets it as JSON."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=_Formatter, allow_abbrev=False, add_help=False, **options)
        self._positionals.title = words.say("command.arguments")
        self._optionals.title = words.say("command.options")

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong with the command line.

        Raises:
            Misuse: Always.
        """
        raise Misuse("command.misused", detail=message, usage=" ".join(self.format_usage().split()))


@contextlib.contextmanager
def arguments_speak() -> Iterator[None]:
    """Let argparse say in the present language what it says in English.

    Its texts go through `gettext` (argparse of Python 3.11 to 3.13: `_` and `ngettext` of its module), which knows only
    compiled catalogues of its own; a text that the catalogue lacks stays as it is.
    """
    english = words.catalogues()[words.ENGLISH]
    codes = {text: code for code, text in english.items() if code.startswith(_OURS)}

    def said(text: str) -> str:
        return words.say(codes[text]) if text in codes else text

    def counted(one: str, many: str, count: int) -> str:
        return said(one if count == 1 else many)

    with mock.patch.multiple(argparse, _=said, ngettext=counted):
        yield
