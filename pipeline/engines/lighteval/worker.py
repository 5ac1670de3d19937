"""Evaluate models with lighteval, or let them answer a prompt: `python worker.py SPEC.json`.

Runs in the engine's own environment; the files of this folder, with those beside it, are one program and import nothing
of the studio's. The spec:

- {"kind": "evaluate", "models": [{"role", "name", "path", "revision"}], "tasks": [{"name", "data", "chat_template"}],
  "max_samples": null | int, "batch_size": int, "dtype": "float32" | "bfloat16" | "float16", "output_dir": folder}
- {"kind": "answer", "models": [...], "messages": [{"role", "content"}], "chat_template": str | null,
  "max_new_tokens": int, "temperature": float, "seed": int, "dtype": ...}

and for both `events` (a JSONL file, or "-" for lines on stdout that begin with `@@EVT `) and `stop_file`, whose
existence asks for a stop. A task is lighteval's own by name (`data` null: from the Hub; a file for truthfulqa:mc), or
`reviewed_pairs` with `data` and `chat_template`. Exit code: 0 done, 1 error, 130 cancelled. What is finished stays in
`output_dir`: results.json, and for each role samples.jsonl and lighteval's results files.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
import traceback
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

# What all engines' programs share; last, for this folder's own name is that of a library. In a Job it lies beside us.
sys.path.append(str(Path(__file__).resolve().parents[1]))

import protocol  # type: ignore[import-not-found]
import task_data  # type: ignore[import-not-found]
from protocol import Cancelled, Problem, Reporter, plain, said
from specification import OWN_TASK, check, commands, stay_offline  # type: ignore[import-not-found]

Spec = dict[str, Any]
LIBRARIES = ("lighteval", "transformers", "torch", "huggingface-hub", "datasets", "accelerate")
KINDS = {
    "NotRenderable": "engines.not_renderable",
    "ModuleNotFoundError": "engines.import_failed",
    "ImportError": "engines.import_failed",
}


@dataclass(frozen=True)
class Failure:
    """What failed while the rest went on.

    Attributes:
        role: The model's.
        error: What was raised.
        task: Name of the task; "" for all.
    """

    role: str
    error: Exception
    task: str = ""

    def told(self) -> dict[str, Any]:
        """Return it as values of a message."""
        problem = explain(self.error)
        where = f"{self.role}, {self.task}" if self.task else self.role
        return {"where": where, "problem": {"@": "message", "code": problem["code"], "values": problem["values"]}}


class Evaluation:
    """All tasks of a spec, scored by all its models."""

    def __init__(self, spec: Spec, reporter: Reporter) -> None:
        self.spec = spec
        self.reporter = reporter
        self.folder = Path(spec["output_dir"])
        self.results: list[dict[str, Any]] = []
        self.failures: list[Failure] = []
        self.dropped: dict[str, dict[str, int]] = {}
        self.unreadable: dict[str, Exception] = {}
        self._position = {"done": 0, "total": 0}

    def run(self) -> dict[str, Any]:
        """Do the evaluation.

        Returns:
            The payload of `done`.

        Raises:
            Problem: For what can be known beforehand, and in the end for models that failed.
            Cancelled: If stopped; finished results are saved.
        """
        self.reporter.stage("preparing", "engines.loading_tasks")
        rows = {task["name"]: _read(task) for task in self.spec["tasks"] if task.get("data")}
        import scorer  # type: ignore[import-not-found]

        self._prepare(scorer, rows)
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            for model in self.spec["models"]:
                self._evaluate_model(scorer, model)
        finally:
            payload = self._save()
        if self.failures:
            raise _summary(self.failures)
        return payload

    def _prepare(self, scorer: Any, rows: dict[str, list[dict[str, Any]]]) -> None:
        """Check the tasks' names and make the local data ready, the reviewed pairs rendered once for all models."""
        scorer.install_shims()
        known = scorer.known_tasks(offline=bool(os.environ.get("HF_HUB_OFFLINE"))) | {OWN_TASK}
        unknown = [task["name"] for task in self.spec["tasks"] if task["name"].split("|")[0] not in known]
        if unknown:
            raise Problem("engines.task_unknown", names=unknown)
        for task in self.spec["tasks"]:
            name = task["name"].split("|")[0]
            if name == OWN_TASK:
                rows[task["name"]], self.dropped[name] = self._render(scorer, rows[task["name"]], task["chat_template"])
            if task["name"] in rows:
                scorer.use_rows(name, rows[task["name"]])

    def _render(
        self, scorer: Any, rows: list[dict[str, Any]], template: str
    ) -> tuple[list[dict[str, Any]], dict[str, int]]:
        from reviewed_pairs import prepare  # type: ignore[import-not-found]

        readers = {}
        for model in self.spec["models"]:
            try:
                readers[model["role"]] = scorer.reader(self._config(scorer, model))
            except (OSError, ValueError) as error:  # reported when its turn comes; the others are still wanted
                self.unreadable[model["role"]] = error
        if not readers:
            raise _unavailable(self.spec["models"][0], str(next(iter(self.unreadable.values()))))
        trained = next((reader for role, reader in readers.items() if role != "base"), next(iter(readers.values())))
        kept, dropped = prepare(rows, template, trained[0], list(readers.values()))
        if not kept:
            counts = [said(f"engines.dropped.{reason}", count=count) for reason, count in dropped.items() if count]
            raise Problem("engines.no_pairs", pairs=len(rows), counts=counts)
        return kept, dropped

    def _config(self, scorer: Any, model: dict[str, Any]) -> Any:
        return scorer.model_config(model, self.spec["batch_size"], self.spec["dtype"])

    def _evaluate_model(self, scorer: Any, model: dict[str, Any]) -> None:
        """Load one model and score all tasks; what fails is noted and the rest goes on."""
        role = model["role"]
        (self.folder / role).mkdir(parents=True, exist_ok=True)
        (self.folder / role / "samples.jsonl").write_text("", "utf-8")
        self.reporter.check()
        self.reporter.stage("loading", "engines.loading", about={"model": role}, model=model["name"])
        try:
            if role in self.unreadable:
                raise self.unreadable[role]
            network = scorer.Scorer(self._config(scorer, model), self._before_batch)
        except Exception as error:  # whatever a broken or missing model raises: the other models are still wanted
            self._note(role, error if _is_memory(error) else _unavailable(model, str(error)))
            return
        try:
            for task in self.spec["tasks"]:
                self.reporter.check()
                try:
                    self._score(scorer, network, model, task)
                except Cancelled:
                    raise
                except Exception as error:  # one task must not take the others' results along
                    self._note(role, error, task["name"])
        finally:
            network.release()

    def _score(self, scorer: Any, network: Any, model: dict[str, Any], task: dict[str, Any]) -> None:
        from reviewed_pairs import task_module

        role, started = model["role"], time.monotonic()
        about = {"model": role, "task": task["name"]}
        self.reporter.stage("scoring", "engines.scoring", about=about, task=task["name"], model=model["name"])

        def begin(total: int) -> None:
            self._position = {"done": 0, "total": total, "model": role, "task": task["name"]}

        folder = self.folder / role / re.sub(r"[^\w.-]+", "_", task["name"])
        folder.mkdir(parents=True, exist_ok=True)
        outcomes = scorer.score(network, task["name"], task_module(), self.spec["max_samples"], folder, begin)
        self.reporter.emit("progress", stage="scoring", unit="requests", **self._position)
        for outcome in outcomes:
            with (self.folder / role / "samples.jsonl").open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(plain(sample)) + "\n" for sample in outcome.samples)
            result = self._result(model, task, outcome, time.monotonic() - started)
            self.results.append(result)
            self.reporter.emit("result", **result)

    def _before_batch(self, size: int) -> None:
        position = self._position
        self.reporter.progress("scoring", unit="requests", **position)
        position["done"] += size

    def _result(self, model: dict[str, Any], task: dict[str, Any], outcome: Any, seconds: float) -> dict[str, Any]:
        name = outcome.key.removesuffix("|0")
        return {
            "role": model["role"],
            "name": model["name"],
            "task": name,
            "scores": outcome.scores,
            "stderr": outcome.stderr,
            "samples": len(outcome.samples),
            "available": outcome.available,
            "partial": len(outcome.samples) < outcome.available,
            "dropped": self.dropped.get(name, {}),
            "seconds": round(seconds, 2),
            "settings": {
                "dtype": self.spec["dtype"],
                "batch_size": self.spec["batch_size"],
                "max_samples": self.spec["max_samples"],
                "chat_template": task.get("chat_template") if name == OWN_TASK else None,
                "override_chat_template": False,
            },
            "results_file": str(outcome.file),
        }

    def _note(self, role: str, error: Exception, task: str = "") -> None:
        traceback.print_exception(error)
        failure = Failure(role, error, task)
        self.failures.append(failure)
        self.reporter.warning("engines.part_failed", **failure.told())

    def _save(self) -> dict[str, Any]:
        payload = {
            "results": self.results,
            "commands": commands(self.spec),
            "lighteval": metadata.version("lighteval"),
        }
        text = json.dumps(plain(payload), ensure_ascii=False, indent=2)
        partial = self.folder / "results.json.partial"
        partial.write_text(text, "utf-8")
        partial.replace(self.folder / "results.json")
        return payload


