"""Replay a recorded run as the task of a run: its events in their order, with the names and folders of the spec."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from pipeline.base.errors import StudioError
from pipeline.runs.task import Cancelled, Reporter
from tests.doubles.recorded import FAIL, HERE, SPEED

Event = dict[str, Any]
LONGEST_PAUSE = 2.0  # seconds; the recording's imports need not be waited for


def play(spec: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
    """Replay the recording of the spec's kind; return the values of its `done` event.

    Args:
        spec: The run's.
        reporter: Tells it.

    Raises:
        Cancelled: A stop was asked for before there was anything to keep.
        StudioError: The test wants the run to fail.
    """
    folder = HERE / spec["kind"]
    print((folder / "log.txt").read_text("utf-8"), flush=True)
    return {"train": _train, "evaluate": _evaluate, "answer": _answer}[spec["kind"]](spec, reporter, folder)


def _events(folder: Path) -> list[Event]:
    """Return the recorded events after `started`, each with the seconds since the one before as `pause`."""
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text("utf-8").splitlines()]
    for before, event in zip(events[-2::-1], events[:0:-1], strict=True):
        event["pause"] = event.pop("ts") - before["ts"]
    return events[1:]


def _wait(event: Event) -> None:
    """Wait as long as the engine took, at the pace wanted; fail where the test wants it."""
    pause, speed = event.pop("pause", 0.0), float(os.environ.get(SPEED, "10"))
    if speed:
        time.sleep(min(LONGEST_PAUSE, pause) / speed)
    if event["event"] == os.environ.get(FAIL):
        raise StudioError("engines.out_of_memory", detail="recorded")


def _emit(reporter: Reporter, event: Event, **changes: Any) -> None:
    values = {**event, **changes}
    reporter.emit(values.pop("event"), **values)


def _train(spec: dict[str, Any], reporter: Reporter, folder: Path) -> dict[str, Any]:
    from tests.tiny_model import make_tiny_model

    model, begun, step, stopped = Path(spec["output_dir"]) / spec["project_name"], False, 0, False
    for event in _events(folder):
        _wait(event)
        if event["event"] == "done":
            make_tiny_model(model)
            size = sum(file.stat().st_size for file in model.rglob("*") if file.is_file())
            done = {name: value for name, value in event.items() if name != "event"}
            steps = step or done["steps"]
            return {**done, "model_path": str(model), "stopped": stopped, "steps": steps, "size_bytes": size}
        if reporter.should_stop() and not begun:
            raise Cancelled
        if stopped and event["event"] in ("step", "log", "checkpoint"):
            continue
        begun = begun or event["event"] == "begin"
        if event["event"] == "step":
            step, stopped = event["step"], reporter.should_stop()
        if event["event"] == "ready":
            event["params"] = {**event["params"], **spec["params"]}
        _emit(reporter, event)
    raise AssertionError("a recording ends with its end")


def _evaluate(spec: dict[str, Any], reporter: Reporter, folder: Path) -> dict[str, Any]:
    output, results = Path(spec["output_dir"]), []
    tasks = {task["name"]: task for task in spec["tasks"]}
    events = _events(folder)
    done = {name: value for name, value in events[-1].items() if name not in ("event", "pause")}
    for event in events:
        if event["event"] == "stage" and "model" not in event:
            _wait(event)
            _emit(reporter, event)
    for model in spec["models"]:
        recorded = "base" if model["role"] == "base" else "tuned"
        _samples(folder / recorded / "samples.jsonl", output / model["role"], set(tasks))
        for event in (dict(each) for each in events if each.get("model", each.get("role")) == recorded):
            _wait(event)
            if reporter.should_stop():
                raise Cancelled
            if event.get("task", next(iter(tasks))) not in tasks:
                continue
            if event["event"] == "result":
                about = {"role": model["role"], "name": model["name"], "settings": _settings(spec, event)}
                event = {**event, **about, "samples": _at_most(event["samples"], spec.get("max_samples"))}
                results.append({name: value for name, value in event.items() if name != "event"})
                _emit(reporter, event)
            else:
                values = {**event["values"], "model": model["name"]} if "values" in event else None
                _emit(reporter, event, model=model["role"], **({"values": values} if values else {}))
    (output / "results.json").write_text(json.dumps({"results": results}), "utf-8")
    return {**done, "results": results}


def _at_most(recorded: int, asked: int | None) -> int:
    """Return a count as a run of fewer samples or shorter answers than the recorded one would have had."""
    return recorded if asked is None else min(recorded, asked)


def _settings(spec: dict[str, Any], event: Event) -> dict[str, Any]:
    task = next(task for task in spec["tasks"] if task["name"] == event["task"])
    chosen = {name: spec.get(name) for name in ("dtype", "batch_size", "max_samples")}
    return {**event["settings"], **chosen, "chat_template": task.get("chat_template")}


def _samples(recorded: Path, folder: Path, tasks: set[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [line for line in recorded.read_text("utf-8").splitlines() if json.loads(line)["task"][:-2] in tasks]
    (folder / "samples.jsonl").write_text("".join(f"{line}\n" for line in lines), "utf-8")


def _answer(spec: dict[str, Any], reporter: Reporter, folder: Path) -> dict[str, Any]:
    names = {"base" if model["role"] == "base" else "tuned": model for model in spec["models"]}
    results = []
    for event in _events(folder):
        _wait(event)
        if reporter.should_stop():
            raise Cancelled
        recorded = event.get("model", event.get("role"))
        if event["event"] == "done" or (recorded and recorded not in names):
            continue
        if event["event"] == "result":
            about = {"role": names[recorded]["role"], "name": names[recorded]["name"]}
            event = {**event, **about, "tokens": _at_most(event["tokens"], spec["max_new_tokens"])}
            results.append({name: value for name, value in event.items() if name != "event"})
        elif "values" in event and recorded:
            event = {**event, "values": {**event["values"], "model": names[recorded]["name"]}}
        _emit(reporter, event)
    return {"results": results}
