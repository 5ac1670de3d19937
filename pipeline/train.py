"""ORPO training: its parameters, the check before it starts, its launch, and the models it made.

python -m pipeline.train PROJECT --dataset EXPORT [options]     start a run, or only check it with --check
"""

from __future__ import annotations

import argparse
import json
import math
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, Field, field_validator, model_validator
from pydantic.config import JsonDict

from pipeline import command_line, hardware, model_folder, projects_data, tokens
from pipeline.errors import StudioError
from pipeline.hardware import Hardware
from pipeline.home import open_home
from pipeline.preflight import Notice, Preflight
from pipeline.project import DEFAULT_BASE_MODEL, Project, find
from pipeline.runs import supervisor
from pipeline.runs.ledger import Ledger, Run, State
from pipeline.settings import Settings
from pipeline.tokens import PairCounts

_OPTIMIZER: JsonDict = {"group": "optimizer"}
_ADAPTER: JsonDict = {"group": "adapter"}
_LENGTHS: JsonDict = {"group": "lengths", "unit": "tokens"}
_OUTPUT: JsonDict = {"group": "output"}
_ADAPTER_FIELDS = ("lora_r", "lora_alpha", "lora_dropout")
_PACE = ("batch_size", "block_size", "lora", "lora_r", "gradient_accumulation", "mixed_precision")


class OrpoParams(BaseModel, extra="forbid", validate_assignment=True):
    """Hyperparameters of one ORPO run (Hong, Lee and Thorne 2024, arXiv 2403.07691)."""

    learning_rate: float = Field(
        2e-5,
        gt=0,
        le=0.1,
        description="Peak learning rate of AdamW.",
        json_schema_extra=_OPTIMIZER,
    )
    batch_size: int = Field(
        4,
        ge=1,
        le=1024,
        description="Pairs per batch; both completions of each go through the model together.",
        json_schema_extra={**_OPTIMIZER, "unit": "pairs"},
    )
    epochs: int = Field(1, ge=1, le=100, description="Passes over all pairs.", json_schema_extra=_OPTIMIZER)
    block_size: int = Field(
        512,
        ge=16,
        le=131072,
        description="Longest sequence, prompt and completion together; longer ones are cut.",
        json_schema_extra=_LENGTHS,
    )
    warmup_ratio: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Part of the steps over which the learning rate rises from 0 to its peak.",
        json_schema_extra={**_OPTIMIZER, "unit": "share of steps"},
    )
    lora: bool = Field(
        True,
        description="Train a small adapter (LoRA) on all linear layers; off: train all weights.",
        json_schema_extra=_ADAPTER,
    )
    lora_r: int = Field(16, ge=1, le=1024, description="Rank of the adapter.", json_schema_extra=_ADAPTER)
    lora_alpha: int = Field(
        32, ge=1, le=4096, description="Scale of the adapter: its output times alpha / r.", json_schema_extra=_ADAPTER
    )
    lora_dropout: float = Field(
        0.05,
        ge=0,
        le=0.9,
        description="Share of the adapter's inputs dropped while training.",
        json_schema_extra=_ADAPTER,
    )
    merge_adapter: bool = Field(
        True,
        description="Merge the adapter into the base model at the end; evaluation needs the merged model.",
        json_schema_extra=_ADAPTER,
    )
    weight_decay: float = Field(0.01, ge=0, le=1, description="Weight decay of AdamW.", json_schema_extra=_OPTIMIZER)
    gradient_accumulation: int = Field(
        4,
        ge=1,
        le=1024,
        description="Batches whose gradients are added up for one step.",
        json_schema_extra={**_OPTIMIZER, "unit": "batches"},
    )
    mixed_precision: Literal["bf16", "fp16", "none"] = Field(
        "bf16",
        description="Number format of the forward and backward pass; fp16 needs a GPU, none is float32.",
        json_schema_extra=_OPTIMIZER,
    )
    max_prompt_length: int = Field(
        256,
        ge=1,
        le=131072,
        description="Longest prompt of a sequence beyond block_size; its beginning is cut.",
        json_schema_extra=_LENGTHS,
    )
    max_completion_length: int = Field(
        256, ge=1, le=131072, description="Longest completion; its end is cut.", json_schema_extra=_LENGTHS
    )
    logging_steps: int = Field(
        10,
        ge=1,
        le=10000,
        description="Steps between two reports of loss and rewards.",
        json_schema_extra={**_OUTPUT, "unit": "steps"},
    )
    save_total_limit: int = Field(
        2,
        ge=1,
        le=100,
        description="Checkpoints kept; older ones are deleted.",
        json_schema_extra={**_OUTPUT, "unit": "checkpoints"},
    )
    seed: int = Field(
        42,
        ge=0,
        le=4294967295,
        description="Seed of the order of the pairs, the adapter's first weights and its dropout.",
        json_schema_extra=_OUTPUT,
    )
    beta: float = Field(
        0.1,
        gt=0,
        le=10,
        description="Weight of the odds-ratio term against the language-model loss (λ in the paper).",
        json_schema_extra=_OPTIMIZER,
    )

    @model_validator(mode="after")
    def _room_for_the_answer(self) -> Self:
        if self.max_prompt_length >= self.block_size:
            raise ValueError(
                f"max_prompt_length ({self.max_prompt_length}) must be smaller than block_size ({self.block_size}): "
                "the completion is cut to what is left of it."
            )
        return self