def answer(spec: Spec, reporter: Reporter) -> dict[str, Any]:
    """Let all models answer the spec's conversation.

    Args:
        spec: Of kind "answer".
        reporter: Where events go.

    Returns:
        The payload of `done`.

    Raises:
        Problem: In the end, for models that failed.
        Cancelled: If stopped.
    """
    reporter.stage("preparing", "engines.loading_transformers")
    import answer as engine  # type: ignore[import-not-found]

    results: list[dict[str, Any]] = []
    failures: list[Failure] = []
    try:
        template = engine.common_template(spec["models"], spec.get("chat_template"))
    except (OSError, ValueError) as error:
        raise Problem("engines.tokenizer_unreadable", detail=error) from error
    if template is None:
        reporter.warning("engines.no_template")
    for model in spec["models"]:
        reporter.check()
        reporter.stage("answering", "engines.asking", about={"model": model["role"]}, model=model["name"])

        def report(done: int, role: str = model["role"]) -> None:
            reporter.progress("answering", done, spec["max_new_tokens"], "tokens", model=role)

        try:
            result = engine.answer(model, spec["messages"], template, spec, report)
        except Cancelled:
            raise
        except Exception as error:  # the other model's answer is still wanted
            traceback.print_exc()
            known = _unavailable(model, str(error)) if isinstance(error, OSError) else error
            failures.append(Failure(model["role"], known))
            reporter.warning("engines.part_failed", **failures[-1].told())
            continue
        results.append(result)
        reporter.emit("result", **result)
    if failures:
        raise _summary(failures)
    return {"results": results}


