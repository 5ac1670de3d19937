"""How far annotators agree: Krippendorff's alpha per question, each annotator against the rest, and what they dispute.

Written here and not taken from a library: `krippendorff` on PyPI is GPL-3.0.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal, TypeVar

Scale = Literal["nominal", "ordinal"]
V = TypeVar("V", bound=Hashable)
Ratings = Mapping[str, Mapping[str, V]]
"""Unit (record id) → annotator → value; who gave none is left out."""


def alpha(units: Iterable[Sequence[Any]], scale: Scale) -> float | None:
    """Return Krippendorff's alpha.

    With o(c,k) the coincidences of the values c and k (each pair of values in a unit of m values counts 1/(m-1)),
    n(c) = sum over k of o(c,k), n = sum of n(c), and d(c,k) the squared difference of two values:

        alpha = 1 - (n - 1) * sum over c<k of o(c,k) d(c,k)  /  sum over c<k of n(c) n(k) d(c,k)

    nominal: d(c,k) = 1 for c != k. ordinal: d(c,k) = (sum of n(g) for g from c to k - (n(c) + n(k)) / 2)^2, the values
    in their order. Units with fewer than two values are left out.

    Source: K. Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), sections C and E,
    https://repository.upenn.edu/asc_papers/43; its worked examples are the tests of this function.

    Args:
        units: The values each unit was given, missing ones left out. Ordinal values must be sortable.
        scale: Whether values only differ or also have an order.

    Returns:
        1: they agree wholly; 0: as by chance; below: less than by chance. None where it is not defined: fewer than two
        values can be paired, or all of them are the same, so that there is nothing to tell apart.
    """
    coincidences: Counter[tuple[Any, Any]] = Counter()
    for values in units:
        if len(values) < 2:
            continue
        counted = Counter(values)
        for c, of_c in counted.items():
            for k, of_k in counted.items():
                coincidences[c, k] += of_c * (of_k - (c == k)) / (len(values) - 1)
    margins: Counter[Any] = Counter()
    for (c, _), count in coincidences.items():
        margins[c] += count
    n = sum(margins.values())
    names = sorted(margins) if scale == "ordinal" else list(margins)
    difference = _ordinal(names, margins) if scale == "ordinal" else lambda c, k: 1.0
    expected = sum(margins[c] * margins[k] * difference(c, k) for c, k in combinations(names, 2))
    if not expected:
        return None
    observed = sum(coincidences[c, k] * difference(c, k) for c, k in combinations(names, 2))
    return float(1 - (n - 1) * observed / expected)


def _ordinal(names: Sequence[Any], margins: Mapping[Any, float]) -> Callable[[Any, Any], float]:
    below, until = 0.0, {}
    for name in names:
        below += margins[name]
        until[name] = below

    def difference(c: Any, k: Any) -> float:
        between = until[k] - until[c] + margins[c]
        return float((between - (margins[c] + margins[k]) / 2) ** 2)

    return difference


@dataclass(frozen=True)
class Against:
    """One annotator against the rest.

    Attributes:
        annotator: Who.
        units: Records that this annotator and at least one other answered.
        same: Share of them, 0 to 1, on which the annotator says what most of the others say; where these are divided,
            one of their most frequent answers will do. None without units.
        alpha: Alpha of this annotator and, as the second, each of the others on these records; None where undefined.
    """

    annotator: str
    units: int
    same: float | None
    alpha: float | None


@dataclass(frozen=True)
class Agreement:
    """How far annotators agree on one question.

    Attributes:
        question: Its name.
        scale: How its values are compared.
        alpha: Krippendorff's alpha, None where undefined.
        units: Records with at least two answers, which alone count.
        values: Answers on them.
        against: Each annotator against the rest, by name.
    """

    question: str
    scale: Scale
    alpha: float | None
    units: int
    values: int
    against: tuple[Against, ...]


def agreement(question: str, ratings: Ratings[Any], scale: Scale) -> Agreement:
    """Return how far annotators agree on a question.

    Args:
        question: Its name.
        ratings: What each annotator said of each record.
        scale: How values are compared.
    """
    paired = {unit: given for unit, given in ratings.items() if len(given) > 1}
    people = sorted({annotator for given in ratings.values() for annotator in given})
    return Agreement(
        question,
        scale,
        alpha((list(given.values()) for given in paired.values()), scale),
        len(paired),
        sum(map(len, paired.values())),
        tuple(_against(annotator, paired, scale) for annotator in people),
    )


def _against(annotator: str, paired: Ratings[Any], scale: Scale) -> Against:
    units = same = 0
    couples: list[Sequence[Any]] = []
    for given in paired.values():
        if annotator not in given:
            continue
        units += 1
        mine = given[annotator]
        others = Counter(value for name, value in given.items() if name != annotator)
        same += others[mine] == max(others.values())
        couples += [(mine, value) for name, value in given.items() if name != annotator]
    return Against(annotator, units, same / units if units else None, alpha(couples, scale))


def disputed(ratings: Ratings[Any], distance: Callable[[Any, Any], float]) -> list[tuple[str, float]]:
    """Return the records on which annotators differ, those that they differ on most first.

    Args:
        ratings: What each annotator said of each record.
        distance: Of two values, 0 for the same.

    Returns:
        Record id and mean distance of two answers to it, above 0; records that differ alike in the order given.
    """
    found: defaultdict[str, float] = defaultdict(float)
    for unit, given in ratings.items():
        pairs = list(combinations(given.values(), 2))
        if pairs:
            found[unit] = sum(distance(one, other) for one, other in pairs) / len(pairs)
    differing = [(unit, mean) for unit, mean in found.items() if mean > 0]
    return sorted(differing, key=lambda each: -each[1])
