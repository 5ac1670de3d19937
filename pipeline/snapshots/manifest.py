"""What a snapshot says of itself: its files, the pieces they are made of, and who made it."""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath
from typing import Literal

from pydantic import BaseModel, Field, ValidationError, field_validator

_DIGEST = r"^[0-9a-f]{64}$"


class Piece(BaseModel):
    """A part of a file, an object of its own in the bucket."""

    sha256: str = Field(pattern=_DIGEST)
    size: int = Field(ge=0, description="Bytes.")
    name: str = Field(
        pattern=r"^[0-9a-f]{2}/[0-9a-f]{64}(\.[0-9a-f]{1,16})?$", description="The object's, in its folder."
    )


class KeptFile(BaseModel):
    """A file of the home."""

    path: str = Field(description="In the home, with slashes.")
    mode: int = Field(ge=0, le=0o777)
    modified: int = Field(description="Nanoseconds since 1970.")
    pieces: tuple[Piece, ...]

    @field_validator("path")
    @classmethod
    def _within(cls, path: str) -> str:
        """Refuse a path that leads out of the home: a bucket may have been written by somebody else."""
        pure = PurePosixPath(path)
        if not path or pure.is_absolute() or ".." in pure.parts or "\\" in path or "\0" in path:
            raise ValueError(f"{path!r} is no path in the home.")
        return str(pure)

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(piece.size for piece in self.pieces)


class Manifest(BaseModel):
    """One snapshot, written when everything it names is."""

    format: Literal[1] = 1
    number: int = Field(ge=1, description="Goes up by one.")
    at: float = Field(description="When it was taken, Unix seconds.")
    studio: str = Field(description="Whose it is, see `writers`.")
    boot: str = Field(description="Which process of it.")
    files: tuple[KeptFile, ...]
    left_out: tuple[str, ...] = Field((), description="What is neither file nor folder, or could not be read.")

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def written(self) -> bytes:
        """Return it as it is written: one line of JSON, and a line with its SHA-256, without which it is not whole."""
        line = self.model_dump_json().encode()
        return line + b"\n" + hashlib.sha256(line).hexdigest().encode() + b"\n"

    @classmethod
    def read(cls, written: bytes) -> Manifest | None:
        """Return a manifest as it was written, None for one that is half written or damaged."""
        line, _, rest = written.partition(b"\n")
        if rest.strip() != hashlib.sha256(line).hexdigest().encode():
            return None
        try:
            return cls.model_validate_json(line)
        except ValidationError:
            return None
