"""Files in files: compressed ones and archives with one data file, and what is no data at all, told by its content."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.dataset.rows import unreadable

HEAD = 1 << 16  # bytes that tell what a file is
MOST_BYTES = 16 << 30  # of one file once it is unpacked
BOMB_BYTES, BOMB_RATIO = 1 << 30, 100  # more than so many, from less than a hundredth: no texts of people compress so
_PIECE = 1 << 20
_DEPTH = 3  # a.jsonl.gz in a zip is two
_DATA = (".parquet", ".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".arrow", ".feather", ".txt")
_PACKED = (".gz", ".bz2", ".xz", ".zst", ".lz4")
_BESIDE = re.compile(r"(^|/)(__MACOSX/|\.|readme|license|dataset_info\.json|state\.json)", re.IGNORECASE)

_FOREIGN: dict[bytes, str] = {
    b"version https://git-lfs.github.com/spec/": "load.is.lfs",
    b"# xet version": "load.is.lfs",
    b"%PDF": "load.is.pdf",
    b"SQLite format 3\0": "load.is.sqlite",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "load.is.spreadsheet",
    b"7z\xbc\xaf\x27\x1c": "load.is.archive",
    b"Rar!": "load.is.archive",
    b"\x89HDF": "load.is.hdf5",
    b"\x93NUMPY": "load.is.numpy",
    b"ORC": "load.is.orc",
    b"Obj\x01": "load.is.avro",
    b"FEA1": "load.is.feather",
    **{b"\x80" + bytes([protocol]): "load.is.pickle" for protocol in (2, 3, 4, 5)},
}
_PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.I | re.DOTALL)
_XML = re.compile(rb"(?:\xef\xbb\xbf)?\s*<\?xml\b", re.I)


def _zstandard(path: Path) -> Any:
    return pa.CompressedInputStream(pa.OSFile(str(path), "rb"), "zstd")


def _lz4(path: Path) -> Any:
    return pa.CompressedInputStream(pa.OSFile(str(path), "rb"), "lz4")


_OPENERS: dict[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.GzipFile,
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
    b"\x28\xb5\x2f\xfd": _zstandard,
    b"\x04\x22\x4d\x18": _lz4,
}
_BROKEN = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, pa.ArrowException, zipfile.BadZipFile)


@contextlib.contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Give the data file in a file: itself, or what it holds compressed, in a folder that is gone afterwards.

    Args:
        path: Any file.

    Raises:
        StudioError: It is no data, holds none or several data files, is damaged, or too large once unpacked.
    """
    with contextlib.ExitStack() as stack:
        inner = path
        for _ in range(_DEPTH):
            head = start_of(inner)
            refuse_foreign(path, head)
            fresh = None
            if head.startswith(b"PK\x03\x04") or head.startswith(b"PK\x05\x06"):
                fresh = _from_archive(inner, _folder(stack))
            else:
                opener = next((open_ for magic, open_ in _OPENERS.items() if head.startswith(magic)), None)
                if opener is not None:
                    name = inner.stem if inner.suffix.lower() in _PACKED else inner.name
                    fresh = _folder(stack) / name
                    _copy(inner, opener, fresh)
            if fresh is None:
                break
            inner = fresh
        yield inner


def start_of(path: Path) -> bytes:
    """Return the first bytes of a file.

    Raises:
        StudioError: It cannot be opened.
    """
    try:
        with path.open("rb") as file:
            return file.read(HEAD)
    except OSError as error:
        raise unreadable(path, "load.not_opened", detail=error.strerror or str(error)) from error


def refuse_foreign(path: Path, head: bytes) -> None:
    """Say what a file is, where it is known and holds no rows.

    Raises:
        StudioError: It is such a file.
    """
    code = next((code for magic, code in _FOREIGN.items() if head.startswith(magic)), "")
    if not code and head[257:262] == b"ustar":
        code = "load.is.archive"
    if not code and _PAGE.match(head):
        code = "load.is.web_page"
    if not code and _XML.match(head):
        code = "load.is.xml"
    if code:
        raise unreadable(path, code)


def _folder(stack: contextlib.ExitStack) -> Path:
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="align-studio-unpacked-")))


def _from_archive(path: Path, folder: Path) -> Path:
    """Unpack the one data file of a zip archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [info.filename for info in archive.infolist() if not info.is_dir()]
            if "[Content_Types].xml" in names or "mimetype" in names:
                raise unreadable(path, "load.is.spreadsheet")
            data = [name for name in names if not _BESIDE.search(name) and _is_data(name)]
            data = data or [name for name in names if not _BESIDE.search(name)]
            if len(data) != 1:
                raise unreadable(path, "load.archive.files", count=len(data), names=data[:5] or names[:5])
            fresh = folder / (Path(data[0].replace("\\", "/")).name or "data")
            _copy(path, lambda _: archive.open(data[0]), fresh)
            return fresh
    except RuntimeError as error:  # zipfile raises it for a password; NotImplementedError for a method it lacks
        raise unreadable(path, "load.archive.locked", detail=str(error)[:200]) from error
    except _BROKEN as error:
        raise unreadable(path, "load.packed_damaged") from error


def _is_data(name: str) -> bool:
    low = name.lower()
    for suffix in _PACKED:
        low = low.removesuffix(suffix)
    return low.endswith(_DATA)


def _copy(path: Path, open_: Callable[[Path], Any], fresh: Path) -> None:
    """Write what a compressed file holds to a new file."""
    size, packed_size = 0, path.stat().st_size
    try:
        with open_(path) as source, fresh.open("wb") as target:
            while piece := source.read(_PIECE):
                size += len(piece)
                bomb = size > BOMB_BYTES and size > BOMB_RATIO * packed_size
                if bomb or size > MOST_BYTES or shutil.disk_usage(fresh.parent).free < 4 * _PIECE:
                    raise unreadable(path, "load.packed_large", size=size >> 30)
                target.write(piece)
    except _BROKEN as error:
        raise unreadable(path, "load.packed_damaged") from error
