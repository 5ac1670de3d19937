"""Five rules over 10,000 pairs, as the Filter tab applies them at each change, against a quarter of a second."""

from __future__ import annotations

from time import process_time

from bench.common import Level, made_pairs
from pipeline.filter.recipe import Recipe, apply
from pipeline.models.tokens import PairCounts
from pipeline.review.settle import Settled

PAIRS, LIMIT = 10_000, 250.0


def measure() -> list[Level]:
    """Apply a recipe three times; the fastest counts, in seconds of the processor."""
    pairs = made_pairs(PAIRS, 300)
    settled = {each.record_id: Settled(each.record_id, 2, 3.0, "chosen") for each in pairs[::2]}
    counts = [PairCounts(index % 300, index % 900, index % 800) for index in range(PAIRS)]
    asked = {"only_reviewed": True, "min_relevance": 2, "preference_agrees": "agrees"}
    recipe = Recipe.model_validate(asked | {"contains": "answer", "contains_not": "x y"})
    durations, kept = [], 0
    for _ in range(3):
        began = process_time()
        kept = len(apply(pairs, settled, counts, recipe).kept)
        durations.append(process_time() - began)
    note = f"{kept:,} of {PAIRS:,} pairs kept"
    return [Level("Five rules over 10,000 pairs", min(durations) * 1000, LIMIT, "ms", note=note)]
