"""Evaluation: check, start, history, and answers side by side.

python -m pipeline.evaluate PROJECT --tuned MODEL [options]     start a run; with --check, only check it
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline import command_line, model_folder, train
from pipeline.errors import StudioError
from pipeline.evaluate.check import AnswerOptions, EvaluateNumbers, EvaluateOptions, model_entry, preflight, spec
from pipeline.evaluate.comparison import Row, compare, rounded, verdict
from pipeline.home import open_home
from pipeline.preflight import spec_of
from pipeline.project import Project, find
from pipeline.runs import events, supervisor
from pipeline.runs.ledger import Ledger, Run, State
from pipeline.settings import Settings

__all__ = [
    "AnswerOptions",
    "EvaluateNumbers",
    "EvaluateOptions",
    "Evaluation",
    "Row",
    "answer",
    "compare",
    "preflight",
    "results",
    "rounded",
    "start",
    "verdict",
]


@dataclass(frozen=True)
class Evaluation:
    """One evaluation run with results.

    Attributes:
        run_id: The run.
        created: When it was asked for.
        state: How it stands.
        base: The model before training.
        tuned: The trained model.
        folder: Its files: results.json, and samples.jsonl of each role.
        results: The worker's `result` events.
        commands: Equivalent lighteval command lines; empty until it has finished.
    """

    run_id: str
    created: datetime
    state: State
    base: str
    tuned: str
    folder: Path
    results: list[dict[str, Any]]
    commands: list[str]

    def rows(self) -> list[Row]:
        """Return base against tuned."""
        return compare(self.results, self.folder)


def start(ledger: Ledger, project: Project, options: EvaluateOptions) -> Run:
    """Check an evaluation and start it; asked for the same again while it is active, return the one there is.

    Args:
        ledger: The home's ledger.
        project: Holds models and exports; gets the results.
        options: Which models on which tasks.

    Raises:
        StudioError: Something stops it; see `preflight`.
    """
    preflight(ledger, project, options).stop_if_blocked()
    path = model_folder.path_for_worker(options.tuned)
    known = {str(model.path): model.name for model in train.models(ledger, project)}
    wanted = spec(project, options, known.get(path, ""))
    wanted["output_dir"] = str(output_folder(ledger, project, wanted))
    project.evaluations.mkdir(mode=0o700, exist_ok=True)
    return supervisor.launch(ledger, "evaluate", project.name, f"Evaluate {wanted['models'][1]['name']}", wanted)


def output_folder(ledger: Ledger, project: Project, wanted: dict[str, Any]) -> Path:
    """Return a folder of its own for each run, and the same for the same asked twice while the first is active.

    Args:
        ledger: The home's ledger.
        project: Whose evaluation.
        wanted: The spec without output_dir.
    """
    digest = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()[:12]
    runs = ledger.list(project=project.name, kind="evaluate")
    before = [run for run in runs if Path(str(spec_of(run).get("output_dir", ""))).name.startswith(f"{digest}-")]
    ended = sum(not run.active for run in before)
    return project.evaluations / f"{digest}-{ended + 1}"


def results(ledger: Ledger, project: Project) -> list[Evaluation]:
    """Return the project's evaluations that have results, those still running among them, newest first.

    Args:
        ledger: The home's ledger.
        project: Whose evaluations.
    """
    found = (result(run) for run in ledger.list(project=project.name, kind="evaluate"))
    return [evaluation for evaluation in found if evaluation is not None and evaluation.results]


def result(run: Run) -> Evaluation | None:
    """Return what an evaluation run has found so far; None when its folder is gone.

    Args:
        run: Of kind evaluate.
    """
    asked = spec_of(run)
    if not asked:
        return None
    names = {model["role"]: str(model["name"]) for model in asked["models"]}
    return Evaluation(
        run_id=run.id,
        created=datetime.fromtimestamp(run.created, UTC),
        state=run.state,
        base=names.get("base", ""),
        tuned=names.get("tuned", ""),
        folder=Path(asked["output_dir"]),
        results=[event for event in events.read(run.events).events if event["event"] == "result"],
        commands=list((run.result or {}).get("commands", [])),
    )


def answer(
    ledger: Ledger, project: Project, models: Mapping[str, str], prompt: str, options: AnswerOptions | None = None
) -> Run:
    """Let models answer a prompt, side by side, with the trained model's chat template for all.

    The answers are the run's `result` events: {role, name, text, tokens, seconds}.

    Args:
        ledger: The home's ledger.
        project: Whose models.
        models: Model (folder or Hub id) by role: base, tuned.
        prompt: What is asked.
        options: How they answer; the default when None.

    Raises:
        StudioError: There is no prompt or a model cannot be loaded.
    """
    if not prompt.strip():
        raise StudioError("There is nothing to answer.", "The prompt is empty.", "Write a prompt.")
    for name in models.values():
        problem = model_folder.problem(name)
        if problem is not None:
            raise problem.error()
    title = f"Answer “{prompt.strip().splitlines()[0][:40]}”"
    wanted = answer_spec(models, prompt, options or AnswerOptions())
    return supervisor.launch(ledger, "answer", project.name, title, wanted)


def answer_spec(models: Mapping[str, str], prompt: str, options: AnswerOptions) -> dict[str, Any]:
    """Return the spec of an answer, as `pipeline/engines/lighteval/worker.py` reads it; see `answer`."""
    return {
        "models": [model_entry(role, name) for role, name in models.items()],
        "messages": [{"role": "user", "content": prompt}],
        "chat_template": None,  # the worker takes the trained model's
        **options.model_dump(mode="json"),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Start an evaluation, or check it, from a command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.evaluate", description="Compare a model with its base.")
    parser.add_argument("project", help="Name of the project.")
    parser.add_argument("--check", action="store_true", help="Only check: print numbers, warnings and what stops it.")
    command_line.add_options(parser, EvaluateOptions)
    given = parser.parse_args(arguments)
    try:
        home = open_home(Settings().home)
        ledger, project = Ledger(home), find(home, given.project)
        options = command_line.fill(EvaluateOptions, given)
        if given.check:
            return command_line.show(preflight(ledger, project, options))
        print(start(ledger, project, options).id)
    except StudioError as error:
        print(command_line.tell(error), file=sys.stderr)
        return 1
    return 0