class TrainOptions(BaseModel, extra="forbid", validate_assignment=True):
    """What is trained on what."""

    base_model: str = Field(
        DEFAULT_BASE_MODEL, description="The model to start from: its id on the Hugging Face Hub, or a folder."
    )
    project_name: str = Field(
        "my-autotrain-llm",
        description="Name of the trained model and its folder: letters, digits and hyphens, at most 50.",
    )
    dataset: str = Field("", pattern=r"^[A-Za-z0-9_-]*$", description="The export whose train split is trained on.")
    trainer: Literal["orpo"] = Field("orpo", description="Odds ratio preference optimization.")

    @field_validator("base_model")
    @classmethod
    def _without_spaces(cls, name: str) -> str:
        return name.strip()

    @field_validator("project_name")
    @classmethod
    def _as_autotrain_wants_it(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,48}[A-Za-z0-9])?", name) or "--" in name:
            raise ValueError(
                f"“{name}” cannot name a model. AutoTrain and the Hub take letters, digits and single hyphens between "
                "them, at most 50 characters"
            )
        return name


@dataclass(frozen=True)
class TrainNumbers:
    """What is known of a run before it starts.

    Attributes:
        pairs: Pairs in the train split.
        steps_per_epoch: Optimizer steps in one pass.
        steps: Optimizer steps in all.
        unused: Pairs of each pass that fill no whole step and are left out; others every time.
        longest: Length of the longest sequence, prompt and longer completion.
        sequences_cut: Pairs whose longer sequence exceeds block_size.
        prompts_cut: Pairs whose prompt loses its beginning.
        completions_cut: Pairs of which a completion loses its end.
        unit: What lengths count: "tokens" of the base model, or "words (estimate)".
        memory: Estimated peak, bytes; None where the model's shape is unknown.
        seconds: Time of a former run with the same data, model and settings, scaled to the steps; None without one.
    """

    pairs: int
    steps_per_epoch: int
    steps: int
    unused: int
    longest: int
    sequences_cut: int
    prompts_cut: int
    completions_cut: int
    unit: str
    memory: int | None
    seconds: float | None


@dataclass(frozen=True)
class TrainedModel:
    """A model a finished run made.

    Attributes:
        name: Its name within the project.
        path: Its folder.
        size: Bytes of the folder's files.
        base_model: What it was trained from.
        run_id: The run that made it.
        created: When that run ended.
        dataset: The export it was trained on.
        adapter: Whether the folder holds only an adapter, which cannot be evaluated.
        result: The run's result: steps, seconds, metrics and whether it was stopped early.
    """

    name: str
    path: Path
    size: int
    base_model: str
    run_id: str
    created: datetime
    dataset: str
    adapter: bool
    result: dict[str, Any]


@dataclass(frozen=True)
class Cuts:
    """What lengths do to the pairs; see `TrainNumbers`."""

    longest: int
    sequences: int
    prompts: int
    completions: int


