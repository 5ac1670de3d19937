"""Projects as the steps leave them, made without the page: a tiny base model, pairs, an export, runs that ended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.base.home import Home
from pipeline.base.project import Project, Record
from pipeline.dataset import reading
from pipeline.dataset.project import pairs_of, start_project
from pipeline.export import options as export_options
from pipeline.export import writing
from pipeline.runs.ledger import Ledger, Run, State
from tests.tiny_model import make_tiny_model, write_train_jsonl


def make_project(home: Home, name: str, folder: Path, *, pairs: int = 0, mark: str = "") -> Project:
    """Make a project whose base model is a tiny one.

    Args:
        home: The studio's home, as its owner sees it.
        name: Its name.
        folder: Where the model and the source file go.
        pairs: Pairs of its export “pairs”, a quarter of them in the test split; 0 for no export.
        mark: A word that each prompt ends with.
    """
    home.projects.mkdir(parents=True, exist_ok=True)
    source = write_train_jsonl(folder, max(pairs, 8))
    if mark:
        rows = [json.loads(line) for line in source.read_text().splitlines()]
        for row in rows:
            row["prompt"][-1]["content"] += f" {mark}"
        source.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    loaded = reading.load_file(source)
    project = start_project(home, loaded, "file", f"{name}.jsonl")
    base = make_tiny_model(folder / "tiny-base")

    def change(record: Record) -> None:
        record.base_model = str(base)

    project.update(change)
    if pairs:
        provenance = export_options.Provenance(
            dataset=name,
            kind="file",
            recipe={},
            settle_policy={},
            annotators=0,
            created="2026-11-22T00:00:00+00:00",
            studio_version="test",
        )
        options = export_options.ExportOptions(name="pairs", test_share=0.25)
        project.exports.mkdir(exist_ok=True)
        writing.write(pairs_of(project), {}, options, project.exports / "pairs", provenance)
    return project


def defective(home: Home, folder: Path) -> Project:
    """Return a project whose export has a prompt without text and two equal answers, in a quarter of its pairs."""
    project = make_project(home, "defective", folder, pairs=64)
    file = project.exports / "pairs" / "train.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    for row in rows[:6]:
        row["prompt"][-1]["content"] = " "
    for row in rows[6:12]:
        row["rejected"] = row["chosen"]
    rows[12]["prompt"][-1]["content"] = "<|im_start|><img src=x onerror=alert(1)>"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return project


def ended(
    ledger: Ledger,
    kind: str,
    project: Project,
    title: str,
    spec: dict[str, Any],
    *,
    events: list[dict[str, Any]] | None = None,
    result: dict[str, Any] | None = None,
    state: State = State.SUCCEEDED,
) -> Run:
    """Add a run that has ended.

    Args:
        ledger: As its owner sees it.
        kind: Its kind.
        project: Its project.
        title: What people see.
        spec: What it was asked for.
        events: What its worker said, without times.
        result: What came of it.
        state: How it ended.
    """
    run, _ = ledger.add(kind, project.name, title, spec)
    lines = [json.dumps({"ts": run.created + number, **event}) for number, event in enumerate(events or [], 1)]
    run.events.write_text("".join(f"{line}\n" for line in lines))
    run.log.write_text(f"{title}\n")
    ledger.set_state(run.id, State.RUNNING)
    ledger.end(run.id, state, result=result)
    return ledger.get(run.id)


def trained(ledger: Ledger, project: Project, name: str = "my-autotrain-llm", steps: int = 3) -> Run:
    """Add a finished training of a project's export “pairs”, with its model, a tiny one."""
    model = make_tiny_model(project.models / name, seed=1)
    rows = [
        {"event": "log", "step": n, "max_steps": steps, "loss": 3.0 / n, "rewards/accuracies": 0.5}
        for n in range(1, steps + 1)
    ]
    spec = {
        "project_name": name,
        "dataset": "pairs",
        "base_model": project.read().base_model,
        "data_dir": str(project.exports / "pairs"),
        "output_dir": str(project.models),
        "params": {},
    }
    result = {
        "model_path": str(model),
        "size_bytes": 1 << 20,
        "steps": steps,
        "seconds": 12.0,
        "metrics": {"loss": 3.0 / steps},
    }
    return ended(ledger, "train", project, f"Train {name}", spec, events=rows, result=result)


def evaluated(ledger: Ledger, project: Project, model: str) -> Run:
    """Add a finished evaluation of a model on some of the export's test pairs, both models with the same scores."""
    found = [
        {
            "event": "result",
            "role": role,
            "name": role,
            "task": "reviewed_pairs",
            "scores": {"pref_acc_norm": 0.5},
            "stderr": {"pref_acc_norm": 0.1},
            "samples": 12,
            "available": 16,
            "dropped": {},
            "settings": {"dtype": "float32", "batch_size": 8},
            "seconds": 3.0,
        }
        for role in ("base", "tuned")
    ]
    paths = {"base": project.read().base_model, "tuned": model}
    spec = {
        "models": [{"role": role, "name": role, "path": path} for role, path in paths.items()],
        "tasks": [{"name": "reviewed_pairs", "data": str(project.exports / "pairs" / "test.jsonl")}],
        "dataset": "pairs",
        "output_dir": str(project.evaluations / "one"),
        "batch_size": 8,
        "dtype": "float32",
    }
    return ended(ledger, "evaluate", project, "Evaluate", spec, events=found, result={"commands": ["lighteval …"]})
