"""Two answers side by side, and columns that say which is the better one: its name, its place, scores, votes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from pipeline.base import message as said
from pipeline.base.message import message
from pipeline.dataset import names
from pipeline.dataset.layout import Layout, Look, Mapping, pair_from
from pipeline.dataset.rows import Row
from pipeline.dataset.turns import Parts, Unusable
from pipeline.dataset.values import blank, clean

_ANSWERS = frozenset(
    ("response", "answer", "conversation", "candidate", "completion", "output", "reply", "generation", "text")
    + (
        "message",
        "messages",
        "summary",
        "option",
        "choice",
        "continuation",
        "dialogue",
        "chat",
        "responses",
        "story",
        "ref",
    )
)
_SIDES = (("a", "b"), ("0", "1"), ("1", "2"), ("left", "right"), ("first", "second"), ("x", "y"))
_WINNERS = (
    *("winner", "winner_index", "winner_id", "better_response_id", "better_response", "better_answer", "better"),
    *("better_index", "better_id", "preferred", "preferred_response", "preferred_answer", "preferred_index"),
    *("preference", "preferences", "preference_label", "human_preference", "overall_preference"),
    *("preference_strength", "chosen", "chosen_index", "chosen_id", "choice", "best", "best_response", "best_index"),
    *("best_id", "best_answer", "selected", "selected_response", "selected_index", "label", "labels", "verdict"),
    *("judgment", "judgement", "vote"),
)
_SCORES = frozenset(("score", "rating", "reward", "votes", "likes", "upvotes", "scores"))
_RANKS = frozenset(("rank", "ranking"))
# A label of 1 is the first answer's in SHP and the second's elsewhere: only answers with numbers say which.
_EITHER = ("label", "labels")
_TIE = re.compile(r"\b(?:ties?|tied|both|equal|same|draw|neither|none)\b|bothbad")
_WORD = re.compile(r"[a-z]+|\d+")
_ORDINALS = {"first": 0, "left": 0, "second": 1, "right": 1}


def _words(name: str) -> list[str]:
    return _WORD.findall(names.plain(name))


def _twins(columns: Iterable[str]) -> list[tuple[str, str, tuple[str, str]]]:
    """Return pairs of columns whose names differ in their side alone, and the sides."""
    by_words = {tuple(_words(name)): name for name in columns}
    found = []
    for sides in _SIDES:
        for words, name in by_words.items():
            for at, word in enumerate(words):
                other = by_words.get((*words[:at], sides[1], *words[at + 1 :]))
                if word == sides[0] and other:
                    found.append((name, other, sides))
    return found


def _answers(look: Look) -> tuple[str, str, tuple[str, str]] | None:
    """Return the two columns of answers and their sides."""
    for first, second, sides in _twins(look.rows.columns):
        words = {word for word in _words(first) if word != sides[0]}
        answers = words & _ANSWERS and not words & (names.ABOUT - {"generation"})
        kinds = {look.kind(first), look.kind(second)}
        if answers and len(kinds) == 1 and kinds <= {"text", "answer", "conversation", "transcript"}:
            return first, second, sides
    return None


def _normal(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip().lower()


def _is_tie(value: str) -> bool:
    return bool(_TIE.search(value.replace("_", " ")))


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def _named(value: str, sides: tuple[str, str], columns: tuple[str, str]) -> int | None:
    """Return the side that a value names, by its column or its letter."""
    plain = names.plain(value)
    if plain in map(names.plain, columns):
        return [names.plain(column) for column in columns].index(plain)
    there = [side in _WORD.findall(plain) for side in sides]
    return there.index(True) if sum(there) == 1 else None


# How a value says which answer is the better one: 0, 1, or None where it does not say so in this way.
_Reader = Callable[[str, tuple[str, str], tuple[str, str]], int | None]
_READERS: dict[str, _Reader] = {
    "name": _named,
    "from 0": lambda value, sides, columns: {"0": 0, "1": 1}.get(value),
    "from 1": lambda value, sides, columns: {"1": 0, "2": 1}.get(value),
    "ordinal": lambda value, sides, columns: next(
        (at for word, at in _ORDINALS.items() if word in _WORD.findall(value)), None
    ),
    "sign": lambda value, sides, columns: None if not _number(value) else int((_number(value) or 0) > 0),
}


def _way(look: Look, column: str, answers: tuple[str, str, tuple[str, str]]) -> str:
    """Return the one way in which all values of a column say who wins, "" where none or several do."""
    first, second, sides = answers
    values = {_normal(value) for value in look.every(column) if not blank(value)}
    values = {value for value in values if not _is_tie(value)}
    if not values or len(values) > 50:
        return ""
    fits = {way: {value: read(value, sides, (first, second)) for value in values} for way, read in _READERS.items()}
    signed = any((_number(value) or 0) < 0 for value in values)
    zero = {"0"} if signed else set()
    fits = {
        way: found
        for way, found in fits.items()
        if (way == "sign") == signed and all(side is not None or value in zero for value, side in found.items())
    }
    if names.plain(column) in _EITHER and not sides[0].isdigit():
        fits = {way: found for way, found in fits.items() if not way.startswith("from ")}
    if "name" in fits:
        return "name"
    return next(iter(fits)) if len(fits) == 1 else ""


def _deciding(look: Look, answers: tuple[str, str, tuple[str, str]]) -> tuple[tuple[str, ...], str] | None:
    """Return the columns that say which answer is the better one, and how."""
    for name in _WINNERS:
        column = look.column((name,))
        if column and column not in answers[:2] and (way := _way(look, column, answers)):
            return (column,), way
    for first, second, sides in _twins(look.rows.columns):
        words = set(_words(first)) - {sides[0]}
        numbers = all(_number(_normal(value)) is not None for name in (first, second) for value in look.filled(name))
        if sides != answers[2] or not numbers or not look.filled(first):
            continue
        if words & {"winner", "preferred", "chosen", "better", "best", "wins", "win"} or words & _SCORES:
            return (first, second), "higher"
        if words & _RANKS:
            return (first, second), "lower"
    return None


def _sure(look: Look) -> tuple[float, Mapping] | None:
    answers = _answers(look)
    if look.sides is not None or answers is None:
        return None
    deciding = _deciding(look, answers)
    whole = look.kind(answers[0]) in ("conversation", "transcript")
    if deciding is None or not whole and not look.prompt:
        return None
    found = look.context if whole else look.with_prompt(look.context)
    ways = {"layout": "winner", "decides": deciding[0], "better": (deciding[1], *answers[2])}
    return 0.8, found.model_copy(update={"chosen": answers[0], "rejected": answers[1], **ways})


def _pair(row: Row, mapping: Mapping) -> Parts:
    values = [row.get(mapping.chosen), row.get(mapping.rejected)]
    better = _better(row, mapping)
    return pair_from(row, mapping, values[better], values[1 - better])


def _better(row: Row, mapping: Mapping) -> int:
    """Return the place of the better answer."""
    given = [row.get(name) for name in mapping.decides]
    if any(blank(value) for value in given):
        raise Unusable("row.undecided", columns=list(mapping.decides))
    found = [_normal(value) for value in given]
    way, *sides = mapping.better
    if way in ("higher", "lower"):
        numbers = [_number(value) if value not in ("true", "false") else float(value == "true") for value in found]
        if None in numbers:
            raise Unusable("row.winner", column=mapping.decides[0], value=clean(found[0][:40]))
        if numbers[0] == numbers[1]:
            raise Unusable("row.tie")
        return (
            int((numbers[1] or 0) > (numbers[0] or 0))
            if way == "higher"
            else int((numbers[1] or 0) < (numbers[0] or 0))
        )
    if _is_tie(found[0]) or way == "sign" and _number(found[0]) == 0:
        raise Unusable("row.tie")
    side = _READERS[way](found[0], (sides[0], sides[1]), (mapping.chosen, mapping.rejected))
    if side is None:
        raise Unusable("row.winner", column=mapping.decides[0], value=clean(found[0][:40]))
    return side


def _why_not(look: Look) -> said.Message | None:
    answers = _answers(look)
    if answers is None:
        return None
    return message("layout.why.undecided", first=answers[0], second=answers[1])


WINNER = Layout("winner", _sure, _pair, why_not=_why_not)
