"""Rules over settled pairs: what is kept, what each rule removes, and how the pairs are distributed."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress, pairwise
from math import floor
from typing import Literal, Self

import pandas as pd
from pydantic import BaseModel, Field, model_validator
from pydantic.config import JsonDict

from pipeline.base.errors import Wrong
from pipeline.base.message import message
from pipeline.base.pair import Pair
from pipeline.models.tokens import PairCounts
from pipeline.review.settle import Settled

PARTS: tuple[Literal["prompt", "chosen", "rejected"], ...] = ("prompt", "chosen", "rejected")
EXAMPLES = 5
UNRATED = "unrated"
NO_SOURCE = "(none)"
RATINGS = ("1", "2", "3", "4", "5", UNRATED)
TOKEN_EDGES = (0, 10, 25, 50, 100, 200, 400, 800, 1600)
TOKEN_BINS = (*(f"{low}–{high - 1}" for low, high in pairwise(TOKEN_EDGES)), f"{TOKEN_EDGES[-1]}+")

_REVIEW: JsonDict = {"group": "review"}
_TOKENS: JsonDict = {"group": "tokens", "unit": "tokens"}
_TEXT: JsonDict = {"group": "text"}

_Rule = tuple[str, str, list[bool]]  # field of the recipe, label, whether each pair passes


class Recipe(BaseModel, extra="forbid"):
    """Rules a pair must satisfy, all of them, to be kept.

    They are applied in the order of the fields; one left at its neutral value (off, any, None, 0, empty) is not. A rule
    asks for what it names: a pair without a rating does not reach a minimum rating, one without a verdict does not
    agree.
    """

    only_reviewed: bool = Field(
        False,
        description="Keep only pairs with at least one submitted answer; off, so that one can go on without review.",
        json_schema_extra=_REVIEW,
    )
    min_relevance: float | None = Field(
        None,
        ge=1,
        le=5,
        description="Smallest mean rating by the reviewers; pairs without a rating are removed. Empty: any.",
        json_schema_extra={**_REVIEW, "unit": "1–5"},
    )
    preference_agrees: Literal["any", "agrees", "decided"] = Field(
        "any",
        description=(
            "agrees: most reviewers prefer chosen; decided: most prefer chosen, or most prefer rejected; "
            "any: also ties, undecided pairs and those nobody compared."
        ),
        json_schema_extra=_REVIEW,
    )
    sources: list[str] = Field(
        default_factory=list,
        description="Sources to keep; empty: all.",
        json_schema_extra={"group": "source"},
    )
    min_prompt_tokens: int = Field(0, ge=0, description="Shortest prompt, all its turns.", json_schema_extra=_TOKENS)
    max_prompt_tokens: int | None = Field(
        None, ge=0, description="Longest prompt, all its turns; empty: any.", json_schema_extra=_TOKENS
    )
    min_chosen_tokens: int = Field(10, ge=0, description="Shortest chosen completion.", json_schema_extra=_TOKENS)
    max_chosen_tokens: int | None = Field(
        None, ge=0, description="Longest chosen completion; empty: any.", json_schema_extra=_TOKENS
    )
    min_rejected_tokens: int = Field(10, ge=0, description="Shortest rejected completion.", json_schema_extra=_TOKENS)
    max_rejected_tokens: int | None = Field(
        None, ge=0, description="Longest rejected completion; empty: any.", json_schema_extra=_TOKENS
    )
    contains: str = Field(
        "",
        max_length=1000,
        description="Text that some turn contains, upper and lower case alike; empty: any.",
        json_schema_extra=_TEXT,
    )
    contains_not: str = Field(
        "",
        max_length=1000,
        description="Text that no turn contains, upper and lower case alike; empty: any.",
        json_schema_extra=_TEXT,
    )
    drop_duplicates: bool = Field(
        True,
        description="Keep one of several pairs with equal prompt, chosen and rejected: a reviewed one if there is one.",
        json_schema_extra={"group": "quality"},
    )

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        for part in PARTS:
            low, high = self.token_bounds(part)
            if high is not None and high < low:
                raise Wrong("filter.bounds", part=message(f"part.{part}"), high=high, low=low)
        return self

    def token_bounds(self, part: Literal["prompt", "chosen", "rejected"]) -> tuple[int, int | None]:
        """Return the smallest and largest token count allowed; None is no upper bound.

        Args:
            part: The part of the pair.
        """
        match part:
            case "prompt":
                return self.min_prompt_tokens, self.max_prompt_tokens
            case "chosen":
                return self.min_chosen_tokens, self.max_chosen_tokens
            case "rejected":
                return self.min_rejected_tokens, self.max_rejected_tokens


@dataclass(frozen=True)
class RuleEffect:
    """What one rule of a recipe removes.

    Attributes:
        rule: Name of the recipe's field.
        label: What a kept pair satisfies, in words.
        removes_alone: Pairs of all pairs that this rule removes by itself.
        removes_first: Pairs that this rule removes after the rules before it; these sum up to what was removed.
        examples: Ids of the first few pairs that this rule removes by itself.
    """

    rule: str
    label: str
    removes_alone: int
    removes_first: int
    examples: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Filtered:
    """The outcome of a recipe.

    Attributes:
        kept: Pairs that satisfy every rule, in their former order.
        total: Number of pairs there were.
        removed: Effect of each rule that was applied, in the order applied.
    """

    kept: list[Pair]
    total: int
    removed: list[RuleEffect]


@dataclass(frozen=True)
class Distributions:
    """Tables for bar plots; every bar is there even when it is empty, so that axes stand still while rules change.

    Attributes:
        rating: `rating` (one of `RATINGS`: the mean rating rounded, halves up), `state` (kept or removed), `pairs`.
        tokens: `part` (prompt, chosen, rejected), `tokens` (one of `TOKEN_BINS`), `state`, `pairs`.
        sources: `source`, `state`, `pairs`; the largest source first.
    """

    rating: pd.DataFrame
    tokens: pd.DataFrame
    sources: pd.DataFrame


def apply(
    pairs: Sequence[Pair],
    settled: Mapping[str, Settled],
    counts: Sequence[PairCounts],
    recipe: Recipe,
    unit: str = "tokens",
) -> Filtered:
    """Apply a recipe.

    Args:
        pairs: All pairs.
        settled: What reviewers said, by record id; a pair nobody reviewed may be missing.
        counts: Token counts, one per pair, in the order of the pairs.
        recipe: The rules.
        unit: What was counted, for the labels: see `pipeline.models.tokens.TokenCounter.unit`.

    Returns:
        The pairs kept and what each rule removed.

    Raises:
        ValueError: There are not as many counts as pairs.
    """
    if len(counts) != len(pairs):
        raise ValueError(f"{len(counts)} token counts for {len(pairs)} pairs.")
    left = [True] * len(pairs)
    effects = []
    for rule, label, passes in _rules(pairs, settled, counts, recipe, unit):
        fails = [index for index, passed in enumerate(passes) if not passed]
        examples = [pairs[index].record_id for index in fails[:EXAMPLES]]
        effects.append(RuleEffect(rule, label, len(fails), sum(left[index] for index in fails), examples))
        for index in fails:
            left[index] = False
    return Filtered(list(compress(pairs, left)), len(pairs), effects)


def _rules(
    pairs: Sequence[Pair],
    settled: Mapping[str, Settled],
    counts: Sequence[PairCounts],
    recipe: Recipe,
    unit: str,
) -> Iterator[_Rule]:
    """Yield each rule that is not neutral, in the order of the recipe's fields."""
    yield from _review_rules([settled.get(pair.record_id) for pair in pairs], recipe)
    if recipe.sources:
        wanted = set(recipe.sources)
        label = f"source is {' or '.join(source or NO_SOURCE for source in recipe.sources)}"
        yield "sources", label, [pair.source in wanted for pair in pairs]
    for part in PARTS:
        low, high = recipe.token_bounds(part)
        lengths = [getattr(count, part) for count in counts]
        if low:
            yield f"min_{part}_tokens", f"{part} of at least {low} {unit}", [length >= low for length in lengths]
        if high is not None:
            yield f"max_{part}_tokens", f"{part} of at most {high} {unit}", [length <= high for length in lengths]
    if recipe.contains.strip():
        yield "contains", f"contains “{recipe.contains}”", _contains(pairs, recipe.contains)
    if recipe.contains_not.strip():
        yield (
            "contains_not",
            f"does not contain “{recipe.contains_not}”",
            [not hit for hit in _contains(pairs, recipe.contains_not)],
        )
    if recipe.drop_duplicates:
        yield "drop_duplicates", "not a duplicate of a kept pair", _first_of_duplicates(pairs, settled)


