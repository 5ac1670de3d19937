"""Chat markup in the text itself: a template was applied before, and the model would read turns within turns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pipeline.engines.examined import MARKUP
from pipeline.train.doctor.check import Check, Found, Subject, flagged, of_seen


def _judge(subject: Subject, notes: Sequence[tuple[str, int] | None]) -> Found | None:
    found = flagged(subject, notes)
    if found is None:
        return None
    common = [text for text, _ in Counter(found.shown.values()).most_common(3)]
    return Found(found.pairs, found.shown, {"markup": common})


CHECK = Check("markup", "warning", _judge, of_seen(MARKUP), order=20)
