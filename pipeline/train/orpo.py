"""Hyperparameters and options of an ORPO run, and what follows from them by arithmetic alone."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import BaseModel, Field, field_validator, model_validator
from pydantic.config import JsonDict

from pipeline.base.project import DEFAULT_BASE_MODEL
from pipeline.models.tokens import PairCounts

_OPTIMIZER: JsonDict = {"group": "optimizer"}
_ADAPTER: JsonDict = {"group": "adapter"}
_LENGTHS: JsonDict = {"group": "lengths", "unit": "tokens"}
_OUTPUT: JsonDict = {"group": "output"}


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
class Cuts:
    """What the length limits do to the pairs.

    Attributes:
        longest: Length of the longest sequence before anything is cut: prompt and longer completion.
        prompts: Pairs whose prompt loses its beginning.
        completions: Pairs of which a completion loses its end.
        sequences: Pairs that still exceed block_size then, so that a completion loses more.
    """

    longest: int
    prompts: int
    completions: int
    sequences: int


def steps_per_epoch(pairs: int, batch_size: int, gradient_accumulation: int) -> int:
    """Return the optimizer steps AutoTrain 0.8.36 (transformers 4.48) makes in one pass over the pairs.

    A last batch may be smaller, a last step may not: floor(ceil(pairs / batch_size) / gradient_accumulation). Where
    that is 0, transformers would still make one step, its loss divided by gradient_accumulation and so weaker than
    meant; such runs are refused.
    """
    return math.ceil(pairs / batch_size) // gradient_accumulation


def cuts(counts: Sequence[PairCounts], params: OrpoParams) -> Cuts:
    """Count what is cut, by the rules of our AutoTrain worker.

    Completions keep their first max_completion_length tokens, prompts their last max_prompt_length. Where both together
    still exceed block_size, TRL 0.13 (`ORPOTrainer.tokenize_row`) cuts the completions to block_size -
    max_prompt_length.

    Args:
        counts: Lengths of the pairs' parts.
        params: Gives the limits.
    """
    longest = prompts = completions = sequences = 0
    for count in counts:
        answer = max(count.chosen, count.rejected)
        longest = max(longest, count.prompt + answer)
        prompts += count.prompt > params.max_prompt_length
        completions += answer > params.max_completion_length
        kept = min(count.prompt, params.max_prompt_length) + min(answer, params.max_completion_length)
        sequences += kept > params.block_size
    return Cuts(longest, prompts, completions, sequences)
