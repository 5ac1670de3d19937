"""Contents, kept by their SHA-256 in one folder."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from uuid import uuid4


class Storage:
    """A folder of contents named by their SHA-256.

    Args:
        folder: Where; made if missing.

    Attributes:
        xet: The Xet hash of each content that came through Xet.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.xet: dict[str, str] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def put(self, content: bytes | Path) -> str:
        """Keep a content, given as bytes or as a file that is copied; return its SHA-256."""
        if isinstance(content, Path):
            with content.open("rb") as stream:
                name = hashlib.file_digest(stream, "sha256").hexdigest()
            if not self.path(name).exists():
                shutil.copyfile(content, self.path(name))
            return name
        name = hashlib.sha256(content).hexdigest()
        if not self.path(name).exists():
            part = self.path(f"{name}.{uuid4().hex}")  # a reader never sees half a content
            part.write_bytes(content)
            part.rename(self.path(name))
        return name

    def path(self, name: str) -> Path:
        return self._folder / name

    def has(self, name: str) -> bool:
        return self.path(name).is_file()

    def read(self, name: str) -> bytes:
        return self.path(name).read_bytes()

    def size(self, name: str) -> int:
        return self.path(name).stat().st_size
