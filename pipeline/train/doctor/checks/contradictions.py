"""The same prompt with the same two answers, preferred once this way and once that way."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.train.doctor.check import Check, Found, Sample, Subject


def _note(subject: Subject, samples: Sequence[Sample]) -> Sequence[tuple[int, int, int]]:
    return [sample.digests for sample in samples]


def _judge(subject: Subject, notes: Sequence[tuple[int, int, int]]) -> Found | None:
    numbers: dict[tuple[int, int, int], int] = {}
    for number, note in enumerate(notes, 1):
        numbers.setdefault(note, number)
    other: dict[int, int] = {}
    for number, (prompt, chosen, rejected) in enumerate(notes, 1):
        turned = numbers.get((prompt, rejected, chosen))
        if turned is not None and chosen != rejected:
            other[number] = turned
    return Found(list(other), {number: f"↔ {turned}" for number, turned in other.items()}) if other else None


CHECK = Check("contradictions", "warning", _judge, _note, order=44)
