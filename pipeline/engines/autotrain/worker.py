"""Train a model by ORPO with AutoTrain 0.8.36's own training function: `python worker.py SPEC.json`.

Runs in the engine's environment, imports the engine and the standard library only, and is one file so that it can be
sent to another machine as it is. The spec:

    kind         "train"
    base_model   Hub id or folder
    project_name name of the folder made in output_dir (letters, digits and hyphens, at most 50)
    data_dir     folder with train.jsonl: rows of prompt, chosen, rejected, each a chat list; other columns are ignored
    output_dir   folder in which <project_name>/ is made
    events       file of events, or "-": lines on stdout that begin with @@EVT
    stop_file    its existence asks to stop after the current step and save
    params       the fields of `Params`

AutoTrain 0.8.36 accepts parameters that its ORPO trainer then ignores. They act here: `seed`, `lora_dropout` (trl
switches all dropout off), `max_completion_length`, `max_prompt_length` (trl looks at it only when the whole sequence
is too long), `save_total_limit` (AutoTrain never saves checkpoints for ORPO), `beta`.

Exit code: 0 done, 1 error, 130 cancelled.
"""

from __future__ import annotations

import errno
import importlib.metadata
import json
import math
import os
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

LIBRARIES = ("autotrain-advanced", "trl", "transformers", "peft", "accelerate", "datasets", "torch")
UNMASKED = -100  # the label trl gives to tokens that are not the answer's
CHECKPOINTS = 5  # checkpoints made in the course of a run, `save_total_limit` of them kept
Messages = list[dict[str, str]]
Emit = Callable[..., None]


class WorkerError(Exception):
    """Something the user can act on.

    Args:
        kind: Its type, for programs.
        message: What happened.
        next: What the user can do, one sentence.
    """

    def __init__(self, kind: str, message: str, next: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.next = next


class Cancelled(BaseException):
    """A signal arrived, or a stop was asked for before there was anything to save."""


SIGNALS: list[int] = []  # those received: a library may swallow or rename the exception raised on arrival


@dataclass(frozen=True)
class Params:
    """Hyperparameters as the user sets them; units are tokens, pairs and steps."""

    learning_rate: float = 2e-5
    batch_size: int = 4
    epochs: int = 1
    block_size: int = 512
    warmup_ratio: float = 0.1
    lora: bool = True
    lora_r: int = 16
    lora_alpha: int = 32
    lora_dropout: float = 0.05
    weight_decay: float = 0.01
    gradient_accumulation: int = 4
    mixed_precision: str = "bf16"
    max_prompt_length: int = 256
    max_completion_length: int = 256
    logging_steps: int = 10
    save_total_limit: int = 2
    seed: int = 42
    merge_adapter: bool = True
    beta: float = 0.1


@dataclass(frozen=True)
class Job:
    """What the spec asks for, with absolute paths."""

    base_model: str
    project_name: str
    data_dir: Path
    output_dir: Path
    stop_file: Path | None
    params: Params

    @property
    def folder(self) -> Path:
        """The model's folder."""
        return self.output_dir / self.project_name

    def stop_requested(self) -> bool:
        """Return whether the stop file is there."""
        return self.stop_file is not None and self.stop_file.exists()


@dataclass
class State:
    """What is learned on the way."""

    started: float = field(default_factory=time.time)
    pairs: int = 0
    steps: int = 0
    tokens: int = 0
    stopped: bool = False
    prompts_cut: int = 0
    completions_cut: int = 0
    sequences_cut: int = 0
    tokenized: int = 0
    reported: float = 0.0
    checkpoints: set[str] = field(default_factory=set)
    chat_template_added: bool = False
    dtype: Any = None
    model: Any = None
    metrics: dict[str, Any] = field(default_factory=dict)


def main(spec_path: str) -> int:
    """Run the spec and return the exit code."""
    spec = json.loads(Path(spec_path).read_text("utf-8"))
    emit = event_writer(spec.get("events", "-"))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _cancel)
    emit("started", pid=os.getpid(), versions=_versions())
    try:
        done = run(spec, emit)
    except Cancelled:
        _ignore_signals()
        emit("cancelled")
        return 130
    except (Exception, SystemExit) as error:
        _ignore_signals()
        if SIGNALS:
            emit("cancelled")
            return 130
        said, trace = explain(error), traceback.format_exc()
        with suppress(OSError):  # on a full disk neither log nor event may find space; the exit code tells
            print(trace, file=sys.stderr)
        with suppress(OSError):
            emit("error", **said, traceback=trace[-4000:])
        return 1
    _ignore_signals()
    emit("done", **done)
    return 0


