"""What a dataset holds, in numbers."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from dataclasses import dataclass

from pipeline.base.pair import Messages, Pair, text_of


@dataclass(frozen=True)
class Lengths:
    """Lengths of one part of all pairs, in characters."""

    shortest: int
    median: float
    longest: int


@dataclass(frozen=True)
class Summary:
    """What a dataset holds, for the preview.

    Attributes:
        pairs: Number of pairs.
        sources: Pairs per source, most first.
        turns: Pairs per number of user turns in the prompt.
        scripts: Pairs per writing system of prompt and chosen: "Latin", "Chinese", "Japanese", "Korean", "Cyrillic",
            "Arabic" or "other". It tells languages apart by their letters alone.
        with_system: Pairs whose prompt has a system turn.
        duplicates: Pairs that repeat another one exactly.
        lengths: Per prompt, chosen and rejected.
    """

    pairs: int
    sources: dict[str, int]
    turns: dict[int, int]
    scripts: dict[str, int]
    with_system: int
    duplicates: int
    lengths: dict[str, Lengths]


def summarise(pairs: list[Pair]) -> Summary:
    """Count what a dataset holds."""
    parts = {"prompt": [p.prompt for p in pairs], "chosen": [p.chosen for p in pairs]}
    parts["rejected"] = [p.rejected for p in pairs]
    return Summary(
        pairs=len(pairs),
        sources=dict(Counter(pair.source for pair in pairs).most_common()),
        turns=dict(sorted(Counter(sum(turn.role == "user" for turn in pair.prompt) for pair in pairs).items())),
        scripts=dict(Counter(_script(pair) for pair in pairs).most_common()),
        with_system=sum(pair.prompt[0].role == "system" for pair in pairs),
        duplicates=sum("-" in pair.record_id for pair in pairs),
        lengths={name: _lengths(values) for name, values in parts.items()},
    )


def _lengths(parts: list[Messages]) -> Lengths:
    sizes = [len(text_of(messages)) for messages in parts] or [0]
    return Lengths(min(sizes), statistics.median(sizes), max(sizes))


_SCRIPTS = {
    "Japanese": re.compile("[\u3040-\u30ff]"),  # kana: before Chinese, whose characters Japanese uses too
    "Korean": re.compile("[\uac00-\ud7af]"),
    "Chinese": re.compile("[\u3400-\u4dbf\u4e00-\u9fff]"),
    "Cyrillic": re.compile("[\u0400-\u04ff]"),
    "Arabic": re.compile("[\u0600-\u06ff]"),
    "Latin": re.compile("[A-Za-z\u00c0-\u024f]"),
}


def _script(pair: Pair) -> str:
    text = pair.prompt[-1].content[:300] + pair.chosen[0].content[:300]
    if text.isascii():
        return "Latin" if _SCRIPTS["Latin"].search(text) else "other"
    letters = sum(character.isalpha() for character in text)
    # A tenth of the letters: a quoted word in another script does not decide; a Chinese text full of code does.
    return next((name for name, script in _SCRIPTS.items() if 10 * len(script.findall(text)) > letters), "other")
