"""Take a snapshot: what has not changed since the last one is named again, the rest is written, the manifest last."""

from __future__ import annotations

import contextlib
import stat
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.snapshots.bucket import Bucket
from pipeline.snapshots.contents import contents, copy_database, is_database, state_of
from pipeline.snapshots.manifest import KeptFile, Manifest, Piece

PIECE = 16 << 20  # bytes; a database that grows, or a log, is written again only where it changed
_RACY_NS = 2_000_000_000  # a file changed so shortly before it was read may have changed since at the same time stamp


@dataclass(frozen=True)
class Progress:
    """How far a snapshot is.

    Attributes:
        files: Files read so far.
        written: Bytes written to the bucket so far.
    """

    files: int = 0
    written: int = 0


@dataclass
class Taker:
    """Takes snapshots of one home; knows what it has seen.

    Attributes:
        home: The home folder.
        bucket: Where to.
        studio: Whose snapshots they are.
        boot: Id of this process.
    """

    home: Path
    bucket: Bucket
    studio: str
    boot: str
    on_progress: Callable[[Progress], None] = lambda progress: None
    last: Manifest | None = None
    _seen: dict[str, tuple[tuple[int, ...], KeptFile]] = field(default_factory=dict)
    _progress: Progress = field(default_factory=Progress)

    def take(self, before_manifest: Callable[[], None] = lambda: None) -> Manifest:
        """Take a snapshot; where nothing changed since the last one, that one is returned.

        Args:
            before_manifest: Called when all is written but the manifest; what it raises ends the snapshot.

        Raises:
            NotWritten: The bucket takes nothing.
            OSError: The home cannot be read.
            sqlite3.Error: A database cannot be read.
        """
        self._progress = Progress()
        files: list[KeptFile] = []
        left_out: list[str] = []
        at = time.time()
        with tempfile.TemporaryDirectory(prefix="align-studio-snapshot-") as scratch:
            for path in contents(self.home):
                kept = self._kept(path, Path(scratch))
                if kept is None:
                    if path.is_symlink() or path.exists():  # else it was removed meanwhile
                        left_out.append(path.relative_to(self.home).as_posix())
                    continue
                files.append(kept)
                self._tell(self._progress.files + 1, self._progress.written)
        if self.last is not None and (tuple(files), tuple(left_out)) == (self.last.files, self.last.left_out):
            return self.last
        before_manifest()
        manifest = Manifest(
            number=max(self.bucket.numbers(), default=0) + 1,
            at=at,
            studio=self.studio,
            boot=self.boot,
            files=tuple(files),
            left_out=tuple(left_out),
        )
        self.bucket.publish(manifest)
        self.last = manifest
        return manifest

    def _kept(self, path: Path, scratch: Path) -> KeptFile | None:
        """Return a file as the snapshot has it, None for what is no file or is gone."""
        name = path.relative_to(self.home).as_posix()
        try:
            known = path.lstat()
            if not stat.S_ISREG(known.st_mode):
                return None
            state, begun = state_of(path, self.home), time.time_ns()
            if self._unchanged(name, state):
                return self._seen[name][1]
            database = is_database(path, self.home)
            pieces = self._database(path, scratch) if database else self._pieces(path)
        except (FileNotFoundError, PermissionError):
            return None
        modified = 0 if database else known.st_mtime_ns  # a database's goes on without a change
        kept = KeptFile(path=name, mode=known.st_mode & 0o777, modified=modified, pieces=tuple(pieces))
        if state == state_of(path, self.home) and begun - max(state[2::4], default=0) > _RACY_NS:
            self._seen[name] = state, kept
        else:
            self._seen.pop(name, None)
        return kept

    def _unchanged(self, name: str, state: tuple[int, ...]) -> bool:
        seen = self._seen.get(name)
        return seen is not None and seen[0] == state and all(map(self.bucket.sound, seen[1].pieces))

    def _database(self, path: Path, scratch: Path) -> list[Piece]:
        copy = scratch / "copy.db"
        copy.unlink(missing_ok=True)
        copy_database(path, copy)
        pieces = self._pieces(copy)
        copy.unlink()
        return pieces

    def _pieces(self, path: Path) -> list[Piece]:
        pieces = []
        with path.open("rb") as file:
            while content := file.read(PIECE):
                piece, new = self.bucket.put(content)
                pieces.append(piece)
                if new:
                    self._tell(self._progress.files, self._progress.written + piece.size)
        return pieces

    def _tell(self, files: int, written: int) -> None:
        self._progress = Progress(files, written)
        with contextlib.suppress(Exception):  # whoever watches must not end it
            self.on_progress(self._progress)
