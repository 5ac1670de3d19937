"""Invitations to a project's review: a link that whoever has it may use, up to a number of people, until it is revoked.

Of the link's secret only the digest is kept: `invitation.json` in the project's folder, and a file of that name among
the home's `invitations` that says whose project it is. A link is good where both agree.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock
from pydantic import BaseModel, Field

from pipeline.base import project as projects
from pipeline.base.errors import StudioError
from pipeline.base.home import Home
from pipeline.base.project import Project

_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")  # 256 bits


class InvitationOptions(BaseModel, extra="forbid"):
    """What an invitation allows."""

    limit: int = Field(20, ge=1, le=200, description="People who can come by it.", json_schema_extra={"unit": "people"})


class Invitation(InvitationOptions):
    """An invitation as it is kept.

    Attributes:
        digest: SHA-256 of the link's secret.
        made: When.
        by_visitor: Whether who made it visits the studio: where it takes no visitors any more, it lets nobody in.
        people: Who has come by it: name on the review server by person, "" until they have an account there.
        out: Those of them who were taken out of the review: the link does not let them in again.
    """

    digest: str
    made: datetime
    by_visitor: bool = False
    people: dict[str, str] = Field(default_factory=dict)
    out: list[str] = Field(default_factory=list)


def invite(home: Home, of: Project, options: InvitationOptions, *, by_visitor: bool = False) -> str:
    """Make a project's invitation and return the link's secret, which is kept nowhere; one made before ends.

    Args:
        home: The home as the project's owner sees it.
        of: The project.
        options: What it allows.
        by_visitor: Whether its owner visits the studio.
    """
    secret = secrets.token_urlsafe(32)
    with _locked(of):
        _forget(home, of)
        made = Invitation(digest=_digest(secret), made=datetime.now(UTC), limit=options.limit, by_visitor=by_visitor)
        pointer = _pointer(home, made.digest)
        pointer.parent.mkdir(mode=0o700, exist_ok=True)
        _write(pointer, json.dumps({"owner": home.owner, "project": of.name}))
        _write(_file(of), made.model_dump_json())
    return secret


def invitation_of(of: Project) -> Invitation | None:
    """Return a project's invitation, None where there is none."""
    try:
        return Invitation.model_validate_json(_file(of).read_text("utf-8"))
    except FileNotFoundError:
        return None


def revoke(home: Home, of: Project) -> None:
    """End a project's invitation; who came by it stays in the review."""
    with _locked(of):
        _forget(home, of)


def find(home: Home, secret: str, *, visitors: bool = True) -> tuple[Home, Project, Invitation]:
    """Return what a link invites to.

    Args:
        home: The home.
        secret: The link's.
        visitors: Whether the studio takes visitors.

    Returns:
        The home as the owner of the project sees it, the project, and the invitation.

    Raises:
        StudioError: It invites to nothing, or to nothing any more.
    """
    digest = _digest(secret)
    try:
        if not _SECRET.fullmatch(secret):
            raise KeyError(secret)
        said = json.loads(_pointer(home, digest).read_text("utf-8"))
        theirs = home.of(said["owner"])
        of = projects.find(theirs, said["project"])
    except (OSError, KeyError, StudioError) as error:
        raise StudioError("join.none") from error
    found = invitation_of(of)
    gone = found is None or found.digest != digest  # another project of that name, or a newer link
    if found is None or gone or (found.by_visitor and not visitors):
        raise StudioError("join.none")
    return theirs, of, found


def take_place(of: Project, digest: str, person: str, name: str = "") -> None:
    """Count somebody among those who came by an invitation; who did before takes no further place.

    Args:
        of: The project.
        digest: Which invitation they came by.
        person: Who, as the studio calls the account's owner.
        name: What they are called on the review server, once that is known.

    Raises:
        StudioError: It has ended meanwhile, they were taken out of the review, or all places are taken.
    """
    with _locked(of):
        now = invitation_of(of)
        if now is None or now.digest != digest:
            raise StudioError("join.none")
        if person in now.out:
            raise StudioError("join.out")
        if person not in now.people and len(now.people) >= now.limit:
            raise StudioError("join.full", limit=now.limit)
        now.people[person] = name or now.people.get(person, "")
        _write(_file(of), now.model_dump_json())


def shut_out(home: Home, name: str) -> None:
    """Let no invitation of an owner's let somebody in again whom they took out of their workspace.

    Args:
        home: The home as the owner sees it.
        name: What the person is called on the review server.
    """
    for each in projects.names(home):
        of = projects.find(home, each)
        with _locked(of):
            now = invitation_of(of)
            gone = [person for person, called in now.people.items() if called == name] if now else []
            if now and gone:
                now.out = list(dict.fromkeys([*now.out, *gone]))
                _write(_file(of), now.model_dump_json())


def _forget(home: Home, of: Project) -> None:
    before = invitation_of(of)
    if before is not None:
        _pointer(home, before.digest).unlink(missing_ok=True)
        _file(of).unlink()


def _locked(of: Project) -> FileLock:
    return FileLock(of.folder / ".invitation.lock")


def _file(of: Project) -> Path:
    return of.folder / "invitation.json"


def _pointer(home: Home, digest: str) -> Path:
    return home.path / "invitations" / digest


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _write(file: Path, text: str) -> None:
    fresh = file.with_name(file.name + ".new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(file)
