"""What a command is, and what it is given."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from pipeline.base import words
from pipeline.base.errors import StudioError
from pipeline.base.message import Message, message, verbatim
from pipeline.base.plain import plain
from pipeline.base.preflight import Preflight
from pipeline.base.project import Project
from pipeline.visit import Visit

DONE, FAILED, MISUSED, CANCELLED = 0, 1, 2, 130  # exit codes

Output = TypeVar("Output", bound=BaseModel)


class Misuse(StudioError):
    """The command line itself cannot be used: exit code 2."""


class Blocked(StudioError):
    """A check found what stops a run.

    Args:
        found: The check; its first blocker is the error.
    """

    def __init__(self, found: Preflight[Any]) -> None:
        super().__init__(found.blockers[0])
        self.blockers, self.warnings = found.blockers, found.warnings


@dataclass(frozen=True)
class Call:
    """One call of a command.

    Attributes:
        visit: Who calls, and all they can reach.
        given: The options, as argparse read them.
        json: Whether a program reads the output.
        yes: Whether what costs money or changes the Hub is agreed to already.
    """

    visit: Visit
    given: argparse.Namespace
    json: bool = False
    yes: bool = False

    def project(self) -> Project:
        """Return the project that the call names.

        Raises:
            StudioError: There is none of that name.
        """
        return self.visit.project(self.given.project)

    def tell(self, text: str) -> None:
        """Tell people something that is no part of the output."""
        print(plain(text), file=sys.stderr, flush=True)

    def agree(self, text: str, question: str) -> None:
        """Go on only with consent: the one given by --yes, else one given on the terminal.

        Args:
            text: What would be done, and what it costs; said in any case.
            question: Asked on a terminal.

        Raises:
            StudioError: There is no consent.
        """
        self.tell(text)
        if self.yes:
            return
        if not sys.stdin.isatty():
            raise StudioError("command.no_consent")
        print(f"{question} {words.say('command.yes_or_no')} ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in words.say("command.yes_words").split():
            raise StudioError("command.declined")


def nothing(parser: argparse.ArgumentParser) -> None:
    """Add no arguments: the command takes none."""


def project_argument(parser: argparse.ArgumentParser) -> None:
    """Add the project's name, where it is the one argument."""
    parser.add_argument("project", metavar="PROJECT", help=words.say("command.option.project"))


def always(given: argparse.Namespace) -> bool:
    """Return that the Hub is asked, whatever the options are."""
    return True


@dataclass(frozen=True)
class Command(Generic[Output]):
    """One command: declared at the top of a module of this folder, or of a file in the folder of extensions.

    Attributes:
        name: Its words, e.g. `dataset check`.
        output: Declares what `--json` prints.
        run: Does it.
        show: Returns the output for people; it ends without a line break.
        arguments: Adds its arguments to a parser.
        code: Exit code of an output.
        hub: Whether it acts on the Hub with the options given: the token of this machine is looked at first then.
    """

    name: str
    output: type[Output]
    run: Callable[[Call], Output]
    show: Callable[[Output], str]
    arguments: Callable[[argparse.ArgumentParser], None] = nothing
    code: Callable[[Output], int] = field(default=lambda output: DONE)
    hub: Callable[[argparse.Namespace], bool] = field(default=lambda given: False)

    @property
    def about(self) -> Message:
        """What it does, one sentence; of an extension without words, what its function says of itself."""
        code = f"command.{self.name.replace(' ', '.')}"
        return message(code) if words.has(code) else verbatim((self.run.__doc__ or "").strip().partition("\n")[0])
