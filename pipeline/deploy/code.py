"""The program's files as git has them: the last commit's, whatever else lies in the folder."""

from __future__ import annotations

import io
import os
import re
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.base.errors import StudioError
from pipeline.hub import client

ROOT = Path(__file__).resolve().parents[2]
# A token of the Hub, and the first line of a private key.
_SECRET = re.compile(rb"\bhf_[A-Za-z0-9]{34}\b|-----BEGIN [A-Z ]*PRIVATE KEY-----")
_NAMED = re.compile(r"TOKEN|SECRET|PASSWORD|_KEY$", re.IGNORECASE)
_SHORTEST = 12  # characters of a value that is looked for: a shorter one stands in any text


@dataclass(frozen=True)
class Code:
    """The files of a commit.

    Attributes:
        commit: Its id.
        files: Contents by path.
        changed: Tracked files that differ from it in the folder: those changes are not deployed.
        former: Paths that earlier commits had and this one has not.
    """

    commit: str
    files: Mapping[str, bytes] = field(repr=False)
    changed: tuple[str, ...] = ()
    former: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(map(len, self.files.values()))


def commit_of(root: Path = ROOT) -> str:
    """Return the id of the last commit.

    Raises:
        StudioError: The program does not lie in a clone.
    """
    return _git(root, "rev-parse", "HEAD").decode().strip()


def code_of(root: Path = ROOT, commit: str = "HEAD") -> Code:
    """Return the files of a commit.

    Args:
        root: The clone.
        commit: Its id.

    Raises:
        StudioError: The program does not lie in a clone, or git is missing.
    """
    if Path(_git(root, "rev-parse", "--show-toplevel").decode().strip()).resolve() != root.resolve():
        raise StudioError("deploy.no_clone", folder=str(root), detail="")
    files: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(_git(root, "archive", "--format=tar", commit))) as archive:
        for member in archive:
            if member.isfile():  # links lead out of it
                read = archive.extractfile(member)
                assert read is not None
                files[member.name] = read.read()
    changed = _git(root, "diff", "--name-only", "-z", commit).decode().split("\0")
    gone = _git(root, "log", "--format=", "--name-only", "--no-renames", "--diff-filter=D", "-z", commit)
    former = frozenset(name for name in gone.decode().replace("\n", "\0").split("\0") if name) - files.keys()
    named = _git(root, "rev-parse", commit).decode().strip()
    return Code(named, files, tuple(filter(None, changed)), former)


def secrets_in(code: Code) -> list[str]:
    """Return the paths of files with a secret in them: one that this process knows, or what looks like one."""
    known = [value.encode() for value in known_secrets()]
    return [
        path
        for path, content in code.files.items()
        if _SECRET.search(content) or any(value in content for value in known)
    ]


def known_secrets() -> set[str]:
    """Return the values that must not leave this machine: the token in use, and variables that are called secrets."""
    named = {value for name, value in os.environ.items() if _NAMED.search(name) and not value.startswith(("/", "http"))}
    return {value for value in {client.token() or "", *named} if len(value) >= _SHORTEST}


def _git(root: Path, *arguments: str) -> bytes:
    """Return what git prints.

    Raises:
        StudioError: It is missing, or says that this is no clone.
    """
    command = ["git", "-c", f"safe.directory={root}", "-C", str(root), *arguments]
    try:
        return subprocess.run(command, capture_output=True, check=True).stdout
    except FileNotFoundError as error:
        raise StudioError("deploy.no_git") from error
    except subprocess.CalledProcessError as error:
        raise StudioError(
            "deploy.no_clone", folder=str(root), detail=error.stderr.decode(errors="replace").strip()
        ) from error
