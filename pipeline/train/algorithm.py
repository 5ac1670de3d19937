"""Algorithms: how a model learns a preference; each is one file in `algorithms/` or in the folder of extensions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.base import words
from pipeline.base.members import members
from pipeline.models.shape import ModelShape
from pipeline.train.params import TrainParams

_PROCESS = int(0.7e9)  # Python, torch and AutoTrain before any weights, bytes


@dataclass(frozen=True)
class Curve:
    """One plot of a training.

    Attributes:
        name: Its words are `train.curve.<name>` and `train.curve.<name>.help`.
        metrics: Metrics of the worker's `log` events drawn in it; their words are `train.metric.<metric>`.
    """

    name: str
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class Footprint:
    """What a run of an algorithm keeps in memory.

    Attributes:
        sequences: Sequences of a pair that go through the model together.
        logit_bytes: Bytes per token and vocabulary entry, by mixed precision: the logits, their log-softmax and the
            gradients of both.
        models: Copies of the base model's weights beside the one that is trained (a reference model, say).
    """

    sequences: int
    logit_bytes: Mapping[str, int]
    models: int = 0

    def peak(
        self, shape: ModelShape, *, batch_size: int, tokens: int, lora_rank: int | None, mixed_precision: str
    ) -> int:
        """Estimate the peak memory of a run with AutoTrain 0.8.36, gradient checkpointing on.

        With T = sequences · batch_size · tokens tokens in memory together it is

            0.7 GB + (4 + c) · P · (1 + models) + 12 · W + T · (k · vocabulary + 4 · hidden · layers)

        with P weights loaded in float32 (4 bytes; under autocast c = 2 more for their 16-bit copies), W trained
        weights (gradient 4 bytes, AdamW 8), one float32 hidden state per layer kept by checkpointing, and k bytes per
        logit.

        Args:
            shape: The base model's.
            batch_size: Pairs per batch.
            tokens: Longest sequence, prompt and answer together.
            lora_rank: Rank of the adapter on all linear layers; None trains all weights.
            mixed_precision: bf16, fp16 or none, see `pipeline.train.params.number_format`.

        Returns:
            Bytes.
        """
        copies = 0 if mixed_precision == "none" else 2
        trained = shape.parameters if lora_rank is None else lora_rank * shape.adaptable
        per_token = self.logit_bytes[mixed_precision] * shape.vocabulary + 4 * shape.hidden * shape.layers
        weights = (4 + copies) * shape.parameters * (1 + self.models)
        return _PROCESS + weights + 12 * trained + self.sequences * batch_size * tokens * per_token


@dataclass(frozen=True)
class Algorithm:
    """One way to learn a preference.

    Attributes:
        name: As the options, the spec and the command line have it.
        title: Code of what people call it.
        params: Its hyperparameters; form, validation, command line, table and card are made from their declaration.
        curves: The plots of its runs, the most telling first.
        footprint: What its runs keep in memory.
        told: What the worker's spec says beside the parameters; AutoTrain's worker reads `trainer`.
        engine: Engine whose worker does it, a folder of `pipeline/engines/`.
        tags: Of the trained model on the Hub.
        citation: Where it is described, Markdown for the model's card.
    """

    name: str
    title: str
    params: type[TrainParams]
    curves: tuple[Curve, ...]
    footprint: Footprint
    told: Mapping[str, Any] = field(default_factory=dict)
    engine: str = "autotrain"
    tags: tuple[str, ...] = ()
    citation: str = ""

    @property
    def called(self) -> str:
        """What people call it, in the present language; its name where nobody has given it words."""
        return words.say(self.title) if words.has(self.title) else self.name


def algorithms() -> dict[str, Algorithm]:
    """Return all algorithms by name."""
    return {each.name: each for each in members(Algorithm, "pipeline.train.algorithms")}


def curves() -> dict[str, tuple[str, ...]]:
    """Return the metrics of each plot, of all algorithms: a run fills those of its own."""
    found: dict[str, tuple[str, ...]] = {}
    for curve in (curve for each in algorithms().values() for curve in each.curves):
        found[curve.name] = tuple(dict.fromkeys((*found.get(curve.name, ()), *curve.metrics)))
    return found


def algorithm_of(name: str) -> Algorithm:
    """Return an algorithm; of a run whose algorithm is not there any more, the first that is."""
    found = algorithms()
    return found.get(name) or next(iter(found.values()))
