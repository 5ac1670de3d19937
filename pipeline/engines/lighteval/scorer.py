"""lighteval 0.13.0 as this worker uses it: what it gets wrong at import, its model without a cache, one task at a time.

Everything that knows lighteval's internals is here and in `reviewed_pairs.py`. Cured by the pins of requirements.in and
therefore not patched: `list_models(model_name=)` (huggingface-hub 2), str hashing (xxhash 4). Patched here:

- tiny_benchmarks downloads a pickle into site-packages while it is imported: `ConnectionError ... tinyBenchmarks.pkl`
  without network, for any task, since the registry imports all tasks.
- ifeval and ifbench call `nltk.download` while they are imported: a network call nobody asked for.
- The results' logger opens a git repository at `path.split("src")[0]`: NoSuchPathError if the environment's path has
  "src" inside a name, GitCommandError if that is somebody else's repository.
- Predictions are cached by configuration and row number, not by weights or data: stale scores after either changed, and
  with an absolute path the cache lies inside the model's own folder. (The command line reads its predictions back from
  it, log-probabilities rounded to ten decimals: its scores differ from ours from about the tenth decimal on.)
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import base_model  # type: ignore[import-not-found]
import git  # type: ignore[import-not-found]
import nltk
import requests
import torch
from lighteval.logging import info_loggers
from lighteval.logging.evaluation_tracker import EvaluationTracker
from lighteval.models.transformers import transformers_model
from lighteval.models.transformers.transformers_model import TransformersModel, TransformersModelConfig
from lighteval.pipeline import ParallelismManager, Pipeline, PipelineParameters
from lighteval.tasks.lighteval_task import LightevalTask
from lighteval.tasks.registry import Registry
from rendering import encode  # type: ignore[import-not-found]
from reviewed_pairs import NAME, token_counts  # type: ignore[import-not-found]
from transformers import PreTrainedModel

Rows = list[dict[str, Any]]
_LOCAL_ROWS: dict[str, Rows] = {}


class _NoCache:
    """Stands where lighteval's prediction cache is made; keeps nothing."""

    def __init__(self, config: Any) -> None:
        self.config = config

    def _init_registry(self, registry: Any) -> None:
        self.registry = registry


def install_shims() -> None:
    """Patch lighteval once, before a model is made; see the module for versions and symptoms."""
    base_model.safetensors_only(PreTrainedModel)
    transformers_model.SampleCache = _NoCache
    info_loggers.git = SimpleNamespace(Repo=_no_repository, InvalidGitRepositoryError=git.InvalidGitRepositoryError)
    download = LightevalTask.download_dataset_worker
    LightevalTask.download_dataset_worker = staticmethod(lambda task: _load_rows(task, download))


def known_tasks(offline: bool) -> set[str]:
    """Import all of lighteval's tasks and return their names and the names of their groups.

    Args:
        offline: Keep nltk from the network as well (a task that needs its data then finds only what is on disk).
    """
    get = requests.get

    def guarded(url: Any, *args: Any, **options: Any) -> Any:
        return SimpleNamespace(status_code=404) if "tinyBenchmarks" in str(url) else get(url, *args, **options)

    with contextlib.ExitStack() as guards:
        guards.enter_context(mock.patch.object(requests, "get", guarded))
        if offline:
            guards.enter_context(mock.patch.object(nltk, "download", lambda *_, **__: False))
        names = set(Registry.load_all_task_configs())
    groups = Counter(name.split(":")[0] for name in names)
    return names | {group for group, count in groups.items() if count > 1}


def use_rows(task: str, rows: Rows) -> None:
    """Let a task read these rows instead of its dataset; its prompt function and metrics stay as they are.

    Args:
        task: Its name without the few-shot count.
        rows: The dataset's rows, for each of its splits.
    """
    _LOCAL_ROWS[task] = rows


def model_config(model: dict[str, Any], batch_size: int, dtype: str) -> TransformersModelConfig:
    """Return the configuration that is equal for all models but for the model itself.

    Args:
        model: {path, revision} of the spec.
        batch_size: Sequences per forward pass; always explicit (without it lighteval probes from 512 down and meets the
            memory limit first). Documents per pass are max(1, round(batch_size // choices / 8) * 8).
        dtype: float32, bfloat16 or float16.
    """
    return TransformersModelConfig(
        model_name=model["path"],
        revision=model.get("revision") or "main",
        batch_size=batch_size,
        dtype=dtype,
        override_chat_template=False,
    )


def reader(config: TransformersModelConfig) -> tuple[Any, int]:
    """Return a model's tokenizer and its context length in tokens by lighteval's own rule, without its weights."""
    length = TransformersModel._init_max_length(
        SimpleNamespace(config=config, transformers_config=config.get_transformers_config())
    )
    stub = SimpleNamespace(config=config, max_length=length)
    return TransformersModel._create_auto_tokenizer(stub), int(length)


