"""A check of the doctor: what it notes of each pair and what it makes of all notes; one file each, or an extension."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from pipeline.base.members import members
from pipeline.base.pair import Pair, text_of
from pipeline.engines.examined import Limits, Seen
from pipeline.models.template import Files
from pipeline.train.doctor.words import digest

_ROUND, _MOST = 64, 131072  # tokens: what is proposed is a multiple of the one, and at most the other

# What can be done about a finding: leave the pairs out, cut or render otherwise, keep them knowingly.
Remedy = Literal["leave_out", "otherwise", "keep"]
# blocker: the run would fail; warning: the model learns something else than was meant; note: worth knowing.
Severity = Literal["blocker", "warning", "note"]


@dataclass(frozen=True)
class Subject:
    """What is examined.

    Attributes:
        base_model: The model's name.
        files: Its template and tokenizer.
        limits: Lengths to which pairs are cut.
        pairs: All pairs; empty in the processes that note.
        context: Longest sequence that the model reads, tokens; None where it is not known.
    """

    base_model: str
    files: Files
    limits: Limits
    pairs: Sequence[Pair] = ()
    context: int | None = None


@dataclass(frozen=True)
class Sample:
    """One pair, and what template and tokenizer make of it."""

    pair: Pair
    seen: Seen

    @cached_property
    def texts(self) -> tuple[str, str, str]:
        """Prompt, chosen and rejected: the contents of their turns."""
        return text_of(self.pair.prompt), text_of(self.pair.chosen), text_of(self.pair.rejected)

    @cached_property
    def digests(self) -> tuple[int, int, int]:
        """A number for each of the texts; space does not count."""
        prompt, chosen, rejected = self.texts
        return digest(prompt), digest(chosen), digest(rejected)


@dataclass(frozen=True)
class Found:
    """What a check found.

    Attributes:
        pairs: Numbers of the pairs concerned, from 1: those that are left out if they are left out.
        shown: What shows it, by pair: a few words of text, or other pairs' numbers.
        values: What its words name besides `count`, `pairs` and `share`.
        settings: Hyperparameters, or `template`, that would make it good.
        whole: Whether it concerns the model or all pairs alike: then none can be left out.
    """

    pairs: Sequence[int] = ()
    shown: Mapping[int, str] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    whole: bool = False


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        code: Its name; its words are `doctor.<code>`, `doctor.<code>.why` and `doctor.<code>.next`.
        severity: How bad it is.
        judge: Given what is examined and the notes of all pairs, in order, returns what was found; None: nothing.
        note: Given some pairs, returns what is noted of each. It runs in other processes: notes are small and plain.
        remedies: What can be done about it.
        order: Findings are shown in this order.
    """

    code: str
    severity: Severity
    judge: Callable[[Subject, Sequence[Any]], Found | None]
    note: Callable[[Subject, Sequence[Sample]], Sequence[Any]] | None = None
    remedies: tuple[Remedy, ...] = ("leave_out", "keep")
    order: int = 100


def checks() -> list[Check]:
    """Return all checks, in order."""
    return sorted(members(Check, "pipeline.train.doctor.checks"), key=lambda check: check.order)


def of_seen(code: str) -> Callable[[Subject, Sequence[Sample]], Sequence[Any]]:
    """Return what notes of each pair whether a code of `pipeline.engines.examined` is seen.

    Args:
        code: The code.

    Returns:
        Notes (what shows it, the limit at which it is gone), or None.
    """

    def note(subject: Subject, samples: Sequence[Sample]) -> Sequence[tuple[str, int] | None]:
        seen = (sample.seen for sample in samples)
        return [(each.detail[code], each.need.get(code, 0)) if code in each.codes else None for each in seen]

    return note


def flagged(subject: Subject, notes: Sequence[tuple[str, int] | None]) -> Found | None:
    """Return the pairs of which something is noted, with what shows it."""
    shown = {number: note[0] for number, note in enumerate(notes, 1) if note is not None}
    return Found(list(shown), shown) if shown else None


def raised(name: str) -> Callable[[Subject, Sequence[tuple[str, int] | None]], Found | None]:
    """Return what judges as `flagged` does, and says to which value a length limit would have to be raised.

    Nothing is proposed that the model cannot read.

    Args:
        name: The hyperparameter: block_size, max_prompt_length or max_completion_length.
    """

    def judge(subject: Subject, notes: Sequence[tuple[str, int] | None]) -> Found | None:
        found = flagged(subject, notes)
        if found is None:
            return None
        need = max(note[1] for note in notes if note is not None)
        value = -(-need // _ROUND) * _ROUND if need > 1 else 0
        limits = subject.limits
        beside = {"max_prompt_length": limits.completion, "max_completion_length": limits.prompt}.get(name, 0)
        possible = value > 1 and value + beside <= min(subject.context or _MOST, _MOST)
        return Found(found.pairs, found.shown, settings={name: value} if possible else {})

    return judge