def _review_rules(verdicts: Sequence[Settled | None], recipe: Recipe) -> Iterator[_Rule]:
    """Yield the rules about what reviewers said; None stands for a pair nobody reviewed."""
    if recipe.only_reviewed:
        yield "only_reviewed", "reviewed", [verdict is not None for verdict in verdicts]
    if recipe.min_relevance is not None:
        label = f"mean rating of at least {recipe.min_relevance:g}"
        ratings = (None if verdict is None else verdict.relevance for verdict in verdicts)
        yield "min_relevance", label, [rating is not None and rating >= recipe.min_relevance for rating in ratings]
    if recipe.preference_agrees != "any":
        agrees = recipe.preference_agrees == "agrees"
        wanted = {"chosen"} if agrees else {"chosen", "rejected"}
        passes = [verdict is not None and verdict.preference in wanted for verdict in verdicts]
        yield "preference_agrees", "reviewers prefer chosen" if agrees else "reviewers decided", passes


def _contains(pairs: Sequence[Pair], text: str) -> list[bool]:
    """Return for each pair whether one of its turns contains the text, regardless of case."""
    needle = text.casefold()
    return [any(needle in turn.content.casefold() for part in PARTS for turn in getattr(pair, part)) for pair in pairs]


def _first_of_duplicates(pairs: Sequence[Pair], settled: Mapping[str, Settled]) -> list[bool]:
    """Return for each pair whether it is the one to keep of its exact duplicates: the first reviewed, else the first.

    Exact duplicates share the id up to the occurrence number; see `pipeline.base.pair.identify`.
    """
    keep: dict[str, tuple[bool, int]] = {}
    for index, pair in enumerate(pairs):
        candidate = (pair.record_id not in settled, index)
        digest = pair.record_id.partition("-")[0]
        keep[digest] = min(keep.get(digest, candidate), candidate)
    first = {index for _, index in keep.values()}
    return [index in first for index in range(len(pairs))]


