"""Repositories on the Hub: made, compared with files here, and changed in one commit that is never made twice."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeAlias

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    DatasetInfo,
    HfApi,
    ModelInfo,
    constants,
    get_session,
)
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError
from huggingface_hub.utils import (
    build_hf_headers,
    disable_progress_bars,
    paginate,
)

from pipeline.base.errors import StudioError
from pipeline.base.message import Message, message, worded
from pipeline.hub import client
from pipeline.hub.problems import HUB_ERRORS, causes, explain, redact, status
from pipeline.hub.retry import retrying

Kind = Literal["model", "dataset"]
What = Literal["added", "changed", "removed", "unchanged"]
Content = Path | bytes
Operation: TypeAlias = CommitOperationAdd | CommitOperationDelete

LOOK_S = 15.0  # seconds that one question of a page may take
TIMEOUT_S = 120.0  # a Hub that is silent for longer has not answered: the library itself waits for ever
PATIENCE_S = 300.0  # longest wait the Hub may ask a run for
LOOKED_AT = 20  # newest commits among which ours is looked for
OWN = ".gitattributes"  # the Hub's own file, in a new repository too
_PIECE = 1 << 20


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository.

    Attributes:
        size: Bytes.
        sha256: Of its content, if it is a large file; else "".
        blob: Git's id of it.
    """

    size: int
    sha256: str
    blob: str


@dataclass(frozen=True)
class Repository:
    """A repository as it is now.

    Attributes:
        name: owner/name, as the Hub spells it.
        kind: model or dataset.
        head: Newest commit of its main branch.
        private: Whether it is private.
        gated: Whether readers must accept terms.
        files: Its files by path.
        card: Front matter of its card.
    """

    name: str
    kind: Kind
    head: str
    private: bool
    gated: bool
    files: Mapping[str, RemoteFile] = field(repr=False)
    card: Mapping[str, Any] = field(repr=False)

    @property
    def empty(self) -> bool:
        """Whether nobody has put anything into it."""
        return not set(self.files) - {OWN}


@dataclass(frozen=True)
class Change:
    """What becomes of one file.

    Attributes:
        path: Its path in the repository.
        what: added, changed, removed or unchanged.
        size: Bytes afterwards, or those removed.
        before: Bytes there now; None where it is not there.
    """

    path: str
    what: What
    size: int
    before: int | None


class Moved(StudioError):
    """A repository is no longer as it was when the user agreed to change it."""


def page(name: str, kind: Kind, commit: str = "") -> str:
    """Return the address of a repository, or of one of its commits.

    Args:
        name: Its id.
        kind: model or dataset.
        commit: The commit; empty: the repository.
    """
    place = f"{constants.ENDPOINT}/{'datasets/' if kind == 'dataset' else ''}{name}"
    return f"{place}/commit/{commit}" if commit else place


def info(name: str, kind: Kind, revision: str = "") -> Repository | None:
    """Return a repository as it is now; None where there is none, or none that this account may see.

    Args:
        name: Its id.
        kind: model or dataset.
        revision: Branch, tag or commit; empty: main.

    Raises:
        StudioError: The Hub refuses, or is not reached.
    """
    what = message("hub.cannot.say", name=name)
    with explained(what, name):
        try:
            said = retrying(
                lambda: _api().repo_info(
                    name, repo_type=kind, revision=revision or None, files_metadata=True, timeout=LOOK_S
                ),
                attempts=2,
            )
        except GatedRepoError:
            raise
        except RepositoryNotFoundError as error:
            if status(error) == 401 and client.token():  # not that it is missing: the token is refused
                raise explain(error, what, name) from error
            return None
    assert isinstance(said, DatasetInfo | ModelInfo)
    card = said.card_data.to_dict() if said.card_data else {}  # type: ignore[no-untyped-call]
    files = {sibling.rfilename: _remote(sibling) for sibling in said.siblings or ()}
    return Repository(said.id, kind, said.sha or "", bool(said.private), bool(said.gated), files, card)


def _remote(sibling: Any) -> RemoteFile:
    sha256 = str(sibling.lfs.sha256) if sibling.lfs else ""
    return RemoteFile(int(sibling.size or 0), sha256, str(sibling.blob_id or ""))


def may_write(name: str, kind: Kind) -> None:
    """Check that this account and its token may write to a repository that is there.

    Raises:
        StudioError: They may not, or the Hub does not say.
    """
    with explained(message("hub.cannot.write", name=name), name):
        retrying(lambda: _api().auth_check(name, repo_type=kind, write=True), attempts=2)


def create(name: str, kind: Kind, *, private: bool = True) -> Repository:
    """Make a repository; one that is there is returned as it is, whatever its visibility.

    Args:
        name: Its id, owner/name.
        kind: model or dataset.
        private: Whether only its owners see it.

    Raises:
        StudioError: The Hub refuses, or is not reached.
    """
    what = message("hub.cannot.make", kind=message(f"hub.kind.{kind}"), name=name)
    with explained(what, name):
        try:
            # With exist_ok a try whose answer was lost is no error at the next.
            retrying(lambda: _api().create_repo(name, repo_type=kind, private=private, exist_ok=True))
        except HUB_ERRORS as error:
            if status(error) == 403 and "namespace" in str(error):
                raise StudioError("hub.foreign_owner", what=what, owner=name.split("/")[0]) from error
            raise
    found = info(name, kind)
    if found is None:
        raise StudioError("hub.not_shown", what=what)
    return found


