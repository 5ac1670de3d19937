"""A base model that was taught to answer before: ORPO, which teaches both at once, often hurts there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.train.doctor.check import Check, Found, Subject

_NAMED = re.compile(r"(?:^|[-_. ])(?:instruct|chat|it|sft|dpo|orpo|kto|rlhf|assistant)(?:[-_. ]|$)", re.IGNORECASE)


def _judge(subject: Subject, notes: Sequence[Any]) -> Found | None:
    name = Path(subject.base_model.partition("@")[0]).name
    return Found(values={"model": name}, whole=True) if _NAMED.search(name) else None


CHECK = Check("instruct_base", "note", _judge, remedies=("keep",), order=70)
