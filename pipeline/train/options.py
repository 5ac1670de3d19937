"""What a training is asked for, besides its hyperparameters."""

from __future__ import annotations

import re
from typing import cast

from pydantic import BaseModel, Field, field_validator

from pipeline.base.errors import Wrong
from pipeline.base.options import choices
from pipeline.base.project import DEFAULT_BASE_MODEL
from pipeline.train.algorithm import algorithms
from pipeline.train.doctor.check import Remedy, checks
from pipeline.train.doctor.finding import Remedies


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

    remedies: list[str] = Field(
        default_factory=list,
        description=(
            "What is done about what the doctor finds: names of findings with =leave_out, =otherwise (cut or render "
            "otherwise) or =keep."
        ),
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

    @field_validator("remedies")
    @classmethod
    def _can_be_chosen(cls, chosen: list[str]) -> list[str]:
        known = {check.code: check.remedies for check in checks()}
        for each in chosen:
            code, _, remedy = each.partition("=")
            if code not in known:
                raise Wrong("doctor.no_finding", name=code, known=list(known))
            if remedy not in known[code]:
                raise Wrong("doctor.no_remedy", name=code, given=remedy, known=list(known[code]))
        return chosen

    @property
    def chosen(self) -> Remedies:
        """What is done about each finding, by its code."""
        return {code: cast(Remedy, remedy) for code, _, remedy in (each.partition("=") for each in self.remedies)}