def distributions(
    pairs: Sequence[Pair],
    settled: Mapping[str, Settled],
    counts: Sequence[PairCounts],
    kept_ids: set[str],
) -> Distributions:
    """Count pairs by rating, length and source, kept and removed apart.

    Args:
        pairs: All pairs.
        settled: What reviewers said, by record id.
        counts: Token counts, one per pair, in the order of the pairs.
        kept_ids: Ids of the pairs that a recipe keeps.
    """
    state = ["kept" if pair.record_id in kept_ids else "removed" for pair in pairs]
    tokens = []
    for part in PARTS:
        bins = [TOKEN_BINS[bisect_right(TOKEN_EDGES, getattr(count, part)) - 1] for count in counts]
        table = _tally("tokens", bins, TOKEN_BINS, state)
        table.insert(0, "part", part)
        tokens.append(table)
    sources = [pair.source or NO_SOURCE for pair in pairs]
    largest_first = [source for source, _ in Counter(sources).most_common()]
    return Distributions(
        rating=_tally("rating", [_rating_bar(settled.get(pair.record_id)) for pair in pairs], RATINGS, state),
        tokens=pd.concat(tokens, ignore_index=True),
        sources=_tally("source", sources, largest_first, state),
    )


def _rating_bar(verdict: Settled | None) -> str:
    """Return the bar of `RATINGS` that a verdict belongs to."""
    return UNRATED if verdict is None or verdict.relevance is None else str(floor(verdict.relevance + 0.5))


def _tally(column: str, values: Sequence[str], bars: Sequence[str], state: Sequence[str]) -> pd.DataFrame:
    """Count values by bar and state; columns: the value, `state` and `pairs`."""
    found = Counter(zip(values, state, strict=True))
    rows = [(bar, side, found[bar, side]) for bar in bars for side in ("kept", "removed")]
    return pd.DataFrame(rows, columns=[column, "state", "pairs"])
