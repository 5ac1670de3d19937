"""How pairs are put before annotators: fields, questions, guidelines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from pydantic import BaseModel, Field

from pipeline.base import words
from pipeline.base.pair import Pair
from pipeline.models.tokens import unit_of
from pipeline.review.answers import Preference

if TYPE_CHECKING:
    import argilla

RELEVANCE, PREFERENCE = "relevance", "preference"
FIELDS = ("prompt", "chosen", "rejected")
PREFERENCES: tuple[Preference, ...] = get_args(Preference)
RATINGS = [1, 2, 3, 4, 5]
Metadata = Literal["source", "prompt_tokens", "chosen_tokens", "rejected_tokens"]

_SUGGESTED = ("guidelines", "relevance_title", "relevance_description", "preference_title", "preference_description")


def _english(name: str) -> Callable[[], str]:
    """Return what makes the default of a field, the same wherever a plan is read."""

    def make() -> str:
        with words.speaking(words.ENGLISH):
            return words.say(f"plan.{name}")

    return make


class ReviewPlan(BaseModel, extra="forbid"):
    """How pairs are put before annotators.

    Answer A is always the pair's chosen completion and answer B its rejected one in this version; annotators are not
    told so.
    """

    dataset_name: str = Field(min_length=1, max_length=200, description="Name of the dataset in Argilla.")
    workspace: str = Field(
        "align-studio",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$",
        max_length=60,
        description="Argilla workspace of the dataset; annotators see the datasets of their workspaces only.",
    )
    guidelines: str = Field(
        default_factory=_english("guidelines"),
        min_length=1,
        max_length=10_000,
        description="What annotators are told, shown beside every task.",
        json_schema_extra={"lines": 12},
    )
    relevance_title: str = Field(
        default_factory=_english("relevance_title"),
        min_length=1,
        max_length=500,
        description="The rating question, 1 to 5.",
    )
    relevance_description: str = Field(
        default_factory=_english("relevance_description"),
        min_length=1,
        max_length=1000,
        description="Help shown with the rating question.",
    )
    preference_title: str = Field(
        default_factory=_english("preference_title"),
        min_length=1,
        max_length=500,
        description="The comparison: A is better, B is better, tie.",
    )
    preference_description: str = Field(
        default_factory=_english("preference_description"),
        min_length=1,
        max_length=1000,
        description="Help shown with the comparison.",
    )
    min_submitted: int = Field(
        1,
        ge=1,
        le=10,
        description="Answers a pair needs, from different annotators, to count as completed.",
        json_schema_extra={"unit": "answers"},
    )
    metadata: list[Metadata] = Field(
        default=["source", "prompt_tokens", "chosen_tokens", "rejected_tokens"],
        description="What annotators can filter and sort by.",
    )
    unit: str = Field(
        "tokens",
        min_length=1,
        max_length=100,
        description="What the lengths count: tokens of a model, or words.",
    )
    language: str = Field(
        words.ENGLISH, max_length=20, description="Language of what stands beside the questions: titles and choices."
    )

    def said(self, name: str, **values: str) -> str:
        """Return words of this plan in its language.

        Args:
            name: Their code, without `plan.`.
            **values: What they name.
        """
        with words.speaking(self.language):
            return words.say(f"plan.{name}", **values)

    @property
    def titles(self) -> dict[str, str]:
        """Title of each of `FIELDS`."""
        return {name: self.said(f"field.{name}") for name in FIELDS}

    @property
    def labels(self) -> dict[Preference, str]:
        """What an annotator chooses from."""
        return {name: self.said(f"label.{name}") for name in PREFERENCES}


def suggest(pairs: Sequence[Pair], name: str, unit: str) -> ReviewPlan:
    """Propose a plan for a dataset, in the present language.

    Args:
        pairs: The pairs to be reviewed.
        name: The project's name.
        unit: What the pairs' lengths count, see `pipeline.models.tokens.TokenCounter`.
    """
    metadata: list[Metadata] = ["source"] if any(pair.source for pair in pairs) else []
    metadata += ["prompt_tokens", "chosen_tokens", "rejected_tokens"]
    return ReviewPlan(
        dataset_name=name.strip()[:200] or "pairs",
        metadata=metadata,
        unit=unit,
        language=words.spoken(),
        **{field: words.say(f"plan.{field}") for field in _SUGGESTED},
    )


def settings_of(plan: ReviewPlan, client: argilla.Argilla) -> argilla.Settings:
    """Return a plan as the SDK's settings.

    Args:
        plan: The plan.
        client: A connected client; the SDK's settings refuse to exist without one.
    """
    import argilla as rg  # noqa: PLC0415  two seconds of imports, needed only when a dataset is made

    return rg.Settings(
        guidelines=plan.guidelines,
        # Never Markdown: annotators shall see what the model wrote, and Argilla shares our origin.
        fields=[
            rg.ChatField(name=name, title=title, use_markdown=False, _client=client)
            for name, title in plan.titles.items()
        ],
        questions=[
            rg.RatingQuestion(
                name=RELEVANCE,
                values=RATINGS,
                title=plan.relevance_title,
                description=plan.relevance_description,
                client=client,
            ),
            rg.LabelQuestion(
                name=PREFERENCE,
                labels=cast(dict[str, str], plan.labels),
                title=plan.preference_title,
                description=plan.preference_description,
                client=client,
            ),
        ],
        metadata=[
            rg.TermsMetadataProperty(name=name, title=title, client=client)
            if name == "source"
            else rg.IntegerMetadataProperty(name=name, title=title, min=0, client=client)
            for name, title in metadata_titles(plan).items()
        ],
        distribution=rg.TaskDistribution(min_submitted=plan.min_submitted),
    )


def metadata_titles(plan: ReviewPlan) -> dict[Metadata, str]:
    """Return name and title of the plan's metadata, the lengths' unit in the title."""
    with words.speaking(plan.language):
        unit = unit_of(plan.unit).said()
    return {name: plan.said(f"metadata.{name}", unit=unit) for name in get_args(Metadata) if name in plan.metadata}


def planned_shape(plan: ReviewPlan) -> dict[str, dict[str, Any]]:
    """Return what a dataset must agree in for the plan's records to go into it."""
    return {
        "fields": dict.fromkeys(FIELDS, ("chat", False)),
        "questions": {RELEVANCE: ("rating", RATINGS), PREFERENCE: ("label_selection", list(PREFERENCES))},
        # The titles carry the unit: lengths in tokens and in words must not stand in one column.
        "metadata": {str(name): title for name, title in metadata_titles(plan).items()},
        "distribution": {"min_submitted": plan.min_submitted},
    }
