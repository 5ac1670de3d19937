"""AutoTrain's ORPO training, its parameters, and what takes the place of names in its modules."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import base_model  # type: ignore[import-not-found]
from base import watch_weights  # type: ignore[import-not-found]
from pairs import UNMASKED  # type: ignore[import-not-found]
from protocol import SIGNALS, Cancelled, Problem, Reporter  # type: ignore[import-not-found]
from specification import Job, logging_interval, total_steps  # type: ignore[import-not-found]
from state import State  # type: ignore[import-not-found]
from trainer import check_weights, trainer_class  # type: ignore[import-not-found]

AUTOTRAINS_NAMES = {"learning_rate": "lr", "lora": "peft", "beta": "dpo_beta"}  # where they differ from the spec's
OURS = frozenset({"nll"})  # what AutoTrain has no name for: the trainer reads it
CHECKPOINTS = 5  # checkpoints made in the course of a run, `save_total_limit` of them kept


def autotrain_params(job: Job, state: State, reporter: Reporter) -> Any:
    """Return AutoTrain's parameters for a job; no token is among them, so none can reach the disk."""
    from autotrain.trainers.clm.params import LLMTrainingParams

    params = job.params
    state.steps = total_steps(state.pairs, params)
    state.precision = number_format(params.mixed_precision, reporter)
    named = ((name, value) for name, value in vars(params).items() if name not in OURS)
    told = {AUTOTRAINS_NAMES.get(name, name): value for name, value in named}
    unknown = sorted(told.keys() - LLMTrainingParams.model_fields.keys())
    if unknown:
        raise Problem("engines.parameter_unknown", name=unknown[0])
    fixed = {
        "trainer": "orpo",
        "model": job.base_model,
        "project_name": job.project_name,
        "prompt_text_column": "prompt",
        "text_column": "chosen",
        "rejected_text_column": "rejected",
        "chat_template": None,
        "model_max_length": max(params.block_size, 2048),  # AutoTrain lowers a longer tokenizer's to this
        "quantization": None,
        "mixed_precision": None if state.precision == "none" else state.precision,
        "logging_steps": logging_interval(state.steps, params.logging_steps),
        "merge_adapter": False,  # AutoTrain merges into fp16 whatever the model was in; `save` does it instead
        "log": "none",
        "push_to_hub": False,
    }
    return LLMTrainingParams(**{**told, **fixed})


def number_format(asked: str, reporter: Reporter) -> str:
    """Return the number format a run computes in: bf16, fp16 or none (float32).

    A processor that has no instructions for bf16 takes about thirty times as long with it as with float32.

    Args:
        asked: What was asked for; auto: bf16 where the hardware computes in it.
        reporter: Told where fp16 cannot be had.
    """
    import torch

    gpu = torch.cuda.is_available()
    if asked == "fp16" and not gpu:
        reporter.warning("engines.fp16_ignored")
        return "none"
    if asked != "auto":
        return asked
    if gpu:
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "none"
    # AMX tiles came with bf16 (Sapphire Rapids); torch 2.13 has no question of its own for amx_bf16.
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16" if native else "none"


def hooks(job: Job, state: State, tokenizer: Any, reporter: Reporter) -> dict[tuple[Any, str], Any]:
    """Return what replaces names in AutoTrain's modules: (module, name) -> value."""
    from autotrain.trainers.clm import train_clm_orpo, utils

    get_model, get_callbacks, configure = utils.get_model, utils.get_callbacks, utils.configure_training_args

    def model(config: Any, _: Any) -> Any:
        return load_model(get_model, config, tokenizer, reporter)

    def arguments(config: Any, logging_steps: int) -> dict[str, Any]:
        return {**configure(config, logging_steps), **training_arguments(job, state)}

    def callbacks(config: Any) -> list[Any]:
        return [*get_callbacks(config), callback(job, state, reporter)]

    return {
        (utils, "get_tokenizer"): lambda config: tokenizer,
        (utils, "get_model"): model,
        (utils, "configure_training_args"): arguments,
        (utils, "get_callbacks"): callbacks,
        (train_clm_orpo, "ORPOTrainer"): trainer_class(job, state, reporter),
    }


