"""An export is read alike by the studio's datasets 5 and by the datasets 3.2 that AutoTrain pins."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.pair import Message, Pair, as_dicts
from pipeline.export.options import ExportOptions, Provenance
from pipeline.export.writing import write
from pipeline.review.settle import Settled

READ = """
import json, sys
import datasets

folder, cache = sys.argv[1], sys.argv[2]
splits = ("train", "test")
read = {
    "folder": datasets.load_dataset(folder, cache_dir=cache),
    "parquet": datasets.load_dataset(
        "parquet", data_files={split: f"{folder}/data/{split}-*.parquet" for split in splits}, cache_dir=cache
    ),
    "json": datasets.load_dataset(
        "json", data_files={split: f"{folder}/{split}.jsonl" for split in splits}, cache_dir=cache
    ),
}
rows = {form: {split: list(read[form][split]) for split in read[form]} for form in read}
print("@@" + json.dumps({"version": datasets.__version__, "rows": rows}))
"""


@pytest.fixture(
    params=[pytest.param(True, id="all rated", marks=pytest.mark.matrix), pytest.param(False, id="test split rated")]
)
def export(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, dict[str, dict[str, Any]]]:
    """Return an export and the rows expected of it by id.

    Where only the test split is rated, a relevance column in train.jsonl would be null throughout.
    """
    texts = ["plain", "数据，第二", "line\nbreak\u2028and separator", 'quote " and \\ backslash', "emoji 🦜", ""]
    pairs = [
        Pair(
            f"{index:016x}",
            (Message("user", f"Question {index}?"), Message("assistant", "Which one?"), Message("user", text)),
            (Message("assistant", f"yes {text}"),),
            (Message("assistant", f"no {text}"), Message("user", "Go on."), Message("assistant", "No.")),
            "made up" if index % 2 else "",
        )
        for index, text in enumerate(texts * 500)
    ]
    settled = {each.record_id: Settled(each.record_id, 2, 3.5, "chosen") for each in pairs}
    provenance = Provenance(
        dataset="made up", kind="file", recipe={}, settle_policy={}, annotators=1, created="today", studio_version="0"
    )
    write(pairs, settled, ExportOptions(name="x"), tmp_path / "x", provenance)
    if not request.param:
        test = [json.loads(line) for line in (tmp_path / "x" / "test.jsonl").read_bytes().splitlines()]
        settled = {row["record_id"]: settled[row["record_id"]] for row in test}
        shutil.rmtree(tmp_path / "x")
        write(pairs, settled, ExportOptions(name="x"), tmp_path / "x", provenance)
    expected = {
        each.record_id: {
            "record_id": each.record_id,
            "prompt": as_dicts(each.prompt),
            "chosen": as_dicts(each.chosen),
            "rejected": as_dicts(each.rejected),
            "source": each.source,
            "swapped": False,
            "relevance": 3.5 if each.record_id in settled else None,
            "answers": 2 if each.record_id in settled else 0,
        }
        for each in pairs
    }
    return tmp_path / "x", expected


def read_with(python: Path | str, folder: Path, scratch: Path) -> dict[str, Any]:
    """Read an export in every form with the datasets of another Python, offline and with a cache of its own."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment |= {"HF_HOME": str(scratch / "hf"), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    done = subprocess.run(
        [str(python), "-c", READ, str(folder), str(scratch / "cache")],
        capture_output=True,
        text=True,
        env=environment,
        cwd=folder.parent,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.split("@@", 1)[1])


def check(read: dict[str, Any], expected: dict[str, dict[str, Any]]) -> None:
    """Check that every form holds the expected rows, each in one split, the same in all forms."""
    every_rated = all(row["relevance"] is not None for row in expected.values())
    assert set(read["rows"]) == {"folder", "parquet", "json"}
    for form, splits in read["rows"].items():
        assert set(splits) == {"train", "test"}, form
        assert len(splits["test"]) == len(expected) // 10, form
        rows = splits["train"] + splits["test"]
        assert len(rows) == len(expected), form
        dropped = "relevance" if form == "json" and not every_rated else None
        for row in rows:
            assert row == {key: value for key, value in expected[row["record_id"]].items() if key != dropped}, form
        assert [row["record_id"] for row in rows] == [
            row["record_id"] for split in ("train", "test") for row in read["rows"]["folder"][split]
        ], form


def test_the_studios_datasets_reads_every_form(export: tuple[Path, dict[str, dict[str, Any]]], tmp_path: Path) -> None:
    folder, expected = export
    read = read_with(sys.executable, folder, tmp_path)
    assert read["version"].startswith("5.")
    check(read, expected)


def test_autotrains_datasets_reads_the_same(
    export: tuple[Path, dict[str, dict[str, Any]]], tmp_path: Path, autotrain_python: Path
) -> None:
    folder, expected = export
    read = read_with(autotrain_python, folder, tmp_path)
    assert read["version"].startswith("3.2.")
    check(read, expected)
