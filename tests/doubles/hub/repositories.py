"""Repositories: contents, history, and who may see and change them."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from starlette.requests import Request

from tests.doubles.hub.access import Directory, Token
from tests.doubles.hub.clock import Clock
from tests.doubles.hub.storage import Storage
from tests.doubles.hub.web import HubError

Kind = Literal["model", "dataset", "space"]
Gated = Literal["auto", "manual", False]

LARGE = 10_000_000  # bytes from which the Hub keeps every file as LFS
LARGE_NAMES = re.compile(
    r"\.(7z|arrow|bin|bz2|ckpt|ftz|gguf|gz|h5|joblib|lz4|model|msgpack|npy|npz|onnx|ot|parquet|pb|pickle|pkl|pt|pth|rar"
    r"|safetensors|tar|tflite|tgz|wasm|xz|zip|zst|png|jpg|jpeg|wav|mp3|webp)$|tfevents",
    re.IGNORECASE,
)
STORAGE_FULL = (
    "Private repository storage limit reached, please upgrade your plan to increase your private storage limit."
)


@dataclass(frozen=True)
class Entry:
    """A file of a commit: its content's SHA-256, its size, whether it is LFS, and git's id of it."""

    sha256: str
    size: int
    lfs: bool
    oid: str


@dataclass(frozen=True)
class Commit:
    """A commit.

    Attributes:
        id: 40 hex digits.
        title: First line of the message.
        message: The description below it.
        parent: The commit before; None: the first.
        paths: Paths it added, changed or removed.
        tree: All files after it.
        date: When, by the Hub's clock.
        author: User name.
    """

    id: str
    title: str
    message: str
    parent: str | None
    paths: tuple[str, ...]
    tree: Mapping[str, Entry] = field(repr=False)
    date: datetime
    author: str


@dataclass
class Repository:
    """A repository with its history."""

    kind: Kind
    name: str
    private: bool
    gated: Gated
    created: datetime
    downloads: int = 0
    likes: int = 0
    id: str = field(default_factory=lambda: uuid4().hex[:24])
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    granted: set[str] = field(default_factory=set)
    guard: threading.RLock = field(default_factory=threading.RLock, repr=False)
    more: Callable[[], dict[str, Any]] = field(default=dict, repr=False)  # what the Hub tells beyond, of a Space

    @property
    def namespace(self) -> str:
        return self.name.split("/")[0]

    @property
    def plural(self) -> str:
        return f"{self.kind}s"

    @property
    def prefix(self) -> str:
        """What stands before the name in the repository's addresses."""
        return "" if self.kind == "model" else f"{self.kind}s/"

    def at(self, revision: str) -> Commit:
        """Return the commit of a branch, tag or commit id."""
        sha = self.branches.get(revision) or self.tags.get(revision) or revision
        if sha not in self.commits:
            raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return self.commits[sha]

    def entry(self, revision: str, path: str) -> tuple[Commit, Entry]:
        """Return a file at a revision."""
        commit = self.at(revision)
        if path not in commit.tree:
            raise HubError(404, "Entry not found", "EntryNotFound", {"X-Repo-Commit": commit.id})
        return commit, commit.tree[path]

    def history(self, revision: str) -> list[Commit]:
        """Return the commits that lead to a revision, newest first."""
        found: list[Commit] = []
        sha: str | None = self.at(revision).id
        while sha is not None:
            found.append(self.commits[sha])
            sha = found[-1].parent
        return found

    def stored(self) -> int:
        """Return the bytes of all contents of all commits."""
        return sum({e.sha256: e.size for c in self.commits.values() for e in c.tree.values()}.values())


