"""Train a model by ORPO with AutoTrain 0.8.36's own training function: `python worker.py SPEC.json`.

Runs in the engine's environment; the files of this folder, with those beside it, are one program and import nothing of
the studio's. The spec:

    kind         "train"
    trainer      "orpo", AutoTrain's name of the algorithm
    base_model   Hub id or folder
    project_name name of the folder made in output_dir (letters, digits and hyphens, at most 50)
    data_dir     folder with train.jsonl: rows of prompt, chosen, rejected, each a chat list; other columns are ignored
    output_dir   folder in which <project_name>/ is made
    events       file of events, or "-": lines on stdout that begin with @@EVT
    stop_file    its existence asks to stop after the current step and save
    doctor       what was chosen about the doctor's findings, see `pipeline/train/doctor/decided.py`; may be missing
    params       the hyperparameters by name, as `pipeline/train/algorithms/` declares them

AutoTrain 0.8.36 accepts parameters that its ORPO trainer then ignores. They act here: `seed`, `lora_dropout` (trl
switches all dropout off), `max_completion_length`, `max_prompt_length` (trl looks at it only when the whole sequence
is too long), `save_total_limit` (AutoTrain never saves checkpoints for ORPO), `beta`. How its steps, loss and learning
rate differ from those of the libraries is in `trainer.py`, what newer base models are translated to in `base.py`.

Exit code: 0 done, 1 error, 130 cancelled.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

# What all engines' programs share; last, for this folder's own name is that of a library. In a Job it lies beside us.
sys.path.append(str(Path(__file__).resolve().parents[1]))

import protocol  # type: ignore[import-not-found]
from base import BaseTokenizer, read_newer_configs  # type: ignore[import-not-found]
from chosen import choose, look, set_template  # type: ignore[import-not-found]
from pairs import Messages, fit_rows, read_pairs  # type: ignore[import-not-found]
from problems import explain  # type: ignore[import-not-found]
from protocol import Problem, Reporter
from saving import remove_leftovers, remove_torn, save, summary  # type: ignore[import-not-found]
from specification import Job, check_sizes, read_spec  # type: ignore[import-not-found]
from state import State  # type: ignore[import-not-found]
from training import autotrain_params, hooks, replaced  # type: ignore[import-not-found]

LIBRARIES = ("autotrain-advanced", "trl", "transformers", "peft", "accelerate", "datasets", "torch")


def main(spec_path: str) -> int:
    """Run the spec and return the exit code."""
    return int(protocol.run(spec_path, run, _versions(), explain))


def run(spec: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
    """Train and save.

    Args:
        spec: See the module.
        reporter: Tells it.

    Returns:
        The values of the `done` event.

    Raises:
        Problem: Something the user can act on.
        Cancelled: A signal arrived, or a stop was asked for before the first step.
    """
    job = read_spec(spec)
    rows = choose(read_pairs(job.data_dir / "train.jsonl"), spec, reporter)
    check_sizes(job, len(rows))
    state = State(pairs=len(rows))
    reporter.stage("starting", "engines.starting", engine="AutoTrain")
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
        tokenizer, config = prepare(job, state, rows, reporter, spec)
        with replaced(hooks(job, state, tokenizer, reporter)):
            train_clm_orpo.train(config)
        save(job, state, tokenizer, config)
    except Exception as error:
        if explain(error)["code"] == "engines.disk_full":
            remove_torn(job.folder, state)
        raise
    finally:
        remove_leftovers(job.folder)
    for checkpoint in job.folder.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)
    done: dict[str, Any] = summary(job, state)
    return done


def prepare(
    job: Job, state: State, rows: list[dict[str, Messages]], reporter: Reporter, spec: dict[str, Any]
) -> tuple[Any, Any]:
    """Load tokenizer and model configuration, cut what is too long and hand the data to AutoTrain.

    Returns:
        The tokenizer, and AutoTrain's parameters, which name the data it has stored.
    """
    from autotrain.project import llm_munge_data
    from autotrain.trainers.clm import utils
    from transformers import AutoConfig, AutoTokenizer, set_seed

    reporter.stage("loading", "engines.loading_tokenizer", model=job.base_model)
    read_newer_configs()
    model_config = AutoConfig.from_pretrained(job.base_model, trust_remote_code=False)
    state.dtype = model_config.torch_dtype
    with BaseTokenizer(job.base_model) as place:
        base_tokenizer = AutoTokenizer.from_pretrained(place, trust_remote_code=False)
        context = min(
            getattr(model_config, "max_position_embeddings", None) or sys.maxsize, base_tokenizer.model_max_length
        )
        if job.params.block_size > context:
            raise Problem("engines.beyond_context", block=job.params.block_size, context=context)
        config = autotrain_params(job, state, reporter)
        tokenizer = utils.get_tokenizer(config.model_copy(update={"model": place}))
    tokenizer.name_or_path = job.base_model
    if tokenizer.eos_token_id is None:
        raise Problem("engines.no_end_token")
    state.chat_template_added = base_tokenizer.chat_template is None
    set_template(tokenizer, spec)
    look(rows, tokenizer, job.params, spec, reporter)

    reporter.stage("preparing", "engines.measuring", pairs=len(rows))
    fit_rows(rows, tokenizer, job, state, reporter)
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
    protocol.leave(main(sys.argv[1]))
