"""Answers in another language than their prompt, or than each other; languages by CLD3 (gcld3)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

from pipeline.train.doctor.check import Check, Found, Sample, Subject

_READ = 160  # characters of a text
_LETTERS = 24  # of an alphabet that a text needs for its language to be told; 8 where each is a syllable or a word
_SURE = 0.95
_NO_LETTER = re.compile(r"[\d\W_]+")
_WIDE = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_CODE = re.compile(r"```|[{};=<>\\]{2}|\bdef \w+\(|\bimport \w+|</?\w+>")
# CLD3 tells the members of these apart badly: they count as one.
_ALIKE = {
    **dict.fromkeys(("nb", "nn", "no", "da"), "no"),
    **dict.fromkeys(("id", "ms"), "id"),
    **dict.fromkeys(("bs", "hr", "sr"), "hr"),
    **dict.fromkeys(("gl", "pt", "es", "ca"), "es"),
    **dict.fromkeys(("cs", "sk"), "cs"),
}
# Four of these in a text of ASCII are English, for a hundredth of what CLD3 takes.
_ENGLISH = (
    *(" the ", " of ", " and ", " to ", " is ", " in ", " that ", " for ", " are ", " you ", " with ", " this "),
    *(" from ", " what ", " which ", " how ", " your ", " have ", " be ", " it ", " they ", " their ", " there "),
    *(" would ", " should ", " because ", " can "),
)


@cache
def _reader() -> Any:
    import gcld3  # noqa: PLC0415 - its networks are loaded once, in the processes that read

    return gcld3.NNetLanguageIdentifier(min_num_bytes=0, max_num_bytes=4 * _READ)


def language(text: str) -> str:
    """Return a text's language, ISO 639-1 mostly; "" where it is too short, is code, or cannot be told surely."""
    start = text[:_READ]
    if start.isascii():
        plain = f" {start.lower()} "
        if sum(word in plain for word in _ENGLISH) >= 4:
            return "en"
    letters = _NO_LETTER.sub(" ", start)
    wide = len(_WIDE.findall(letters))
    if len(letters) < (8 if wide > 4 else _LETTERS) or _CODE.search(start):
        return ""
    found = _reader().FindLanguage(text=letters)
    if not found.is_reliable or found.probability < _SURE or found.proportion < 0.8:
        return ""
    name = str(found.language).partition("-")[0]
    return _ALIKE.get(name, name)


def _note(subject: Subject, samples: Sequence[Sample]) -> Sequence[tuple[str, str, str]]:
    found = []
    for sample in samples:
        question = sample.pair.prompt[-1].content
        _, chosen, rejected = sample.texts
        found.append((language(question), language(chosen), language(rejected)))
    return found


def _judge(subject: Subject, notes: Sequence[tuple[str, str, str]]) -> Found | None:
    shown = {
        number: " / ".join(name or "?" for name in note)
        for number, note in enumerate(notes, 1)
        if len({name for name in note if name}) > 1
    }
    if not shown:
        return None
    most = Counter(note[0] or note[1] for note in notes)
    del most[""]
    shares = [f"{name} {count / len(notes):.0%}" for name, count in most.most_common(4)]
    return Found(list(shown), shown, {"languages": shares})


CHECK = Check("languages", "warning", _judge, _note, order=50)
