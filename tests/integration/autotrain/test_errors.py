from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.integration.autotrain.conftest import WORKER, Bench, Result

Runs = tuple[dict[str, Result], dict[str, dict[str, Any]]]


@pytest.mark.parametrize(
    ("name", "changes", "kind", "said", "advice"),
    [
        ("few", {"pairs": 7, "gradient_accumulation": 4}, "TooFewPairs", "2 x 4 = 8", "batch size"),
        ("no-folder", {"base_model": "/nowhere/model"}, "ModelNotFound", "/nowhere/model", "Hub id"),
        ("bad_name", {}, "BadName", "bad_name", "hyphens"),
        ("no-data", {"data_dir": "/nowhere/data"}, "NoData", "train.jsonl", "Export"),
        ("no-room", {"max_prompt_length": 512}, "BadLengths", "no room", "block size"),
        ("misspelt", {"learning_rates": 1}, "BadSpec", "learning_rates", ""),
        ("int4", {"mixed_precision": "int4"}, "BadSpec", "int4", ""),
    ],
)
def test_what_cannot_train_is_refused_before_anything_loads(
    name: str, changes: dict[str, Any], kind: str, said: str, advice: str, bench: Bench
) -> None:
    run = bench.run(bench.spec(name, **changes))
    error = run.one("error")
    assert run.code == 1 and run.events[-1] == error
    assert error["type"] == kind and said in error["message"] and advice in error["next"]
    assert "Traceback" in error["traceback"]
    assert [event["event"] for event in run.events] == ["started", "error"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"prompt": []}', "at least one turn"),
        ('{"prompt": "text", "chosen": [], "rejected": []}', "chat list"),
        ('{"prompt": [{"role": "user"}]}', "content"),
        ('{"prompt": [{"role": "user", "content": null}]}', "must be text"),
        ("not json", "Expecting value"),
    ],
)
def test_a_bad_row_is_named(line: str, said: str, bench: Bench, tmp_path: Path) -> None:
    good = (bench.data(4) / "train.jsonl").read_text()
    (tmp_path / "train.jsonl").write_text(good + line + "\n")
    run = bench.run(bench.spec(f"row{abs(hash(line))}", data_dir=str(tmp_path)))
    error = run.one("error")
    assert run.code == 1 and error["type"] == "BadData"
    assert "Line 5" in error["message"] and said in error["message"]


def test_an_existing_model_is_not_overwritten(bench: Bench) -> None:
    kept = bench.folder / "out" / "taken" / "model.safetensors"
    kept.parent.mkdir()
    kept.write_text("a model")
    run = bench.run(bench.spec("taken"))
    assert run.code == 1 and run.one("error")["type"] == "FolderExists" and kept.read_text() == "a model"


@pytest.mark.parametrize(
    ("name", "kind", "said", "advice"),
    [
        ("diverges", "NotFinite", "step", "learning rate"),
        ("too-long", "TooLong", "1024", "Set the block size to 1024"),
        ("tiny-answers", "BadLengths", "chat template", "Raise"),
        ("missing", "ModelNotFound", "nobody/nothing", "model's id"),
        ("gated", "GatedModel", "gated", "licence"),
        ("unreachable", "NoNetwork", "unreachable/model", "network"),
    ],
)
def test_failures_say_what_to_do(name: str, kind: str, said: str, advice: str, runs: Runs) -> None:
    run = runs[0][name]
    error = run.one("error")
    assert run.code == 1 and run.events[-1] == error and run.all("done") == []
    assert error["type"] == kind and said in error["message"] and advice in error["next"]


def test_out_of_memory_and_a_full_disk_are_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(WORKER.parent))
    problems = importlib.import_module("problems")
    cpu = RuntimeError("[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory: 8 bytes")
    assert problems.explain(cpu)["type"] == problems.explain(MemoryError())["type"] == "OutOfMemory"
    wrapped = ValueError("while saving")
    wrapped.__cause__ = OSError(28, os.strerror(28))
    assert problems.explain(wrapped)["type"] == "DiskFull"
    assert problems.explain(ValueError("something else")) == {
        "type": "ValueError",
        "message": "ValueError: something else",
        "next": "",
    }


def test_events_on_stdout_are_prefixed_lines(bench: Bench) -> None:
    spec = bench.spec("stdout", pairs=7, gradient_accumulation=4, events="-")
    assert bench.start(spec).wait(timeout=60) == 1
    lines = [line for line in bench.log("stdout").splitlines() if line.startswith("@@EVT ")]
    events = [json.loads(line.removeprefix("@@EVT ")) for line in lines]
    assert [event["event"] for event in events] == ["started", "error"]