def steps_per_epoch(pairs: int, batch_size: int, gradient_accumulation: int) -> int:
    """Return the optimizer steps AutoTrain 0.8.36 (transformers 4.48) makes in one pass over the pairs.

    A last batch may be smaller, a last step may not: floor(ceil(pairs / batch_size) / gradient_accumulation). Where
    that is 0, transformers still makes one step with its loss divided by gradient_accumulation, so weaker than meant.
    """
    return math.ceil(pairs / batch_size) // gradient_accumulation


def cuts(counts: Sequence[PairCounts], params: OrpoParams) -> Cuts:
    """Count what is cut, by the rules of TRL 0.13's `ORPOTrainer.tokenize_row`.

    Completions are cut to max_completion_length first (our worker; TRL ignores it). Where prompt and longer completion
    exceed block_size the prompt keeps its last max_prompt_length tokens, and where that does not do the completions
    keep their first block_size - max_prompt_length.

    Args:
        counts: Lengths of the pairs' parts.
        params: Gives the limits.
    """
    longest = sequences = prompts = completions = 0
    for count in counts:
        answer = max(count.chosen, count.rejected)
        longest = max(longest, count.prompt + answer)
        kept = min(answer, params.max_completion_length)
        too_long = count.prompt + kept > params.block_size
        still_too_long = too_long and min(count.prompt, params.max_prompt_length) + kept > params.block_size
        sequences += count.prompt + answer > params.block_size
        prompts += too_long and count.prompt > params.max_prompt_length
        completions += kept < answer or still_too_long
    return Cuts(longest, sequences, prompts, completions)


def preflight(
    ledger: Ledger, project: Project, options: TrainOptions, params: OrpoParams, machine: Hardware | None = None
) -> Preflight[TrainNumbers]:
    """Check a run before anything is loaded.

    Args:
        ledger: The home's ledger: names in use, times of former runs.
        project: Holds the export.
        options: What is trained on what.
        params: The hyperparameters.
        machine: Where it runs; this machine by default.
    """
    machine = machine or hardware.this_machine()
    blockers = [_dataset_problem(project, options), model_folder.problem(options.base_model)]
    blockers += [_name_in_use(ledger, project, options)]
    counter = tokens.counter(str(model_folder.locate(options.base_model) or options.base_model))
    counts = [] if blockers[0] else lengths(project.exports / options.dataset / "train.jsonl", counter)
    found = cuts(counts, params)
    per_epoch = steps_per_epoch(len(counts), params.batch_size, params.gradient_accumulation)
    numbers = TrainNumbers(
        pairs=len(counts),
        steps_per_epoch=per_epoch,
        steps=per_epoch * params.epochs,
        unused=max(0, len(counts) - per_epoch * params.batch_size * params.gradient_accumulation),
        longest=found.longest,
        sequences_cut=found.sequences,
        prompts_cut=found.prompts,
        completions_cut=found.completions,
        unit=counter.unit,
        memory=_memory(options, params, found.longest),
        seconds=_former_pace(ledger, project, options, params, per_epoch * params.epochs),
    )
    blockers += [_no_step(numbers, params), _precision_problem(params, machine)]
    warnings = [*_cut_warnings(numbers, params), *_setting_warnings(numbers, params)]
    warnings += [_memory_warning(numbers, machine), _disk_warning(project, options)]
    return Preflight(numbers, [notice for notice in blockers if notice], [notice for notice in warnings if notice])


def lengths(file: Path, counter: tokens.TokenCounter) -> tuple[PairCounts, ...]:
    """Return the lengths of an export's pairs, without what a chat template adds; counted once per file and counter."""
    stamp = file.stat()
    return _lengths(file, (stamp.st_mtime_ns, stamp.st_size), counter)


@lru_cache(maxsize=4)
def _lengths(file: Path, _stamp: tuple[int, int], counter: tokens.TokenCounter) -> tuple[PairCounts, ...]:
    return tuple(tokens.pair_counts(projects_data.read_pairs(file), counter))


