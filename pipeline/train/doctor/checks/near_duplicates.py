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
_LEADERS = 300  # of one bucket that the others are compared with
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


def similarity(one: Pair, other: Pair) -> float:
    """Return the Jaccard similarity of two pairs' sets of runs; see the module."""
    sets = []
    for pair in (one, other):
        texts = [text_of(part) for part in (pair.prompt, pair.chosen, pair.rejected)]
        sets.append(np.unique(_runs(words_of(texts), 1)[0]))
    shared = len(np.intersect1d(sets[0], sets[1], assume_unique=True))
    return shared / max(1, len(sets[0]) + len(sets[1]) - shared)


def _buckets(signatures: Signatures) -> Iterator[NDArray[np.int64]]:
    """Yield the members of each bucket of each band, those with two or more, in order."""
    width = _PERMUTATIONS // _BANDS
    for band in range(_BANDS):
        keys = np.ascontiguousarray(signatures[:, band * width : (band + 1) * width]).view(f"V{4 * width}").ravel()
        order = np.argsort(keys, kind="stable")
        starts = np.flatnonzero(np.concatenate([[True], keys[order][1:] != keys[order][:-1]]))
        sizes = np.diff(np.concatenate([starts, [len(order)]]))
        for start, size in zip(starts[sizes > 1], sizes[sizes > 1], strict=True):
            yield order[start : start + size]


def _near(subject: Subject, signatures: Signatures, places: NDArray[np.int64]) -> dict[int, dict[int, float]]:
    """Return for each pair the earlier ones that it is near to, with their similarity."""
    near: dict[int, dict[int, float]] = {}
    looked: set[tuple[int, int]] = set()
    for bucket in _buckets(signatures):
        rest, leaders = bucket, 0
        while len(rest) > 1 and leaders < _LEADERS:
            leader, rest, leaders = int(rest[0]), rest[1:], leaders + 1
            alike = (signatures[rest] == signatures[leader]).mean(axis=1)
            close = np.zeros(len(rest), bool)
            for at in np.flatnonzero(alike >= _UNCLEAR[0]):
                member, value = int(rest[at]), float(alike[at])
                if (leader, member) in looked:
                    close[at] = leader in near.get(member, {})
                    continue
                looked.add((leader, member))
                if value < _UNCLEAR[1]:
                    value = similarity(subject.pairs[int(places[leader])], subject.pairs[int(places[member])])
                if value >= NEAR:
                    close[at] = True
                    near.setdefault(member, {})[leader] = value
            rest = rest[~close]
    return near


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
