"""What an export is asked for, what it will hold, and what it became."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator

from pipeline.base.errors import Wrong
from pipeline.base.pair import Pair
from pipeline.filter.recipe import RuleEffect
from pipeline.models.tokens import PairCounts
from pipeline.review.settle import AtLeast, PreferenceBy, RelevanceBy, Settled, Settling

Split = Literal["train", "test"]


class ExportOptions(BaseModel, extra="forbid"):
    """What an export is called, how answers are settled, what becomes of unclear pairs, and how they are split."""

    name: str = Field(
        max_length=64,
        pattern=r"^[A-Za-z0-9_-]+$",
        description="Name of the export and of its folder: letters, digits, hyphens and underscores.",
    )
    preference_by: PreferenceBy = "most"
    relevance_by: RelevanceBy = "mean"
    at_least: AtLeast = 1
    too_few: Literal["drop", "keep"] = Field("drop", description="Reviewed pairs with fewer answers than that.")
    undecided: Literal["drop", "keep"] = Field(
        "drop", description="Pairs on which the reviewers disagree: no option wins by the policy chosen."
    )
    ties: Literal["drop", "keep"] = Field("drop", description="Pairs whose completions most reviewers find equal.")
    rejected_better: Literal["drop", "keep", "swap"] = Field(
        "swap", description="Pairs whose rejected completion most reviewers prefer; swap exchanges the two."
    )
    test_share: float = Field(
        0.1,
        ge=0,
        le=0.5,
        description="Share of the pairs held out for evaluation; all pairs of one prompt go to the same side.",
        json_schema_extra={"unit": "share"},
    )
    seed: int = Field(42, ge=0, description="Seed of the split: the same seed and prompts give the same split.")

    @property
    def settling(self) -> Settling:
        """How several answers become one."""
        return Settling(preference=self.preference_by, relevance=self.relevance_by, at_least=self.at_least)

    @field_validator("name")
    @classmethod
    def _name_fits_a_repository(cls, name: str) -> str:
        if name[:1] in "-_" or name[-1:] in "-_" or "--" in name:
            raise Wrong("export.wrong_name")
        return name


class Provenance(BaseModel, extra="forbid"):
    """Where an export comes from, as its card and `export.json` tell it."""

    dataset: str = Field(description="Name of the source dataset, never a path.")
    kind: str = Field(description="Kind of the source: file, sample or Hub.")
    sha256: str | None = Field(None, description="SHA-256 of the source file, if it is one file.")
    config: str = Field("", description="Configuration of a source on the Hub.")
    split: str = Field("", description="Split of a source on the Hub.")
    revision: str = Field("", description="Commit of a source on the Hub.")
    limit: int | None = Field(None, description="The first so many rows of a source on the Hub were read; None: all.")
    unused: list[str] = Field(default_factory=list, description="Columns of the source with text that no pair has.")
    left_out: int = Field(0, ge=0, description="Rows of the source that are no pairs.")
    languages: list[str] = Field(default_factory=list, description="ISO 639 codes of its languages, if known.")
    recipe: dict[str, Any] = Field(description="The filter recipe.")
    rule_effects: list[RuleEffect] = Field(default_factory=list, description="What each rule removed.")
    settle_policy: dict[str, Any] = Field(description="How several answers became one.")
    annotators: int = Field(ge=0, description="Number of annotators who answered.")
    token_unit: str = Field("tokens", description="What is counted: see `pipeline.models.tokens.TokenCounter`.")
    created: str = Field(description="When the export was made, ISO 8601.")
    studio_version: str = Field(description="Version of Align Studio.")


@dataclass(frozen=True)
class ExportPlan:
    """What an export will hold, known before anything is written.

    Attributes:
        total: Pairs that came from the filter.
        kept: Pairs that are exported.
        dropped: Pairs left out by reason: too_few, undecided, ties, rejected_better; zeros included.
        swapped: Pairs of those kept whose chosen and rejected are exchanged.
        train: Pairs in the train split.
        test: Pairs in the test split.
        prompts: Different prompts among the pairs kept.
    """

    total: int
    kept: int
    dropped: dict[str, int]
    swapped: int
    train: int
    test: int
    prompts: int


@dataclass(frozen=True)
class ExportFile:
    """One file of an export: its path within the folder, size in bytes, SHA-256, and rows if it holds pairs."""

    path: str
    bytes: int
    sha256: str
    rows: int | None


@dataclass(frozen=True)
class ExportResult:
    """A finished export: its folder, the plan it followed and its files, all but `export.json`, which lists them."""

    folder: Path
    plan: ExportPlan
    files: list[ExportFile]


@dataclass(frozen=True)
class Row:
    """A pair to export, already turned around if it must be."""

    pair: Pair
    verdict: Settled | None
    counts: PairCounts | None
    swapped: bool = False
    split: Split = "train"
