"""What an evaluation is asked for: models, tasks and settings, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, field_validator
from pydantic.config import JsonDict

from pipeline.base.errors import Wrong
from pipeline.base.options import choices
from pipeline.base.project import DEFAULT_BASE_MODEL
from pipeline.evaluate.comparison import BASE, FURTHER, TUNED
from pipeline.evaluate.task import tasks

_SPEED: JsonDict = {"group": "speed"}


class EvaluateOptions(BaseModel, extra="forbid", validate_assignment=True):
    """Which models are scored on which tasks; every setting is the same for all."""

    base: str = Field(
        DEFAULT_BASE_MODEL,
        description=(
            "The model before training: a folder, or a Hub id, with @revision if need be; empty: nothing is compared."
        ),
    )
    tuned: str = Field("", description="The trained model: a folder, or a Hub id, with @revision if need be.")
    further: list[str] = Field(
        [],
        max_length=6,
        description="More models or revisions, each compared with the base model.",
        json_schema_extra={"group": "further"},
    )
    tasks: list[str] = Field(
        ["truthfulqa:mc", "reviewed_pairs"],
        min_length=1,
        description=(
            "truthfulqa:mc: TruthfulQA's multiple choice, as lighteval has it; reviewed_pairs: does the model prefer "
            "what the reviewers preferred, on the export's test split."
        ),
        json_schema_extra=choices(tasks),
    )
    dataset: str = Field(
        "", pattern=r"^[A-Za-z0-9_-]*$", description="The export whose test split reviewed_pairs scores."
    )
    truthfulqa_data: Path | None = Field(
        None,
        description=(
            "A local file of TruthfulQA's multiple-choice configuration (question, mc1_targets, mc2_targets; Parquet, "
            "JSONL, JSON or CSV); empty: from the Hub."
        ),
        json_schema_extra={"group": "data"},
    )
    max_samples: int | None = Field(
        None,
        ge=1,
        description=(
            "Score only so many samples of each task, the same ones for every model; empty: all. A result of some "
            "samples is marked as partial."
        ),
        json_schema_extra={**_SPEED, "unit": "samples"},
    )
    batch_size: int = Field(
        8, ge=1, le=512, description="Sequences per batch.", json_schema_extra={**_SPEED, "unit": "sequences"}
    )
    dtype: Literal["float32", "bfloat16"] = Field(
        "float32",
        description=(
            "Number format of the weights and the computation. bfloat16 is 2 to 3 times as fast on processors that "
            "know it, but with its 8 significant bits it rounds small changes made by training away."
        ),
        json_schema_extra=_SPEED,
    )

    @field_validator("base", "tuned")
    @classmethod
    def _without_spaces(cls, name: str) -> str:
        return name.strip()

    @field_validator("further", mode="before")
    @classmethod
    def _none_is_empty(cls, names: object) -> object:
        return [] if names is None else names

    @field_validator("further")
    @classmethod
    def _named_once(cls, names: list[str]) -> list[str]:
        return list(dict.fromkeys(name.strip() for name in names if name.strip()))

    @field_validator("truthfulqa_data", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("tasks")
    @classmethod
    def _each_once(cls, names: list[str]) -> list[str]:
        for name in names:
            if name not in tasks():
                raise Wrong("evaluation.no_task", name=name, known=list(tasks()))
        return list(dict.fromkeys(names))

    @property
    def models(self) -> dict[str, str]:
        """Model by role, the base model first where there is one."""
        further = {f"{FURTHER}{number}": name for number, name in enumerate(self.further, 1)}
        return ({BASE: self.base} if self.base else {}) | {TUNED: self.tuned} | further


class AnswerOptions(BaseModel, extra="forbid", validate_assignment=True):
    """How models answer a prompt; every setting is the same for all."""

    max_new_tokens: int = Field(128, ge=1, le=4096, description="Longest answer.", json_schema_extra={"unit": "tokens"})
    temperature: float = Field(0.0, ge=0, le=2, description="0: the most likely token each time.")
    seed: int = Field(42, ge=0, le=4294967295, description="Seed of the sampling, where temperature is above 0.")
    dtype: Literal["float32", "bfloat16"] = Field("float32", description="Number format of weights and computation.")