@contextmanager
def replaced(values: dict[tuple[Any, str], Any]) -> Iterator[None]:
    """Put values in place of modules' names, and the old ones back."""
    # As they are kept: a class gives its class methods bound.
    old = {(module, name): vars(module)[name] for module, name in values}
    try:
        for (module, name), value in values.items():
            setattr(module, name, value)
        yield
    finally:
        for (module, name), value in old.items():
            setattr(module, name, value)


def load_model(get_model: Callable[..., Any], config: Any, tokenizer: Any, reporter: Reporter) -> Any:
    """Load the model with AutoTrain's function, in float32 as that does."""
    from transformers import AutoConfig, PreTrainedModel
    from trl.trainer.utils import disable_dropout_in_model

    reporter.stage("loading", "engines.loading", model=config.model)
    # AutoTrain resizes the embeddings to len(tokenizer), which would strip the padding of many models' vocabulary (and
    # make peft 0.14 store both embedding matrices in the adapter). It takes no more than a length from its second
    # argument, so that the model's own size is kept unless the tokenizer outgrew it.
    vocabulary = getattr(AutoConfig.from_pretrained(config.model, trust_remote_code=False), "vocab_size", 0)
    base_model.safetensors_only(PreTrainedModel)
    weights: dict[str, list[str]] = {"missing": [], "unused": []}
    with replaced(watch_weights(weights)):
        model = get_model(config, range(max(len(tokenizer), vocabulary)))
    if weights["missing"]:
        raise Problem("engines.weights_missing", count=len(weights["missing"]), first=weights["missing"][0])
    if weights["unused"]:
        reporter.warning("engines.weights_unused", count=len(weights["unused"]), first=weights["unused"][0])
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
        "max_steps": state.steps,  # transformers 4.48 counts none for what is left at the end of a pass
        "save_strategy": "steps",
        "save_steps": max(1, math.ceil(state.steps / CHECKPOINTS)),
        "save_only_model": True,  # for a run that fails, not to go on from: an optimizer's state is twice the model
        "logging_first_step": True,
        "logging_nan_inf_filter": False,
        "disable_tqdm": True,
        "use_cpu": not torch.cuda.is_available(),
    }


def callback(job: Job, state: State, reporter: Reporter) -> Any:
    """Return the callback that reports the training and obeys the stop file."""
    from transformers import TrainerCallback

    class Told(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, args: Any, trainer: Any, control: Any, **parts: Any) -> None:
            trainer.num_train_epochs = job.params.epochs  # transformers reckons it from max_steps, too many
            if state.sequences_cut:
                cut = {"count": state.sequences_cut, "pairs": state.pairs, "limit": args.max_length}
                reporter.warning("engines.sequences_cut", **cut)
            reporter.emit("ready", **_ready(job, state, args, parts))
            reporter.emit("begin", max_steps=trainer.max_steps)
            reporter.stage("training", "engines.training", steps=trainer.max_steps)

        def on_step_end(self, args: Any, trainer: Any, control: Any, **parts: Any) -> None:
            if SIGNALS:
                raise Cancelled
            state.steps = trainer.global_step
            reporter.emit("step", step=trainer.global_step, max_steps=trainer.max_steps)
            last = trainer.global_step >= trainer.max_steps
            if not last and reporter.stop_requested():
                state.stopped = last = control.should_training_stop = True
            control.should_log = control.should_log or last

        def on_log(self, args: Any, trainer: Any, control: Any, logs: dict[str, Any], **parts: Any) -> None:
            if "loss" in logs:  # the last call brings the run time alone
                state.metrics = dict(logs)
                reporter.emit("log", step=trainer.global_step, max_steps=trainer.max_steps, **logs)

        def on_save(self, args: Any, trainer: Any, control: Any, **parts: Any) -> None:
            state.checkpoints.add(f"checkpoint-{trainer.global_step}")
            reporter.emit("checkpoint", step=trainer.global_step)

        def on_train_end(self, args: Any, trainer: Any, control: Any, **parts: Any) -> None:
            state.model = parts["model"]
            check_weights(state.model)  # before AutoTrain saves them
            reporter.emit("saving", step=trainer.global_step)
            reporter.stage("saving", "engines.saving")
            trainer.save_to_json(str(job.folder / "trainer_state.json"))

    return Told()


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
        "params": {
            **vars(job.params),
            "logging_steps": args.logging_steps,
            "mixed_precision": state.precision,
        },
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
