"""How pairs are put before annotators: fields, questions, guidelines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field, field_validator

from pipeline.base import words
from pipeline.base.pair import Pair
from pipeline.models.tokens import unit_of
from pipeline.review import questions
from pipeline.review.answers import PREFERENCE, RELEVANCE
from pipeline.review.order import FIRST
from pipeline.review.questions import Question
from pipeline.review.workspace import USUAL

if TYPE_CHECKING:
    import argilla

RATINGS = [1, 2, 3, 4, 5]
PROMPT, PAIR = "prompt", "pair"  # fields in Argilla
Kept = Literal["terms", "integer", "float"]  # what Argilla calls kinds of metadata
_OWN = ("source", "prompt_tokens", "answer_a_tokens", "answer_b_tokens")
_COLUMN = "column_"  # before the names of the dataset's own columns, in fields and metadata
_LOOKED_AT = 200  # pairs whose language is looked at

_SUGGESTED = ("guidelines", "relevance_title", "relevance_description", "preference_title", "preference_description")


def _english(name: str) -> Callable[[], str]:
    """Return what makes the default of a field, the same wherever a plan is read."""

    def make() -> str:
        with words.speaking(words.ENGLISH):
            return words.say(f"plan.{name}")

    return make


class ReviewPlan(BaseModel, extra="forbid"):
    """How pairs are put before annotators."""

    dataset_name: str = Field(min_length=1, max_length=200, description="Name of the dataset in Argilla.")
    workspace: str = Field(
        USUAL,
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
    relevance: Literal["required", "optional", "off"] = Field(
        "required", description="Whether the rating must be answered, may be, or is not asked."
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
    pairs: int = Field(
        0,
        ge=0,
        description="Pairs put before annotators, from the top; 0: all. More can be added later.",
        json_schema_extra={"unit": "pairs"},
    )
    questions: list[Question] = Field(default_factory=list, description="More questions, after the comparison.")
    columns: list[str] = Field(
        default_factory=list, description="Other columns of the dataset that annotators see as text."
    )
    metadata: list[str] = Field(
        default=list(_OWN),
        description="What annotators can filter and sort by: source, lengths, other columns of the dataset.",
    )
    layout: Literal["beside", "below"] = Field(
        "beside", description="Whether the two answers stand side by side where the screen is wide enough."
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
    order: Literal["drawn", "chosen_first"] = Field(
        "drawn",
        description="Which answer is A: drawn for each pair, or, in reviews begun before this, always the chosen one.",
    )

    @field_validator("questions")
    @classmethod
    def _questions_have_names_of_their_own(cls, given: list[Question]) -> list[Question]:
        return questions.check_names(given)

    @classmethod
    def kept(cls, values: dict[str, Any]) -> ReviewPlan:
        """Return a plan that was written down; one that says nothing of the order is older than its being drawn."""
        return cls.model_validate({"order": "chosen_first", "layout": "below", **values})

    @property
    def parts(self) -> tuple[str, str, str]:
        """Names in Argilla of prompt, answer A and answer B."""
        drawn = self.order == "drawn"
        return (PROMPT, "answer_a", "answer_b") if drawn else (PROMPT, "chosen", "rejected")

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
        """Title of each of `parts`."""
        return {name: self.said(f"field.{name}") for name in self.parts}

    @property
    def labels(self) -> dict[str, str]:
        """What an annotator chooses from."""
        names = ("a", "b", "tie") if self.order == "drawn" else tuple(FIRST)
        return {name: self.said(f"label.{name}") for name in names}

    @property
    def lengths(self) -> tuple[str, str, str]:
        """Names of the metadata that hold the lengths of `parts`."""
        prompt, first, second = (f"{name}_tokens" for name in self.parts)
        return prompt, first, second


def suggest(pairs: Sequence[Pair], name: str, unit: str, language: str = "") -> ReviewPlan:
    """Propose a plan for a dataset.

    Args:
        pairs: The pairs to be reviewed.
        name: The project's name.
        unit: What the pairs' lengths count, see `pipeline.models.tokens.TokenCounter`.
        language: What annotators are spoken to in; "": the language of the pairs, see `language_of`.
    """
    language = language or (language_of(pairs) if pairs else words.spoken())
    metadata = [name for name in _OWN if name != "source" or any(pair.source for pair in pairs)]
    return ReviewPlan(
        dataset_name=name.strip()[:200] or "pairs", metadata=metadata, unit=unit, language=language, **texts(language)
    )


def texts(language: str) -> dict[str, str]:
    """Return guidelines and question texts in a language."""
    with words.speaking(language):
        return {name: words.say(f"plan.{name}") for name in _SUGGESTED}


def language_of(pairs: Sequence[Pair]) -> str:
    """Return the language of ours that the prompts are written in, by their script; English where none is nearer."""
    text = "".join(turn.content[:200] for pair in pairs[:_LOOKED_AT] for turn in pair.prompt[-1:])
    letters = [character for character in text if character.isalpha()]
    chinese = sum("\u4e00" <= character <= "\u9fff" for character in letters)
    japanese = sum("\u3040" <= character <= "\u30ff" for character in letters)
    chinese_text = bool(letters) and chinese > len(letters) / 4 and japanese < chinese / 10
    return "zh" if chinese_text and "zh" in words.languages() else words.ENGLISH


def columns_of(pairs: Iterable[Pair]) -> dict[str, Kept]:
    """Return the dataset's other columns and what they are as metadata.

    Args:
        pairs: The pairs; every one of them is looked at.
    """
    found: dict[str, set[type]] = {}
    for pair in pairs:
        for name, value in pair.metadata.items():
            if value is not None:
                found.setdefault(name, set()).add(type(value))
    return {name: _kept_as(types) for name, types in found.items()}


def _kept_as(types: set[type]) -> Kept:
    if types == {int}:
        return "integer"
    return "float" if types <= {int, float} else "terms"


def slug(column: str) -> str:
    """Return what a column is called in Argilla: small letters, digits, hyphens and underscores."""
    return _COLUMN + (re.sub(r"[^a-z0-9_-]+", "_", column.lower()).strip("_") or "x")


def shown_beside(plan: ReviewPlan, *, embedded: bool) -> bool:
    """Return whether both answers stand side by side: our own server alone has the script for it."""
    return plan.layout == "beside" and plan.order == "drawn" and embedded


def metadata_kinds(plan: ReviewPlan, kinds: Mapping[str, Kept]) -> dict[str, Kept]:
    """Return name → kind of a plan's metadata, as Argilla knows them.

    Args:
        plan: The plan.
        kinds: What the dataset's own columns are, see `columns_of`.
    """
    own: dict[str, Kept] = {"source": "terms", **dict.fromkeys(plan.lengths, "integer")}
    return {name if name in own else slug(name): own.get(name) or kinds.get(name, "terms") for name in plan.metadata}


def settings_of(
    plan: ReviewPlan, client: argilla.Argilla, kinds: Mapping[str, Kept], template: str = ""
) -> argilla.Settings:
    """Return a plan as the SDK's settings.

    Args:
        plan: The plan.
        client: A connected client; the SDK's settings refuse to exist without one.
        kinds: What the dataset's own columns are, see `columns_of`.
        template: Shows both answers side by side, see `pipeline.review.beside`; "": three chats, one below the other.
    """
    import argilla as rg  # noqa: PLC0415  two seconds of imports, needed only when a dataset is made

    # Never Markdown: annotators shall see what the model wrote, and Argilla shares our origin.
    if template:
        title = plan.said("field.pair")
        shown = [rg.CustomField(name=PAIR, title=title, template=template, advanced_mode=True, _client=client)]
    else:
        shown = [
            rg.ChatField(name=name, title=title, use_markdown=False, _client=client)
            for name, title in plan.titles.items()
        ]
    columns = [
        rg.TextField(name=slug(name), title=name, use_markdown=False, required=False, client=client)
        for name in plan.columns
    ]
    kept = {"terms": rg.TermsMetadataProperty, "integer": rg.IntegerMetadataProperty, "float": rg.FloatMetadataProperty}
    of_kind = metadata_kinds(plan, kinds)
    return rg.Settings(
        guidelines=plan.guidelines,
        fields=[*shown, *columns],
        questions=[*_own_questions(plan, client), *(questions.settings_of(each, client) for each in plan.questions)],
        metadata=[
            kept[of_kind[name]](name=name, title=title, client=client) for name, title in metadata_titles(plan).items()
        ],
        distribution=rg.TaskDistribution(min_submitted=plan.min_submitted),
    )


def _own_questions(plan: ReviewPlan, client: argilla.Argilla) -> list[Any]:
    """Return the rating, where it is asked, and the comparison."""
    import argilla as rg  # noqa: PLC0415

    rating = rg.RatingQuestion(
        name=RELEVANCE,
        values=RATINGS,
        title=plan.relevance_title,
        description=plan.relevance_description,
        required=plan.relevance == "required",
        client=client,
    )
    comparison = rg.LabelQuestion(
        name=PREFERENCE,
        labels=plan.labels,
        title=plan.preference_title,
        description=plan.preference_description,
        client=client,
    )
    return [comparison] if plan.relevance == "off" else [rating, comparison]


def metadata_titles(plan: ReviewPlan) -> dict[str, str]:
    """Return name and title of the plan's metadata, the lengths' unit in the title."""
    with words.speaking(plan.language):
        unit = unit_of(plan.unit).said()
    own = ("source", *plan.lengths)
    titles = {name: plan.said(f"metadata.{name}", unit=unit) for name in own if name in plan.metadata}
    return titles | {slug(name): name for name in plan.metadata if name not in own}


def planned_shape(plan: ReviewPlan, *, embedded: bool) -> dict[str, dict[str, Any]]:
    """Return what a dataset must agree in for the plan's records to go into it."""
    beside = shown_beside(plan, embedded=embedded)
    fields = {PAIR: ("custom", True)} if beside else dict.fromkeys(plan.parts, ("chat", False))
    rating = {} if plan.relevance == "off" else {RELEVANCE: ("rating", RATINGS)}
    return {
        "fields": fields | {slug(name): ("text", False) for name in plan.columns},
        "questions": rating
        | {PREFERENCE: ("label_selection", list(plan.labels))}
        | {each.name: questions.shape_of(each) for each in plan.questions},
        # The titles carry the unit: lengths in tokens and in words must not stand in one column.
        "metadata": metadata_titles(plan),
        "distribution": {"min_submitted": plan.min_submitted},
    }
