"""Several answers in one list, with ranks, scores or the place of the best; the best and the worst make the pair."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipeline.dataset import names
from pipeline.dataset.layout import Layout, Look, Mapping, pair_from
from pipeline.dataset.notation import parsed
from pipeline.dataset.rows import Row
from pipeline.dataset.turns import Parts, Unusable
from pipeline.dataset.values import says

_LISTS = (
    *("answers", "responses", "completions", "candidates", "outputs", "output", "generations", "replies"),
    *("choices", "options", "answer", "response", "completion"),
)
_TEXTS = ("answer", "response", "text", "completion", "output", "reply", "content", "value", "generation", "message")
_RANKS = ("rank", "ranks", "ranking", "rankings")
_SCORES = (
    *("score", "scores", "overall_score", "rating", "ratings", "overall_rating", "reward", "rewards", "votes"),
    *("upvotes", "likes"),
)
_PLACES = (
    *("best", "best_index", "best_id", "winner", "winner_index", "chosen", "chosen_index", "preferred"),
    *("preferred_index", "better_response_id", "label", "labels", "correct", "correct_index"),
)


def _items(value: Any) -> list[Any] | None:
    """Return a list's answers: texts, or dictionaries with a text and what is said of it."""
    value = parsed(value) if isinstance(value, str) else value
    if isinstance(value, dict) and value and all(isinstance(cells, list) for cells in value.values()):
        if len({len(cells) for cells in value.values()}) != 1:
            return None
        value = [dict(zip(value, cells, strict=True)) for cells in zip(*value.values(), strict=True)]
    if not isinstance(value, list) or not value:
        return None
    plain = all(isinstance(item, str) for item in value)
    told = all(isinstance(item, dict) and _key(item, _TEXTS) for item in value)
    return value if plain or told and "role" not in value[0] and "from" not in value[0] else None


def _key(item: dict[str, Any], wanted: tuple[str, ...]) -> str:
    by_name = {names.plain(str(key)): key for key in item}
    return next((by_name[name] for name in wanted if name in by_name), "")


def _numbers(value: Any) -> bool:
    value = parsed(value) if isinstance(value, str) else value
    return isinstance(value, list) and bool(value) and all(_number(item) is not None for item in value)


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if number == number else None


def _sure(look: Look) -> tuple[float, Mapping] | None:
    if look.sides is not None or not look.prompt:
        return None
    for name in _LISTS:
        column = look.column((name,))
        if not column or column == look.prompt:
            continue
        lists = [items for value in look.filled(column) if (items := _items(value))]
        if not lists or 2 * len(lists) <= len(look.filled(column)):
            continue
        if told := _told(look, column, lists):
            found = {"layout": "ranked", "chosen": column, "rejected": column, "decides": told[0], "better": told[1]}
            return 0.6, look.with_prompt(look.context).model_copy(update=found)
    return None


def _told(look: Look, column: str, lists: list[list[Any]]) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Return the columns that say which answer is best, and how; None where nothing says so."""
    first = lists[0][0]
    if isinstance(first, dict):
        for way, keys in (("lower", _RANKS), ("higher", _SCORES)):
            if (key := _key(first, keys)) and any(_number(item.get(key)) is not None for item in lists[0]):
                return (), (way, key)
    for way, wanted in (("lower", _RANKS), ("higher", _SCORES)):
        other = look.column(wanted)
        if other and look.filled(other) and all(map(_numbers, look.filled(other))):
            return (other,), (way,)
    place = look.column(_PLACES)
    if place and look.filled(place) and all(_is_place(value) for value in look.filled(place)):
        counted_from_1 = max(int(value) for value in look.every(place) if _is_place(value)) >= max(map(len, lists))
        return (place,), ("from 1" if counted_from_1 else "from 0",)
    # LLaMA-Factory's older files: output is [better, worse].
    if names.plain(column) == "output" and isinstance(first, str) and all(len(items) == 2 for items in lists):
        return (), ("first",)
    return None


def _is_place(value: Any) -> bool:
    number = _number(value)
    return not isinstance(value, bool) and number is not None and number >= 0 and number == int(number)


def _pair(row: Row, mapping: Mapping) -> Parts:
    items = _items(row.get(mapping.chosen))
    if not items or len(items) < 2:
        raise Unusable("row.no_list", column=mapping.chosen)
    best, worst = _ends(row, mapping, items)
    texts = [item if isinstance(item, str) else item[_key(item, _TEXTS)] for item in items]
    return pair_from(row, mapping, texts[best], texts[worst])


def _ends(row: Row, mapping: Mapping, items: list[Any]) -> tuple[int, int]:
    """Return the places of the best and the worst answer."""
    way, *key = mapping.better
    if way == "first":
        return 0, _only_other(items, 0)
    if way in ("from 0", "from 1"):
        place = _number(row.get(mapping.decides[0]))
        best = int(place) - int(way == "from 1") if place is not None else -1
        if not 0 <= best < len(items):
            raise Unusable("row.undecided", columns=list(mapping.decides))
        return best, _only_other(items, best)
    given: Any = [item.get(key[0]) for item in items] if key else row.get(mapping.decides[0])
    numbers = [_number(value) for value in (parsed(given) if isinstance(given, str) else given or ())]
    if len(numbers) != len(items) or None in numbers:
        raise Unusable("row.undecided", columns=[*mapping.decides, *key])
    order = sorted(range(len(items)), key=lambda at: (numbers[at] or 0.0) * (1 if way == "lower" else -1))
    if numbers[order[0]] == numbers[order[-1]]:
        raise Unusable("row.tie")
    return order[0], order[-1]


def _only_other(items: list[Any], best: int) -> int:
    """Return the place of the other answer of two; of more, none is known to be the worst."""
    if len(items) != 2:
        raise Unusable("row.several_worse", count=len(items) - 1)
    return 1 - best


def _left(row: Row, mapping: Mapping) -> Iterator[str]:
    items = _items(row.get(mapping.chosen)) or []
    if len(items) > 2:
        yield f"{mapping.chosen}[2…{len(items) - 1}]"
    for item in items:
        if isinstance(item, dict):
            taken = (_key(item, _TEXTS), *mapping.better[1:])
            yield from (f"{mapping.chosen}[].{key}" for key, value in item.items() if key not in taken and says(value))


RANKED = Layout("ranked", _sure, _pair, left=_left)
