"""Base and tuned on TruthfulQA's schema: one run of our worker against two lighteval CLI calls."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from bench.common import Row, engine, timed
from pipeline import engines
from tests.tiny_model import make_tiny_model

ROOT = Path(__file__).resolve().parent.parent
QUESTIONS = ROOT / "samples" / "truthful_mini.jsonl"
# lighteval 0.13.0's command line, but for the pickle it downloads while it imports its tasks: no network here.
COMMAND = """
import sys, types, requests
get = requests.get
requests.get = lambda url, *a, **k: types.SimpleNamespace(status_code=404) if "tinyBench" in url else get(url, *a, **k)
from lighteval.__main__ import app
sys.argv[0] = "lighteval"
app()
"""
CARD = """---
configs:
- config_name: multiple_choice
  data_files:
  - split: validation
    path: multiple_choice/*
---
"""


def ours(folder: Path, python: Path) -> None:
    """Evaluate both models in one run of the worker."""
    out = folder / "ours"
    out.mkdir()
    spec = {
        "kind": "evaluate",
        "models": [
            {"role": role, "name": role, "path": str(folder / role), "revision": None} for role in ("base", "tuned")
        ],
        "tasks": [{"name": "truthfulqa:mc", "data": str(QUESTIONS)}],
        "max_samples": None,
        "batch_size": 8,
        "dtype": "float32",
        "output_dir": str(out),
        "events": str(out / "events.jsonl"),
        "stop_file": str(out / "stop"),
    }
    (out / "spec.json").write_text(json.dumps(spec))
    program = Path(engines.__file__).parent / "lighteval" / "worker.py"
    _run([str(python), str(program), str(out / "spec.json")], out)
    done = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()][-1]
    assert done["event"] == "done", done
    assert len(done["results"]) == 2


def command_line(folder: Path, python: Path) -> None:
    """Evaluate each model with a lighteval command of its own."""
    out = folder / "cli"
    data = (
        out / "truthfulqa" / "truthful_qa"
    )  # a folder of the dataset's name in the working directory wins over the Hub
    (data / "multiple_choice").mkdir(parents=True)
    shutil.copy(QUESTIONS, data / "multiple_choice" / "validation.jsonl")
    (data / "README.md").write_text(CARD)
    for role in ("base", "tuned"):
        given = f"model_name={folder / role},batch_size=8,dtype=float32,override_chat_template=False"
        program = [str(python), "-c", COMMAND, "accelerate"]
        _run([*program, given, "truthfulqa:mc|0", "--output-dir", str(out / role)], out)
        assert list((out / role).rglob("results_*.json")), role


def _run(command: list[str], cwd: Path) -> None:
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(cwd / "hf"), "COLUMNS": "300"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[:2]}: {(done.stdout + done.stderr)[-3000:]}")


def measure() -> list[Row]:
    """Measure one after the other on the same two tiny models."""
    python = engine("lighteval")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_tiny_model(folder / "base", seed=0)
        make_tiny_model(folder / "tuned", seed=1)
        subprocess.run([str(python), "-c", "import torch, transformers, lighteval"], check=True)
        mine = timed(lambda: ours(folder, python))
        theirs = timed(lambda: command_line(folder, python))
    return [Row("base and tuned on 40 questions", mine, theirs, 0.75)]
