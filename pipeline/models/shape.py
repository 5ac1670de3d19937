"""What a model's memory depends on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelShape:
    """What a model's memory depends on.

    Attributes:
        parameters: Number of weights.
        adaptable: Sum of inputs and outputs of every linear layer but the head: a rank-r adapter on all of them has
            r times so many weights.
        hidden: Width of the hidden states.
        layers: Number of layers.
        vocabulary: Number of vocabulary entries.
    """

    parameters: int
    adaptable: int
    hidden: int
    layers: int
    vocabulary: int
