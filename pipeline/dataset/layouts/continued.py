"""A whole conversation that ends with the preferred answer, and another answer beside it (ms-swift and the like)."""

from __future__ import annotations

from pipeline.base.pair import Messages
from pipeline.dataset import names
from pipeline.dataset.layout import Layout, Look, Mapping, pair_from
from pipeline.dataset.prompts import joined, with_system
from pipeline.dataset.rows import Row
from pipeline.dataset.turns import Parts, Unusable, check_answer, turns_of


def _sure(look: Look) -> tuple[float, Mapping] | None:
    chosen, other = look.column(names.CHOSEN), look.column(names.REJECTED)
    whole = chosen or look.column(names.CONVERSATION)
    if not whole or not other or chosen and (look.prompt or look.kind(other) not in ("answer", "text")):
        return None
    if look.kind(whole) not in ("conversation", "transcript") or look.kind(other) == "other":
        return None
    return 0.6, look.context.model_copy(update={"layout": "continued", "chosen": whole, "rejected": other})


def _pair(row: Row, mapping: Mapping) -> Parts:
    turns = turns_of(row.get(mapping.chosen), "assistant", "chosen", True)
    other = turns_of(row.get(mapping.rejected), "assistant", "rejected", True)
    if other[0].role != "assistant":
        return pair_from(row, mapping, row.get(mapping.chosen), row.get(mapping.rejected))
    check_answer(turns, "chosen")
    ends = max((at for at, turn in enumerate(turns) if turn.role == "user"), default=-1) + 1
    if not ends:
        raise Unusable("row.nothing_asked")
    prompt: Messages = turns[:ends]
    if mapping.before:
        prompt = joined(row, mapping.before, prompt)
    return with_system(prompt, row.get(mapping.system)) if mapping.system else prompt, turns[ends:], other


CONTINUED = Layout("continued", _sure, _pair)
