"""Runs of the evaluation worker in the engine's own environment, shared by the tests: an import costs some seconds."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.runs.events import read
from tests.tiny_model import CHATML, make_pairs, make_tiny_model

WORKER = Path(__file__).parents[3] / "pipeline/engines/lighteval/worker.py"
Spec = dict[str, Any]

# Several specs in one process: what the worker imports takes many times longer than what it does for a test.
DRIVE = """
import json, sys
from pathlib import Path
sys.path.insert(0, str(Path(sys.argv[1]).parent))
import worker
print(json.dumps([worker.main(["", path]) for path in sys.argv[2:]]))
"""


@dataclass(frozen=True)
class Run:
    """A finished worker."""

    code: int
    events: list[dict[str, Any]]
    folder: Path
    log: str

    def results(self) -> dict[tuple[str, str], dict[str, Any]]:
        found = [event for event in self.events if event["event"] == "result"]
        return {(result["role"], result["task"]): result for result in found}

    def samples(self, role: str, task: str = "reviewed_pairs|0") -> dict[str, dict[str, Any]]:
        lines = (self.folder / role / "samples.jsonl").read_text("utf-8").splitlines()
        return {sample["id"]: sample for sample in map(json.loads, lines) if sample["task"] == task}


@pytest.fixture(scope="session")
def worker(lighteval_python: Path) -> Any:
    """Return a function that starts the worker on a spec and its folder."""

    def start(spec: Spec, folder: Path, **environment: str) -> subprocess.Popen[bytes]:
        write_spec(spec, folder)
        log = (folder / "log.txt").open("wb")
        environment = {**os.environ, "HF_HOME": str(folder / "hf-home"), **environment}
        return subprocess.Popen(
            [lighteval_python, WORKER, folder / "spec.json"], stdout=log, stderr=log, cwd=folder, env=environment
        )

    return start


@pytest.fixture(scope="session")
def run(worker: Any) -> Any:
    """Return a function that runs the worker to its end."""

    def finish(spec: Spec, folder: Path, **environment: str) -> Run:
        code = worker(spec, folder, **environment).wait(timeout=240)
        return Run(code, read(folder / "events.jsonl").events, folder, (folder / "log.txt").read_text("utf-8"))

    return finish


@pytest.fixture(scope="session")
def run_all(lighteval_python: Path) -> Any:
    """Return a function that lets one process run many specs, by their folders, and returns the runs in order."""

    def finish(specs: dict[Path, Spec]) -> list[Run]:
        paths = [write_spec(spec, folder) for folder, spec in specs.items()]
        done = subprocess.run(
            [lighteval_python, "-c", DRIVE, WORKER, *paths],
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
            env={**os.environ, "HF_HOME": str(paths[0].parent / "hf-home")},
        )
        assert done.returncode == 0, done.stderr[-3000:]
        codes = json.loads(done.stdout.splitlines()[-1])
        pairs = zip(codes, specs, strict=True)
        return [Run(code, read(folder / "events.jsonl").events, folder, done.stderr) for code, folder in pairs]

    return finish


def write_spec(spec: Spec, folder: Path) -> Path:
    """Write a spec whose run keeps everything in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    spec = {"output_dir": str(folder), "stop_file": str(folder / "stop"), "dtype": "float32", **spec}
    spec["events"] = str(folder / "events.jsonl")
    path = folder / "spec.json"
    path.write_text(json.dumps(spec), "utf-8")
    return path


@pytest.fixture(scope="session")
def in_engine(lighteval_python: Path) -> Any:
    """Return a function that runs a few lines in the engine's environment and returns the JSON they print last."""

    def call(code: str, *arguments: Path | str) -> Any:
        done = subprocess.run(
            [lighteval_python, "-c", code, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.splitlines()[-1])

    return call


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two models that differ, with weights large enough that their most likely tokens do too."""
    root = tmp_path_factory.mktemp("models")
    folders = {role: make_tiny_model(root / role, seed=seed) for seed, role in enumerate(("base", "tuned"), 1)}
    for folder in folders.values():
        scale_weights(folder, 3.0)
    return folders


def scale_weights(folder: Path, factor: float) -> None:
    """Multiply all weights of a model (one safetensors file, float32) by a factor: 0 for a flat model, NaN for a broken."""
    file = folder / "model.safetensors"
    data = file.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    weights = np.frombuffer(data[start:], dtype="<f4") * np.float32(factor)
    file.write_bytes(data[:start] + weights.astype("<f4").tobytes())


def spec_of(models: dict[str, Path], tasks: list[dict[str, Any]], **more: Any) -> Spec:
    listed = [
        {"role": role, "name": f"tiny {role}", "path": str(path), "revision": None} for role, path in models.items()
    ]
    return {"kind": "evaluate", "models": listed, "tasks": tasks, "max_samples": None, "batch_size": 16, **more}


def pairs_task(file: Path, template: str = CHATML) -> dict[str, Any]:
    return {"name": "reviewed_pairs", "data": str(file), "chat_template": template}


def write_jsonl(file: Path, rows: list[dict[str, Any]]) -> Path:
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return file


def reviewed(count: int, seed: int = 5) -> list[dict[str, Any]]:
    """Pairs with ids; every fourth is multi-turn."""
    return [{"record_id": f"record-{number}", **pair} for number, pair in enumerate(make_pairs(count, seed))]


def truthful(count: int) -> list[dict[str, Any]]:
    """Questions in TruthfulQA's multiple-choice schema."""
    right, also, wrong = ("cold", "old"), "small", ("warm", "green")  # few tokens: no choice takes all the probability
    return [
        {
            "question": f"Why is river number {number} cold in winter?",
            "mc1_targets": {"choices": [right[number % 2], *wrong], "labels": [1, 0, 0]},
            "mc2_targets": {"choices": [*right, also, *wrong], "labels": [1, 1, 1, 0, 0]},
        }
        for number in range(count)
    ]


class NoNetwork:
    """A proxy address that never answers and knows whether anybody called."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.setblocking(False)
        url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
        self.environment = {name: url for upper in names for name in (upper, upper.lower())} | {"NO_PROXY": ""}

    def was_called(self) -> bool:
        try:
            self.socket.accept()
        except BlockingIOError:
            return False
        finally:
            self.socket.close()
        return True
