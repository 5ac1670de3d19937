"""A generation prompt with text that the template does not write before an answer: an opened `<think>`, say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pipeline.engines.examined import OPENING, without_opening
from pipeline.train.doctor.check import Check, Found, Subject, flagged, of_seen


def _judge(subject: Subject, notes: Sequence[tuple[str, int] | None]) -> Found | None:
    found = flagged(subject, notes)
    if found is None:
        return None
    opening = Counter(found.shown.values()).most_common(1)[0][0]
    settings = {"template": without_opening(subject.files.template, opening)}
    return Found(found.pairs, found.shown, {"opening": opening.strip()}, settings)


CHECK = Check("opening", "blocker", _judge, of_seen(OPENING), ("otherwise", "leave_out"), order=12)
