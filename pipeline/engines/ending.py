"""Where an answer ends: after its first end token, in training and scoring alike.

A chat template often writes more behind the end of the last turn (ChatML a line break), and trl then adds a second end
token behind that: of an answer of one word three of four tokens would be the template's. Standard library alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence


def length(ids: Sequence[int], end: int | None, blank: Callable[[int], bool]) -> int:
    """Return how many tokens of a rendered answer count: up to the first end token that only blanks follow.

    End tokens within the answer (of its earlier turns) are not its end. Where the template writes no end token, all
    count; trl adds one.

    Args:
        ids: Tokens of the answer as the chat template writes it.
        end: The tokenizer's end token; None: it has none.
        blank: Whether a token is white space.
    """
    start = len(ids)
    while start and (ids[start - 1] == end or blank(ids[start - 1])):
        start -= 1
    places = [place for place in range(start, len(ids)) if ids[place] == end]
    return places[0] + 1 if places and end is not None else len(ids)


def blanks(decode: Callable[[list[int]], str]) -> Callable[[int], bool]:
    """Return whether a token is white space, remembered for each.

    Args:
        decode: The tokenizer's.
    """
    known: dict[int, bool] = {}

    def blank(token: int) -> bool:
        if token not in known:
            known[token] = not decode([token]).strip()
        return known[token]

    return blank
