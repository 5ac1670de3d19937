"""ORPO training: check, start, and the models it made.

python -m pipeline.train PROJECT --dataset EXPORT [options]     start a run; with --check, only check it
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline import command_line, model_folder
from pipeline.errors import StudioError
from pipeline.home import open_home
from pipeline.preflight import spec_of, twin
from pipeline.project import Project, find
from pipeline.runs import supervisor
from pipeline.runs.ledger import Ledger, Run, State
from pipeline.settings import Settings
from pipeline.train.check import TrainNumbers, preflight, spec
from pipeline.train.orpo import OrpoParams, TrainOptions

__all__ = ["OrpoParams", "TrainNumbers", "TrainOptions", "TrainedModel", "models", "preflight", "snippet", "start"]


@dataclass(frozen=True)
class TrainedModel:
    """A model that a finished run made.

    Attributes:
        name: Its name within the project.
        path: The folder of the whole model; with merge_adapter off, a folder inside that of the adapter.
        size: Bytes of that folder's files.
        base_model: What it was trained from.
        run_id: The run that made it.
        created: When that run ended.
        dataset: The export it was trained on.
        result: The run's result: steps, seconds, metrics, whether it was stopped early.
    """

    name: str
    path: Path
    size: int
    base_model: str
    run_id: str
    created: datetime
    dataset: str
    result: dict[str, Any]


def start(ledger: Ledger, project: Project, options: TrainOptions, params: OrpoParams) -> Run:
    """Check a run and start it; asked for the same again while it is active, return the one there is.

    Args:
        ledger: The home's ledger.
        project: Holds the export; gets the model.
        options: What is trained on what.
        params: The hyperparameters.

    Raises:
        StudioError: Something stops it; see `preflight`.
    """
    wanted = spec(project, options, params)
    active = twin(ledger, "train", project.name, wanted)
    if active is not None:
        return active
    preflight(ledger, project, options, params).stop_if_blocked()
    remains = project.models / options.project_name
    if remains.exists():  # of a run that failed or was cancelled, else preflight would have said so
        shutil.rmtree(remains)
    project.models.mkdir(mode=0o700, exist_ok=True)
    return supervisor.launch(ledger, "train", project.name, f"Train {options.project_name}", wanted)


def models(ledger: Ledger, project: Project) -> list[TrainedModel]:
    """Return the models of finished runs that are still there, newest first.

    Args:
        ledger: The home's ledger.
        project: Whose models.
    """
    found: dict[Path, TrainedModel] = {}
    for run in ledger.list(project=project.name, kind="train"):
        path = Path(str((run.result or {}).get("model_path") or "missing"))
        if run.state is not State.SUCCEEDED or path in found or not path.is_dir() or model_folder.missing(path):
            continue
        asked = spec_of(run)
        found[path] = TrainedModel(
            name=str(asked.get("project_name", path.name)),
            path=path,
            size=sum(file.stat().st_size for file in path.rglob("*") if file.is_file()),
            base_model=str(asked.get("base_model", "")),
            run_id=run.id,
            created=datetime.fromtimestamp(run.ended or run.created, UTC),
            dataset=str(asked.get("dataset", "")),
            result=run.result or {},
        )
    return list(found.values())


def snippet(path: str | Path) -> str:
    """Return Python that loads a trained model and lets it answer, for use elsewhere.

    Args:
        path: The model's folder or Hub id.
    """
    return f"""from transformers import AutoModelForCausalLM, AutoTokenizer

name = {json.dumps(str(path), ensure_ascii=False)}
tokenizer = AutoTokenizer.from_pretrained(name)
model = AutoModelForCausalLM.from_pretrained(name)
messages = [{{"role": "user", "content": "What is a river?"}}]
inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
output = model.generate(inputs["input_ids"], attention_mask=inputs["attention_mask"], max_new_tokens=128)
print(tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Start a training run, or check it, from a command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.train", description="Start an ORPO training run.")
    parser.add_argument("project", help="Name of the project.")
    parser.add_argument("--check", action="store_true", help="Only check: print numbers, warnings and what stops it.")
    command_line.add_options(parser, TrainOptions)
    command_line.add_options(parser, OrpoParams)
    given = parser.parse_args(arguments)
    try:
        home = open_home(Settings().home)
        ledger, project = Ledger(home), find(home, given.project)
        options, params = command_line.fill(TrainOptions, given), command_line.fill(OrpoParams, given)
        if given.check:
            return command_line.show(preflight(ledger, project, options, params))
        print(start(ledger, project, options, params).id)
    except StudioError as error:
        print(command_line.tell(error), file=sys.stderr)
        return 1
    return 0
