"""What a training is asked for, besides its hyperparameters."""

from __future__ import annotations

import re

from pydantic import BaseModel, Field, field_validator

from pipeline.base.errors import Wrong
from pipeline.base.options import choices
from pipeline.base.project import DEFAULT_BASE_MODEL
from pipeline.train.algorithm import algorithms


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
    algorithm: str = Field(
        "orpo", description="How the model learns the preference.", json_schema_extra=choices(algorithms)
    )

    @field_validator("base_model")
    @classmethod
    def _without_spaces(cls, name: str) -> str:
        return name.strip()

    @field_validator("project_name")
    @classmethod
    def _as_autotrain_wants_it(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,48}[A-Za-z0-9])?", name) or "--" in name:
            raise Wrong("training.bad_name", name=name)
        return name

    @field_validator("algorithm")
    @classmethod
    def _is_there(cls, name: str) -> str:
        if name not in algorithms():
            raise Wrong("training.no_algorithm", name=name, known=list(algorithms()))
        return name
