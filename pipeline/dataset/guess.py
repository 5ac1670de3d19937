"""A guess at which column is what, where no layout is recognised, and why none is."""

from __future__ import annotations

from pipeline.base import message as said
from pipeline.base.message import message
from pipeline.dataset import names
from pipeline.dataset.layout import Look, Mapping, layouts, pair_of
from pipeline.dataset.recognise import recognise
from pipeline.dataset.rows import Rows
from pipeline.dataset.turns import Unusable, checked
from pipeline.dataset.values import blank, texts

_BETTER = ("chosen", "prefer", "preferred", "accept", "accepted", "better", "best", "win", "winner", "winning")
_WORSE = ("reject", "rejected", "dispreferred", "worse", "worst", "lose", "loser", "losing", "loss")


def guess(rows: Rows) -> Mapping | None:
    """Propose which column is what, for a person to correct.

    The layout recognised comes first, then columns of exactly the usual names, then names that have one of their words.
    A column of ids, numbers, labels or judgements is never proposed.

    Args:
        rows: What was read.

    Returns:
        The proposal, None where not even chosen and rejected can be told.
    """
    found = recognise(rows)
    if found is not None and not found.decides and found.layout != "openai":
        return found.model_copy(update={"layout": "columns"})
    look = Look(rows)
    chosen = look.column(names.CHOSEN) or _named(look, _BETTER)
    rejected = look.column(names.REJECTED) or _named(look, _WORSE)
    if not chosen or not rejected or chosen == rejected:
        return None
    sides = look.context.model_copy(update={"chosen": chosen, "rejected": rejected, "layout": "columns"})
    if all(look.kind(side) in ("conversation", "transcript") for side in (chosen, rejected)):
        return sides
    prompt = (
        look.prompt if look.prompt and _asks(look, look.prompt, chosen, rejected) else _asking(look, chosen, rejected)
    )
    if prompt and prompt == look.prompt:
        return look.with_prompt(sides)
    return sides.model_copy(update={"prompt": prompt})


def why_not(rows: Rows) -> said.Message:
    """Return why no layout is recognised: what the first row lacks, or what the rows are instead.

    Args:
        rows: What was read.
    """
    look = Look(rows)
    for layout in layouts():
        if (said_so := layout.why_not(look)) is not None:
            return said_so
    proposed = guess(rows)
    if proposed is None:
        return message("layout.why.no_sides")
    if proposed.prompt and not look.prompt:
        return message("layout.why.no_prompt", name=proposed.prompt)
    if not proposed.prompt:  # there may be one that cannot be read
        proposed = proposed.model_copy(update={"prompt": look.column(names.PROMPT)})
    for number, row in zip(rows.numbers, look.first, strict=False):
        try:
            checked(pair_of(row, proposed))
        except Unusable as error:
            return message("layout.why.row", number=number, reason=error.reason)
    return message("layout.why.unsure", chosen=proposed.chosen, rejected=proposed.rejected)


def _named(look: Look, words: tuple[str, ...]) -> str:
    """Return the first column that has one of some words in its name and answers in it."""
    for column in look.rows.columns:
        parts = set(names.plain(column).split("_"))
        if parts & set(words) and not parts & names.ABOUT and look.kind(column) not in ("other", "history"):
            return column
    return ""


def _asking(look: Look, chosen: str, rejected: str) -> str:
    """Return the column that is most likely the prompt, "" where none is."""
    there = [name for name in look.rows.columns if name not in (chosen, rejected)]
    there = [name for name in there if _asks(look, name, chosen, rejected)]
    for word in names.ASKS:
        found = next((name for name in there if word in names.plain(name).split("_")), "")
        if found:
            return found
    return ""


def _asks(look: Look, column: str, chosen: str, rejected: str) -> bool:
    """Whether a column may hold prompts: text or turns, no numbers, nothing about the answers."""
    if set(names.plain(column).split("_")) & names.ABOUT or look.kind(column) not in ("text", "conversation"):
        return False
    rows = [row for row in look.first if not blank(row.get(column))]
    if all(str(row[column]).strip().replace(".", "", 1).isdigit() for row in rows):
        return False
    quoting = sum(
        all(any(answer.strip() in asked for asked in texts(row[column])) for answer in _answers(row, chosen, rejected))
        for row in rows
    )
    return 2 * quoting <= len(rows)


def _answers(row: dict[str, object], chosen: str, rejected: str) -> list[str]:
    """Return the last text of both sides: a judge's prompt quotes them."""
    return [found[-1] if (found := list(texts(row.get(side)))) else "\0" for side in (chosen, rejected)]
