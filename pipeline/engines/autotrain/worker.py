"""Train a model by ORPO with AutoTrain 0.8.36's own training function: `python worker.py SPEC.json`.

Runs in the engine's environment; the files of this folder are one program and import nothing of the studio's. The spec:

    kind         "train"
    base_model   Hub id or folder
    project_name name of the folder made in output_dir (letters, digits and hyphens, at most 50)
    data_dir     folder with train.jsonl: rows of prompt, chosen, rejected, each a chat list; other columns are ignored
    output_dir   folder in which <project_name>/ is made
    events       file of events, or "-": lines on stdout that begin with @@EVT
    stop_file    its existence asks to stop after the current step and save
    params       all fields of `Params` (specification.py)

AutoTrain 0.8.36 accepts parameters that its ORPO trainer then ignores. They act here: `seed`, `lora_dropout` (trl
switches all dropout off), `max_completion_length`, `max_prompt_length` (trl looks at it only when the whole sequence
is too long), `save_total_limit` (AutoTrain never saves checkpoints for ORPO), `beta`.

Exit code: 0 done, 1 error, 130 cancelled.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import signal
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from pairs import Messages, fit_rows, read_pairs  # type: ignore[import-not-found]
from problems import explain  # type: ignore[import-not-found]
from protocol import SIGNALS, Cancelled, Emit, Problem, event_writer, ignore_signals, on_signal  # type: ignore[import-not-found]
from saving import remove_leftovers, remove_torn, save, summary  # type: ignore[import-not-found]
from specification import Job, check_sizes, read_spec  # type: ignore[import-not-found]
from state import State  # type: ignore[import-not-found]
from training import autotrain_params, hooks, replaced  # type: ignore[import-not-found]

LIBRARIES = ("autotrain-advanced", "trl", "transformers", "peft", "accelerate", "datasets", "torch")


def main(spec_path: str) -> int:
    """Run the spec and return the exit code."""
    spec = json.loads(Path(spec_path).read_text("utf-8"))
    emit = event_writer(spec.get("events", "-"))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    emit("started", pid=os.getpid(), versions=_versions())
    try:
        done = run(spec, emit)
    except Cancelled:
        ignore_signals()
        emit("cancelled")
        return 130
    except (Exception, SystemExit) as error:
        ignore_signals()
        if SIGNALS:
            emit("cancelled")
            return 130
        said, trace = explain(error), traceback.format_exc()
        with suppress(OSError):  # on a full disk neither log nor event may find space; the exit code tells
            print(trace, file=sys.stderr)
        with suppress(OSError):
            emit("error", **said, traceback=trace[-4000:])
        return 1
    ignore_signals()
    emit("done", **done)
    return 0


def run(spec: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Train and save.

    Args:
        spec: See the module.
        emit: Writes an event.

    Returns:
        The values of the `done` event.

    Raises:
        Problem: Something the user can act on.
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
        with replaced(hooks(job, state, tokenizer, emit)):
            train_clm_orpo.train(config)
        save(job, state, tokenizer, config)
    except Exception as error:
        if explain(error)["type"] == "DiskFull":
            remove_torn(job.folder, state)
        raise
    finally:
        remove_leftovers(job.folder)
    for checkpoint in job.folder.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)
    done: dict[str, Any] = summary(job, state)
    return done


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
        raise Problem(
            "TooLong",
            f"The block size of {job.params.block_size} tokens is beyond the model's context of {context}.",
            f"Set the block size to {context} or less.",
        )
    config = autotrain_params(job, state, emit)
    tokenizer = utils.get_tokenizer(config)
    if tokenizer.eos_token_id is None:
        raise Problem("NoEndToken", "The model's tokenizer has no end token.", "Choose another base model.")
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


def _prepare_environment() -> None:
    """Set what AutoTrain and torch read from the environment when they are imported."""
    for name in ("SPACE_ID", "ENDPOINT_ID"):  # AutoTrain 0.8.36 pauses the Space or endpoint it runs in
        os.environ.pop(name, None)
    os.environ["ALLOW_REMOTE_CODE"] = "false"  # AutoTrain's default is true
    # transformers 4.48 sets it for bf16 and fp16 and never takes it back.
    os.environ["ACCELERATE_MIXED_PRECISION"] = "no"
    # With several GPUs in sight transformers' Trainer wraps the model in DataParallel and multiplies the batch.
    os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]


def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "missing"
    return found


if __name__ == "__main__":
    code = main(sys.argv[1])
    with suppress(OSError):  # a full disk
        sys.stdout.flush()
        sys.stderr.flush()
    # torch's and tokenizers' threads have nothing left to do; a crash in their teardown would alter the code
    os._exit(code)
