"""Pairs that are nearly there more than once, by MinHash and locality-sensitive hashing (Broder 1997).

A pair is the set of its runs of three words, those of prompt, chosen and rejected apart. 96 permutations in 24 bands
of 4 find two pairs of Jaccard similarity 0.85 but for 2 in 10^8, and of 0.7 but for 1.4 in 10^3; what they find is
then computed exactly where the estimate is not clear. Two pairs are near from 0.7 on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import rensa
from numpy.typing import NDArray

from pipeline.base.pair import Pair, text_of
from pipeline.train.doctor.check import Check, Found, Sample, Subject
from pipeline.train.doctor.words import Words, words_of

NEAR = 0.7
_SIZE, _PERMUTATIONS, _BANDS, _SEED = 3, 96, 24, 42
_UNCLEAR = (0.55, 0.9)  # estimates between these are computed exactly: three standard errors around NEAR and more
_FEW = 8  # pairs of a bucket up to which each is compared with each, those of many buckets at once
_LEADERS = 300  # of a larger bucket that the others are compared with
_BLOCK = 20_000  # couples compared at once: 8 MB of signatures
_SETS = 10_000  # of runs in memory: 50 MB
Signatures = NDArray[np.uint32]


def _runs(words: Words, pairs: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the runs of the words of pairs' three parts, laid out one part after the other, and whose each is."""
    found = [words.runs(_SIZE), words.whole(_SIZE)]
    hashes, owner = (np.concatenate(part) for part in zip(*found, strict=True))
    part = (owner // pairs).astype(np.uint64)
    return hashes ^ (part * np.uint64(0x9E3779B97F4A7C15)), owner % pairs


def _note(subject: Subject, samples: Sequence[Sample]) -> Sequence[bytes]:
    """Return each pair's signature; empty for a pair without a word."""
    parts = zip(*(sample.texts for sample in samples), strict=True)
    hashes, owner = _runs(words_of([text for part in parts for text in part]), len(samples))
    order = np.argsort(owner, kind="stable")
    ends = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(samples)))]).astype(np.uint64)
    made = rensa.RMinHash.digest_matrix_from_flat_token_hashes(hashes[order], ends, _PERMUTATIONS, _SEED)
    rows = np.array(made.to_rows(), dtype=np.uint32)
    return [row.tobytes() if ends[at] < ends[at + 1] else b"" for at, row in enumerate(rows)]


def _set(pair: Pair) -> NDArray[np.uint64]:
    """Return a pair's set of runs, sorted."""
    texts = [text_of(part) for part in (pair.prompt, pair.chosen, pair.rejected)]
    runs = np.sort(_runs(words_of(texts), 1)[0])  # np.unique of numpy 2.4 takes three times as long
    return runs[np.concatenate([[True], runs[1:] != runs[:-1]])] if len(runs) else runs


def similarity(one: Pair, other: Pair) -> float:
    """Return the Jaccard similarity of two pairs' sets of runs; see the module."""
    return _shared(_set(one), _set(other))


