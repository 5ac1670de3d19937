"""The share of pairs whose chosen answer is the longer one: a model may learn length instead of quality.

Length bias in preference data: Singhal et al. 2023 (arXiv 2310.03716), Park et al. 2024 (arXiv 2403.19159).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pipeline.train.doctor.check import Check, Found, Sample, Subject

USUAL = 0.65  # public preference data has 55 to 62 %
_FEWEST = 20  # pairs of unequal length, for a share to say anything
_SURE = 1.64  # standard errors: a share beyond the usual one by chance alone is no finding, 19 times of 20


def _note(subject: Subject, samples: Sequence[Sample]) -> Sequence[tuple[int, int]]:
    return [(len(chosen), len(rejected)) for _, chosen, rejected in (sample.texts for sample in samples)]


def _judge(subject: Subject, notes: Sequence[tuple[int, int]]) -> Found | None:
    longer = [number for number, (chosen, rejected) in enumerate(notes, 1) if chosen > rejected]
    shorter = sum(chosen < rejected for chosen, rejected in notes)
    share = len(longer) / max(1, len(longer) + shorter)
    chance = _SURE * math.sqrt(USUAL * (1 - USUAL) / max(1, len(longer) + shorter))
    if len(longer) + shorter < _FEWEST or share - chance <= USUAL:
        return None
    # Left out: the most lopsided, until the share is the usual one.
    surplus = math.ceil(len(longer) - USUAL / (1 - USUAL) * shorter)

    def ratio(number: int) -> float:
        chosen, rejected = notes[number - 1]
        return chosen / max(1, rejected)

    worst = sorted(sorted(longer, key=ratio, reverse=True)[: max(1, surplus)])
    shown = {number: "{} : {}".format(*notes[number - 1]) for number in worst}
    return Found(worst, shown, {"longer": len(longer), "of_all": f"{share:.0%}", "usual": f"{USUAL:.0%}"})


CHECK = Check("longer", "note", _judge, _note, order=60)
