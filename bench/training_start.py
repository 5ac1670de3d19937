"""Start-up of a training: our worker against the AutoTrain CLI, until the first optimizer step begins."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.common import Row, engine
from pipeline import engines
from pipeline.train.algorithms.orpo import OrpoParams
from tests.tiny_model import make_tiny_model, write_train_jsonl

PAIRS = 32
PARAMS = {"batch_size": 4, "gradient_accumulation": 1, "logging_steps": 1, "lora": False, "mixed_precision": "none"}


def worker(folder: Path, python: Path) -> float:
    """Return the seconds from starting our worker to its `begin` event."""
    (folder / "ours").mkdir()
    spec = {
        "kind": "train",
        "base_model": str(folder / "model"),
        "project_name": "ours",
        "data_dir": str(folder / "data"),
        "output_dir": str(folder / "ours"),
        "events": "-",
        "stop_file": str(folder / "ours" / "stop"),
        "params": OrpoParams().model_dump() | PARAMS,
    }
    (folder / "ours" / "spec.json").write_text(json.dumps(spec))
    program = Path(engines.__file__).parent / "autotrain" / "worker.py"
    return _until([str(python), str(program), str(folder / "ours" / "spec.json")], folder / "ours", r'"event": "begin"')


def command_line(folder: Path, python: Path) -> float:
    """Return the seconds from starting `autotrain llm` to the first sign of its training loop."""
    (folder / "cli").mkdir()
    options = {
        "model": folder / "model",
        "project-name": "cli",
        "data-path": folder / "data",
        "trainer": "orpo",
        "prompt-text-column": "prompt",
        "text-column": "chosen",
        "rejected-text-column": "rejected",
        "batch-size": 4,
        "epochs": 1,
        "gradient-accumulation": 1,
        "logging-steps": 1,
        "block-size": 512,
        "quantization": "none",
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    command = [str(python.parent / "autotrain"), "llm", "--train", *arguments]
    # tqdm's bar of the training loop: "0/8 [00:00", not the "examples" of the tokenization
    return _until(command, folder / "cli", r"\b\d+/8 \[\d\d:\d\d<")


def _until(command: list[str], cwd: Path, sign: str) -> float:
    environment = os.environ | {
        "PATH": f"{Path(command[0]).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONUNBUFFERED": "1",
        "ALLOW_REMOTE_CODE": "false",
        "HF_HUB_OFFLINE": "1",
    }
    began, output = time.perf_counter(), ""
    process = subprocess.Popen(command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    try:
        while chunk := os.read(process.stdout.fileno(), 65536):
            output += chunk.decode("utf-8", "replace")
            if re.search(sign, output):
                return time.perf_counter() - began
    finally:
        process.stdout.close()
        process.terminate()
        process.wait(60)
    raise RuntimeError(f"{command[:2]} never began to train:\n{output[-3000:]}")


def measure() -> list[Row]:
    """Start both once to warm the file cache, then measure each."""
    python = engine("autotrain")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_tiny_model(folder / "model")
        write_train_jsonl(folder / "data", PAIRS)
        subprocess.run([str(python), "-c", "import torch, transformers, trl, peft"], check=True, stderr=sys.stderr)
        ours, theirs = worker(folder, python), command_line(folder, python)
    return [Row("start-up of a training", ours, theirs, 0.5)]