def _read(task: dict[str, Any]) -> list[dict[str, Any]]:
    return list(task_data.read(task["name"].split("|")[0], Path(task["data"])))


def _unavailable(model: dict[str, Any], why: str) -> Problem:
    return Problem("engines.model_unavailable", model=model["name"], path=model["path"], detail=why)


def _is_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError) or "out of memory" in str(error) or "can't allocate memory" in str(error)


def _summary(failures: list[Failure]) -> Problem:
    """Return one problem naming all models (and tasks) that failed."""
    parts = [said("engines.part_failed", **failure.told()) for failure in failures]
    if any(_is_memory(failure.error) for failure in failures):
        return Problem("engines.parts_out_of_memory", parts=parts)
    return Problem("engines.parts_failed", parts=parts)


def explain(error: BaseException) -> dict[str, Any]:
    """Return the values of an `error` event."""
    told: dict[str, Any] = protocol.failure(error)
    code = KINDS.get(type(error).__name__)
    if isinstance(error, Exception) and not isinstance(error, Problem) and _is_memory(error):
        code = "engines.out_of_memory"
    return {**told, "code": code or told["code"]}


def work(spec: Spec, reporter: Reporter) -> dict[str, Any]:
    """Do what a spec asks for; return the values of `done`."""
    # Without git on the machine GitPython refuses to be imported; lighteval only wants its own commit from it.
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    check(spec)
    stay_offline(spec)
    return Evaluation(spec, reporter).run() if spec["kind"] == "evaluate" else answer(spec, reporter)


def main(arguments: list[str]) -> int:
    """Run the spec named on the command line; return the exit code."""
    versions = {name: metadata.version(name) for name in LIBRARIES}
    return int(protocol.run(arguments[1], work, versions, explain))


if __name__ == "__main__":
    protocol.leave(main(sys.argv))
