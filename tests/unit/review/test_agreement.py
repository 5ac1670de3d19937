"""Alpha against the published worked examples, and who agrees with whom."""

from __future__ import annotations

import random
from itertools import combinations

import pytest

from pipeline.review.agreement import Scale, agreement, alpha, disputed

# Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011): sections A (binary), B (nominal) and C to E (four
# observers, values missing). The last table is the example of the article on alpha in Wikipedia. "." is no value.
BINARY = ["0100000010", "1110010000"]
ARTICLES = ["aabbdcccedda", "babbbccceddd"]
OBSERVERS = ["123321412...", "1233224125.3", ".3332342251.", "12332441251."]
CODERS = [".....34121133.3", "1.213343.......", "..21344.21133.4"]


def units(rows: list[str]) -> list[list[str]]:
    assert len({len(row) for row in rows}) == 1
    return [[mark for mark in column if mark != "."] for column in zip(*rows, strict=True)]


@pytest.mark.parametrize(
    ("rows", "scale", "published"),
    [
        (BINARY, "nominal", 0.095),
        (ARTICLES, "nominal", 0.692),
        (OBSERVERS, "nominal", 0.743),
        (OBSERVERS, "ordinal", 0.815),
        (CODERS, "nominal", 0.691),
    ],
)
def test_alpha_of_the_published_examples(rows: list[str], scale: Scale, published: float) -> None:
    assert alpha(units(rows), scale) == pytest.approx(published, abs=5e-4)


def test_alpha_where_there_is_nothing_to_tell_apart() -> None:
    assert alpha([], "nominal") is None
    assert alpha([["a"], ["b"]], "nominal") is None  # nobody answered the same record
    assert alpha([["a", "a"], ["a", "a"]], "nominal") is None  # chance agrees as well
    assert alpha([["a", "a"], ["b", "b"]], "nominal") == 1
    assert alpha([["a", "b"], ["b", "a"]], "nominal") < 0  # type: ignore[operator]


def by_definition(found: list[list[int]], scale: Scale) -> float:
    """1 - D_o / D_e with every pair of values written out, no coincidences counted together."""
    paired = [values for values in found if len(values) > 1]
    everything = [value for values in paired for value in values]
    count = {value: everything.count(value) for value in everything}

    def d(one: int, other: int) -> float:
        if scale == "nominal":
            return float(one != other)
        low, high = sorted((one, other))
        between = sum(number for value, number in count.items() if low <= value <= high)
        return (between - (count[low] + count[high]) / 2) ** 2 if one != other else 0.0

    n = len(everything)
    observed = sum(
        sum(2 * d(one, other) for one, other in combinations(values, 2)) / (len(values) - 1) for values in paired
    )
    expected = sum(2 * d(one, other) for one, other in combinations(everything, 2)) / (n - 1)
    return 1 - observed / expected


@pytest.mark.parametrize("scale", ["nominal", "ordinal"])
@pytest.mark.parametrize("seed", range(10))
def test_alpha_is_its_definition(scale: Scale, seed: int) -> None:
    rng = random.Random(seed)
    found = [[rng.randint(1, 5) for _ in range(rng.randint(0, 4))] for _ in range(30)]
    assert alpha(found, scale) == pytest.approx(by_definition(found, scale), abs=1e-12)


def test_each_annotator_against_the_rest() -> None:
    ratings = {
        "r1": {"ann": "a", "bob": "a", "eve": "b"},
        "r2": {"ann": "b", "bob": "b", "eve": "a"},
        "r3": {"ann": "a", "bob": "a"},
        "r4": {"eve": "tie"},  # nobody to compare with
    }
    found = agreement("preference", ratings, "nominal")
    assert (found.units, found.values) == (3, 8)
    by_name = {each.annotator: each for each in found.against}
    assert [(by_name[name].units, by_name[name].same) for name in ("ann", "bob", "eve")] == [(3, 1.0), (3, 1.0), (2, 0)]
    assert by_name["eve"].alpha is not None and by_name["eve"].alpha < 0 < by_name["ann"].alpha  # type: ignore[operator]


def test_what_is_disputed_most_comes_first() -> None:
    ratings = {"same": {"a": 3, "b": 3}, "far": {"a": 1, "b": 5}, "near": {"a": 3, "b": 4}, "alone": {"a": 1}}
    assert disputed(ratings, lambda one, other: abs(one - other)) == [("far", 4.0), ("near", 1.0)]