def compare(
    files: Mapping[str, Content], there: Repository | None, remove: Callable[[str], bool] = lambda path: False
) -> tuple[Change, ...]:
    """Return what putting files into a repository would change, by path.

    Args:
        files: Contents by path in the repository.
        there: The repository; None: it is yet to be made.
        remove: Says of a path that is there and not among the files whether it is removed.
    """
    remote = there.files if there is not None else {}
    found = []
    for path, content in files.items():
        before = remote.get(path)
        what: What = "added" if before is None else "unchanged" if _same(content, before) else "changed"
        found.append(Change(path, what, _size(content), before.size if before is not None else None))
    for path, before in remote.items():
        if path not in files and path != OWN and remove(path):
            found.append(Change(path, "removed", before.size, before.size))
    return tuple(sorted(found, key=lambda change: change.path))


def _size(content: Content) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def _same(content: Content, before: RemoteFile) -> bool:
    """Return whether a file is the one on the Hub, which knows SHA-256 of large files and git's id of the others."""
    if _size(content) != before.size:
        return False
    if before.sha256:
        return _digest(content, hashlib.sha256()) == before.sha256
    return _digest(content, hashlib.sha1(b"blob %d\0" % before.size)) == before.blob


def _digest(content: Content, digest: Any) -> str:
    if isinstance(content, bytes):
        digest.update(content)
    else:
        with content.open("rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
    return str(digest.hexdigest())


def operations(files: Mapping[str, Content], changes: Sequence[Change]) -> list[Operation]:
    """Return the operations of a commit that makes some changes.

    Args:
        files: Contents by path.
        changes: See `compare`.
    """
    made: list[Operation] = []
    for change in changes:
        if change.what == "removed":
            made.append(CommitOperationDelete(change.path))
        elif change.what != "unchanged":
            made.append(CommitOperationAdd(change.path, files[change.path]))
    return made


def upload(
    name: str,
    kind: Kind,
    wanted: Sequence[Operation],
    on_file: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Send the large files of a commit to come; what the Hub has of them already is not sent again.

    Args:
        name: Id of the repository.
        kind: model or dataset.
        wanted: The operations of the commit; they remember what is sent.
        on_file: Called before each file and at the end with bytes done and in all; what it raises ends the upload.

    Raises:
        StudioError: The Hub refuses, or is not reached.
    """
    disable_progress_bars()
    additions = [one for one in wanted if isinstance(one, CommitOperationAdd)]
    total, done = sum(one.upload_info.size for one in additions), 0
    for one in additions:
        on_file(done, total)
        with explained(message("hub.cannot.send", file=one.path_in_repo, name=name), name):
            retrying(lambda one=one: _send(name, kind, one), patience=PATIENCE_S)  # type: ignore[misc]
        done += one.upload_info.size
    on_file(done, total)


def _send(name: str, kind: Kind, one: CommitOperationAdd) -> None:
    try:
        _api().preupload_lfs_files(name, [one], repo_type=kind, free_memory=False)
    except RuntimeError as error:  # the library hides here what went wrong with the connection
        found = next((cause for cause in causes(error)[1:] if isinstance(cause, HUB_ERRORS)), None)
        if found is None:
            raise ConnectionError(redact(str(error))) from error
        raise found from error


def commit(
    name: str,
    kind: Kind,
    operations: Sequence[Operation],
    message: str,
    marker: str,
    parent: str,
) -> str:
    """Change a repository in one commit, tried again while the Hub is busy and never made twice.

    A try that ended without an answer may have arrived: before the next, the newest commits are searched for the
    marker; and each try names the commit it follows, so that of two only one can succeed.

    Args:
        name: Id of the repository.
        kind: model or dataset.
        operations: What changes; large files should have been sent with `upload`.
        message: Title of the commit.
        marker: Names this change and no other (a run's id, say); it stands in the commit's description.
        parent: The commit it follows.

    Returns:
        The commit.

    Raises:
        Moved: Somebody else has changed the repository since.
        StudioError: The Hub refuses, or is not reached.
    """
    tried = False

    def once() -> str:
        nonlocal tried
        if tried and (found := _arrived(name, kind, marker)):
            return found
        tried = True
        made = _api().create_commit(
            name,
            operations,
            commit_message=message,
            commit_description=marker,
            repo_type=kind,
            parent_commit=parent,
        )
        return str(made.oid)

    with explained(Message("hub.cannot.change", {"name": name}), name):
        try:
            return retrying(once, patience=PATIENCE_S)
        except HUB_ERRORS as error:
            if status(error) not in (409, 412):
                raise
            if found := retrying(lambda: _arrived(name, kind, marker)):
                return found
            raise moved(name) from error


def _arrived(name: str, kind: Kind, marker: str) -> str:
    """Return the commit that carries a marker, "" where none of the newest does."""
    url = f"{constants.ENDPOINT}/api/{kind}s/{name}/commits/main"
    # Not list_repo_commits: it reads the whole history.
    newest = paginate(url, params={}, headers=build_hf_headers(token=client.token() or False), timeout=LOOK_S)
    return next((str(one["id"]) for one in islice(newest, LOOKED_AT) if marker in str(one.get("message", ""))), "")


def moved(name: str) -> Moved:
    """Return the error of a repository that changed after it was shown."""
    return Moved("hub.moved", name=name)


@contextmanager
def explained(what: Message | str, name: str) -> Iterator[None]:
    """Turn the errors of the Hub's library within the block into one for the user.

    Args:
        what: What did not work: a message, or the code of one.
        name: The repository it was about.
    """
    try:
        yield
    except HUB_ERRORS as error:
        if isinstance(error, OSError) and error.errno and not isinstance(error, ConnectionError | TimeoutError):
            raise  # this disk's
        raise explain(error, what, name) from error
    except ValueError as error:  # a card the Hub does not take; a name it would not give
        raise StudioError("hub.not_taken", what=worded(what), detail=redact(str(error))[:300]) from error


def _api() -> HfApi:
    get_session().timeout = TIMEOUT_S
    return client.api()
