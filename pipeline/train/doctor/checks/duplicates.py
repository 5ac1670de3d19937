"""Pairs that are there more than once."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.train.doctor.check import Check, Found, Sample, Subject


def _note(subject: Subject, samples: Sequence[Sample]) -> Sequence[tuple[int, int, int]]:
    return [sample.digests for sample in samples]


def _judge(subject: Subject, notes: Sequence[tuple[int, int, int]]) -> Found | None:
    first: dict[tuple[int, int, int], int] = {}
    again = {number: first.setdefault(note, number) for number, note in enumerate(notes, 1)}
    again = {number: before for number, before in again.items() if before != number}
    return Found(list(again), {number: f"= {before}" for number, before in again.items()}) if again else None


CHECK = Check("duplicates", "warning", _judge, _note, order=40)