class Repositories:
    """All repositories, and the rules of access to them."""

    def __init__(self, storage: Storage, directory: Directory, clock: Clock) -> None:
        self.storage, self.directory, self.clock = storage, directory, clock
        self.all: dict[tuple[Kind, str], Repository] = {}
        self.on_commit: Callable[[Repository, str], None] = lambda repository, branch: None

    def create(self, kind: Kind, name: str, private: bool, gated: Gated, author: str) -> Repository:
        """Make a repository with its first commit, as the Hub does."""
        now = self.clock.now()
        repository = Repository(kind, name, private, gated, now)
        attributes = self.entry_of(b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n", ".gitattributes")
        self.commit(repository, "main", "initial commit", "", {".gitattributes": attributes}, set(), author)
        self.all[kind, name] = repository
        return repository

    def entry_of(self, content: bytes | Path, path: str) -> Entry:
        """Keep a content and return it as a file of a commit."""
        sha256 = self.storage.put(content)
        size = self.storage.size(sha256)
        lfs = size >= LARGE or LARGE_NAMES.search(path) is not None
        return Entry(sha256, size, lfs, self._oid(sha256, size, lfs))

    def entry_at(self, sha256: str) -> Entry:
        """Return a content that is already there as an LFS file of a commit."""
        if not self.storage.has(sha256):
            raise HubError(400, f"LFS pointer pointed to a file that does not exist: {sha256}")
        size = self.storage.size(sha256)
        return Entry(sha256, size, True, self._oid(sha256, size, True))

    def regular(self, content: bytes) -> Entry:
        """Keep a content that came within a commit."""
        sha256 = self.storage.put(content)
        return Entry(sha256, len(content), False, self._oid(sha256, len(content), False))

    def _oid(self, sha256: str, size: int, lfs: bool) -> str:
        if lfs:
            content = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
        else:
            content = self.storage.read(sha256)
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

    def commit(
        self,
        repository: Repository,
        branch: str,
        title: str,
        message: str,
        added: Mapping[str, Entry],
        removed: set[str],
        author: str,
        parent: str | None = None,
    ) -> Commit:
        """Add a commit to a branch.

        Args:
            repository: Of which repository.
            branch: To which branch; main and refs/pr/N are made.
            title: First line of the message.
            message: Its description.
            added: Files added or changed.
            removed: Paths removed; one that ends in a slash is a folder.
            author: User name.
            parent: The commit the client saw as head; another head is refused.
        """
        with repository.guard:
            head = repository.branches.get(branch)
            if head is None and branch != "main" and not branch.startswith("refs/pr/"):
                raise HubError(404, f"Invalid rev id: {branch}", "RevisionNotFound")
            if head is None and branch.startswith("refs/pr/"):
                head = repository.branches["main"]
            if parent is not None and not (head or "").startswith(parent):
                raise HubError(412, "A commit has happened since. Please refresh and try again.")
            tree = dict(repository.commits[head].tree) if head else {}
            before = dict(tree)
            for path in removed:
                folder = path if path.endswith("/") else path + "/"
                tree = {k: v for k, v in tree.items() if k != path and not k.startswith(folder)}
            tree.update(added)
            paths = tuple(sorted(path for path in before | tree if before.get(path) != tree.get(path)))
            sha = hashlib.sha1(uuid4().bytes).hexdigest()
            made = Commit(sha, title, message, head, paths, tree, self.clock.now(), author)
            repository.commits[sha] = made
            repository.branches[branch] = sha
        self.on_commit(repository, branch)
        return made

    def squash(self, repository: Repository, branch: str, title: str) -> None:
        """Replace a branch's history by one commit."""
        with repository.guard:
            last = repository.at(branch)
            made = replace(last, id=hashlib.sha1(uuid4().bytes).hexdigest(), title=title, message="", parent=None)
            repository.commits[made.id] = made
            repository.branches[branch] = made.id

    # Who may see and change what

    def find(self, kind: str, name: str, token: Token | None) -> Repository:
        """Return a repository that somebody may see; the Hub does not tell missing from forbidden."""
        singular = kind.removesuffix("s")
        repository = next((r for (k, n), r in self.all.items() if k == singular and n.lower() == name.lower()), None)
        if repository is None or not self._sees(repository, token):
            if token is None:
                raise HubError(401, "Invalid username or password.", "RepoNotFound")
            raise HubError(404, "Repository not found", "RepoNotFound")
        return repository

    def _sees(self, repository: Repository, token: Token | None) -> bool:
        if not repository.private:
            return True
        return (
            token is not None and self._inside(repository, token) and token.allows("repo.content.read", repository.name)
        )

    def _inside(self, repository: Repository, token: Token) -> bool:
        return repository.namespace == token.user.name or repository.namespace in token.user.organisations

    def visible(self, kind: str, token: Token | None) -> list[Repository]:
        """Return the repositories of a kind that somebody may see."""
        return [r for (k, _), r in self.all.items() if k == kind and self._sees(r, token)]

    def readable(self, kind: str, name: str, request: Request) -> Repository:
        """Return a repository whose files the requester may read."""
        token = self.directory.who(request)
        repository = self.find(kind, name, token)
        if not repository.gated or (token and self._inside(repository, token)):
            return repository
        what = f"Access to {repository.kind} {repository.name} is restricted"
        if token is None:
            advice = "You must have access to it and be authenticated to access it. Please log in."
            raise HubError(401, f"{what}. {advice}", "GatedRepo")
        if token.user.name not in repository.granted:
            raise HubError(
                403, f"{what} and you are not in the authorized list. Visit it to ask for access.", "GatedRepo"
            )
        if token.role == "fine-grained" and not token.read_gated:
            advice = "Please enable access to public gated repositories in your fine-grained token settings"
            raise HubError(403, f"{advice} to view this repository.", "GatedRepo")
        return repository

    def writable(self, kind: str, name: str, request: Request) -> tuple[Repository, Token]:
        """Return a repository that the requester may change."""
        token = self.directory.who(request)
        repository = self.find(kind, name, token)
        if token is None:
            raise HubError(401, "Invalid username or password.", "RepoNotFound")
        self.may_write(token, repository.name)
        return repository, token

    def may_write(self, token: Token, name: str, permission: str = "repo.write") -> None:
        """Raise unless a token may write to a repository, or make or delete one of that name."""
        namespace = name.split("/")[0]
        if not token.user.writes_to(namespace):
            raise HubError(403, f'Forbidden: you don\'t have write access to the namespace "{namespace}"')
        if not token.allows(permission, name):
            raise HubError(403, "Forbidden: you must use a write token to write to a repository")

    def may_store(self, repository: Repository, more: int) -> None:
        """Raise where a private repository's owner has no storage left for that many bytes."""
        owner = self.directory.users.get(repository.namespace)
        if owner is None or owner.quota is None or not repository.private:
            return
        used = sum(r.stored() for r in self.all.values() if r.private and r.namespace == owner.name)
        if used + more > owner.quota:
            raise HubError(403, STORAGE_FULL)
