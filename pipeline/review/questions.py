"""Questions of a reviewer's own, beside the rating and the comparison that decide what is exported."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field, model_validator

from pipeline.base.errors import Wrong
from pipeline.review.answers import PREFERENCE, RELEVANCE

if TYPE_CHECKING:
    import argilla

Kind = Literal["label", "multi_label", "rating", "ranking", "text"]
_CHOSEN_FROM: tuple[Kind, ...] = ("label", "multi_label", "ranking")  # kinds with options of their own
_MOST_OPTIONS = 50  # of a ranking, argilla-server 2.8 schemas


class Question(BaseModel, extra="forbid"):
    """One question put to every annotator."""

    kind: Kind = Field("label", description="How it is answered.")
    name: str = Field(
        max_length=50,
        pattern=r"^[a-z0-9][a-z0-9_-]*$",
        description="What its answers are called in files: small letters, digits, hyphens and underscores.",
    )
    title: str = Field(min_length=1, max_length=500, description="The question itself.")
    description: str = Field("", max_length=1000, description="Help shown with the question.")
    options: list[str] = Field(
        default_factory=list, description="What is chosen from: of a label, a multi-label and a ranking."
    )
    points: int = Field(5, ge=2, le=10, description="Highest value of a rating, which begins at 1.")
    required: bool = Field(True, description="Whether an answer cannot be submitted without it.")

    @model_validator(mode="after")
    def _can_be_answered(self) -> Question:
        if self.name in (RELEVANCE, PREFERENCE):
            raise Wrong("question.name_taken", name=self.name)
        self.options = list(dict.fromkeys(option.strip() for option in self.options if option.strip()))
        if self.kind in _CHOSEN_FROM and not 2 <= len(self.options) <= _MOST_OPTIONS:
            raise Wrong("question.options", most=_MOST_OPTIONS)
        if any(len(option) > 200 for option in self.options):
            raise Wrong("question.long_option", most=200)
        return self


def check_names(questions: list[Question]) -> list[Question]:
    """Return the questions.

    Raises:
        Wrong: Two have the same name.
    """
    names = [question.name for question in questions]
    for name in names:
        if names.count(name) > 1:
            raise Wrong("question.name_taken", name=name)
    return questions


def free_name(title: str, taken: list[str]) -> str:
    """Return a name for a question that none of the others has, made of its title."""
    base = re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_")[:40].strip("_") or "question"
    names = itertools.chain([base], (f"{base}_{number}" for number in itertools.count(2)))
    return next(name for name in names if name not in (*taken, RELEVANCE, PREFERENCE))


def settings_of(question: Question, client: argilla.Argilla) -> Any:
    """Return a question as the SDK's settings."""
    import argilla as rg  # noqa: PLC0415  two seconds of imports, needed only when a dataset is made

    common = {
        "name": question.name,
        "title": question.title,
        "description": question.description or None,
        "required": question.required,
        "client": client,
    }
    match question.kind:
        case "label":
            return rg.LabelQuestion(labels=question.options, **common)
        case "multi_label":
            return rg.MultiLabelQuestion(labels=question.options, **common)
        case "rating":
            return rg.RatingQuestion(values=list(range(1, question.points + 1)), **common)
        case "ranking":
            return rg.RankingQuestion(values=question.options, **common)
        case "text":
            return rg.TextQuestion(use_markdown=False, **common)


_TYPES: dict[Kind, str] = {
    "label": "label_selection",
    "multi_label": "multi_label_selection",
    "rating": "rating",
    "ranking": "ranking",
    "text": "text",
}


def shape_of(question: Question) -> tuple[str, list[int] | list[str]]:
    """Return what must agree for a dataset's question to be this one: Argilla's type and the options' values."""
    options: list[int] | list[str] = []
    if question.kind == "rating":
        options = list(range(1, question.points + 1))
    elif question.kind in _CHOSEN_FROM:
        options = question.options
    return _TYPES[question.kind], options
