"""Who is asking, and all that they can reach: handlers have a visit, and no other way to a project, a run or a file."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.base import project as projects
from pipeline.base import words
from pipeline.base.errors import StudioError
from pipeline.base.home import LOCAL, Home
from pipeline.base.limits import MEGABYTE, Limits, size
from pipeline.base.message import Message, message
from pipeline.base.project import Project
from pipeline.carriers.spend import SpendWatch
from pipeline.hub.account import SignInStatus
from pipeline.review.workspace import workspace_of
from pipeline.runs.ledger import Ledger, Run
from pipeline.studio import Studio
from pipeline.web.space import session_of

COMPUTE, ARGILLA = "compute", "argilla"  # local training and evaluation; administration of the annotation server
FILES = "files"  # naming any file and folder of this machine
ACCOUNT = "account"  # an account on the Hub of their own: acting as it, and what is billed to it
TOKEN = "token"  # typing that account's token, and taking up the one of this machine
ALL = frozenset({COMPUTE, ARGILLA, FILES, ACCOUNT, TOKEN})
ON_A_SPACE = frozenset({ACCOUNT})  # everybody there signs in as themselves
OWNING_A_SPACE = ON_A_SPACE | {COMPUTE, ARGILLA}


@dataclass(frozen=True)
class Visit:
    """One request of one person.

    Attributes:
        studio: The services; what belongs to a person is reached by the members below alone.
        who: The owner's name: `pipeline.base.home.LOCAL` for the one person of a local studio.
        language: What they read.
        may: What they may do besides working on what is theirs.
        limits: How much they may have; None: as much as there is.
    """

    studio: Studio
    who: str = LOCAL
    language: str = words.ENGLISH
    may: frozenset[str] = ALL
    limits: Limits | None = None

    @cached_property
    def home(self) -> Home:
        """The home as they see it: their own projects and files."""
        return self.studio.home.of(self.who)

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger as they see it: their own runs."""
        return self.studio.ledger.of(self.who, self.check_room if self.limits else None)

    def check_room(self, kind: str, active: int = 0) -> None:
        """Check that they have room for a run.

        Args:
            kind: What it would be.
            active: How many of theirs go on.

        Raises:
            StudioError: They have as many going as they may, as many projects, or their disk is full.
        """
        limits = self.limits
        if limits is None:
            return
        if active >= limits.runs:
            raise StudioError("limits.runs", count=limits.runs)
        if kind == "load" and len(self.projects()) >= limits.projects:
            raise StudioError("limits.projects", count=limits.projects)
        used = size(self.home.own) + sum(size(run.folder) for run in self.studio.ledger.of(self.who).list())
        if used >= limits.megabytes * MEGABYTE:
            raise StudioError("limits.disk", used=round(used / MEGABYTE), most=limits.megabytes)

    @property
    def sign_in(self) -> SignInStatus:
        """How they are signed in to the Hub."""
        return self.studio.person(self.who).sign_in.status if ACCOUNT in self.may else SignInStatus("none")

    @property
    def spend(self) -> SpendWatch:
        """What is billed to them."""
        return self.studio.person(self.who).spend

    @property
    def token(self) -> str | None:
        """The token with which the Hub is asked for them."""
        return self.studio.token_of(self.who)

    @property
    def workspace(self) -> str:
        """The workspace of the review server that is theirs alone; the local person's usual one."""
        return workspace_of(self.home)

    def projects(self) -> list[str]:
        """Return the names of their projects, the one worked on last first."""
        return projects.names(self.home)

    def project(self, name: str) -> Project:
        """Return a project of theirs.

        Raises:
            StudioError: They have none of that name.
        """
        return projects.find(self.home, name)

    def project_or_none(self, name: str | None) -> Project | None:
        """Return a project of theirs, None for no name.

        Raises:
            StudioError: They have none of that name.
        """
        return self.project(name) if name else None

    def run(self, run_id: str) -> Run:
        """Return a run of theirs.

        Raises:
            StudioError: They have none of that id.
        """
        try:
            return self.ledger.get(run_id)
        except KeyError as error:
            raise StudioError("run.none", run=run_id) from error

    def file(self, path: str | Path) -> Path:
        """Return a file of theirs: one that lies in their own folder.

        Raises:
            StudioError: It is no such file.
        """
        found = Path(path).resolve()
        if not self._own(found) or not found.is_file():
            raise StudioError("file.none", name=Path(path).name)
        return found

    def named_file(self, path: str | Path) -> Path:
        """Return a file that they name: any of this machine where they may read all of it, else one of theirs.

        Raises:
            StudioError: They may not, and it is none of theirs.
        """
        return Path(path) if FILES in self.may else self.file(path)

    def model(self, name: str) -> str:
        """Return a model's name: a repository on the Hub, or a folder that they may read.

        Raises:
            StudioError: It is a folder of this machine that is not theirs.
        """
        with contextlib.suppress(OSError, RuntimeError):  # too long for a path; the home of somebody who is not here
            folder = Path(name).expanduser()
            if FILES not in self.may and name and folder.exists() and not self._own(folder.resolve()):
                raise StudioError("model.no_folder", name=name)
        return name

    def _own(self, path: Path) -> bool:
        """Return whether a resolved path lies in their own folder."""
        return any(path.is_relative_to(folder.resolve()) for folder in (self.home.projects, self.home.uploads))

    def refusal(self, what: str) -> Message | None:
        """Return why they may not do something, to be said before they try; None where they may."""
        return None if what in self.may else message("visit.may_not")

    def require(self, what: str) -> None:
        """Refuse what they may not do.

        Raises:
            StudioError: They may not.
        """
        if refusal := self.refusal(what):
            raise StudioError(refusal)


def visit_of(studio: Studio, headers: Mapping[str, str], scope: Mapping[str, Any]) -> Visit:
    """Return the visit that a request makes: the one place where it is decided who asks.

    Args:
        studio: The services.
        headers: The request's headers, by lower-case name.
        scope: The request's ASGI scope, in which the door of a Space says whose session it is.

    Raises:
        StudioError: It came to a Space past its door.
    """
    language = words.closest(headers.get("accept-language", ""))
    if not studio.settings.space_id:
        return Visit(studio, language=language)
    session = session_of(scope)
    if session is None:
        raise StudioError("sign_in.nobody")
    if session.owner:
        return Visit(studio, session.who, language, OWNING_A_SPACE)
    settings = studio.settings
    limits = Limits(settings.visitor_projects, settings.visitor_runs, settings.visitor_megabytes)
    return Visit(studio, session.who, language, ON_A_SPACE, limits)
