"""The training worker, really run: one process per run where that matters, many runs in one process where not."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipeline.engines.examined import without_opening
from pipeline.runs import events
from tests.tiny_model import CHATML, make_tiny_model, write_train_jsonl

WORKER = Path(__file__).parents[3] / "pipeline/engines/autotrain/worker.py"
TOKEN = "hf_TheTokenThatMustNotBeWrittenAnywhere"
PARAMS: dict[str, Any] = {
    "learning_rate": 2e-3,
    "batch_size": 2,
    "epochs": 1,
    "block_size": 512,
    "warmup_ratio": 0.1,
    "lora": True,
    "lora_r": 8,
    "lora_alpha": 16,
    "lora_dropout": 0.05,
    "weight_decay": 0.01,
    "gradient_accumulation": 1,
    "mixed_precision": "none",
    "max_prompt_length": 256,
    "max_completion_length": 256,
    "logging_steps": 10,
    "save_total_limit": 2,
    "seed": 42,
    "merge_adapter": True,
    "nll": "all",
    "beta": 0.1,
}


@dataclass
class Result:
    """What a run left."""

    code: int
    events: list[dict[str, Any]]
    folder: Path
    batch: dict[str, list[list[int]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def all(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == kind]

    def one(self, kind: str) -> dict[str, Any]:
        found = self.all(kind)
        assert len(found) == 1, (kind, self.events[-1])
        return found[0]

    @property
    def losses(self) -> list[float]:
        return [event["loss"] for event in self.all("log")]


@dataclass
class Bench:
    """A folder with models, data and specs, and the engine's Python to run them."""

    python: Path
    folder: Path
    hub: str

    def spec(self, name: str, *, model: str = "chat", pairs: int = 40, **changes: Any) -> Path:
        """Write a spec; `changes` are parameters, or fields of the spec itself."""
        spec: dict[str, Any] = {
            "kind": "train",
            "base_model": self.model(model),
            "project_name": name,
            "data_dir": str(self.data(pairs)),
            "output_dir": str(self.folder / "out"),
            "events": str(self.folder / f"{name}.jsonl"),
            "stop_file": str(self.folder / f"{name}.stop"),
            "params": dict(PARAMS),
        }
        for key, value in changes.items():
            (spec if key in spec else spec["params"])[key] = value
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps(spec))
        return path

    def data(self, pairs: int) -> Path:
        folder = self.folder / f"data-{pairs}"
        if not folder.exists():
            write_train_jsonl(folder, pairs)
        return folder

    def model(self, name: str) -> str:
        """Return the folder of a base model: chat, plain (no chat template), half (bfloat16), sampling, or a Hub id."""
        folder = self.folder / "models" / name
        if name not in ("chat", "plain", "half", "sampling"):
            return str(folder) if folder.exists() else name
        if not folder.exists():
            make_tiny_model(folder, chat_template=name != "plain")
            if name == "half":
                self._edit(folder / "config.json", torch_dtype="bfloat16")
            if name == "sampling":
                self._edit(folder / "generation_config.json", temperature=0.6, top_p=0.9)
        return str(folder)

    def thinking(self, name: str) -> str:
        """Make a base model whose template opens `<think>` before each answer, and return its template."""
        folder = make_tiny_model(self.folder / "models" / name)
        template = CHATML.replace("assistant\\n' }}", "assistant\\n<think>\\n' }}")
        self._edit(folder / "tokenizer_config.json", chat_template=template)
        return template

    def decided(self, name: str, **changes: Any) -> Path:
        """Write a spec with choices about what the doctor found: two pairs left out, the template without `<think>`."""
        path = self.spec(name, **changes)
        template = without_opening(self.thinking(changes["model"]), "<think>\n")
        doctor = {"left_out": {"duplicates": [1, 3]}, "template": template, "join_system": False, "known": ["opening"]}
        self._edit(path, doctor=doctor)
        return path

    def _edit(self, path: Path, **values: Any) -> None:
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    def start(self, spec: Path, **environment: str) -> subprocess.Popen[bytes]:
        """Start the worker as the supervisor does."""
        with (self.folder / f"{spec.stem}.log").open("wb") as log:
            return subprocess.Popen(
                [self.python, str(WORKER), str(spec)],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=self._environment(environment),
            )

    def _environment(self, more: dict[str, str]) -> dict[str, str]:
        return {
            **os.environ,
            "HF_HOME": str(self.folder / "hf"),
            "HF_ENDPOINT": self.hub,
            **more,
        }

    def run(self, spec: Path, **environment: str) -> Result:
        process = self.start(spec, **environment)
        code = process.wait(timeout=300)
        return self.result(spec.stem, code)

    def result(self, name: str, code: int) -> Result:
        folder = self.folder / "out" / name
        batch = folder.with_name(f"{name}.batch.json")
        read = events.read(self.folder / f"{name}.jsonl").events
        return Result(code, read, folder, json.loads(batch.read_text()) if batch.exists() else {})

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def drive(self, specs: list[Path], load: list[Path]) -> tuple[dict[str, Result], dict[str, dict[str, Any]]]:
        """Run specs in one process; return results by name, and what loading says by folder."""
        order, results = self.folder / "order.json", self.folder / "results.json"
        order.write_text(
            json.dumps({"specs": list(map(str, specs)), "load": list(map(str, load)), "results": str(results)})
        )
        script = Path(__file__).with_name("drive.py")
        done = subprocess.run(
            [self.python, str(script), str(WORKER), str(order)],
            capture_output=True,
            text=True,
            env=self._environment({}),
            timeout=500,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        found = json.loads(results.read_text())
        return {spec.stem: self.result(spec.stem, found["codes"][str(spec)]) for spec in specs}, found["loaded"]

    def wait_for(self, name: str, process: subprocess.Popen[bytes], kind: str, count: int) -> None:
        """Wait until a run has written `count` events of a kind."""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            found = [event for event in events.read(self.folder / f"{name}.jsonl").events if event["event"] == kind]
            if len(found) >= count:
                return
            assert process.poll() is None, self.log(name)[-3000:]
            threading.Event().wait(0.05)
        pytest.fail(f"{count} events {kind!r} of {name} did not come: {self.log(name)[-2000:]}")


class Hub(http.server.BaseHTTPRequestHandler):
    """Answers as the Hub does where a model is missing or gated, or as a broken line; remembers who asked."""

    asked: list[str] = []

    def do_HEAD(self) -> None:
        self.asked.append(self.path)
        if self.path.startswith("/unreachable/"):
            self.close_connection = True
            return
        gated = self.path.startswith("/gated/")
        self.send_response(403 if gated else 404)
        self.send_header("X-Error-Code", "GatedRepo" if gated else "RepoNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = do_PUT = do_HEAD

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test's output clean."""


@pytest.fixture(scope="package")
def hub() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="package")
def bench(tmp_path_factory: pytest.TempPathFactory, hub: str, autotrain_python: Path) -> Bench:
    folder = tmp_path_factory.mktemp("autotrain")
    (folder / "out").mkdir()
    return Bench(autotrain_python, folder, hub)


@pytest.fixture(scope="package")
def lora(bench: Bench) -> Result:
    """A LoRA run with merge, 20 steps, on what claims to be a Space, with a token."""
    Hub.asked.clear()
    spec = bench.spec("lora")
    run = bench.run(
        spec, HF_TOKEN=TOKEN, HUGGING_FACE_HUB_TOKEN=TOKEN, SPACE_ID="someone/space", ENDPOINT_ID="someone/endpoint"
    )
    run.asked = list(Hub.asked)
    return run


@pytest.fixture(scope="package")
def runs(bench: Bench) -> tuple[dict[str, Result], dict[str, dict[str, Any]]]:
    """Many settings, each against the `lora` run, and what loading their folders says."""
    stopped = bench.spec("stopped-early")
    (bench.folder / "stopped-early.stop").touch()
    bench.thinking("thinking")
    specs = [
        bench.spec("same"),
        bench.spec("seed", seed=7),
        bench.spec("dropout", lora_dropout=0.5),
        bench.spec("beta", beta=0.5),
        bench.spec("short-answers", max_completion_length=12, max_prompt_length=16),
        bench.spec("adapter", merge_adapter=False),
        bench.spec("full", lora=False),
        bench.spec("full-seed", lora=False, seed=7),
        bench.spec("undecided", model="thinking", pairs=12),
        bench.decided("decided", model="thinking", pairs=12),
        bench.spec("first-42", pairs=2, lora_dropout=0.0, warmup_ratio=0.0),
        bench.spec("first-7", pairs=2, lora_dropout=0.0, warmup_ratio=0.0, seed=7),
        bench.spec("plain", model="plain"),
        bench.spec("half", model="half", mixed_precision="bf16"),
        bench.spec("sampling", model="sampling", lora=False, pairs=4, gradient_accumulation=2, logging_steps=500),
        bench.spec("accumulate", gradient_accumulation=4),
        stopped,
    ]
    out = bench.folder / "out"
    load = [out / name for name in ("same", "adapter", "adapter/merged", "full", "plain", "half", "sampling")]
    return bench.drive(specs, [*load, Path(bench.model("chat"))])


@pytest.fixture(scope="package")
def failing(bench: Bench) -> dict[str, Result]:
    """Runs that load their engine and then fail."""
    specs = [
        bench.spec("diverges", lora=False, learning_rate=1e20),
        bench.spec("too-long", block_size=2048),
        bench.spec("tiny-answers", max_completion_length=3),
        bench.spec("misspelt", learning_rates=1),
        bench.spec("missing", model="nobody/nothing"),
        bench.spec("gated", model="gated/model"),
        bench.spec("unreachable", model="unreachable/model"),
    ]
    return bench.drive(specs, [])[0]
