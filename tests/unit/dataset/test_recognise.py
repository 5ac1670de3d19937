from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from pipeline.base.errors import StudioError
from pipeline.base.message import message
from pipeline.base.pair import Message, as_dicts
from pipeline.dataset.recognise import Loaded, Mapping, normalise, recognise
from pipeline.dataset.rows import BadRow, Rows


def turn(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


U, A, B = turn("user", "How far is the Moon?"), turn("assistant", "384,400 km."), turn("assistant", "Very far.")
S = turn("system", "Be brief.")


def rows(*values: dict[str, Any]) -> Rows:
    columns = list(dict.fromkeys(name for row in values for name in row))
    return Rows(columns, list(values), list(range(1, len(values) + 1)))


def load(*values: dict[str, Any], mapping: Mapping | None = None) -> Loaded:
    found = mapping or recognise(rows(*values))
    assert found is not None
    return normalise(rows(*values), found)


def said(loaded: Loaded) -> list[tuple[int, str]]:
    return [(bad.number, str(bad.reason)) for bad in loaded.bad_rows]


GOOD = {"prompt": "Say hello.", "chosen": "Hello!", "rejected": "No."}

LAYOUTS: dict[str, tuple[str, dict[str, Any]]] = {
    "mix": ("mix", {"source": "x", "chosen": [U, A], "rejected": [U, B], "prompt": U["content"], "question": "?"}),
    "mix without a prompt column": ("mix", {"chosen": [U, A], "rejected": [U, B]}),
    "mix as JSON text": (
        "mix",
        {
            "chosen": '[{"role":"user","content":"How far is the Moon?"},{"role":"assistant","content":"384,400 km."}]',
            "rejected": '[{"role":"user","content":"How far is the Moon?"},{"role":"assistant","content":"Very far."}]',
        },
    ),
    "explicit strings": (
        "explicit",
        {"prompt": U["content"], "chosen": A["content"], "rejected": B["content"]},
    ),
    "explicit messages": ("explicit", {"prompt": [U], "chosen": [A], "rejected": [B]}),
    "other names": (
        "explicit",
        {"Question": U["content"], "chosen_response": A["content"], "rejected_response": B["content"]},
    ),
    "ultrafeedback": (
        "ultrafeedback",
        {
            "prompt": U["content"],
            "prompt_id": "1",
            "chosen": [U, A],
            "rejected": [U, B],
            "messages": [U, A],
            "score_chosen": 8.0,
            "score_rejected": 3.5,
        },
    ),
    "transcripts": (
        "transcripts",
        {
            "chosen": "\n\nHuman: How far is the Moon?\n\nAssistant: 384,400 km.",
            "rejected": "\n\nHuman: How far is the Moon?\n\nAssistant: Very far.",
        },
    ),
    "transcript prompt": (
        "explicit",
        {
            "prompt": "\n\nHuman: How far is the Moon?\n\nAssistant:",
            "chosen": A["content"],
            "rejected": B["content"],
        },
    ),
    "sharegpt": (
        "sharegpt",
        {
            "conversations": [{"from": "human", "value": U["content"]}],
            "chosen": {"from": "gpt", "value": A["content"]},
            "rejected": {"from": "gpt", "value": B["content"]},
        },
    ),
    "sharegpt whole": (
        "sharegpt",
        {
            "chosen": [{"from": "human", "value": U["content"]}, {"from": "gpt", "value": A["content"]}],
            "rejected": [{"from": "human", "value": U["content"]}, {"from": "bot", "value": B["content"]}],
        },
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_give_one_and_the_same_pair(name: str) -> None:
    layout, row = LAYOUTS[name]
    loaded = load(row)
    assert loaded.mapping.layout == layout
    (pair,) = loaded.pairs
    assert as_dicts(pair.prompt) == [U]
    assert as_dicts(pair.chosen) == [A]
    assert as_dicts(pair.rejected) == [B]
    assert pair.record_id == load(LAYOUTS["explicit messages"][1]).pairs[0].record_id
    assert "chosen" in str(loaded.recognised) and str(loaded.recognised).endswith(".")


def test_mix_of_several_turns_splits_at_the_last_shared_user_turn() -> None:
    (pair,) = load({"chosen": [S, U, A, U, A], "rejected": [S, U, A, U, B]}).pairs
    assert [message.role for message in pair.prompt] == ["system", "user", "assistant", "user"]
    assert (as_dicts(pair.chosen), as_dicts(pair.rejected)) == ([A], [B])


def test_conversations_that_part_at_a_user_turn_keep_the_rest_in_their_answers() -> None:
    other = turn("user", "And the Sun?")
    (pair,) = load({"chosen": [U, A, U, A], "rejected": [U, A, other, B]}).pairs
    assert as_dicts(pair.prompt) == [U]
    assert as_dicts(pair.chosen) == [A, U, A]
    assert as_dicts(pair.rejected) == [A, other, B]


def test_transcripts_keep_their_turns_and_white_space() -> None:
    text = "\n\nHuman: a\n\nAssistant: b\n\nHuman:  two spaces \n\nAssistant: "
    (pair,) = load({"chosen": text + "first\n\nsecond\n", "rejected": text + "Human: no"}).pairs
    assert [message.content for message in pair.prompt] == ["a", "b", " two spaces "]
    assert pair.chosen == (Message("assistant", "first\n\nsecond\n"),)
    assert pair.rejected == (Message("assistant", "Human: no"),)


def test_answers_that_quote_a_transcript_or_json_stay_text() -> None:
    quoted = {"prompt": "Give an example.", "chosen": "Human: hi\n\nAssistant: hello", "rejected": '{"a": [1, 2]}'}
    (_, pair) = load(GOOD, quoted, GOOD).pairs[:2]
    assert pair.chosen[0].content == quoted["chosen"]
    assert pair.rejected[0].content == quoted["rejected"]


def test_hand_made_mapping_takes_answers_that_repeat_the_prompt() -> None:
    mapping = Mapping(prompt="q", chosen="a", rejected="b")
    (pair,) = load({"q": U["content"], "a": [S, U, A], "b": [S, U, B]}, mapping=mapping).pairs
    assert as_dicts(pair.prompt) == [S, U]
    (plain,) = load({"q": "x", "a": "y", "b": "z"}, mapping=mapping).pairs
    assert [plain.prompt[0].content, plain.chosen[0].content, plain.rejected[0].content] == ["x", "y", "z"]


def test_system_column_becomes_the_first_turn() -> None:
    row = {"system": "Be brief.", "question": "Why?", "chosen": "So.", "rejected": "Because of many things."}
    (with_system, without) = load(row, {**row, "system": ""}).pairs
    assert as_dicts(with_system.prompt) == [S, turn("user", "Why?")]
    assert as_dicts(without.prompt) == [turn("user", "Why?")]


def test_roles_get_their_usual_names() -> None:
    row = {
        "prompt": [turn("Developer", "x"), turn("HUMAN", "y")],
        "chosen": [turn("model", "z")],
        "rejected": [turn(" bot ", "w")],
    }
    (pair,) = load(row).pairs
    assert [m.role for m in (*pair.prompt, *pair.chosen, *pair.rejected)] == [
        "system",
        "user",
        "assistant",
        "assistant",
    ]


def test_other_columns_become_json_metadata() -> None:
    row = {
        **GOOD,
        "source": "web",
        "id": 7,
        "when": date(2026, 1, 2),
        "share": Decimal("0.5"),
        "nan": float("nan"),
        "raw": b"abc",
        "nested": {"a": [1, {"b": None}]},
        "nothing": None,
        "question_again": "Say hello.",
        "half": "\ud800x",
    }
    (pair,) = load(row).pairs
    assert pair.source == "web"
    assert pair.metadata == {
        "id": 7,
        "when": "2026-01-02",
        "share": 0.5,
        "nan": None,
        "raw": "3 bytes",
        "nested": {"a": [1, {"b": None}]},
        "half": "\ufffdx",
    }


def test_scores_are_kept_and_repetitions_are_not() -> None:
    (pair,) = load(LAYOUTS["ultrafeedback"][1]).pairs
    assert pair.metadata == {"prompt_id": "1", "score_chosen": 8.0, "score_rejected": 3.5}


@pytest.mark.parametrize(
    "row",
    [
        {"text": "a", "label": 1},
        {"chosen": "a", "rejected": "b"},
        {"chosen": [A], "rejected": [B]},
        {"prompt": "a", "chosen": 1, "rejected": 2},
        {"prompt": "a", "chosen": [U, A], "rejected": "b"},
        {"prompt": "a", "chosen": None, "rejected": None},
    ],
)
def test_unknown_layouts_ask_for_a_mapping(row: dict[str, Any]) -> None:
    assert recognise(rows(row)) is None


def test_no_rows_are_not_recognised() -> None:
    assert recognise(Rows(["prompt", "chosen", "rejected"], [], [])) is None


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "prompt missing": ({**GOOD, "prompt": None}, "prompt is empty"),
    "prompt blank": ({**GOOD, "prompt": " \n"}, "the prompt is empty"),
    "prompt without turns": ({**GOOD, "prompt": []}, "prompt is empty"),
    "chosen missing": ({"prompt": "a", "rejected": "b"}, "chosen is empty"),
    "chosen blank": ({**GOOD, "chosen": "\t"}, "chosen is empty"),
    "chosen null content": ({**GOOD, "chosen": [turn("assistant", None)]}, "chosen is empty"),
    "rejected empty": ({**GOOD, "rejected": ""}, "rejected is empty"),
    "identical": ({**GOOD, "rejected": "Hello!"}, "chosen and rejected are identical"),
    "identical conversations": ({**GOOD, "chosen": [U, A], "rejected": [U, A]}, "chosen and rejected are identical"),
    "unknown role": ({**GOOD, "prompt": [turn("tool", "x")]}, "prompt has a turn with the unknown role “tool”"),
    "no role": ({**GOOD, "prompt": [{"content": "x"}]}, "a turn of prompt has no role"),
    "prompt ends with an answer": (
        {**GOOD, "prompt": [U, A]},
        "the last turn of the prompt is the assistant's, not the user's",
    ),
    "prompt of a system turn": ({**GOOD, "prompt": [S]}, "the last turn of the prompt is the system's, not the user's"),
    "chosen ends with a question": (
        {**GOOD, "chosen": [A, U]},
        "the last turn of chosen is the user's, not the assistant's",
    ),
    "one whole conversation": (
        {**GOOD, "chosen": [U, A]},
        "the first answer turn of chosen is the user's, not the assistant's",
    ),
    "number": ({**GOOD, "chosen": 5}, "chosen is not text but int"),
    "content not text": (
        {**GOOD, "chosen": [turn("assistant", ["x"])]},
        "the content of a turn of chosen is not text but list",
    ),
    "list of strings": ({**GOOD, "chosen": ["x", "y"]}, "chosen holds 2 texts where one is needed"),
    "list of numbers": ({**GOOD, "chosen": [1]}, "chosen holds something that is not a turn with role and content"),
    "nothing shared": (
        {**GOOD, "chosen": [U, A], "rejected": [turn("user", "?"), B]},
        "the conversations in chosen and rejected share no prompt",
    ),
    "only a system turn shared": (
        {**GOOD, "chosen": [S, U, A], "rejected": [S, turn("user", "?"), B]},
        "the conversations in chosen and rejected share no prompt",
    ),
    "Python's notation": (
        {**GOOD, "chosen": "[{'role': 'assistant', 'content': __import__('os').getcwd()}]"},
        "chosen looks like a list of messages but is neither valid JSON nor Python's notation",
    ),
    "broken JSON": (
        {**GOOD, "prompt": '[{"role": "user", "content": "x"'},
        "prompt looks like a list of messages but is neither valid JSON nor Python's notation",
    ),
    "half a character": (
        {**GOOD, "chosen": "x\udc00"},
        "a text holds half a character (a lone surrogate), which no UTF-8 file can carry",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_rows_are_reported_with_number_and_reason(name: str) -> None:
    row, reason = BAD[name]
    loaded = load(GOOD, row, GOOD, mapping=Mapping(prompt="prompt", chosen="chosen", rejected="rejected"))
    assert said(loaded) == [(2, reason)]
    assert len(loaded.pairs) == 2


def test_plain_answers_without_a_prompt_column_are_reported() -> None:
    good = {"chosen": [U, A], "rejected": [U, B]}
    loaded = load(good, {"chosen": "yes", "rejected": "no"}, mapping=Mapping(chosen="chosen", rejected="rejected"))
    assert said(loaded) == [(2, "chosen and rejected do not hold the prompt, and no prompt column is chosen")]


def test_nothing_is_dropped_and_rows_bad_at_reading_come_along_in_order() -> None:
    data = Rows(
        ["prompt", "chosen", "rejected"], [GOOD, {**GOOD, "chosen": ""}], [1, 4], [BadRow(3, message("row.no_object"))]
    )
    loaded = normalise(data, Mapping(prompt="prompt", chosen="chosen", rejected="rejected"))
    assert [bad.number for bad in loaded.bad_rows] == [3, 4]
    assert len(loaded.pairs) + len(loaded.bad_rows) == data.total == 3


def test_no_usable_pair_is_an_error_that_quotes_reasons() -> None:
    with pytest.raises(StudioError) as caught:
        load(
            {**GOOD, "chosen": ""},
            {**GOOD, "rejected": "Hello!"},
            mapping=Mapping(prompt="prompt", chosen="chosen", rejected="rejected"),
        )
    assert "row 1: chosen is empty; row 2: chosen and rejected are identical" in caught.value.why
    assert caught.value.next


def test_mapping_of_a_missing_column_is_an_error() -> None:
    with pytest.raises(StudioError, match="no column “q”"):
        load(GOOD, mapping=Mapping(prompt="q", chosen="chosen", rejected="rejected"))


def test_mapping_refuses_what_is_no_column_choice() -> None:
    with pytest.raises(ValueError):
        Mapping(chosen="", rejected="b")
    with pytest.raises(ValueError):
        Mapping.model_validate({"chosen": "a", "rejected": "b", "evil": 1})


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "a\x00b",
        "\u202etxet",
        "{{ 7*7 }}",
        "'; DROP TABLE x; --",
        "\u200b ",
        "👩\u200d👩\u200d👧",
        "\r\n\t x ",
        "[1, 2]",
    ],
)
def test_hostile_text_passes_unchanged(text: str) -> None:
    row = {"prompt": text + "?", "chosen": text + "1", "rejected": text + "2", "note": text}
    (pair,) = load(row).pairs
    assert [pair.prompt[0].content, pair.chosen[0].content, pair.rejected[0].content] == [
        text + "?",
        text + "1",
        text + "2",
    ]
    assert pair.metadata == {"note": text}
