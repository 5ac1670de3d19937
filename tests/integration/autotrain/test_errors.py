from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.message import Message
from tests.integration.autotrain.conftest import WORKER, Bench, Result


@pytest.mark.parametrize(
    ("name", "changes", "kind", "said", "advice"),
    [
        ("nll", {"nll": "prompt"}, "parameter_type", "nll", ""),
        ("no-folder", {"base_model": "/nowhere/model"}, "no_folder", "/nowhere/model", "Hub id"),
        ("bad_name", {}, "bad_name", "bad_name", "hyphens"),
        ("no-data", {"data_dir": "/nowhere/data"}, "no_data", "train.jsonl", "Export"),
        ("no-room", {"max_prompt_length": 512}, "no_room_for_answer", "no room", "block size"),
        ("untyped", {"seed": "7"}, "parameter_type", "seed", ""),
        ("int4", {"mixed_precision": "int4"}, "precision_unknown", "int4", ""),
    ],
)
def test_what_cannot_train_is_refused_before_anything_loads(
    name: str, changes: dict[str, Any], kind: str, said: str, advice: str, bench: Bench
) -> None:
    run = bench.run(bench.spec(name, **changes))
    error = run.one("error")
    assert run.code == 1 and run.events[-1] == error
    words = Message.from_dict(error)
    assert error["code"] == f"engines.{kind}" and said in words.said() and advice in words.next
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
    assert run.code == 1 and error["code"] == "engines.no_pair"
    assert (error["values"]["line"], error["values"]["file"]) == (5, "train.jsonl") and said in error["values"][
        "detail"
    ]


def test_an_existing_model_is_not_overwritten(bench: Bench) -> None:
    kept = bench.folder / "out" / "taken" / "model.safetensors"
    kept.parent.mkdir()
    kept.write_text("a model")
    run = bench.run(bench.spec("taken"))
    assert run.code == 1 and run.one("error")["code"] == "engines.folder_exists" and kept.read_text() == "a model"


@pytest.mark.parametrize(
    ("name", "kind", "said", "advice"),
    [
        ("diverges", "gradient_not_finite", "step", "learning rate"),
        ("too-long", "beyond_context", "1024", "Set the block size to 1024"),
        ("tiny-answers", "no_room_for_text", "chat template", "Raise"),
        ("missing", "model_not_found", "nobody/nothing", "model's id"),
        ("gated", "gated_model", "gated", "licence"),
        ("unreachable", "no_network", "unreachable/model", "network"),
    ],
)
def test_failures_say_what_to_do(name: str, kind: str, said: str, advice: str, failing: dict[str, Result]) -> None:
    run = failing[name]
    error = run.one("error")
    assert run.code == 1 and run.events[-1] == error and run.all("done") == []
    words = Message.from_dict(error)
    assert error["code"] == f"engines.{kind}" and said in words.said() and advice in words.next


def test_out_of_memory_and_a_full_disk_are_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(WORKER.parents[1]))
    monkeypatch.syspath_prepend(str(WORKER.parent))
    problems = importlib.import_module("problems")
    cpu = RuntimeError("[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory: 8 bytes")
    assert problems.explain(cpu)["code"] == problems.explain(MemoryError())["code"] == "engines.out_of_memory"
    wrapped = ValueError("while saving")
    wrapped.__cause__ = OSError(28, os.strerror(28))
    assert problems.explain(wrapped)["code"] == "engines.disk_full"
    assert problems.explain(ValueError("something else")) == {
        "type": "ValueError",
        "code": "engines.failed",
        "values": {"detail": "ValueError: something else"},
    }


def test_a_parameter_that_autotrain_does_not_know_is_named(failing: dict[str, Result]) -> None:
    error = failing["misspelt"].one("error")
    assert (error["code"], error["values"]) == ("engines.parameter_unknown", {"name": "learning_rates"})


def test_events_on_stdout_are_prefixed_lines(bench: Bench) -> None:
    spec = bench.spec("stdout", seed="7", events="-")
    assert bench.start(spec).wait(timeout=60) == 1
    lines = [line for line in bench.log("stdout").splitlines() if line.startswith("@@EVT ")]
    events = [json.loads(line.removeprefix("@@EVT ")) for line in lines]
    assert [event["event"] for event in events] == ["started", "error"]