def event_writer(target: str) -> Emit:
    """Return the function that writes one event, a single line in a single write.

    Args:
        target: A file, or "-" for stdout.
    """
    handle = None if target == "-" else os.open(target, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def emit(event: str, **values: Any) -> None:
        line = json.dumps(_plain({"ts": time.time(), "event": event, **values}), ensure_ascii=False)
        if handle is None:
            sys.stdout.write(f"\n@@EVT {line}\n")
            sys.stdout.flush()
        else:
            data = f"{line}\n".encode("utf-8", "replace")
            if os.write(handle, data) < len(data):  # the last bytes of a disk
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return emit


def run(spec: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Train and save.

    Args:
        spec: See the module.
        emit: Writes an event.

    Returns:
        The values of the `done` event.

    Raises:
        WorkerError: Something the user can act on.
        Cancelled: A signal arrived, or a stop was asked for before the first step.
    """
    job = read_spec(spec)
    rows = read_pairs(job.data_dir / "train.jsonl")
    check_sizes(job, len(rows))
    state = State(pairs=len(rows))
    emit("stage", stage="starting", message="Starting AutoTrain")
    _prepare_environment()
    import torch

    if not torch.cuda.is_available():
        # Everything without CUDA trains on the CPU: trl 0.13 was not run on Apple's GPU, and transformers 4.48 refuses
        # bf16 there.
        os.environ["ACCELERATE_USE_CPU"] = "true"
    import datasets
    from autotrain.trainers.clm import train_clm_orpo

    datasets.disable_caching()  # else every map leaves a file beside the data
    datasets.disable_progress_bars()
    job.folder.mkdir(parents=True, exist_ok=True)
    os.chdir(job.output_dir)  # AutoTrain makes the folder named project_name in the current one
    try:
        tokenizer, config = prepare(job, state, rows, emit)
        with _replaced(hooks(job, state, tokenizer, emit)):
            train_clm_orpo.train(config)
        save(job, state, tokenizer, config)
    except Exception as error:
        if explain(error)["type"] == "DiskFull":
            _remove_torn(job.folder, state)
        raise
    finally:
        _remove_leftovers(job.folder)
    for checkpoint in job.folder.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)
    return _summary(job, state)


def read_spec(spec: dict[str, Any]) -> Job:
    """Return the job a spec describes, checked as far as that needs no library."""
    try:
        params = Params(**spec["params"])
        job = Job(
            base_model=_model_place(spec["base_model"]),
            project_name=spec["project_name"],
            data_dir=Path(spec["data_dir"]).resolve(),
            output_dir=Path(spec["output_dir"]).resolve(),
            stop_file=Path(spec["stop_file"]).resolve() if spec.get("stop_file") else None,
            params=params,
        )
    except (KeyError, TypeError) as error:
        raise WorkerError("BadSpec", f"The spec cannot be read: {error!r}.") from error
    if spec.get("kind") != "train":
        raise WorkerError("BadSpec", f"This worker trains; it cannot do {spec.get('kind')!r}.")
    if params.mixed_precision not in ("bf16", "fp16", "none"):
        raise WorkerError("BadSpec", f"mixed_precision is bf16, fp16 or none, not {params.mixed_precision!r}.")
    name = job.project_name.replace("-", "")
    if not (name.isascii() and name.isalnum() and len(job.project_name) <= 50):
        raise WorkerError(
            "BadName",
            f"{job.project_name!r} cannot name a model.",
            "Use letters, digits and hyphens, at most 50.",
        )
    if job.folder.exists() and any(job.folder.iterdir()):
        raise WorkerError("FolderExists", f"{job.folder} is not empty.", "Choose another name for the model.")
    return job


def _model_place(name: str) -> str:
    """Return the absolute folder of a local model, or the Hub id."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        if (folder / "config.json").is_file():
            return str(folder.resolve())
        raise WorkerError(
            "ModelNotFound",
            f"{name} holds no config.json.",
            "Choose the folder of a whole model (an adapter alone is not one).",
        )
    if folder.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1 or not name:
        raise WorkerError(
            "ModelNotFound", f"There is no folder {name!r}.", "Check the folder, or give a Hub id such as owner/name."
        )
    return name


def read_pairs(path: Path) -> list[dict[str, Messages]]:
    """Return the pairs of a JSONL file, their three columns only.

    Raises:
        WorkerError: The file is missing or a row is no pair; names the line.
    """
    if not path.is_file():
        raise WorkerError("NoData", f"{path} does not exist.", "Export a dataset and choose it for training.")
    rows = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                rows.append({column: _chat(row[column]) for column in ("prompt", "chosen", "rejected")})
            except (KeyError, TypeError, ValueError) as error:
                raise WorkerError(
                    "BadData", f"Line {number} of {path.name} is no pair: {error!r}.", "Export the dataset again."
                ) from error
    return rows


def _chat(turns: Any) -> Messages:
    if not isinstance(turns, list) or not turns:
        raise ValueError("expected a chat list with at least one turn")
    messages = [{"role": turn["role"], "content": turn["content"]} for turn in turns]
    if not all(isinstance(value, str) for message in messages for value in message.values()):
        raise ValueError("role and content must be text")
    return messages


def check_sizes(job: Job, pairs: int) -> None:
    """Refuse what cannot train, before anything is loaded."""
    params = job.params
    step = params.batch_size * params.gradient_accumulation
    if pairs < step:
        raise WorkerError(
            "TooFewPairs",
            f"{pairs} pairs are fewer than one step's {params.batch_size} x {params.gradient_accumulation} = {step}.",
            "Lower the batch size or the gradient accumulation, or export more pairs.",
        )
    if params.max_prompt_length >= params.block_size:
        raise WorkerError(
            "BadLengths",
            f"Prompts of up to {params.max_prompt_length} tokens leave no room for an answer in {params.block_size}.",
            "Lower the longest prompt or raise the block size.",
        )


def total_steps(pairs: int, params: Params) -> int:
    """Return the number of optimizer steps (transformers 4.48: an epoch drops its incomplete last step)."""
    per_epoch = math.ceil(pairs / params.batch_size) // params.gradient_accumulation
    return max(per_epoch, 1) * params.epochs


def prepare(job: Job, state: State, rows: list[dict[str, Messages]], emit: Emit) -> tuple[Any, Any]:
    """Load tokenizer and model configuration, cut what is too long and hand the data to AutoTrain.

    Returns:
        The tokenizer, and AutoTrain's parameters, which name the data it has stored.
    """
    from autotrain.project import llm_munge_data
    from autotrain.trainers.clm import utils
    from transformers import AutoConfig, AutoTokenizer, set_seed

    emit("stage", stage="loading", message=f"Loading the tokenizer of {job.base_model}")
    model_config = AutoConfig.from_pretrained(job.base_model, trust_remote_code=False)
    state.dtype = model_config.torch_dtype
    base_tokenizer = AutoTokenizer.from_pretrained(job.base_model, trust_remote_code=False)
    context = min(
        getattr(model_config, "max_position_embeddings", None) or sys.maxsize, base_tokenizer.model_max_length
    )
    if job.params.block_size > context:
        raise WorkerError(
            "TooLong",
            f"The block size of {job.params.block_size} tokens is beyond the model's context of {context}.",
            f"Set the block size to {context} or less.",
        )
    config = autotrain_params(job, state, emit)
    tokenizer = utils.get_tokenizer(config)
    if tokenizer.eos_token_id is None:
        raise WorkerError("NoEndToken", "The model's tokenizer has no end token.", "Choose another base model.")
    state.chat_template_added = base_tokenizer.chat_template is None

    emit("stage", stage="preparing", message=f"Measuring {len(rows)} pairs")
    fit_rows(rows, tokenizer, job, state, emit)
    data = job.folder / "autotrain-rows"
    data.mkdir()
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    with (data / "train.jsonl").open("w", encoding="utf-8", errors="replace") as file:
        file.writelines(lines)
    config.data_path = str(data)
    set_seed(job.params.seed)  # LoRA's matrices are drawn before transformers' Trainer sets its seed
    return tokenizer, llm_munge_data(config, True)


def autotrain_params(job: Job, state: State, emit: Emit) -> Any:
    """Return AutoTrain's parameters for a job; no token is among them, so none can reach the disk."""
    import torch
    from autotrain.trainers.clm.params import LLMTrainingParams

    params = job.params
    state.steps = total_steps(state.pairs, params)
    precision = None if params.mixed_precision == "none" else params.mixed_precision
    if precision == "fp16" and not torch.cuda.is_available():
        emit("warning", message="fp16 needs a GPU; this run trains in full precision.")
        precision = None
    warmup = params.warmup_ratio
    if warmup > 0 and math.ceil(state.steps * warmup) >= state.steps:
        emit(
            "warning",
            message=f"A run of {state.steps} steps would be all warm-up, at a learning rate from 0; left out.",
        )
        warmup = 0.0
    return LLMTrainingParams(
        trainer="orpo",
        model=job.base_model,
        project_name=job.project_name,
        prompt_text_column="prompt",
        text_column="chosen",
        rejected_text_column="rejected",
        chat_template=None,
        lr=params.learning_rate,
        batch_size=params.batch_size,
        epochs=params.epochs,
        block_size=params.block_size,
        model_max_length=max(params.block_size, 2048),  # AutoTrain lowers a longer tokenizer's to this
        warmup_ratio=warmup,
        peft=params.lora,
        quantization=None,
        lora_r=params.lora_r,
        lora_alpha=params.lora_alpha,
        lora_dropout=params.lora_dropout,
        weight_decay=params.weight_decay,
        gradient_accumulation=params.gradient_accumulation,
        mixed_precision=precision,
        max_prompt_length=params.max_prompt_length,
        max_completion_length=params.max_completion_length,
        logging_steps=max(1, min(params.logging_steps, state.steps // 10)),
        save_total_limit=params.save_total_limit,
        seed=params.seed,
        dpo_beta=params.beta,
        merge_adapter=False,  # AutoTrain merges into fp16 whatever the model was in; `save` does it instead
        log="none",
        push_to_hub=False,
    )


def fit_rows(rows: list[dict[str, Messages]], tokenizer: Any, job: Job, state: State, emit: Emit) -> None:
    """Cut answers to `max_completion_length` in place, and count them and the prompts that will be cut."""
    params = job.params
    for number, row in enumerate(rows, 1):
        try:
            head = tokenizer.apply_chat_template(row["prompt"], tokenize=False, add_generation_prompt=True)
            state.prompts_cut += len(_ids(tokenizer, head)) > params.max_prompt_length
            for side in ("chosen", "rejected"):
                answer = fit_answer(tokenizer, row["prompt"], head, row[side], params.max_completion_length)
                state.completions_cut += answer is not row[side]
                row[side] = answer
        except WorkerError:
            raise
        except Exception as error:  # a template is a program of the model's author: any error is possible
            raise WorkerError(
                "ChatTemplate",
                f"The chat template of {job.base_model} cannot render pair {number}: {error}",
                "Remove such pairs (a system turn, often), or choose another base model.",
            ) from error
        _progress("preparing", number, job, state, emit)
    if state.completions_cut:
        emit(
            "warning",
            message=f"Answers longer than {params.max_completion_length} tokens, their end cut: "
            f"{state.completions_cut} of {2 * len(rows)}, chosen and rejected.",
        )
    if state.prompts_cut:
        emit(
            "warning",
            message=f"Prompts longer than {params.max_prompt_length} tokens, their beginning cut: "
            f"{state.prompts_cut} of {len(rows)}.",
        )


def fit_answer(tokenizer: Any, prompt: Messages, head: str, answer: Messages, limit: int) -> Messages:
    """Return the answer if it fits, else a copy cut at the end of its last turn.

    Args:
        tokenizer: The model's.
        prompt: The turns before.
        head: The prompt rendered.
        answer: The answer's turns.
        limit: Longest answer in tokens, those of the chat template and the end token counted.
    """
    length = answer_tokens(tokenizer, prompt, head, answer)
    kept = answer
    excess = length - limit
    while length > limit:
        last = answer[len(kept) - 1]["content"]
        tokens = tokenizer(last, add_special_tokens=False, return_offsets_mapping=tokenizer.is_fast)
        keep = len(tokens["input_ids"]) - excess
        if keep > 0:
            share = keep / len(tokens["input_ids"])
            end = tokens["offset_mapping"][keep - 1][1] if tokenizer.is_fast else int(share * len(last))
            kept = [*answer[: len(kept) - 1], {**answer[len(kept) - 1], "content": last[:end]}]
        elif len(kept) > 2:
            kept, excess = kept[:-2], 0  # the turn before is the user's; the answer ends with the one before that
        else:
            raise WorkerError(
                "BadLengths",
                f"{limit} tokens for an answer leave no room for its text: the chat template takes the rest.",
                "Raise the longest answer.",
            )
        length = answer_tokens(tokenizer, prompt, head, kept)
        excess += max(length - limit, 0)
    return kept


def answer_tokens(tokenizer: Any, prompt: Messages, head: str, answer: Messages) -> int:
    """Return the length of an answer as trl 0.13 tokenizes it: after the prompt, with an end token."""
    whole = tokenizer.apply_chat_template(prompt + answer, tokenize=False)
    if not whole.startswith(head):
        raise ValueError("it does not begin a conversation with its prompt")
    head_ids, ids = _ids(tokenizer, head), _ids(tokenizer, whole)
    start = len(head_ids)
    if head_ids != ids[:start]:
        start -= 1  # prompt and answer share a merged token, which trl counts with the answer
    return len(ids) - start + int(ids[-1] != tokenizer.eos_token_id)


def _ids(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def _progress(stage: str, done: int, job: Job, state: State, emit: Emit) -> None:
    """Report once a second and at the end, and obey the stop file: there is nothing to save yet."""
    now = time.monotonic()
    if done == state.pairs or now - state.reported >= 1:
        state.reported = now
        emit("progress", stage=stage, done=done, total=state.pairs, unit="pairs")
        if job.stop_requested():
            raise Cancelled


def hooks(job: Job, state: State, tokenizer: Any, emit: Emit) -> dict[tuple[Any, str], Any]:
    """Return what replaces names in AutoTrain's modules: (module, name) -> value."""
    from autotrain.trainers.clm import train_clm_orpo, utils

    get_model, get_callbacks, configure = utils.get_model, utils.get_callbacks, utils.configure_training_args

    def model(config: Any, _: Any) -> Any:
        return load_model(get_model, config, tokenizer, emit)

    def arguments(config: Any, logging_steps: int) -> dict[str, Any]:
        return {**configure(config, logging_steps), **training_arguments(job, state)}

    def callbacks(config: Any) -> list[Any]:
        return [*get_callbacks(config), reporter(job, state, config, emit)]

    return {
        (utils, "get_tokenizer"): lambda config: tokenizer,
        (utils, "get_model"): model,
        (utils, "configure_training_args"): arguments,
        (utils, "get_callbacks"): callbacks,
        (train_clm_orpo, "ORPOTrainer"): trainer_class(job, state, emit),
    }


@contextmanager
def _replaced(values: dict[tuple[Any, str], Any]) -> Iterator[None]:
    """Put values in place of modules' names, and the old ones back."""
    old = {(module, name): getattr(module, name) for module, name in values}
    try:
        for (module, name), value in values.items():
            setattr(module, name, value)
        yield
    finally:
        for (module, name), value in old.items():
            setattr(module, name, value)


def load_model(get_model: Callable[..., Any], config: Any, tokenizer: Any, emit: Emit) -> Any:
    """Load the model with AutoTrain's function, in float32 as that does."""
    from transformers import AutoConfig
    from trl.trainer.utils import disable_dropout_in_model

    emit("stage", stage="loading", message=f"Loading {config.model}")
    # AutoTrain resizes the embeddings to len(tokenizer), which would strip the padding of many models' vocabulary (and
    # make peft 0.14 store both embedding matrices in the adapter). It takes no more than a length from its second
    # argument, so that the model's own size is kept unless the tokenizer outgrew it.
    vocabulary = getattr(AutoConfig.from_pretrained(config.model, trust_remote_code=False), "vocab_size", 0)
    model = get_model(config, range(max(len(tokenizer), vocabulary)))
    # What trl's disable_dropout does, before LoRA's layers are added, so that theirs stays.
    disable_dropout_in_model(model)
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        model.generation_config.validate()
    if complaints:  # transformers 4.48 refuses to save these, after the training: sampling values without do_sample
        model.generation_config.do_sample = True
    return model


def training_arguments(job: Job, state: State) -> dict[str, Any]:
    """Return the arguments of trl's ORPOConfig that AutoTrain leaves out or ties down."""
    import torch

    params = job.params
    return {
        "seed": params.seed,
        "data_seed": params.seed,
        "beta": params.beta,
        "disable_dropout": False,
        "save_strategy": "steps",
        "save_steps": max(1, math.ceil(state.steps / CHECKPOINTS)),
        "save_only_model": True,  # for a run that fails, not to go on from: an optimizer's state is twice the model
        "logging_first_step": True,
        "logging_nan_inf_filter": False,
        "disable_tqdm": True,
        "use_cpu": not torch.cuda.is_available(),
    }


def trainer_class(job: Job, state: State, emit: Emit) -> type:
    """Return trl's ORPOTrainer with prompts cut, tokens counted and a stop at a loss that is no number."""
    import torch
    from trl import ORPOTrainer

    class Trainer(ORPOTrainer):  # type: ignore[misc]
        def tokenize_row(self, feature: dict[str, Any], model: Any = None) -> dict[str, Any]:
            """Tokenize a pair and keep the last `max_prompt_length` tokens of its prompt."""
            if state.tokenized == 0:
                emit("stage", stage="tokenizing", message=f"Tokenizing {state.pairs} pairs")
            row: dict[str, Any] = super().tokenize_row(feature, model)
            cut_prompt(row, job.params.max_prompt_length)
            ends = {row[f"{side}_input_ids"][-1] for side in ("chosen", "rejected")}
            state.sequences_cut += ends != {self.processing_class.eos_token_id}
            state.tokenized += 1
            _progress("tokenizing", state.tokenized, job, state, emit)
            return row

        def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            """Return the loss of a batch."""
            result = super().compute_loss(model, inputs, *args, **kwargs)
            loss = result[0] if isinstance(result, tuple) else result
            if not torch.isfinite(loss):
                raise WorkerError(
                    "NotFinite",
                    f"The loss stopped being a number in step {self.state.global_step + 1}.",
                    "Lower the learning rate, or use bf16 or full precision instead of fp16.",
                )
            state.tokens += int(inputs["chosen_attention_mask"].sum() + inputs["rejected_attention_mask"].sum())
            return result

    return Trainer


def cut_prompt(row: dict[str, Any], limit: int) -> None:
    """Drop the first tokens of a tokenized pair's prompt in place, so that at most `limit` are left."""
    for side in ("chosen", "rejected"):
        labels = row[f"{side}_labels"]
        prompt = next((place for place, label in enumerate(labels) if label != UNMASKED), len(labels))
        if prompt > limit:
            for column in ("input_ids", "attention_mask", "labels"):
                row[f"{side}_{column}"] = row[f"{side}_{column}"][prompt - limit :]
    for column in ("prompt_input_ids", "prompt_attention_mask"):
        row[column] = row[column][-limit:]


def reporter(job: Job, state: State, config: Any, emit: Emit) -> Any:
    """Return the callback that reports the training and obeys the stop file."""
    from transformers import TrainerCallback

    class Reporter(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, args: Any, trainer: Any, control: Any, **parts: Any) -> None:
            if state.sequences_cut:
                emit(
                    "warning",
                    message=f"{state.sequences_cut} of {state.pairs} pairs are longer than {args.max_length} tokens in "
                    "whole; the end of their answers was cut off.",
                )
            emit("ready", **_ready(job, state, args, parts))
            emit("begin", max_steps=trainer.max_steps)
            emit("stage", stage="training", message=f"Training for {trainer.max_steps} steps")

        def on_step_end(self, args: Any, trainer: Any, control: Any, **parts: Any) -> None:
            if SIGNALS:
                raise Cancelled
            state.steps = trainer.global_step
            emit("step", step=trainer.global_step, max_steps=trainer.max_steps)
            last = trainer.global_step >= trainer.max_steps
            if not last and job.stop_requested():
                state.stopped = last = control.should_training_stop = True
            control.should_log = control.should_log or last

        def on_log(self, args: Any, trainer: Any, control: Any, logs: dict[str, Any], **parts: Any) -> None:
            if "loss" in logs:  # the last call brings the run time alone
                state.metrics = dict(logs)
                emit("log", step=trainer.global_step, max_steps=trainer.max_steps, **logs)

        def on_save(self, args: Any, trainer: Any, control: Any, **parts: Any) -> None:
            state.checkpoints.add(f"checkpoint-{trainer.global_step}")
            emit("checkpoint", step=trainer.global_step)

        def on_train_end(self, args: Any, trainer: Any, control: Any, **parts: Any) -> None:
            state.model = parts["model"]
            emit("saving", step=trainer.global_step)
            emit("stage", stage="saving", message="Saving the model")
            trainer.save_to_json(str(job.folder / "trainer_state.json"))

    return Reporter()


def _ready(job: Job, state: State, args: Any, parts: dict[str, Any]) -> dict[str, Any]:
    """Return what is about to be trained, with the first pair decoded from its tokens."""
    tokenizer, row = parts["processing_class"], parts["train_dataloader"].dataset[0]

    def decoded(side: str, masked: bool) -> str:
        ids = zip(row[f"{side}_input_ids"], row[f"{side}_labels"], strict=True)
        return str(tokenizer.decode([token for token, label in ids if (label == UNMASKED) is masked]))

    return {
        "pairs": state.pairs,
        "steps": state.steps,
        "device": str(args.device),
        "params": {**asdict(job.params), "logging_steps": args.logging_steps},
        "logging_steps": args.logging_steps,
        "save_steps": args.save_steps,
        "parameters": sum(weight.numel() for weight in parts["model"].parameters()),
        "trainable_parameters": sum(weight.numel() for weight in parts["model"].parameters() if weight.requires_grad),
        "chat_template": tokenizer.chat_template,
        "chat_template_added": state.chat_template_added,
        "prompts_cut": state.prompts_cut,
        "completions_cut": state.completions_cut,
        "sequences_cut": state.sequences_cut,
        "example": {
            "prompt": decoded("chosen", True),
            "chosen_answer": decoded("chosen", False),
            "rejected_answer": decoded("rejected", False),
            "masked_tokens": row["chosen_labels"].count(UNMASKED),
        },
    }


def save(job: Job, state: State, tokenizer: Any, config: Any) -> None:
    """Complete what AutoTrain saved: merge the adapter, and write the parameters without paths of this machine."""
    if job.params.lora:
        merged = state.model.merge_and_unload()
        # Merged in float32, then in the precision the base model is published in (AutoTrain: always fp16).
        merged = merged.to(state.dtype) if state.dtype is not None else merged
        folder = _model_folder(job)
        merged.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    if job.params.merge_adapter:
        for file in job.folder.glob("adapter_*"):
            file.unlink()
    base = Path(job.base_model).name if Path(job.base_model).is_dir() else job.base_model
    _edit_json(_model_folder(job) / "config.json", {"_name_or_path": base})
    values = config.model_dump(exclude={"token", "username", "data_path"})
    values |= {"model": base, "merge_adapter": job.params.merge_adapter}
    _edit_json(job.folder / "training_params.json", values)


def _edit_json(path: Path, values: dict[str, Any]) -> None:
    old = json.loads(path.read_text("utf-8")) if path.exists() else {}
    path.write_text(json.dumps({**old, **values}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _model_folder(job: Job) -> Path:
    """Return the folder of the whole model: beside an adapter that is kept, else the project's own."""
    return job.folder / "merged" if job.params.lora and not job.params.merge_adapter else job.folder


def _summary(job: Job, state: State) -> dict[str, Any]:
    folder = _model_folder(job)
    return {
        "model_path": str(folder),
        "adapter_path": None if folder == job.folder else str(job.folder),
        "stopped": state.stopped,
        "steps": state.steps,
        "seconds": round(time.time() - state.started, 1),
        "size_bytes": sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()),
        "dtype": json.loads((folder / "config.json").read_text("utf-8")).get("torch_dtype"),
        "metrics": state.metrics,
        "tokens": state.tokens,
        "chat_template_added": state.chat_template_added,
    }


def _remove_torn(folder: Path, state: State) -> None:
    """Remove what a full disk left unfinished: there must be space to say so. Whole checkpoints stay."""
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name not in state.checkpoints:
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.is_file():
            entry.unlink(missing_ok=True)


def _remove_leftovers(folder: Path) -> None:
    for name in ("autotrain-rows", "autotrain-data", "runs"):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "training_args.bin").unlink(missing_ok=True)


def _prepare_environment() -> None:
    """Set what AutoTrain and torch read from the environment when they are imported."""
    for name in ("SPACE_ID", "ENDPOINT_ID"):  # AutoTrain 0.8.36 pauses the Space or endpoint it runs in
        os.environ.pop(name, None)
    os.environ["ALLOW_REMOTE_CODE"] = "false"  # AutoTrain's default is true
    os.environ["ACCELERATE_MIXED_PRECISION"] = (
        "no"  # transformers 4.48 sets it for bf16 and fp16 and never takes it back
    )
    # With several GPUs in sight transformers' Trainer wraps the model in DataParallel and multiplies the batch.
    os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]


ADVICE: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (
        "OutOfMemory",
        ("outofmemoryerror", "memoryerror", "out of memory", "can't allocate memory"),
        "Lower the batch size (and raise the gradient accumulation) or the block size, use LoRA, or a larger machine.",
    ),
    (
        "ModelNotFound",
        ("repositorynotfounderror", "revisionnotfounderror", "is not a valid model identifier", "not appear to have"),
        "Check the model's id; a private model needs a sign-in that may read it.",
    ),
    (
        "GatedModel",
        ("gatedrepoerror", "gated repo"),
        "Accept the model's licence on its Hub page and sign in with an account that may read it.",
    ),
    (
        "NoNetwork",
        ("localentrynotfounderror", "connectionerror", "offlinemodeisenabled", "couldn't connect"),
        "Check the network, or choose a model in a local folder.",
    ),
    (
        "RemoteCode",
        ("trust_remote_code",),
        "This model brings its own code, which is not run here: choose another base model.",
    ),
    (
        "DiskFull",
        ("no space left on device", "quota exceeded", "file too large", "file write failed"),
        "Free disk space and start the run again.",
    ),
    (
        "NotSupported",
        ("unrecognized configuration class", "does not recognize this architecture"),
        "Choose another base model.",
    ),
)


def explain(error: BaseException) -> dict[str, str]:
    """Return type, message and next of an error, recognised by the types and texts of its chain of causes."""
    if isinstance(error, WorkerError):
        return {"type": error.kind, "message": str(error), "next": error.next}
    text, cause = "", error
    while cause is not None:
        text += f"{type(cause).__name__}: {cause}\n".lower()
        cause = cause.__cause__ or cause.__context__  # type: ignore[assignment]
    message = f"{type(error).__name__}: {error}"[:2000]
    for kind, signs, advice in ADVICE:
        if any(sign in text for sign in signs):
            if kind == "DiskFull":
                return {"type": kind, "message": "The disk is full.", "why": message, "next": advice}
            return {"type": kind, "message": message, "next": advice}
    return {"type": type(error).__name__, "message": message, "next": ""}


def _plain(value: Any) -> Any:
    """Return a value as JSON knows it; numbers that are not finite become null."""
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (str, int)) else str(value)


def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "missing"
    return found


def _cancel(number: int, frame: Any) -> None:
    SIGNALS.append(number)
    raise Cancelled


def _ignore_signals() -> None:
    """Let nothing come between the end event and the exit."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    code = main(sys.argv[1])
    with suppress(OSError):  # a full disk
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(
        code
    )  # torch's and tokenizers' threads have nothing left to do; a crash in their teardown would alter the code