class Scorer(TransformersModel):  # type: ignore[misc]
    """lighteval's model, loaded once for several tasks, uncached, reporting before each batch.

    Args:
        config: From `model_config`.
        before_batch: Called with the number of documents of the batch to come; may raise to stop.
    """

    # The functions behind the caching decorator.
    loglikelihood = TransformersModel.loglikelihood.__wrapped__
    loglikelihood_rolling = TransformersModel.loglikelihood_rolling.__wrapped__
    greedy_until = TransformersModel.greedy_until.__wrapped__
    disable_tqdm = True

    def __init__(self, config: TransformersModelConfig, before_batch: Callable[[int], None]) -> None:
        self.before_batch = before_batch
        self.as_trained = False
        super().__init__(config)

    def cleanup(self) -> None:
        """Keep the weights, which lighteval drops after each pipeline; `release` frees them."""

    def release(self) -> None:
        """Free the weights."""
        super().cleanup()
        gc.collect()

    @contextlib.contextmanager
    def rendered_text(self) -> Iterator[None]:
        """Read queries and choices as rendered conversations: tokens as in training, log-softmax in float32.

        lighteval moves white space at the end of a query into the choices (the line break after "assistant" would be
        scored as part of each answer), drops an EOS there and adds a second BOS. In bfloat16 the sum over 200 tokens is
        a multiple of 2, so answers of like length would tie; training computes log-probabilities in float32.
        """
        handle = self.model.register_forward_hook(_float32_logits)
        self.as_trained = True
        try:
            yield
        finally:
            self.as_trained = False
            handle.remove()

    def tok_encode_pair(
        self, context: str, continuations: list[str], pairwise: bool = False
    ) -> tuple[list[list[int]], list[list[int]]]:
        """Return the ids of the context and of the continuation, once per continuation."""
        if not self.as_trained:
            heads, tails = super().tok_encode_pair(context, continuations, pairwise=pairwise)
            return heads, tails
        pairs = [encode(self.tokenizer, context, continuation) for continuation in continuations]
        return [head for head, _ in pairs], [tail for _, tail in pairs]

    def prepare_batch_logprob(self, tokenized_contexts: Any, *args: Any, **kwargs: Any) -> Any:
        """Report a log-likelihood batch, then prepare it."""
        self.before_batch(len(tokenized_contexts))
        return super().prepare_batch_logprob(tokenized_contexts, *args, **kwargs)

    def _generate_padded(self, batch: Any, *args: Any, **kwargs: Any) -> Any:
        self.before_batch(len(batch.input_ids))
        return super()._generate_padded(batch, *args, **kwargs)


@dataclass(frozen=True)
class Outcome:
    """One task scored by one model.

    Attributes:
        key: The task's key in lighteval's results file, few-shot count included.
        scores: Metric → value, read from that file.
        stderr: Metric → standard error, read from that file.
        samples: One {task, id, metrics, ...} per document.
        available: Documents the task has, scored or not.
        file: lighteval's results file.
    """

    key: str
    scores: dict[str, float]
    stderr: dict[str, float]
    samples: list[dict[str, Any]]
    available: int
    file: Path


def score(
    scorer: Scorer, task: str, custom: ModuleType, max_samples: int | None, folder: Path, begin: Callable[[int], None]
) -> list[Outcome]:
    """Run one task (or group of tasks) through lighteval's pipeline and save its results file.

    Args:
        scorer: The model.
        task: lighteval's task specification.
        custom: Module with our own tasks.
        max_samples: Take the first so many of lighteval's seeded shuffle (seed 42); None for all.
        folder: Where the results file goes.
        begin: Called with the number of documents before scoring starts.
    """
    tracker = EvaluationTracker(output_dir=str(folder), results_path_template="{output_dir}", save_details=False)
    parameters = PipelineParameters(
        launcher_type=ParallelismManager.ACCELERATE, custom_tasks_directory=custom, max_samples=max_samples
    )
    pipeline = Pipeline(tasks=task, pipeline_parameters=parameters, evaluation_tracker=tracker, model=scorer)
    begin(sum(len(documents) for documents in pipeline.sampling_docs.values()))
    with scorer.rendered_text() if task.split("|")[0] == NAME else contextlib.nullcontext():
        pipeline.evaluate()
    before = set(folder.glob("results_*.json"))
    pipeline.save_and_push_results()
    (file,) = set(folder.glob("results_*.json")) - before
    saved = json.loads(file.read_text("utf-8"))["results"]
    return [
        _outcome(key, details, saved[key], len(pipeline.tasks_dict[key].eval_docs()), file)
        for key, details in tracker.details_logger.details.items()
    ]


def _outcome(key: str, details: list[Any], saved: dict[str, float], available: int, file: Path) -> Outcome:
    return Outcome(
        key=key,
        scores={name: value for name, value in saved.items() if not name.endswith("_stderr")},
        stderr={name.removesuffix("_stderr"): value for name, value in saved.items() if name.endswith("_stderr")},
        samples=_samples(key, details),
        available=available,
        file=file,
    )


def _samples(key: str, details: list[Any]) -> list[dict[str, Any]]:
    """Return per-document values, in the dataset's order; the same document has the same id for every model."""
    samples, seen = [], Counter[str]()
    for detail in sorted(details, key=lambda detail: int(detail.doc.id)):
        doc = detail.doc
        record = (doc.specific or {}).get("record_id")
        text = "\x1f".join([doc.query, *(doc.choices or [])])
        name = record or hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
        seen[name] += 1
        sample = {"task": key, "id": name if seen[name] == 1 else f"{name}-{seen[name]}", "metrics": detail.metric}
        if record:
            sample["logprobs"] = list(detail.model_response.logprobs)
            sample["tokens"] = token_counts(detail.model_response)
        samples.append(sample)
    return samples


def _float32_logits(_module: Any, _inputs: Any, output: Any) -> Any:
    output.logits = output.logits.to(torch.float32)
    return output


def _no_repository(*_: Any) -> Any:
    raise git.InvalidGitRepositoryError


def _load_rows(task: Any, download: Callable[[Any], Any]) -> Any:
    rows = _LOCAL_ROWS.get(task.name)
    if rows is None:
        return download(task)
    splits = {*task.evaluation_split, *([task.fewshot_split] if task.fewshot_split else [])}
    kept = rows if task.dataset_filter is None else [row for row in rows if task.dataset_filter(row)]
    return {split: [dict(row) for row in kept] for split in splits}
