"""Rules over settled pairs: what is kept, what each rule removes, and how the pairs are distributed."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress, pairwise
from math import floor
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, PlainSerializer, PlainValidator, create_model

from pipeline.base import words
from pipeline.base.message import Message, verbatim
from pipeline.base.pair import Pair
from pipeline.filter.rule import PARTS, Over, rules
from pipeline.models.tokens import PairCounts
from pipeline.review.settle import Settled

__all__ = ["PARTS", "Distributions", "Filtered", "Recipe", "RuleEffect", "apply", "distributions"]

EXAMPLES = 5
UNRATED = "unrated"
NO_SOURCE = "(none)"
RATINGS = ("1", "2", "3", "4", "5", UNRATED)
TOKEN_EDGES = (0, 10, 25, 50, 100, 200, 400, 800, 1600)
TOKEN_BINS = (*(f"{low}–{high - 1}" for low, high in pairwise(TOKEN_EDGES)), f"{TOKEN_EDGES[-1]}+")


class _Recipe(BaseModel, extra="forbid"):
    """Rules a pair must satisfy, all of them, to be kept.

    They are applied in the order of the fields; one left at its neutral value (off, any, None, 0, empty) is not. A rule
    asks for what it names: a pair without a rating does not reach a minimum rating, one without a verdict does not
    agree.
    """


if TYPE_CHECKING:
    import pandas as pd

    class Recipe(_Recipe):
        """See `_Recipe`; its fields are those of the rules there are."""

else:
    # pydantic collects the fields of several bases from the last one on.
    _bases = (*reversed([rule.fields for rule in rules()]), _Recipe)
    Recipe = create_model("Recipe", __base__=_bases, __doc__=_Recipe.__doc__, __module__=__name__)


def _as_message(value: object) -> Message:
    return value if isinstance(value, Message) else verbatim(str(value))


def _in_english(said: Message) -> str:
    with words.speaking(words.ENGLISH):
        return said.said()


@dataclass(frozen=True)
class RuleEffect:
    """What one rule of a recipe removes.

    Attributes:
        rule: Name of the recipe's field.
        label: What a kept pair satisfies; for programs its English words.
        removes_alone: Pairs of all pairs that this rule removes by itself.
        removes_first: Pairs that this rule removes after the rules before it; these sum up to what was removed.
        examples: Ids of the first few pairs that this rule removes by itself.
    """

    rule: str
    label: Annotated[Message, PlainValidator(_as_message), PlainSerializer(_in_english)]
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
    over = Over(pairs, [settled.get(pair.record_id) for pair in pairs], counts, unit)
    left = [True] * len(pairs)
    effects = []
    for asked in (asked for rule in rules() for asked in rule.asks(recipe, over)):
        fails = [index for index, passed in enumerate(asked.passes) if not passed]
        examples = [pairs[index].record_id for index in fails[:EXAMPLES]]
        first = sum(left[index] for index in fails)
        effects.append(RuleEffect(asked.field, asked.label, len(fails), first, examples))
        for index in fails:
            left[index] = False
    return Filtered(list(compress(pairs, left)), len(pairs), effects)


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
    import pandas as pd  # noqa: PLC0415 - a second, and only plots need it

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
    import pandas as pd  # noqa: PLC0415

    found = Counter(zip(values, state, strict=True))
    rows = [(bar, side, found[bar, side]) for bar in bars for side in ("kept", "removed")]
    return pd.DataFrame(rows, columns=[column, "state", "pairs"])
