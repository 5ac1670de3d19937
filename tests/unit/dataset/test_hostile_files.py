"""Files that say far more than they are: each is refused with words, or read, in bounded memory and time.

One class is one test; each is loaded by a process of its own, whose highest memory is looked at.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).resolve().parents[3]
LIMIT = 300  # MiB that a load may take here; 1,700 by default
BIG = "x" * (10 << 20)  # a cell of 10 MB
GOOD = json.dumps({"prompt": "q", "chosen": "a", "rejected": "b"}) + "\n"

LOADER = """
import json, os, resource, sys
from pathlib import Path
from pipeline.base.errors import StudioError
from pipeline.dataset import reading, sources

def load(path):
    try:
        with sources.bounded(Path(path).name):
            loaded = reading.load_rows(sources.local_file(path).rows)
        return {"pairs": len(loaded.pairs), "bad": len(loaded.bad_rows)}
    except StudioError as error:
        reason = error.message.values.get("reason")
        return {"code": reason.code if reason else error.message.code, "next": error.message.next}

for path in sys.argv[1:]:
    child = os.fork()  # a process for each, as each run has one
    if not child:
        print(json.dumps(load(path)), flush=True)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0, f"{path}: ended with {status}"
print(json.dumps({"mib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10}))
"""


def gz(path: Path, piece: bytes, size: int) -> None:
    with gzip.open(path, "wb", compresslevel=1) as file:
        block = piece * max(1, (1 << 20) // len(piece))
        for _ in range(size // len(block)):
            file.write(block)


def zipped(path: Path, head: bytes, piece: bytes, times: int) -> None:
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("a.csv", "w") as file,
    ):
        file.write(head)
        for _ in range(times):
            file.write(piece)


def table(value: str, rows: int) -> pa.Table:
    """A table of one value said once: some bytes of parquet, `rows` times the value in memory."""
    said = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([value]))
    short = pa.array(["q"] * rows)
    return pa.table({"prompt": short, "chosen": said, "rejected": short})


def arrow(path: Path) -> None:
    rows = pa.table({"prompt": ["q"] * 60, "chosen": [BIG] * 60, "rejected": ["r"] * 60})
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, rows.schema, options=options) as writer:
        writer.write_table(rows)


Make = Callable[[Path], object]
# name of the class → file name, how it is made, what is said: a code, or pairs and rows that are none
CASES: dict[str, tuple[str, Make, object]] = {
    "a gigabyte of zeros in a megabyte": (
        "zeros.jsonl.gz",
        lambda path: gz(path, b"\0" * 1024, 1100 << 20),
        "load.packed_large",
    ),
    "rows that unpack to more than the memory": (
        "rows.jsonl.gz",
        lambda path: gz(path, GOOD.encode() * 50, 400 << 20),
        "load.memory",
    ),
    "one line of JSON without end": ("line.json.gz", lambda path: gz(path, b"[1,", 300 << 20), "load.memory"),
    "quotes that are never closed, zipped": (
        "quotes.zip",
        lambda path: zipped(path, b'prompt,chosen,rejected\n"', b"a" * (1 << 20), 400),
        "load.memory",
    ),
    "parquet: one value two thousand times": (
        "cells.parquet",
        lambda path: pq.write_table(table(BIG, 2000), path, compression="zstd"),
        "load.memory",
    ),
    "parquet: ten million rows of one value": (
        "rows.parquet",
        lambda path: pq.write_table(table("same answer", 10_000_000), path, compression="zstd"),
        "load.memory",
    ),
    "Arrow, compressed": ("cells.arrow", arrow, "load.memory"),
    "more columns than anybody names": (
        "wide.csv",
        lambda path: path.write_text(
            ",".join(["prompt", "chosen", "rejected", *(f"c{n}" for n in range(50_000))]) + "\nq,a,b" + ",1" * 50_000
        ),
        "load.too_wide",
    ),
    "a JSON object with as many keys": (
        "wide.jsonl",
        lambda path: path.write_text(json.dumps({f"c{n}": "x" for n in range(50_000)}) + "\n" + GOOD),
        "load.too_wide",
    ),
    "JSON a million deep": (
        "deep.json",
        lambda path: path.write_text("[" * 1_000_000 + "]" * 1_000_000),
        "load.json_unreadable",
    ),
    "one row that is deep among good ones": (
        "deep.jsonl",
        lambda path: path.write_text(
            '{"prompt":"q","chosen":' + "[" * 100_000 + "]" * 100_000 + ',"rejected":"b"}\n' + GOOD
        ),
        {"pairs": 1, "bad": 1},
    ),
    "a number of a million digits": (
        "digits.jsonl",
        lambda path: path.write_text('{"prompt":' + "9" * 1_000_000 + ',"chosen":"a","rejected":"b"}\n' + GOOD),
        {"pairs": 1, "bad": 1},
    ),
    "cells of 10 MB": (
        "cells.jsonl",
        lambda path: path.write_text(json.dumps({"prompt": "q", "chosen": BIG, "rejected": BIG + "b"}) + "\n" + GOOD),
        {"pairs": 2, "bad": 0},
    ),
    "a pickle by a harmless name": (
        "rows.jsonl",
        lambda path: path.write_bytes(b"\x80\x04cposix\nsystem\n(S'true'\ntR."),
        "load.is.pickle",
    ),
}


@pytest.fixture(scope="module")
def said() -> Iterator[dict[str, object]]:
    """What a process that loads all of them says of each; `mib`: its highest memory."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, make, _ in CASES.values():
            make(folder / file)
        paths = [str(folder / file) for file, _, _ in CASES.values()]
        environment = os.environ | {"ALIGN_STUDIO_LOAD_MEGABYTES": str(LIMIT), "TMPDIR": name}
        done = subprocess.run(
            [sys.executable, "-c", LOADER, *paths],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        left = [path for path in folder.iterdir() if str(path) not in paths]
        yield {**dict(zip(CASES, lines, strict=False)), "mib": lines[-1]["mib"], "left": left}


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_with_words_or_read(said: dict[str, dict[str, object]], name: str) -> None:
    expected = CASES[name][2]
    if isinstance(expected, str):
        assert said[name]["code"] == expected
        assert said[name]["next"], "what to do is not said"
    else:
        assert said[name] == expected


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux limits a process's memory")
def test_the_processes_that_loaded_them_stayed_small_and_cleared_up(said: dict[str, int]) -> None:
    assert said["mib"] < LIMIT + 250
    assert said["left"] == []
