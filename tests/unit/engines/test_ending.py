from __future__ import annotations

import pytest

from pipeline.engines import ending

END, BREAK, WORD = 2, 10, 50


@pytest.mark.parametrize(
    ("ids", "kept"),
    [
        ([WORD, END, BREAK], [WORD, END]),  # ChatML
        ([WORD, END, BREAK, END], [WORD, END]),
        ([WORD, END, END], [WORD, END]),
        ([WORD, BREAK, END, BREAK], [WORD, BREAK, END]),  # the answer's own line break
        ([WORD, END, BREAK, WORD, END, BREAK], [WORD, END, BREAK, WORD, END]),  # two turns
        ([WORD, BREAK], [WORD, BREAK]),  # the template writes no end: trl adds it
        ([END, BREAK], [END]),
        ([], []),
    ],
)
def test_an_answer_ends_after_its_first_end_token(ids: list[int], kept: list[int]) -> None:
    assert ids[: ending.length(ids, END, lambda token: token == BREAK)] == kept


def test_a_tokenizer_without_an_end_token_ends_nothing() -> None:
    assert ending.length([WORD, BREAK], None, lambda token: token == BREAK) == 2


def test_a_token_is_decoded_once() -> None:
    asked: list[int] = []

    def decode(ids: list[int]) -> str:
        asked.extend(ids)
        return "\n" if ids == [BREAK] else "yes"

    blank = ending.blanks(decode)
    assert [blank(BREAK), blank(WORD), blank(BREAK)] == [True, False, True] and asked == [BREAK, WORD]
