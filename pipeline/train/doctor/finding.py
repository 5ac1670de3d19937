"""What the doctor found, as it is kept, shown and decided on."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from pipeline.base import words
from pipeline.base.message import Message
from pipeline.train.doctor.check import Remedy, Severity

EXAMPLES = 5
RANK = {"blocker": 0, "warning": 1, "note": 2}


class Example(BaseModel):
    """One pair of a finding."""

    number: int = Field(description="Its number in the train split, from 1.")
    record_id: str
    prompt: str = Field(description="Beginning of the last turn of its prompt.")
    shown: str = Field(description="What shows it: text of the pair, or the number of another one.")


class Finding(BaseModel):
    """Something that is wrong with the pairs, or with the base model for them."""

    code: str = Field(description="The check that found it.")
    severity: Severity = Field(
        description="blocker: the run would fail; warning: the model learns something else; note: worth knowing."
    )
    count: int = Field(description="Pairs concerned.")
    of: int = Field(description="Pairs there are.")
    pairs: list[int] = Field(description="Their numbers in the train split, from 1.")
    examples: list[Example] = Field(description="The first five.")
    remedies: list[Remedy] = Field(description="What can be done: the choices of --remedies.")
    settings: dict[str, Any] = Field(description="What `otherwise` sets.")
    values: dict[str, Any] = Field(description="What its words name.")

    def message(self) -> Message:
        """Return what is to be said of it; a check of an extension without words is called by its code."""
        share = f"{self.count / max(1, self.of):.1%}"
        values = {**self.values, "count": self.count, "pairs": self.of, "share": share, "code": self.code}
        return Message(f"doctor.{self.code}" if words.has(f"doctor.{self.code}") else "doctor.other", values)

    def title(self) -> str:
        """Return a few words that name it."""
        return title(self.code)


def title(code: str) -> str:
    """Return a few words that name a check's finding; its code where nobody has given it words."""
    return words.say(f"doctor.name.{code}") if words.has(f"doctor.name.{code}") else code.replace("_", " ")


class Report(BaseModel):
    """What one examination found."""

    pairs: int = Field(description="Pairs examined.")
    seconds: float = Field(description="How long it took.")
    tokenizer: bool = Field(description="Whether there was a tokenizer; without one cuts are not seen.")
    findings: list[Finding] = Field(description="Those that stop a run first.")
    checks: list[str] = Field(description="The checks that were made.")


Remedies = dict[str, Remedy]


def undecided(report: Report, remedies: Remedies) -> list[Finding]:
    """Return the findings about which nothing has been chosen that could be; a choice not offered is none."""
    return [found for found in report.findings if remedies.get(found.code) not in found.remedies]


def left_out(report: Report, remedies: Remedies) -> dict[str, list[int]]:
    """Return the numbers of the pairs that choices leave out, by finding; one that several name is in the first."""
    taken: set[int] = set()
    gone: dict[str, list[int]] = {}
    for found in report.findings:
        if remedies.get(found.code) == "leave_out" and "leave_out" in found.remedies:
            gone[found.code] = [number for number in found.pairs if number not in taken]
            taken.update(found.pairs)
    return gone


def settings(report: Report, remedies: Remedies) -> dict[str, Any]:
    """Return what the choices to cut or render otherwise set: hyperparameters, `template`, `join_system`."""
    chosen = [found.settings for found in report.findings if remedies.get(found.code) == "otherwise"]
    merged: dict[str, Any] = {}
    for each in chosen:
        for name, value in each.items():
            merged[name] = max(value, merged.get(name, 0)) if isinstance(value, int) else value
    return merged