def spec(project: Project, options: TrainOptions, params: OrpoParams) -> dict[str, Any]:
    """Return the spec of a run, as `pipeline/engines/autotrain/worker.py` reads it."""
    return {
        "base_model": model_folder.path_for_worker(options.base_model),
        "project_name": options.project_name,
        "trainer": options.trainer,
        "dataset": options.dataset,
        "data_dir": str(project.exports / options.dataset),
        "output_dir": str(project.models / options.project_name),
        "params": params.model_dump(mode="json"),
    }


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
    for run in ledger.list(project=project.name, kind="train", active=True):
        if projects_data.spec_of(run).items() >= wanted.items():
            return run
    preflight(ledger, project, options, params).stop_if_blocked()
    folder = Path(wanted["output_dir"])
    if folder.exists():  # preflight let it pass: remains of a run that came to nothing
        shutil.rmtree(folder)
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
        path = Path(str((run.result or {}).get("model_path", "")))
        if run.state is not State.SUCCEEDED or path in found or not _is_model(path):
            continue
        asked = projects_data.spec_of(run)
        found[path] = TrainedModel(
            name=str(asked.get("project_name", path.name)),
            path=path,
            size=sum(file.stat().st_size for file in path.rglob("*") if file.is_file()),
            base_model=str(asked.get("base_model", "")),
            run_id=run.id,
            created=datetime.fromtimestamp(run.ended or run.created, UTC),
            dataset=str(asked.get("dataset", "")),
            adapter=model_folder.is_adapter(path),
            result=run.result or {},
        )
    return list(found.values())


def snippet(path: str | Path) -> str:
    """Return Python that loads a trained model and lets it answer, for whoever uses it elsewhere.

    Args:
        path: The model's folder or Hub id.
    """
    name = json.dumps(str(path), ensure_ascii=False)
    adapter = model_folder.is_adapter(Path(path))
    library, loader = ("peft", "AutoPeftModelForCausalLM") if adapter else ("transformers", "AutoModelForCausalLM")
    imports = "from transformers import AutoModelForCausalLM, AutoTokenizer"
    if adapter:
        imports = f"from {library} import {loader}\nfrom transformers import AutoTokenizer"
    return f"""{imports}

name = {name}
tokenizer = AutoTokenizer.from_pretrained(name)
model = {loader}.from_pretrained(name)
messages = [{{"role": "user", "content": "What is a river?"}}]
inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
output = model.generate(**inputs, max_new_tokens=128)
print(tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
"""


def _is_model(path: Path) -> bool:
    return model_folder.is_adapter(path) or ((path / "config.json").is_file() and not model_folder.missing(path))


def _dataset_problem(project: Project, options: TrainOptions) -> Notice | None:
    if not options.dataset:
        return Notice("No dataset is chosen.", "", "Choose an export, or make one in the Export tab.")
    if not (project.exports / options.dataset / "train.jsonl").is_file():
        return Notice(f"There is no export “{options.dataset}” with a train split.", "", "Choose another export.")
    return None


def _name_in_use(ledger: Ledger, project: Project, options: TrainOptions) -> Notice | None:
    """Say who has the model's folder; remains of runs that came to nothing do not count."""
    folder = project.models / options.project_name
    remains = False
    for run in ledger.list(project=project.name, kind="train"):
        if projects_data.spec_of(run).get("output_dir") != str(folder):
            continue
        if run.active:
            return Notice(
                f"The name “{options.project_name}” is in use.",
                f"The run {run.id} is training a model of this name.",
                "Wait for its end, stop it, or choose another project_name.",
            )
        if run.state is State.SUCCEEDED:
            remains = False
            break
        remains = True
    if folder.exists() and not remains:
        return Notice(
            f"The name “{options.project_name}” is in use.",
            "A model of this name is there already.",
            "Choose another project_name.",
        )
    return None


def _no_step(numbers: TrainNumbers, params: OrpoParams) -> Notice | None:
    if numbers.steps or not numbers.pairs:
        return None
    batches = math.ceil(numbers.pairs / params.batch_size)
    return Notice(
        "The pairs are too few for one training step.",
        f"{numbers.pairs} pairs make {batches} {'batch' if batches == 1 else 'batches'} of {params.batch_size}, "
        f"and a step takes {params.gradient_accumulation}.",
        f"Set gradient_accumulation to {batches} or less, or export more pairs.",
    )


def _precision_problem(params: OrpoParams, machine: Hardware) -> Notice | None:
    if params.mixed_precision != "fp16" or machine.gpus:
        return None
    return Notice(
        "fp16 needs a GPU.", "This machine has none, where fp16 is float32.", "Set mixed_precision to bf16 or none."
    )


