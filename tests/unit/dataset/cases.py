"""Small files of every kind that was once read wrongly or not at all, made here; see `test_cases`."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Row = dict[str, Any]
ASKED = ("Which lake is the deepest?", "What melts at zero?", "Who bakes bread?")
GOOD = ("Baikal.", "Ice does.", "A baker.")
BAD = ("Lakes are wet.", "Stone.", "A tailor.")


def each(make: Callable[[str, str, str], Row]) -> list[Row]:
    """Return three rows."""
    return [make(*three) for three in zip(ASKED, GOOD, BAD, strict=True)]


def turn(role: str, content: Any, **more: Any) -> Row:
    """Return a turn."""
    return {"role": role, "content": content, **more}


def plain() -> list[Row]:
    """Return three rows of prompt, chosen and rejected."""
    return each(lambda q, a, b: {"prompt": q, "chosen": a, "rejected": b})


def whole(q: str, a: str, b: str) -> Row:
    """Return a row of two whole conversations."""
    return {
        "chosen": [turn("user", q), turn("assistant", a)],
        "rejected": [turn("user", q), turn("assistant", b)],
    }


def lines(rows: list[Row]) -> bytes:
    """Return rows as JSON Lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def write(path: Path, content: bytes | str | list[Row]) -> Path:
    """Write a file: bytes, text, or rows as JSON Lines."""
    if isinstance(content, list):
        content = lines(content)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def table(separator: str = ",", end: str = "\n", tail: str = "") -> str:
    """Return the three rows as a table of text."""
    rows = [("prompt", "chosen", "rejected"), *zip(ASKED, GOOD, BAD, strict=True)]
    return "".join(separator.join(row) + tail + end for row in rows)


def parquet(path: Path, data: pa.Table) -> Path:
    """Write a parquet file."""
    pq.write_table(data, path)
    return path


def arrow(path: Path, *, stream: bool) -> Path:
    """Write an Arrow file or a stream."""
    data = pa.Table.from_pylist(plain())
    opened = pa.ipc.new_stream if stream else pa.ipc.new_file
    with pa.OSFile(str(path), "wb") as file, opened(file, data.schema) as writer:
        writer.write_table(data)
    return path


def packed(path: Path, how: str) -> Path:
    """Write the three rows compressed."""
    raw = lines(plain())
    if how == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("README.md", "about")
            archive.writestr("data/train.jsonl.gz", gzip.compress(raw))
    elif how in ("zstd", "lz4"):
        with pa.CompressedOutputStream(pa.OSFile(str(path), "wb"), how) as file:
            file.write(raw)
    else:
        path.write_bytes({"gz": gzip, "bz2": bz2, "xz": lzma}[how].compress(raw))
    return path
