"""Several named chat templates and none called default: the training cannot tell which is meant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.train.doctor.check import Check, Found, Subject


def _judge(subject: Subject, notes: Sequence[Any]) -> Found | None:
    there = subject.files.templates
    if not there or "default" in there:
        return None
    first = next(iter(there))
    return Found(values={"names": list(there), "first": first}, settings={"template": there[first]}, whole=True)


CHECK = Check("named_templates", "blocker", _judge, remedies=("otherwise",), order=5)