def _cut_warnings(numbers: TrainNumbers, params: OrpoParams) -> list[Notice]:
    """Say what is cut, in the unit that was counted."""
    found = []
    for count, what, limit in (
        (numbers.sequences_cut, "are longer than block_size", params.block_size),
        (numbers.prompts_cut, "lose the beginning of their prompt to max_prompt_length", params.max_prompt_length),
        (numbers.completions_cut, "lose the end of a completion", params.max_completion_length),
    ):
        if count:
            share = count / numbers.pairs
            found.append(
                Notice(
                    f"{count} of {numbers.pairs} pairs ({share:.0%}) {what} ({limit}).",
                    f"Counted in {numbers.unit}, without the few that the chat template adds to each turn; the longest "
                    f"sequence has {numbers.longest}.",
                    "Raise the lengths, or filter long pairs out.",
                )
            )
    return found


def _setting_warnings(numbers: TrainNumbers, params: OrpoParams) -> list[Notice]:
    """Say which settings have no effect or hide something."""
    found = []
    if 0 < numbers.steps < params.logging_steps:
        found.append(
            Notice(
                f"The run has {numbers.steps} steps and reports every {params.logging_steps}.",
                "The curves would stay empty until the end.",
                f"Set logging_steps to {max(1, numbers.steps // 10)}.",
            )
        )
    fields = OrpoParams.model_fields
    idle = [name for name in _ADAPTER_FIELDS if getattr(params, name) != fields[name].default]
    if idle and not params.lora:
        found.append(
            Notice(f"{', '.join(idle)} will have no effect.", "They belong to lora, which is off.", "Turn lora on.")
        )
    if params.lora and not params.merge_adapter:
        found.append(
            Notice(
                "The model cannot be evaluated here.",
                "merge_adapter is off, and lighteval 0.13.0 reads no adapters.",
                "Turn merge_adapter on.",
            )
        )
    return found


def _memory(options: TrainOptions, params: OrpoParams, longest: int) -> int | None:
    folder = model_folder.locate(options.base_model)
    shape = model_folder.shape(folder) if folder else None
    if shape is None:
        return None
    return hardware.training_memory(
        shape,
        batch_size=params.batch_size,
        tokens=min(params.block_size, longest),
        lora_rank=params.lora_r if params.lora else None,
        mixed_precision=params.mixed_precision,
    )


def _memory_warning(numbers: TrainNumbers, machine: Hardware) -> Notice | None:
    if numbers.memory is None or numbers.memory <= machine.training_memory:
        return None
    return Notice(
        f"The run may need {hardware.size(numbers.memory)} of memory.",
        f"This machine has {hardware.size(machine.training_memory)}; the estimate was fitted to runs on a CPU.",
        "Set a smaller batch_size and a larger gradient_accumulation, or a smaller block_size, or turn lora on.",
    )


def _disk_warning(project: Project, options: TrainOptions) -> Notice | None:
    folder = model_folder.locate(options.base_model)
    shape = model_folder.shape(folder) if folder else None
    free = shutil.disk_usage(project.folder).free
    if shape is None or free >= 8 * shape.parameters:
        return None
    return Notice(
        f"The disk has {hardware.size(free)} left.",
        f"The model may take {hardware.size(8 * shape.parameters)}: its weights in float32 and a merged copy.",
        "Free some space.",
    )


def _former_pace(
    ledger: Ledger, project: Project, options: TrainOptions, params: OrpoParams, steps: int
) -> float | None:
    """Return the seconds the steps took in the last finished run with the same data, model and pace-setting values."""
    wanted = spec(project, options, params)
    for run in ledger.list(project=project.name, kind="train"):
        former = projects_data.spec_of(run)
        same = all(former.get(name) == wanted[name] for name in ("base_model", "data_dir"))
        same = same and all(former.get("params", {}).get(name) == wanted["params"][name] for name in _PACE)
        done, seconds = (run.result or {}).get("steps"), (run.result or {}).get("seconds")
        if same and run.state is State.SUCCEEDED and done and seconds:
            return float(seconds) / int(done) * steps
    return None


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
        if not given.check:
            print(start(ledger, project, options, params).id)
            return 0
        found = preflight(ledger, project, options, params)
    except StudioError as error:
        print(command_line.tell(error), file=sys.stderr)
        return 1
    command_line.show(found)
    return 1 if found.blockers else 0


if __name__ == "__main__":
    raise SystemExit(main())
