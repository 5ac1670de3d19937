"""The hyperparameters all algorithms share, and what follows from them by arithmetic alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import BaseModel, Field, model_validator
from pydantic.config import JsonDict

from pipeline.base.errors import Wrong
from pipeline.base.message import Option
from pipeline.models.tokens import PairCounts

OPTIMIZER: JsonDict = {"group": "optimizer"}
ADAPTER: JsonDict = {"group": "adapter"}
LENGTHS: JsonDict = {"group": "lengths", "unit": "tokens"}
OUTPUT: JsonDict = {"group": "output"}


class TrainParams(BaseModel, extra="forbid", validate_assignment=True):
    """Hyperparameters that every algorithm has; each algorithm adds its own."""

    learning_rate: float = Field(
        2e-5,
        gt=0,
        le=0.1,
        description="Peak learning rate of AdamW.",
        json_schema_extra=OPTIMIZER,
    )
    batch_size: int = Field(
        4,
        ge=1,
        le=1024,
        description="Pairs per batch; both completions of each go through the model together.",
        json_schema_extra={**OPTIMIZER, "unit": "pairs"},
    )
    epochs: int = Field(
        1, ge=1, le=100, description="Passes over the data, all pairs in each.", json_schema_extra=OPTIMIZER
    )
    block_size: int = Field(
        512,
        ge=16,
        le=131072,
        description="Longest sequence, prompt and completion together; longer ones are cut.",
        json_schema_extra=LENGTHS,
    )
    warmup_ratio: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Part of the steps over which the learning rate rises to its peak.",
        json_schema_extra={**OPTIMIZER, "unit": "share of steps"},
    )
    lora: bool = Field(
        True,
        description="Train a small adapter (LoRA) on all linear layers; off: train all weights.",
        json_schema_extra=ADAPTER,
    )
    lora_r: int = Field(16, ge=1, le=1024, description="Rank of the adapter.", json_schema_extra=ADAPTER)
    lora_alpha: int = Field(
        32, ge=1, le=4096, description="Scale of the adapter: its output times alpha / r.", json_schema_extra=ADAPTER
    )
    lora_dropout: float = Field(
        0.05,
        ge=0,
        le=0.9,
        description="Share of the adapter's inputs dropped while training.",
        json_schema_extra=ADAPTER,
    )
    merge_adapter: bool = Field(
        True,
        description="Merge the adapter into the base model at the end; evaluation needs the merged model.",
        json_schema_extra=ADAPTER,
    )
    weight_decay: float = Field(0.01, ge=0, le=1, description="Weight decay of AdamW.", json_schema_extra=OPTIMIZER)
    gradient_accumulation: int = Field(
        4,
        ge=1,
        le=1024,
        description="Batches whose gradients are added up for one step.",
        json_schema_extra={**OPTIMIZER, "unit": "batches"},
    )
    mixed_precision: Literal["auto", "bf16", "fp16", "none"] = Field(
        "auto",
        description=(
            "Number format of the forward and backward pass; auto is bf16 where the hardware computes in it, else "
            "float32; fp16 needs a GPU, none is float32."
        ),
        json_schema_extra=OPTIMIZER,
    )
    max_prompt_length: int = Field(
        256,
        ge=1,
        le=131072,
        description="Longest prompt of a sequence beyond block_size; its beginning is cut.",
        json_schema_extra=LENGTHS,
    )
    max_completion_length: int = Field(
        256, ge=1, le=131072, description="Longest completion; its end is cut.", json_schema_extra=LENGTHS
    )
    logging_steps: int = Field(
        10,
        ge=1,
        le=10000,
        description="Steps between two reports of loss and rewards; fewer in a run of less than ten reports.",
        json_schema_extra={**OUTPUT, "unit": "steps"},
    )
    save_total_limit: int = Field(
        2,
        ge=1,
        le=100,
        description="Checkpoints kept; older ones are deleted.",
        json_schema_extra={**OUTPUT, "unit": "checkpoints"},
    )
    seed: int = Field(
        42,
        ge=0,
        le=4294967295,
        description="Seed of the order of the pairs, the adapter's first weights and its dropout.",
        json_schema_extra=OUTPUT,
    )

    @model_validator(mode="after")
    def _room_for_the_answer(self) -> Self:
        if self.max_prompt_length >= self.block_size:
            prompt, block = Option("max_prompt_length", "train"), Option("block_size", "train")
            limits = {"longest": self.max_prompt_length, "size": self.block_size}
            raise Wrong("training.no_room", prompt=prompt, block=block, **limits)
        return self


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


def number_format(asked: str, bf16: bool) -> str:
    """Return the number format a run computes in: bf16, fp16 or none (float32).

    Args:
        asked: The parameter's value.
        bf16: Whether the hardware computes in bf16.
    """
    return ("bf16" if bf16 else "none") if asked == "auto" else asked


def steps_per_epoch(pairs: int, batch_size: int, gradient_accumulation: int) -> int:
    """Return the optimizer steps of one pass over the pairs; the last takes what is left, be it one pair."""
    return math.ceil(math.ceil(pairs / batch_size) / gradient_accumulation)


def last_step(pairs: int, batch_size: int, gradient_accumulation: int) -> int:
    """Return the pairs of the last step of each pass, 0 where it is a step like the others."""
    return pairs % (batch_size * gradient_accumulation)


def logging_interval(steps: int, asked: int) -> int:
    """Return the steps between two reports of a run, as our AutoTrain worker makes them: ten reports, if there can be.

    Args:
        steps: Optimizer steps in all.
        asked: The parameter's value.
    """
    return max(1, min(asked, steps // 10))


def cuts(counts: Sequence[PairCounts], params: TrainParams) -> Cuts:
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
