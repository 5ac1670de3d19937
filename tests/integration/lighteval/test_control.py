"""Errors before anything is loaded, stopping, answers side by side, and the command line's own scores."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from pipeline.base.message import Message
from pipeline.engines.task_data import read as read_data
from pipeline.runs.events import read
from tests.integration.lighteval.conftest import Run, pairs_task, reviewed, spec_of, truthful, write_jsonl
from tests.tiny_model import CHATML

GENERATE = """
import json, sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
texts = []
for path in sys.argv[2:]:
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    coded = tokenizer.apply_chat_template(
        json.loads(sys.argv[1]), add_generation_prompt=True, return_tensors="pt", return_dict=True)
    output = model.generate(**coded, max_new_tokens=24, do_sample=False)[0, coded["input_ids"].shape[1]:]
    texts.append([tokenizer.decode(output, skip_special_tokens=True), len(output)])
print(json.dumps(texts))
"""

# The command line dies offline while importing its tasks (a pickle's download), and without network at once.
COMMAND = """
import sys, types, requests
get = requests.get
requests.get = lambda url, *a, **k: types.SimpleNamespace(status_code=404) if "tinyBench" in url else get(url, *a, **k)
from lighteval.__main__ import app
sys.argv[0] = "lighteval"
app()
"""


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_jsonl(tmp_path_factory.mktemp("questions") / "truthful.jsonl", truthful(6))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_jsonl(tmp_path_factory.mktemp("pairs") / "test.jsonl", reviewed(400))


@pytest.fixture(scope="module")
def finished(
    run_all: Any,
    models: dict[str, Path],
    questions: Path,
    pairs: Path,
    ask: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Run]:
    """Runs that need the engine's imports, by name."""
    refuses = "{{ raise_exception('no such roles') }}"
    unknown = [{"name": "truthfulqa:mc", "data": str(questions)}, {"name": "truthfulqa:nonsense", "data": None}]
    twice = {"first": models["base"], "second": models["base"]}
    specs = {
        "unknown": spec_of(models, unknown),
        "refused": spec_of(models, [pairs_task(pairs, refuses)]),
        "greedy": spec_of(models, []) | ask,
        "sampled": spec_of(twice, []) | ask | {"temperature": 1.5, "chat_template": CHATML},
        "stopped": spec_of(models, []) | ask,
    }
    root = tmp_path_factory.mktemp("finished")
    (root / "stopped").mkdir()
    (root / "stopped" / "stop").touch()
    return dict(zip(specs, run_all({root / name: spec for name, spec in specs.items()}), strict=True))


