"""Texts as words and numbers, for checks that compare texts with each other."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain

import numpy as np
from numpy.typing import NDArray

# What is no letter or digit of ASCII separates words; other scripts' bytes stay.
_APART = bytes(byte if byte >= 128 or chr(byte).isalnum() else 32 for byte in range(256))
# Scripts without spaces between words: each character counts as one. Thai, Lao, Burmese, Khmer, Chinese, Japanese.
_JOINED = re.compile("([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff])")
_PUNCTUATION = re.compile(r"[^\w\s]+")


def digest(text: str) -> int:
    """Return a number of 64 bits for a text; space and its kind do not count."""
    plain = " ".join(text.split()).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(plain, digest_size=8).digest(), "little")


def split(text: str) -> list[bytes]:
    """Return a text's words in lower case, without punctuation; where no spaces separate words, its characters."""
    if not text.isascii():
        text = _JOINED.sub(r" \1 ", _PUNCTUATION.sub(" ", text))
    return text.lower().encode("utf-8", "surrogatepass").translate(_APART).split()


@dataclass(frozen=True)
class Words:
    """The words of several texts, one after the other.

    Attributes:
        numbers: A number for each word, the same for the same word anywhere; shape (words,).
        owner: Which text each belongs to, rising; shape (words,).
        texts: How many texts.
    """

    numbers: NDArray[np.uint64]
    owner: NDArray[np.int64]
    texts: int

    def runs(self, size: int, salt: int = 0) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Return a number of 64 bits for each run of words within a text, and which text it belongs to.

        Args:
            size: Words of a run; a text with fewer has none, see `whole`.
            salt: Runs of another salt get other numbers.
        """
        count = len(self.numbers) - size + 1
        if count <= 0:
            return np.empty(0, np.uint64), np.empty(0, np.int64)
        found = np.full(count, np.uint64(salt + 1000003 * size), np.uint64)
        for at in range(size):
            found = _mixed(found ^ (self.numbers[at : count + at] * _odd(at)))
        inside = self.owner[:count] == self.owner[size - 1 :]
        return found[inside], self.owner[:count][inside]

    def whole(self, below: int, salt: int = 0) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Return a number for each text of at least one word and fewer than `below`: of all its words in their order.

        Args:
            below: Words.
            salt: See `runs`; a text of n words has the number of its one run of n words.
        """
        sizes = np.bincount(self.owner, minlength=self.texts)
        parts = [(np.empty(0, np.uint64), np.empty(0, np.int64))]
        for size in range(1, below):
            mine = np.flatnonzero(sizes == size)
            if len(mine):
                here = np.isin(self.owner, mine)
                parts.append(Words(self.numbers[here], self.owner[here], self.texts).runs(size, salt))
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def words_of(texts: Sequence[str]) -> Words:
    """Return the words of texts."""
    lists = [split(text) for text in texts]
    sizes = [len(words) for words in lists]
    numbers = np.fromiter(map(zlib.crc32, chain.from_iterable(lists)), np.uint64, sum(sizes))
    return Words(numbers, np.repeat(np.arange(len(texts)), sizes), len(texts))


@cache
def _odd(at: int) -> np.uint64:
    return np.uint64((0x9E3779B97F4A7C15 * (2 * at + 1)) & 0xFFFFFFFFFFFFFFFF | 1)


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return values spread over 64 bits, one for one (the finalizer of MurmurHash3, Appleby 2011)."""
    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    result: NDArray[np.uint64] = values ^ (values >> np.uint64(33))
    return result
