"""A finished export goes to a dataset repository on the Hub: compared first, then changed in one commit."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from huggingface_hub.utils import HFValidationError, validate_repo_id
from pydantic import BaseModel, Field, field_validator

from pipeline.base import words
from pipeline.base.errors import StudioError, Wrong
from pipeline.base.project import Project
from pipeline.export import card, exported
from pipeline.export.exported import Exported, Published
from pipeline.hub import account, repositories
from pipeline.hub.account import Account
from pipeline.hub.repositories import Change, Content, Repository

CARD = "README.md"
RECORD = "export.json"
UNKNOWN = "unknown"
# Ids of the Hub for what preference pairs are mostly published under; it knows more.
LICENSES = (
    *("apache-2.0", "mit", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0"),
    *("odc-by", "odbl", "cdla-permissive-2.0", "other", UNKNOWN),
)

# What an export may hold: were one of an earlier export left there, it would be read with this one.
_OF_AN_EXPORT = re.compile(r"(train|test)\.jsonl|export\.json|data/(train|test)-[^/]*\.parquet")


class PublishOptions(BaseModel, extra="forbid"):
    """Where an export is published, who may see it, and what becomes of what is there already."""

    repository: str = Field(description="Dataset repository on the Hub, owner/name; the owner may be an organization.")
    private: bool = Field(
        True, description="Only its owners see a new repository; one that is there stays as visible as it is."
    )
    message: str = Field("", max_length=200, description="Title of the commit; empty: “Publish” and the export's name.")
    license: str = Field(
        "",
        max_length=40,
        pattern=r"^[a-z0-9.-]*$",
        description="The Hub's id of the license; empty: the one the repository states, else unknown.",
    )
    existing: Literal["update", "replace"] = Field(
        "update",
        description="Other files of a repository that is there: update leaves them, replace removes them. Files of an"
        " earlier export that this one lacks are removed either way.",
    )

    @field_validator("repository")
    @classmethod
    def _is_an_id(cls, repository: str) -> str:
        repository = repository.strip()
        try:
            validate_repo_id(repository)
        except HFValidationError as error:
            raise ValueError(str(error)) from error
        if "/" not in repository:
            raise Wrong("publish.no_owner")
        if len(repository.split("/")[1]) > 96:
            raise Wrong("publish.name_too_long", most=96)
        return repository


@dataclass(frozen=True)
class Plan:
    """What publishing an export would do.

    Attributes:
        repository: Id of the dataset, as the Hub spells it.
        head: Commit that it was compared with; "" for a repository that is yet to be made.
        private: Whether it is, or will be, private.
        gated: Whether readers must accept terms.
        empty: Whether nobody has put anything into it.
        license: What the card will state.
        changes: What becomes of each file.
        files: Contents by path.
    """

    repository: str
    head: str
    private: bool
    gated: bool
    empty: bool
    license: str
    changes: tuple[Change, ...]
    files: Mapping[str, Content] = field(repr=False)

    @property
    def new(self) -> bool:
        """Whether the repository is yet to be made."""
        return not self.head

    @property
    def nothing(self) -> bool:
        """Whether all is there already."""
        return not self.new and all(change.what == "unchanged" for change in self.changes)

    @property
    def bytes(self) -> int:
        """Bytes of the files added and changed."""
        return sum(change.size for change in self.changes if change.what in ("added", "changed"))


@dataclass(frozen=True)
class Agreed:
    """What the user was shown of the repository and agreed to change: its newest commit and who sees it."""

    head: str
    private: bool


def default_repository(name: str) -> str:
    """Return where an export goes unless the user says otherwise, "" while nobody is signed in.

    Args:
        name: The export.
    """
    try:
        who = account.current()
    except StudioError:
        return ""
    return f"{who.name}/{name}" if who is not None else ""


def plan(project: Project, name: str, options: PublishOptions) -> Plan:
    """Compare an export with a repository, which need not be there.

    Args:
        project: Holds the export.
        name: The export.
        options: Where it is to be published.

    Raises:
        StudioError: Nobody is signed in, the account may not write there, or the Hub is not reached.
    """
    return _plan(exported.read(project, name), options, account.require_write())


def _plan(export: Exported, options: PublishOptions, who: Account) -> Plan:
    name = options.repository
    owner = name.split("/")[0]
    if owner.lower() not in {who.name.lower(), *(one.lower() for one in who.organisations)}:
        owners = [who.name, *who.organisations]
        raise StudioError("publish.not_yours", name=name, owner=owner, who=who.name, owners=owners)
    there = repositories.info(name, "dataset")
    if there is not None:
        if there.name.lower() != name.lower():
            raise StudioError("publish.renamed", name=name, now=there.name)
        repositories.may_write(there.name, "dataset")
    license = options.license or _license(there)
    files = _files(export, there.name if there else name, license)
    changes = repositories.compare(files, there, _removed(options))
    if there is None:
        return Plan(name, "", options.private, False, True, license, changes, files)
    return Plan(there.name, there.head, there.private, there.gated, there.empty, license, changes, files)


def _license(there: Repository | None) -> str:
    """Return the license that a repository states, which an update must not take away."""
    said = there.card.get("license") if there is not None else None
    return said if isinstance(said, str) and re.fullmatch(r"[a-z0-9.-]{1,40}", said) else UNKNOWN


def _removed(options: PublishOptions) -> Callable[[str], bool]:
    return lambda path: options.existing == "replace" or _OF_AN_EXPORT.fullmatch(path) is not None


def _files(export: Exported, repository: str, license: str) -> dict[str, Content]:
    """Return what is published of an export, the card as it is to stand in the repository."""
    files: dict[str, Content] = {CARD: card.for_repository(export.card, repository, license).encode()}
    for path in [*(file.path for file in export.files if file.path != CARD), RECORD]:
        files[path] = export.folder / path
        if not (export.folder / path).is_file():
            raise StudioError("publish.file_missing", path=path, name=export.name)
    return files


def publish(
    project: Project,
    name: str,
    options: PublishOptions,
    agreed: Agreed,
    marker: str,
    stage: Callable[[str], None] = lambda code: None,
    on_bytes: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Published, bool]:
    """Publish an export, in one commit or not at all, and note beside it where.

    Args:
        project: Holds the export.
        name: The export.
        options: Where and how.
        agreed: What the user was shown; a repository that is otherwise now is left alone.
        marker: Names this run; it stands in the commit's description.
        stage: Called with the code of what is being done now.
        on_bytes: Called between files with bytes sent and in all; what it raises ends it before anything changes.

    Returns:
        Where it is, and whether anything had to change.

    Raises:
        StudioError: Not allowed, no storage left, the repository has changed meanwhile, or the Hub is not reached.
    """
    who, export = account.require_write(), exported.read(project, name)
    stage("publish.stage.comparing")
    planned = _plan(export, options, who)
    if planned.new and not agreed.head:
        stage("publish.stage.making")
        repositories.create(planned.repository, "dataset", private=options.private)
        planned = _plan(export, options, who)
    _check(planned, agreed, options)
    head = planned.head
    if not planned.nothing:
        wanted = repositories.operations(planned.files, planned.changes)
        stage("publish.stage.sending")
        repositories.upload(planned.repository, "dataset", wanted, on_bytes)
        stage("publish.stage.committing")
        message = options.message.strip() or _title(name)
        head = repositories.commit(planned.repository, "dataset", wanted, message, marker, planned.head)
        _verify(planned, head, options)
    return _remember(project, name, planned, head, who), not planned.nothing


def _title(name: str) -> str:
    """Return the title of a commit, in the language of most of the Hub."""
    with words.speaking(words.ENGLISH):
        return words.say("publish.commit", name=name)


def found(project: Project, name: str, planned: Plan) -> Published:
    """Note where an export is that needs no publishing, because the Hub has all of it.

    Args:
        project: Holds the export.
        name: The export.
        planned: A comparison without a change.
    """
    there = exported.published(project, name)
    if there and (there.repository, there.revision, there.private) == (
        planned.repository,
        planned.head,
        planned.private,
    ):
        return there
    return _remember(project, name, planned, planned.head, account.require_write())


def _remember(project: Project, name: str, planned: Plan, head: str, who: Account) -> Published:
    url = repositories.page(planned.repository, "dataset", head)
    when = datetime.now(UTC).isoformat(timespec="seconds")
    where = Published(planned.repository, head, url, planned.private, when, who.name)
    exported.remember(project, name, where)
    return where


def _check(planned: Plan, agreed: Agreed, options: PublishOptions) -> None:
    """Refuse a repository that is not what the user was shown."""
    if agreed.head:
        if (planned.head, planned.private) != (agreed.head, agreed.private):
            raise repositories.moved(planned.repository)
    elif planned.private != options.private or not planned.empty:
        raise repositories.moved(planned.repository)  # it was to be new, and somebody else has made it meanwhile


def _verify(planned: Plan, head: str, options: PublishOptions) -> None:
    """Look whether the commit holds all files: the Hub leaves out what a .gitignore of the repository names."""
    there = repositories.info(planned.repository, "dataset", head)
    missing = [
        change.path
        for change in repositories.compare(planned.files, there, _removed(options))
        if change.what != "unchanged"
    ]
    if missing:
        raise StudioError("publish.not_taken", repository=planned.repository, files=missing[:5])


def result(where: Published, changed: bool) -> dict[str, Any]:
    """Return what a run tells of a finished publication."""
    return {"repository": where.repository, "revision": where.revision, "url": where.url, "changed": changed}