def _error(run: Any, spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    return _end(run(spec, folder))


def _end(finished: Run) -> dict[str, Any]:
    assert finished.code == 1
    end = finished.events[-1]
    assert end["event"] == "error" and end["traceback"]
    assert not any(event["event"] == "result" for event in finished.events)
    return end


def test_unknown_task(finished: dict[str, Run]) -> None:
    end = _end(finished["unknown"])
    assert (end["code"], end["values"]) == ("engines.task_unknown", {"names": ["truthfulqa:nonsense"]})


def test_missing_model(run: Any, models: dict[str, Path], pairs: Path, tmp_path: Path) -> None:
    spec = spec_of(models | {"tuned": tmp_path / "gone"}, [pairs_task(pairs)])
    end = _error(run, spec, tmp_path / "run")
    assert end["code"] == "engines.model_missing" and "gone" in end["values"]["folder"]


def test_adapter_folder(run: Any, models: dict[str, Path], pairs: Path, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}", "utf-8")
    end = _error(run, spec_of(models | {"tuned": adapter}, [pairs_task(pairs)]), tmp_path / "run")
    assert end["code"] == "engines.adapter_folder" and "merged" in Message.from_dict(end).next


def test_missing_columns_are_named(run: Any, models: dict[str, Path], tmp_path: Path) -> None:
    rows = [{name: row[name] for name in ("question", "mc1_targets")} for row in truthful(2)]
    file = write_jsonl(tmp_path / "short.jsonl", rows)
    end = _error(run, spec_of(models, [{"name": "truthfulqa:mc", "data": str(file)}]), tmp_path / "run")
    assert end["code"] == "engines.data_columns" and "lacks the columns mc2_targets" in Message.from_dict(end).what


def test_malformed_pair_is_named(run: Any, models: dict[str, Path], tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = reviewed(3)
    rows[1]["chosen"] = "only a string"
    file = write_jsonl(tmp_path / "test.jsonl", rows)
    end = _error(run, spec_of(models, [pairs_task(file)]), tmp_path / "run")
    assert end["code"] == "engines.pair_no_chat" and "row 2: chosen" in Message.from_dict(end).what


def test_every_pair_dropped_is_an_error(finished: dict[str, Run]) -> None:
    end = _end(finished["refused"])
    assert (
        end["code"] == "engines.no_pairs" and "400 that the chat template cannot write" in Message.from_dict(end).what
    )


def test_local_file_formats_read_alike(questions: Path, tmp_path: Path) -> None:
    rows = truthful(6)
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    (tmp_path / "a.json").write_text(json.dumps(rows), "utf-8")
    nested = [
        {name: json.dumps(value) if isinstance(value, dict) else value for name, value in row.items()} for row in rows
    ]
    quoted = [[f'"{value.replace(chr(34), chr(34) * 2)}"' for value in row.values()] for row in nested]
    (tmp_path / "a.csv").write_text("\n".join([",".join(rows[0]), *map(",".join, quoted)]), "utf-8")
    assert read_data("truthfulqa:mc", questions) == rows
    for suffix in ("parquet", "json", "csv"):
        assert read_data("truthfulqa:mc", tmp_path / f"a.{suffix}") == rows


def test_sigterm_ends_an_evaluation_and_keeps_what_is_finished(
    worker: Any, models: dict[str, Path], questions: Path, pairs: Path, tmp_path: Path
) -> None:
    tasks = [{"name": "truthfulqa:mc", "data": str(questions)}, pairs_task(pairs)]
    process = worker(spec_of(models, tasks, batch_size=1), tmp_path)
    deadline = time.monotonic() + 120
    while not any(event["event"] == "result" for event in read(tmp_path / "events.jsonl").events):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 130
    events = read(tmp_path / "events.jsonl").events
    assert events[-1]["event"] == "cancelled" and not any(event["event"] in ("done", "error") for event in events)
    saved = json.loads((tmp_path / "results.json").read_text("utf-8"))["results"]
    assert saved and saved[0]["task"] == "truthfulqa:mc" and len(saved) < 4


def test_stop_file_ends_between_batches(
    worker: Any, models: dict[str, Path], questions: Path, pairs: Path, tmp_path: Path
) -> None:
    tasks = [{"name": "truthfulqa:mc", "data": str(questions)}, pairs_task(pairs)]
    process = worker(spec_of(models, tasks, batch_size=1), tmp_path)
    deadline = time.monotonic() + 120
    while not any(event["event"] == "result" for event in read(tmp_path / "events.jsonl").events):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    (tmp_path / "stop").touch()
    assert process.wait(timeout=60) == 130
    events = read(tmp_path / "events.jsonl").events
    assert events[-1]["event"] == "cancelled"
    saved = json.loads((tmp_path / "results.json").read_text("utf-8"))["results"]
    assert saved and saved[0]["task"] == "truthfulqa:mc" and len(saved) < 4


@pytest.fixture(scope="module")
def ask() -> dict[str, Any]:
    return {
        "kind": "answer",
        "messages": [{"role": "user", "content": "Tell me why the river is cold in winter."}],
        "chat_template": None,
        "max_new_tokens": 24,
        "temperature": 0,
        "seed": 7,
    }


def test_greedy_answers_equal_transformers(
    finished: dict[str, Run], in_engine: Any, models: dict[str, Path], ask: dict[str, Any]
) -> None:
    greedy = finished["greedy"]
    assert greedy.code == 0, greedy.log[-3000:]
    results = [event for event in greedy.events if event["event"] == "result"]
    expected = in_engine(GENERATE, json.dumps(ask["messages"]), *models.values())
    assert [[result["text"], result["tokens"]] for result in results] == expected
    assert expected[0] != expected[1]
    assert [(result["role"], result["name"]) for result in results] == [("base", "tiny base"), ("tuned", "tiny tuned")]
    progress = [event for event in greedy.events if event["event"] == "progress"]
    assert {event["model"] for event in progress} <= {"base", "tuned"} and progress[-1]["total"] == 24
    assert [result["text"] for result in greedy.events[-1]["results"]] == [text for text, _ in expected]


def test_sampled_answers_repeat_with_the_seed(finished: dict[str, Run]) -> None:
    first, second = (event["text"] for event in finished["sampled"].events if event["event"] == "result")
    assert first == second and first


def test_stop_file_ends_an_answer(finished: dict[str, Run]) -> None:
    stopped = finished["stopped"]
    assert stopped.code == 130 and stopped.events[-1]["event"] == "cancelled"
    assert not any(event["event"] == "result" for event in stopped.events)


@pytest.mark.matrix
def test_scores_equal_the_command_lines(
    run: Any, lighteval_python: Path, models: dict[str, Path], questions: Path, tmp_path: Path
) -> None:
    only = {"base": models["base"]}
    ours = run(spec_of(only, [{"name": "truthfulqa:mc", "data": str(questions)}]), tmp_path / "ours")
    data = tmp_path / "truthfulqa" / "truthful_qa"
    data.mkdir(parents=True)
    parquet.write_table(pa.Table.from_pylist(truthful(6)), data / "validation.parquet")
    front = "---\nconfigs:\n- config_name: multiple_choice\n  data_files:\n  - split: validation\n    path: validation.parquet\n---\n"
    (data / "README.md").write_text(front, "utf-8")
    (tmp_path / "model").symlink_to(models["base"])
    arguments = "model_name=model,batch_size=16,dtype=float32,override_chat_template=False,cache_dir=cache"
    done = subprocess.run(
        [lighteval_python, "-c", COMMAND, "accelerate", arguments, "truthfulqa:mc|0", "--output-dir", "out"],
        cwd=tmp_path,
        env={**os.environ, "HF_HOME": str(tmp_path / "hf-home"), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (file,) = (tmp_path / "out").rglob("results_*.json")
    theirs = json.loads(file.read_text("utf-8"))["results"]["truthfulqa:mc|0"]
    result = ours.results()["base", "truthfulqa:mc"]
    reported = result["scores"] | {f"{name}_stderr": value for name, value in result["stderr"].items()}
    # The command line reads its predictions back from its cache, where pandas has rounded them to ten decimals.
    assert theirs == pytest.approx(reported, rel=1e-8, abs=1e-10)
    assert 0.01 < theirs["truthfulqa_mc2"] < 0.99
