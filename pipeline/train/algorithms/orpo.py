"""ORPO, odds ratio preference optimization (Hong, Lee and Thorne 2024, arXiv 2403.07691)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipeline.train.algorithm import Algorithm, Curve, Footprint
from pipeline.train.params import OPTIMIZER, TrainParams


class OrpoParams(TrainParams):
    """Hyperparameters of one ORPO run (Hong, Lee and Thorne 2024, arXiv 2403.07691)."""

    beta: float = Field(
        0.1,
        gt=0,
        le=10,
        description="Weight of the odds-ratio term against the language-model loss (λ in the paper).",
        json_schema_extra=OPTIMIZER,
    )
    nll: Literal["all", "answer"] = Field(
        "all",
        description=(
            "Tokens the language-model loss is the mean of: all, prompt and chosen answer (as trl does), or the answer "
            "alone. The odds ratio compares the answers alone either way."
        ),
        json_schema_extra=OPTIMIZER,
    )


ORPO = Algorithm(
    name="orpo",
    title="algorithm.orpo",
    params=OrpoParams,
    curves=(
        Curve("loss", ("loss", "nll_loss")),
        Curve("ratio", ("log_odds_ratio",)),
        Curve("accuracy", ("rewards/accuracies",)),
        Curve("margin", ("rewards/margins",)),
    ),
    # Chosen and rejected go through the model at once. The bytes per logit were fitted to peaks measured with
    # SmolLM2-135M on a CPU, and give within 10 % what was measured (LoRA, batch 4, bf16: 2.4 for 2.3 GB at 126 tokens,
    # 3.2 for 3.1 at 254; float32: 10.0 for 9.8 at 508; full bf16 at 254: 4.8 for 4.8), and too much for full float32
    # training (7.2 for 5.3), whose parts do not peak together. It was not measured on a GPU.
    footprint=Footprint(sequences=2, logit_bytes={"none": 42, "bf16": 15, "fp16": 15}),
    told={"trainer": "orpo"},
    tags=("orpo", "trl", "autotrain"),
    citation="[arXiv 2403.07691](https://arxiv.org/abs/2403.07691)",
)
