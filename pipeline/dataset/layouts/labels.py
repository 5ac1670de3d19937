"""KTO: single answers with a label each, good or bad; two of one prompt with different labels make a pair."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from pipeline.base import message as said
from pipeline.base.message import message
from pipeline.dataset import names
from pipeline.dataset.layout import Arranged, Layout, Look, Mapping, pair_from
from pipeline.dataset.prompts import joined
from pipeline.dataset.rows import Row, Rows
from pipeline.dataset.turns import Parts, Unusable, turns_of
from pipeline.dataset.values import blank, json_value

_LABELS = (
    *("label", "labels", "kto_tag", "kto_label", "is_chosen", "is_desirable", "desirable", "is_good", "good"),
    *("thumbs_up", "liked", "preference", "feedback", "is_preferred"),
)
_ANSWERS = ("completion", "response", "answer", "output", "reply", "generation", "completions")
_GOOD = ("true", "1", "good", "chosen", "desirable", "positive", "yes", "like", "liked", "up", "thumbs_up", "+1")
_BAD = ("false", "0", "-1", "bad", "rejected", "undesirable", "negative", "no", "dislike", "disliked", "down")
_SAYS = dict.fromkeys(_GOOD, True) | dict.fromkeys((*_BAD, "thumbs_down"), False)


def _label(value: Any) -> bool | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return None if blank(value) else _SAYS.get(str(value).strip().lower().replace(" ", "_"))


def _columns(look: Look) -> Mapping | None:
    """Return the mapping of single answers with labels, whether or not they make pairs."""
    label = look.column(_LABELS)
    if look.sides is not None or not label or not look.filled(label):
        return None
    if any(_label(value) is None for value in look.filled(label)):
        return None
    answer, whole = look.column(_ANSWERS), look.column(names.CONVERSATION)
    if answer and answer != look.prompt and look.prompt and look.kind(answer) in ("text", "answer"):
        found = look.with_prompt(look.context)
    elif whole and look.kind(whole) in ("conversation", "transcript"):
        found, answer = look.context, whole
    else:
        return None
    return found.model_copy(update={"layout": "labels", "chosen": answer, "rejected": answer, "decides": (label,)})


def _sure(look: Look) -> tuple[float, Mapping] | None:
    mapping = _columns(look)
    if mapping is None or not any(each.couples() for each in _sorted(look.rows, mapping).values()):
        return None
    return 0.6, mapping


def _why_not(look: Look) -> said.Message | None:
    mapping = _columns(look)
    return message("layout.why.labels", label=mapping.decides[0], answer=mapping.chosen) if mapping else None


@dataclass
class _Labelled:
    """The places of one prompt's answers."""

    good: list[int] = field(default_factory=list)
    bad: list[int] = field(default_factory=list)

    def couples(self) -> list[tuple[int, int]]:
        """Return places of a good and a bad answer each."""
        return list(zip(self.good, self.bad, strict=False))


def _sorted(rows: Rows, mapping: Mapping) -> dict[str, _Labelled]:
    """Return the places of answers by prompt; rows that hold none are left to `_pair`."""
    found: dict[str, _Labelled] = defaultdict(_Labelled)
    for place, row in enumerate(rows.rows):
        label, asked = _label(row.get(mapping.decides[0])), _asked(row, mapping)
        if label is not None and asked:
            (found[asked].good if label else found[asked].bad).append(place)
    return found


def _asked(row: Row, mapping: Mapping) -> str:
    """Return what is asked in a row, as a key; "" where it cannot be told."""
    try:
        if mapping.prompt:
            turns = joined(row, mapping.prompts)
        else:
            whole = turns_of(row.get(mapping.chosen), "assistant", "chosen", True)
            turns = whole[: max((at for at, turn in enumerate(whole) if turn.role == "user"), default=-1) + 1]
    except Unusable:
        return ""
    said_before = row.get(mapping.system) if mapping.system else None
    return json.dumps([json_value(said_before), [(turn.role, turn.content) for turn in turns]]) if turns else ""


def _arrange(rows: Rows, mapping: Mapping) -> Arranged:
    """Yield a row for each couple at the place of its first, with both answers, and say what became of the others."""
    other: dict[int, int] = {}
    for labelled in _sorted(rows, mapping).values():
        for good, bad in labelled.couples():
            other |= {good: bad, bad: good}
    waiting: dict[int, Any] = {
        place: row.get(mapping.chosen) for place, row in enumerate(rows.rows) if place in other and other[place] < place
    }
    for place, (number, row) in enumerate(zip(rows.numbers, rows.rows, strict=True)):
        if place not in other:
            label = _label(row.get(mapping.decides[0]))
            yield (
                number,
                Unusable("row.label_alone" if label is not None else "row.no_label", column=mapping.decides[0]),
            )
        elif place in waiting:
            yield number, Unusable("row.joined", number=rows.numbers[other[place]])
        else:
            both = [row.get(mapping.chosen), waiting[other[place]]]
            yield number, {**row, mapping.chosen: both if _label(row.get(mapping.decides[0])) else both[::-1]}


def _pair(row: Row, mapping: Mapping) -> Parts:
    better, worse = row[mapping.chosen]
    return pair_from(row, mapping, better, worse)


LABELS = Layout("labels", _sure, _pair, arrange=_arrange, why_not=_why_not)
