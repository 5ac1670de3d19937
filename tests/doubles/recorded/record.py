"""Record the engines: `python -m tests.doubles.recorded.record` writes the folders that `play.py` replays."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from pipeline import engines
from pipeline.base import install
from pipeline.base.settings import Settings
from pipeline.engines.protocol import MARK
from pipeline.train.algorithms.orpo import OrpoParams
from tests.doubles.recorded import HERE
from tests.integration.lighteval.conftest import pairs_task, reviewed, scale_weights, spec_of, truthful, write_jsonl
from tests.tiny_model import make_tiny_model, write_train_jsonl

KINDS = ("train", "evaluate", "answer")
ENGINES = {"train": "autotrain", "evaluate": "lighteval", "answer": "lighteval"}


def record(kind: str, python: Path, work: Path, into: Path) -> None:
    """Run a real engine on tiny models and write what it said.

    Args:
        kind: One of KINDS.
        python: The engine's.
        work: An empty folder for models and data; its path is not in the recording.
        into: Gets events.jsonl, log.txt and, of an evaluation, the samples of both models.
    """
    work.mkdir(parents=True, exist_ok=True)
    spec = {"kind": kind, "events": str(work / "events.jsonl"), "stop_file": str(work / "stop"), **_spec(kind, work)}
    (work / "spec.json").write_text(json.dumps(spec))
    worker = Path(engines.__file__).parent / ENGINES[kind] / "worker.py"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HOME": str(work / "hf"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [python, worker, work / "spec.json"], capture_output=True, text=True, cwd=work, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    into.mkdir(parents=True, exist_ok=True)
    (into / "events.jsonl").write_text(_without(work, (work / "events.jsonl").read_text("utf-8")), "utf-8")
    lines = [line for line in done.stdout.splitlines() if line.strip() and not line.startswith(MARK)]
    (into / "log.txt").write_text(_without(work, "".join(f"{line}\n" for line in lines[-40:])), "utf-8")
    for samples in (work / "out").glob("*/samples.jsonl"):
        (into / samples.parent.name).mkdir(exist_ok=True)
        shutil.copy(samples, into / samples.parent.name)


def _spec(kind: str, work: Path) -> dict[str, Any]:
    if kind == "train":
        params = OrpoParams(batch_size=2, gradient_accumulation=1, learning_rate=2e-3, lora_r=8, mixed_precision="none")
        data = work / "data"
        write_train_jsonl(data, 40)
        return {
            "base_model": str(make_tiny_model(work / "base")),
            "project_name": "my-autotrain-llm",
            "data_dir": str(data),
            "output_dir": str(work / "out"),
            "params": params.model_dump(),
        }
    models = {role: make_tiny_model(work / role, seed=seed) for seed, role in enumerate(("base", "tuned"), 1)}
    for folder in models.values():
        scale_weights(folder, 3.0)
    if kind == "answer":
        turns = [{"role": "user", "content": "Tell me why the river is cold in winter."}]
        asked = {"messages": turns, "chat_template": None, "max_new_tokens": 24, "temperature": 0, "seed": 7}
        return {**spec_of(models, []), "kind": "answer", "dtype": "float32", **asked}
    questions = write_jsonl(work / "questions.jsonl", truthful(12))
    pairs = pairs_task(write_jsonl(work / "test.jsonl", reviewed(14)))
    tasks = [{"name": "truthfulqa:mc", "data": str(questions)}, pairs]
    return spec_of(models, tasks, output_dir=str(work / "out"), dtype="float32")


def _without(work: Path, text: str) -> str:
    return text.replace(str(work.resolve()), "WORK").replace(str(work), "WORK").replace(str(Path.home()), "~")


def main() -> int:
    """Record all kinds."""
    for kind in sys.argv[1:] or KINDS:
        python = install.find(ENGINES[kind], Settings().engines_folder)
        assert python is not None, f"make engines, then again: {ENGINES[kind]} is not built"
        with tempfile.TemporaryDirectory() as folder:
            record(kind, python, Path(folder) / "work", HERE / kind)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