def _shared(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> float:
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / max(1, len(one) + len(other) - shared)


def _buckets(signatures: Signatures) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
    """Yield for each band the pairs in the order of their buckets, and where those of two or more begin, with sizes.

    Within a bucket, pairs stand in their own order.
    """
    width = _PERMUTATIONS // _BANDS
    for band in range(_BANDS):
        keys = np.ascontiguousarray(signatures[:, band * width : (band + 1) * width]).view(f"V{4 * width}").ravel()
        order = np.argsort(keys, kind="stable")
        starts = np.flatnonzero(np.concatenate([[True], keys[order][1:] != keys[order][:-1]]))
        sizes = np.diff(np.concatenate([starts, [len(order)]]))
        yield order, starts[sizes > 1], sizes[sizes > 1]


class _Compared:
    """Which pairs are near to which earlier ones, as far as they have been compared.

    Args:
        subject: What is examined.
        signatures: One of each pair compared.
        places: Which of the subject's pairs each is.
    """

    def __init__(self, subject: Subject, signatures: Signatures, places: NDArray[np.int64]) -> None:
        self._pairs, self._places, self._signatures = subject.pairs, places, signatures
        self._sets: dict[int, NDArray[np.uint64]] = {}
        self._looked: set[tuple[int, int]] = set()
        self.near: dict[int, dict[int, float]] = {}

    def estimates(self, leaders: NDArray[np.int64] | int, members: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the share of their signatures in which members are like their leaders."""
        found: NDArray[np.float64] = (self._signatures[members] == self._signatures[leaders]).mean(axis=1)
        return found

    def are_near(self, leader: int, member: int, estimate: float) -> bool:
        """Return whether two pairs are near, and remember it."""
        if (leader, member) not in self._looked:
            self._looked.add((leader, member))
            value = estimate if estimate >= _UNCLEAR[1] else _shared(self._set(leader), self._set(member))
            if value >= NEAR:
                self.near.setdefault(member, {})[leader] = value
        return leader in self.near.get(member, {})

    def _set(self, at: int) -> NDArray[np.uint64]:
        if at not in self._sets:
            if len(self._sets) >= _SETS:
                self._sets.clear()
            self._sets[at] = _set(self._pairs[int(self._places[at])])
        return self._sets[at]


def _near(subject: Subject, signatures: Signatures, places: NDArray[np.int64]) -> dict[int, dict[int, float]]:
    """Return for each pair the earlier ones that it is near to, with their similarity."""
    compared = _Compared(subject, signatures, places)
    large = []
    couples = [np.empty(0, np.int64)]  # of a leader and a member: one number
    for order, starts, sizes in _buckets(signatures):
        large += [order[start : start + size] for start, size in zip(starts, sizes, strict=True) if size > _FEW]
        for size in range(2, _FEW + 1):
            members = order[starts[sizes == size][:, None] + np.arange(size)]
            couples += [
                members[:, one] * len(places) + members[:, other] for other in range(size) for one in range(other)
            ]
    each = np.unique(np.concatenate(couples))
    for start in range(0, len(each), _BLOCK):
        leaders, members = np.divmod(each[start : start + _BLOCK], len(places))
        alike = compared.estimates(leaders, members)
        for at in np.flatnonzero(alike >= _UNCLEAR[0]):
            compared.are_near(int(leaders[at]), int(members[at]), float(alike[at]))
    for bucket in large:
        _among(bucket, compared)
    return compared.near


def _among(bucket: NDArray[np.int64], compared: _Compared) -> None:
    """Compare the pairs of a large bucket: the first with all others, then the first of those not near to it."""
    rest, leaders = bucket, 0
    while len(rest) > 1 and leaders < _LEADERS:
        leader, rest, leaders = int(rest[0]), rest[1:], leaders + 1
        alike = compared.estimates(leader, rest)
        close = np.zeros(len(rest), bool)
        for at in np.flatnonzero(alike >= _UNCLEAR[0]):
            close[at] = compared.are_near(leader, int(rest[at]), float(alike[at]))
        rest = rest[~close]


def _judge(subject: Subject, notes: Sequence[bytes]) -> Found | None:
    first: dict[bytes, int] = {}
    for place, note in enumerate(notes):
        if note:
            first.setdefault(note, place)  # equal signatures: one of them is looked at for all
    if not first:
        return None
    places = np.array(list(first.values()))
    signatures = np.frombuffer(b"".join(first), dtype=np.uint32).reshape(-1, _PERMUTATIONS)
    near = _near(subject, signatures, places)
    dropped: dict[int, tuple[int, float]] = {}
    for member in sorted(near):
        kept = {leader: value for leader, value in near[member].items() if leader not in dropped}
        if kept:
            dropped[member] = max(kept.items(), key=lambda item: item[1])
    found = {int(places[member]) + 1: (int(places[leader]) + 1, value) for member, (leader, value) in dropped.items()}
    for place, note in enumerate(notes):
        if note and first[note] != place and not _same(subject, first[note], place):
            found[place + 1] = (first[note] + 1, 1.0)
    if not found:
        return None
    numbers = sorted(found)
    return Found(numbers, {number: "≈ {} ({:.2f})".format(*found[number]) for number in numbers}, {"near": f"{NEAR:g}"})


def _same(subject: Subject, one: int, other: int) -> bool:
    """Return whether two pairs are exact duplicates, which another check names."""
    parts = [
        [text_of(part).split() for part in (pair.prompt, pair.chosen, pair.rejected)]
        for pair in (subject.pairs[one], subject.pairs[other])
    ]
    return parts[0] == parts[1]


CHECK = Check("near_duplicates", "warning", _judge, _note, order=42)
