"""The lighteval task `reviewed_pairs`: does a model prefer what the reviewers preferred?

Each pair is one log-likelihood document: the rendered prompt is the query, the rendered chosen and rejected answers are
its two choices (`rendering.py`; no template of lighteval's on top). The scores of a pair, log-probabilities in nats:

- pref_acc         1 if the chosen answer's summed log-probability is higher. Rewards the shorter answer.
- pref_acc_norm    1 if its log-probability per token is higher: the headline, and what ORPO's odds ratio compares.
- pref_margin_norm chosen minus rejected, per token.
- pref_tie         1 if the two differ by no more than TIE per token; a tie is not a win.
- pref_nan         1 if a log-probability is not finite; such a pair is not a win and makes the mean margin NaN.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from lighteval.metrics.metrics_sample import SampleLevelComputation
from lighteval.metrics.utils.metric_utils import SampleLevelMetricGrouping
from lighteval.tasks.lighteval_task import LightevalTaskConfig
from lighteval.tasks.requests import Doc, SamplingMethod
from rendering import NotRenderable, encode, render_pair  # type: ignore[import-not-found]

NAME = "reviewed_pairs"
TIE = 1e-6  # nats per token: sums of float32 log-probabilities do not resolve less
METRICS = ("pref_acc", "pref_acc_norm", "pref_margin_norm", "pref_tie", "pref_nan")
Row = dict[str, Any]


def prepare(
    rows: list[Row], template: str, tokenizer: Any, readers: list[tuple[Any, int]]
) -> tuple[list[Row], dict[str, int]]:
    """Render the pairs once for all models and leave out those that no comparison can be made on.

    Args:
        rows: {record_id, prompt, chosen, rejected}, checked (`task_data.py`).
        template: The chat template saved by the training run.
        tokenizer: Gives the template its special tokens; one for all models, so that all read the same text.
        readers: Tokenizer and context length in tokens of each model; a pair too long for one is left out for all.

    Returns:
        Rows {record_id, query, choices} and how many pairs were dropped, by reason.
    """
    kept: list[Row] = []
    dropped = dict.fromkeys(("empty", "identical", "not_renderable", "too_long"), 0)
    for row in rows:
        texts = ["\n\n".join(turn["content"] for turn in row[side]).strip() for side in ("chosen", "rejected")]
        if not all(texts):
            dropped["empty"] += 1
            continue
        if texts[0] == texts[1]:
            dropped["identical"] += 1
            continue
        try:
            query, choices = render_pair(tokenizer, template, row["prompt"], [row["chosen"], row["rejected"]])
        except NotRenderable:
            dropped["not_renderable"] += 1
            continue
        if not all(_fits(reader, limit, query, answer) for reader, limit in readers for answer in choices):
            dropped["too_long"] += 1
            continue
        kept.append({"record_id": row["record_id"], "query": query, "choices": choices})
    return kept, dropped


def document(row: Row, task_name: str | None = None) -> Doc:
    """Return the lighteval document of a prepared row; the record_id travels along in `specific`."""
    return Doc(
        task_name=task_name,
        query=row["query"],
        choices=row["choices"],
        gold_index=0,
        specific={"record_id": row["record_id"]},
    )


def token_counts(response: Any) -> list[int]:
    """Count the tokens of each choice of a lighteval response.

    lighteval 0.13 pads `output_tokens` with -1 to the longest choice; its own token normalisation counts the padding
    too and so divides every choice by the same number.
    """
    return [sum(token != -1 for token in tokens.tolist()) for tokens in response.output_tokens]


class PreferenceScores(SampleLevelComputation):  # type: ignore[misc]
    """Scores of one pair; see the module."""

    def compute(self, doc: Doc, model_response: Any, **_: Any) -> dict[str, float]:
        """Return the five scores of a pair.

        lighteval's own `loglikelihood_acc` is an argmax: it counts ties and NaN as the first choice, here as a win.

        Args:
            doc: The pair's document.
            model_response: Summed log-probabilities and tokens of chosen and rejected.
        """
        sums = np.asarray(model_response.logprobs[:2], dtype=float)
        counts = np.asarray(token_counts(model_response)[:2], dtype=float)
        finite = bool(np.isfinite(sums).all())
        chosen, rejected = sums / counts
        margin = float(chosen - rejected) if finite else float("nan")
        return {
            "pref_acc": float(finite and sums[0] - sums[1] > TIE * counts.max()),
            "pref_acc_norm": float(finite and margin > TIE),
            "pref_margin_norm": margin,
            "pref_tie": float(finite and abs(margin) <= TIE),
            "pref_nan": float(not finite),
        }


def task_module() -> ModuleType:
    """Return the task as lighteval wants a custom task: a module with TASKS_TABLE (for its data see `scorer`)."""
    metrics = SampleLevelMetricGrouping(
        metric_name=list(METRICS),
        sample_level_fn=PreferenceScores(),
        category=SamplingMethod.LOGPROBS,
        corpus_level_fn=dict.fromkeys(METRICS, np.mean),
        higher_is_better={name: name not in ("pref_tie", "pref_nan") for name in METRICS},
    )
    config = LightevalTaskConfig(
        name=NAME,
        prompt_function=document,
        hf_repo="local/reviewed_pairs",
        hf_subset="default",
        hf_avail_splits=["test"],
        evaluation_splits=["test"],
        metrics=[metrics],
        generation_size=-1,
        stop_sequence=[],
        version=0,
    )
    module = ModuleType(f"{NAME}_task")
    vars(module)["TASKS_TABLE"] = [config]
    return module


def _fits(tokenizer: Any, limit: int, query: str, answer: str) -> bool:
    prompt, tail = encode(tokenizer, query, answer)
    return len(prompt) > 0 and len(prompt) + len(tail) <= limit
