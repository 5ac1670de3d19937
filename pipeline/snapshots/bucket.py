"""The bucket, a folder that is no disk.

What is read in it may be seconds old, nothing locks, and what was written last may never arrive. So nothing in it is
written over. A piece of a file is an object with the name of its SHA-256; a snapshot is a manifest, written when all it
names is there and read only if its own SHA-256 is right. Whoever reads an object checks it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
import time
from collections.abc import Iterable
from pathlib import Path

from pipeline.snapshots.manifest import Manifest, Piece
from pipeline.snapshots.writers import Claim

KEEP = 5  # snapshots; the newest may not have arrived whole
STALE_S = 24 * 3600.0  # after which an object that no snapshot names is nobody's work in progress
_NO_SYNC = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP})


class Damaged(Exception):
    """An object is not what its name says."""


class NotWritten(Exception):
    """The bucket takes nothing; `__cause__` says why."""


class Bucket:
    """The studio's folder in a mounted bucket.

    Args:
        folder: Where the bucket is mounted.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "align-studio"
        self._objects = self.folder / "objects"
        self._manifests = self.folder / "snapshots"
        self._claims = self.folder / "writers"
        self._sound: dict[str, Piece] = {}  # by digest: what this process has written or checked

    def claim(self, claim: Claim) -> None:
        """Write a claim.

        Raises:
            NotWritten: It cannot be written.
        """
        self._write(self._claims / claim.file, claim.written())

    def claims(self) -> list[Claim]:
        """Return all claims that can be read, the oldest first."""
        read = (Claim.read(_content(self._claims / name)) for name in _names(self._claims))
        return [claim for claim in read if claim is not None]

    def drop_claims(self, kept: set[Claim]) -> None:
        """Remove all claims but some."""
        wanted = {claim.file for claim in kept}
        for name in _names(self._claims):
            if name not in wanted:
                (self._claims / name).unlink(missing_ok=True)

    def numbers(self) -> list[int]:
        """Return the numbers of all snapshots, whole or not, the newest first."""
        return [int(name.partition("-")[0]) for name in self.names()]

    def names(self) -> list[str]:
        """Return the names of all manifests, the newest first."""
        return [name for name in reversed(_names(self._manifests)) if name.partition("-")[0].isdecimal()]

    def manifest(self, name: str) -> Manifest | None:
        """Return a manifest by its name, None where it is not whole."""
        return Manifest.read(_content(self._manifests / name))

    def publish(self, manifest: Manifest) -> str:
        """Write a manifest, whose objects are all written; return its name.

        Raises:
            NotWritten: It cannot be written.
        """
        name = f"{manifest.number:010d}-{manifest.boot}.json"
        self._write(self._manifests / name, manifest.written())
        return name

    def put(self, content: bytes) -> tuple[Piece, bool]:
        """Return the piece with a content, and whether it had to be written.

        Raises:
            NotWritten: It cannot be written.
        """
        digest = hashlib.sha256(content).hexdigest()
        name = f"{digest[:2]}/{digest}"
        piece = Piece(sha256=digest, size=len(content), name=name)
        if digest in self._sound or self._there(piece):
            return self._sound[digest], False
        try:
            self._write(self._objects / name, content)
        except FileExistsError:  # half written, by a process that was killed; never written over
            name = f"{name}.{secrets.token_hex(4)}"
            piece = Piece(sha256=digest, size=len(content), name=name)
            self._write(self._objects / name, content)
        self._sound[digest] = piece
        return piece, True

    def sound(self, piece: Piece) -> bool:
        """Return whether a piece of an earlier snapshot can be relied on; it is read once by each process."""
        return self._sound.get(piece.sha256) == piece or self._there(piece)

    def _there(self, piece: Piece) -> bool:
        try:
            self.get(piece)
        except (Damaged, OSError):
            return False
        return True

    def get(self, piece: Piece) -> bytes:
        """Return a piece's content.

        Raises:
            Damaged: It is not what its name says.
            OSError: It cannot be read.
        """
        path = self._objects / piece.name
        content = path.read_bytes() if path.stat().st_size == piece.size else b""
        if len(content) != piece.size or hashlib.sha256(content).hexdigest() != piece.sha256:
            self._sound.pop(piece.sha256, None)
            raise Damaged(piece.name)
        self._sound[piece.sha256] = piece
        return content

    def prune(self, keep: int = KEEP) -> None:
        """Remove snapshots but the newest whole ones, then the objects that only those removed named.

        Raises:
            OSError: Something cannot be removed.
        """
        read = {name: self.manifest(name) for name in self.names()}
        whole = [name for name, manifest in read.items() if manifest is not None]
        if len(whole) <= keep:
            return
        oldest = whole[keep - 1]
        gone = [name for name in read if name < oldest]
        named = _named(manifest for name, manifest in read.items() if manifest and name not in gone)
        for name in gone:
            (self._manifests / name).unlink(missing_ok=True)
            manifest = read[name]
            for piece in _named([manifest]) - named if manifest else ():
                (self._objects / piece).unlink(missing_ok=True)
                self._sound.pop(piece[3:67], None)

    def sweep(self, now: float | None = None) -> int:
        """Remove objects that no snapshot names and that have lain for a day; return how many."""
        named = _named(self.manifest(name) for name in self.names())
        before, count = (time.time() if now is None else now) - STALE_S, 0
        for path in self._objects.glob("??/*"):
            if f"{path.parent.name}/{path.name}" not in named and path.stat().st_mtime < before:
                path.unlink(missing_ok=True)
                count += 1
        return count

    def _write(self, path: Path, content: bytes) -> None:
        """Write a new file; one that is there stays.

        Raises:
            FileExistsError: There is one.
            NotWritten: It cannot be written.
        """
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                _sync(file.fileno())
        except FileExistsError:
            raise
        except OSError as error:
            raise NotWritten(str(error)) from error


def _sync(number: int) -> None:
    try:
        os.fsync(number)
    except OSError as error:  # mounted buckets need not know it
        if error.errno not in _NO_SYNC:
            raise


def _names(folder: Path) -> list[str]:
    with contextlib.suppress(FileNotFoundError):
        return sorted(path.name for path in folder.iterdir() if path.suffix == ".json")
    return []


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # not arrived, or gone meanwhile: the same as half written
        return b""


def _named(manifests: Iterable[Manifest | None]) -> set[str]:
    return {piece.name for each in manifests if each for file in each.files for piece in file.pieces}
