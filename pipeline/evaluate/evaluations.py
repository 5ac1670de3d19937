"""Evaluation: check, start, history, and answers side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.base.errors import StudioError
from pipeline.base.message import message
from pipeline.base.project import Project
from pipeline.evaluate import job
from pipeline.evaluate.check import preflight
from pipeline.evaluate.comparison import BASE, TUNED, Row, compare
from pipeline.evaluate.options import AnswerOptions, EvaluateOptions
from pipeline.evaluate.spec import model_entry, spec, uses_hub
from pipeline.hardware import pricing
from pipeline.hardware.pricing import JobOptions
from pipeline.hub import account, store
from pipeline.models import reference
from pipeline.runs import events, launch
from pipeline.runs.ledger import Ledger, Run, State
from pipeline.runs.spec import spec_of
from pipeline.train import trainings


@dataclass(frozen=True)
class Evaluation:
    """One evaluation run with results.

    Attributes:
        run_id: The run.
        created: When it was asked for.
        state: How it stands.
        models: The models of its spec by role: name, path (a folder or Hub id), revision.
        tasks: The tasks of its spec by name: data, chat_template.
        dataset: The export whose test split was scored; "" for none.
        folder: Its files: results.json, and samples.jsonl of each role.
        results: The worker's `result` events.
        commands: Equivalent lighteval command lines; empty until it has finished.
        link: The page on the Hub where a Job left its files; "" where there is none.
    """

    run_id: str
    created: datetime
    state: State
    models: dict[str, dict[str, Any]]
    tasks: dict[str, dict[str, Any]]
    dataset: str
    folder: Path
    results: list[dict[str, Any]]
    commands: list[str]
    link: str = ""

    @property
    def base(self) -> str:
        """Name of the model before training; "" where nothing is compared."""
        return self.name(BASE)

    @property
    def tuned(self) -> str:
        """Name of the trained model."""
        return self.name(TUNED)

    @property
    def compared(self) -> list[str]:
        """Roles of the models that are compared with the base model, or scored alone."""
        return [role for role in self.models if role != BASE]

    def name(self, role: str) -> str:
        """Return what the model of a role is called; "" where there is none."""
        return str(self.models.get(role, {}).get("name", ""))

    def rows(self, role: str = TUNED) -> list[Row]:
        """Return base against another model."""
        return compare(self.results, self.folder, role)


def start(ledger: Ledger, project: Project, options: EvaluateOptions, where: JobOptions | None = None) -> Run:
    """Check an evaluation and start it; asked for the same again while it is active, return the one there is.

    Args:
        ledger: The home's ledger.
        project: Holds models and exports; gets the results.
        options: Which models on which tasks.
        where: This machine by default, or a Job and what it may cost.

    Raises:
        StudioError: Something stops it; see `preflight`.
    """
    found = preflight(ledger, project, options, where=where)
    found.stop_if_blocked()
    known = {str(model.path): model.name for model in trainings.models(ledger, project)}
    wanted = spec(project, options, known) | (where.place if where else {})
    offer = found.numbers.offer
    if offer is not None:
        wanted |= pricing.placed(offer, account.require_jobs())
    elif uses_hub(options):
        wanted["user"] = pricing.user()
    project.evaluations.mkdir(mode=0o700, exist_ok=True)
    tuned = next(model["name"] for model in wanted["models"] if model["role"] == TUNED)
    title = message("evaluation.title", model=tuned)

    def whole(run_id: str) -> dict[str, Any]:
        made = wanted | {"output_dir": str(project.evaluations / run_id)}
        return made | {"remote": job.remote(project, options, made, fetch=made["output_dir"])} if offer else made

    return launch.start(ledger, "evaluate", project.name, title, whole, wanted)


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
    # What another disk knows of a Job's run has no paths of the machine that started it.
    told = {task["name"]: task for task in (asked.get("remote") or {}).get("overrides", {}).get("tasks", [])}
    tasks = [told.get(task["name"], {}) | task for task in asked.get("tasks", [])]
    return Evaluation(
        run_id=run.id,
        created=datetime.fromtimestamp(run.created, UTC),
        state=run.state,
        models={str(model["role"]): model for model in asked.get("models", [])},
        tasks={str(task["name"]): task for task in tasks},
        dataset=str(asked.get("dataset") or ""),
        folder=Path(asked.get("output_dir") or run.folder / "output"),
        results=[event for event in events.read(run.events).events if event["event"] == "result"],
        commands=list((run.result or {}).get("commands", [])),
        link=store.page(run.user, run.id) if run.place == "job" and run.user else "",
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
        raise StudioError("evaluation.no_prompt")
    for name in models.values():
        problem = reference.problem(name)
        if problem is not None:
            raise StudioError(problem)
    title = message("evaluation.answer_title", prompt=prompt.strip().splitlines()[0][:40])
    wanted = answer_spec(models, prompt, options or AnswerOptions())
    return launch.start(ledger, "answer", project.name, title, wanted)


def answer_spec(models: Mapping[str, str], prompt: str, options: AnswerOptions) -> dict[str, Any]:
    """Return the spec of an answer, as `pipeline/engines/lighteval/worker.py` reads it; see `answer`."""
    user = {} if all(reference.refer(name).local for name in models.values()) else {"user": pricing.user()}
    return {
        "models": [model_entry(role, name) for role, name in models.items()],
        **user,
        "messages": [{"role": "user", "content": prompt}],
        "chat_template": None,  # the worker takes the trained model's
        **options.model_dump(mode="json"),
    }
