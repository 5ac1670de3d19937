"""Conversations that the base model's chat template does not take: a system turn, roles that do not alternate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pipeline.engines.examined import REFUSED
from pipeline.train.doctor.check import Check, Found, Subject, flagged, of_seen


def _judge(subject: Subject, notes: Sequence[tuple[str, int] | None]) -> Found | None:
    found = flagged(subject, notes)
    if found is None:
        return None
    said = Counter(found.shown.values()).most_common(1)[0][0]
    return Found(found.pairs, found.shown, {"said": said}, {"join_system": True})


CHECK = Check("refused", "blocker", _judge, of_seen(REFUSED), ("leave_out", "otherwise"), order=10)
