"""Prompts that are questions of TruthfulQA, and sources made for it: an evaluation on it would say nothing.

`truthfulqa.npz` holds no text: numbers of the runs of 8 words of its questions (Lin, Hilton, Evans 2021, Apache-2.0),
of 5 to 7 where a question has no more, and of whole questions still shorter. `python -m bench.overlap` makes it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.train.doctor.check import Check, Found, Sample, Subject
from pipeline.train.doctor.words import words_of

FILE = Path(__file__).parents[1] / "truthfulqa.npz"
LONGEST, SHORTEST = 8, 5  # words of a run that is looked for anywhere in a prompt
_MADE_FOR_IT = re.compile(r"truth(?:y|ful)[-_ ]?(?:dpo|qa)", re.IGNORECASE)


def runs_of(questions: Sequence[str]) -> dict[str, NDArray[np.uint64]]:
    """Return the numbers that stand for questions.

    Args:
        questions: Their texts.

    Returns:
        Numbers by words of a run, as text; those of whole questions under "whole".
    """
    words = words_of(questions)
    sizes = np.bincount(words.owner, minlength=words.texts)
    found = {str(LONGEST): words.runs(LONGEST)[0]}
    for size in range(SHORTEST, LONGEST):
        hashes, owner = words.runs(size)
        found[str(size)] = hashes[sizes[owner] == size]
    found["whole"] = words.whole(SHORTEST)[0]
    return {name: np.unique(numbers) for name, numbers in found.items()}


@cache
def _table() -> dict[str, NDArray[np.uint64]]:
    with np.load(FILE) as stored:
        return {name: stored[name] for name in stored.files}


def overlaps(prompts: Sequence[str]) -> list[bool]:
    """Return for each prompt whether it holds a question of TruthfulQA."""
    words, table = words_of(prompts), _table()
    hit = np.zeros(len(prompts), bool)
    for size in range(SHORTEST, LONGEST + 1):
        hashes, owner = words.runs(size)
        hit[owner[np.isin(hashes, table[str(size)])]] = True
    hashes, owner = words.whole(SHORTEST)
    hit[owner[np.isin(hashes, table["whole"])]] = True
    return [bool(each) for each in hit]


def _note(subject: Subject, samples: Sequence[Sample]) -> Sequence[str]:
    """Return what shows it: the source's name or the prompt's end; "" for nothing."""
    hits = overlaps([sample.pair.prompt[-1].content for sample in samples])
    found = []
    for sample, hit in zip(samples, hits, strict=True):
        made = _MADE_FOR_IT.search(sample.pair.source)
        found.append(sample.pair.prompt[-1].content[:80] if hit else sample.pair.source if made else "")
    return found


def _judge(subject: Subject, notes: Sequence[str]) -> Found | None:
    shown = {number: note for number, note in enumerate(notes, 1) if note}
    return Found(list(shown), shown) if shown else None


CHECK = Check("benchmark", "warning", _judge, _note, order=54)
