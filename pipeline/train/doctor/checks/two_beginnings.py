"""Two beginnings of text: the template writes one, and the text or the tokenizer brings another."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.engines.examined import BEGINNINGS
from pipeline.train.doctor.check import Check, Found, Subject, flagged, of_seen


def _judge(subject: Subject, notes: Sequence[tuple[str, int] | None]) -> Found | None:
    found = flagged(subject, notes)
    if found is None:
        return None
    return Found(found.pairs, found.shown, {"token": subject.files.special.get("bos_token", "")})


CHECK = Check("two_beginnings", "warning", _judge, of_seen(BEGINNINGS), order=22)
