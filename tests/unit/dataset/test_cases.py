"""Every kind of input that once lost text or was not understood gives its right value, or says what it is."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.base.errors import StudioError
from pipeline.base.pair import Pair
from pipeline.dataset.guess import guess
from pipeline.dataset.reading import LayoutUnknown, load_file
from pipeline.dataset.recognise import Loaded, Mapping
from tests.unit.dataset import cases
from tests.unit.dataset.cases import ASKED, BAD, GOOD, Row, each, plain, table, turn, whole, write

SYSTEM = "Answer like a ship's cook."


def said(pair: Pair) -> tuple[list[str], list[str], list[str]]:
    return tuple([turn.content for turn in part] for part in (pair.prompt, pair.chosen, pair.rejected))  # type: ignore[return-value]


def are_the_three(loaded: Loaded) -> None:
    assert [said(pair) for pair in loaded.pairs] == [([q], [a], [b]) for q, a, b in zip(ASKED, GOOD, BAD, strict=True)]
    assert {turn.role for pair in loaded.pairs for turn in pair.prompt} == {"user"}
    assert loaded.bad_rows == []


def exchange(q: str, a: str) -> list[Row]:
    return [turn("user", q), turn("assistant", a)]


LAYOUTS: dict[str, tuple[str, list[Row]]] = {
    "messages and rejected_response": (
        "continued",
        each(lambda q, a, b: {"messages": exchange(q, a), "rejected_response": b}),
    ),
    "messages and rejected_messages": (
        "continued",
        each(lambda q, a, b: {"messages": exchange(q, a), "rejected_messages": exchange(q, b)}),
    ),
    "dictionary of lists": (
        "mix",
        each(
            lambda q, a, b: {
                "chosen": {"role": ["user", "assistant"], "content": [q, a]},
                "rejected": {"role": ["user", "assistant"], "content": [q, b]},
            }
        ),
    ),
    "from and value in lists": (
        "sharegpt",
        each(
            lambda q, a, b: {
                "chosen": {"from": ["human", "gpt"], "value": [q, a]},
                "rejected": {"from": ["human", "gpt"], "value": [q, b]},
            }
        ),
    ),
    "OpenAI": (
        "openai",
        each(
            lambda q, a, b: {
                "input": {"messages": [turn("user", q)], "tools": [], "parallel_tool_calls": True},
                "preferred_output": [turn("assistant", a)],
                "non_preferred_output": [turn("assistant", b)],
            }
        ),
    ),
    "speaker and text": (
        "mix",
        each(
            lambda q, a, b: {
                side: [{"speaker": "Human", "text": q}, {"speaker": "Assistant", "text": answer}]
                for side, answer in (("chosen", a), ("rejected", b))
            }
        ),
    ),
    "text parts": (
        "explicit",
        each(
            lambda q, a, b: {
                "prompt": [turn("user", [{"type": "text", "text": q}])],
                "chosen": [turn("assistant", [{"type": "text", "text": a}])],
                "rejected": [turn("assistant", [{"type": "text", "text": b}])],
            }
        ),
    ),
    "lists of one text": ("explicit", each(lambda q, a, b: {"prompt": q, "chosen": [a], "rejected": [b]})),
    "winner by letter": (
        "winner",
        each(lambda q, a, b: {"prompt": q, "candidate_a": b, "candidate_b": a, "winner": "b"}),
    ),
    "winner by column": (
        "winner",
        each(lambda q, a, b: {"prompt": q, "response_1": a, "response_2": b, "preferred": "response_1"}),
    ),
    "winner by place": (
        "winner",
        [
            {"prompt": q, "response_0": one, "response_1": other, "better_response_id": place}
            for q, one, other, place in (
                (ASKED[0], GOOD[0], BAD[0], 0),
                (ASKED[1], BAD[1], GOOD[1], 1),
                (ASKED[2], GOOD[2], BAD[2], 0),
            )
        ],
    ),
    "winner by score": (
        "winner",
        each(lambda q, a, b: {"question": q, "answer_0": b, "answer_1": a, "score_0": -1.0, "score_1": 0.5}),
    ),
    "winner by vote": (
        "winner",
        each(
            lambda q, a, b: {
                **{"prompt": q, "response_a": a, "response_b": b},
                **{"winner_model_a": 1, "winner_model_b": 0, "winner_tie": 0},
            }
        ),
    ),
    "arena": (
        "winner",
        each(
            lambda q, a, b: {
                "winner": "model_a",
                "conversation_a": exchange(q, a),
                "conversation_b": exchange(q, b),
            }
        ),
    ),
    "ranks inside": (
        "ranked",
        each(
            lambda q, a, b: {
                "prompt": f"\n\nHuman: {q}\n\nAssistant: ",
                "answers": [{"answer": b, "rank": 2.0}, {"answer": a, "rank": 1.0}],
            }
        ),
    ),
    "scores beside": (
        "ranked",
        each(lambda q, a, b: {"prompt": q, "responses": [b, "so so", a], "scores": [1, 2, 3]}),
    ),
    "place of the best": (
        "ranked",
        each(lambda q, a, b: {"prompt": q, "completions": [b, a], "best_index": 1}),
    ),
    "output of two": ("ranked", each(lambda q, a, b: {"instruction": q, "input": "", "output": [a, b]})),
    "transcripts after one line break": (
        "transcripts",
        each(
            lambda q, a, b: {
                "chosen": f"Human: {q}\nAssistant: {a}",
                "rejected": f"Human: {q}\nAssistant: {b}",
            }
        ),
    ),
    "transcripts with CRLF": (
        "transcripts",
        each(
            lambda q, a, b: {
                "chosen": f"\r\n\r\nHuman: {q}\r\n\r\nAssistant: {a}",
                "rejected": f"\r\n\r\nHuman: {q}\r\n\r\nAssistant: {b}",
            }
        ),
    ),
    "transcripts of users": (
        "transcripts",
        each(lambda q, a, b: {"chosen": f"### User: {q}\n### Bot: {a}", "rejected": f"### User: {q}\n### Bot: {b}"}),
    ),
    "a question with what is told of it": (
        "winner",
        each(
            lambda q, a, b: {
                "question": {"dataset": "eli5", "id": "7", "full_text": q},
                **{"quotes_0": {"title": ["Lakes"], "extract": ["Wet."]}, "quotes_1": {"title": [], "extract": []}},
                **{"answer_0": b, "answer_1": a, "score_0": -0.5, "score_1": 0.5},
            }
        ),
    ),
    "posts and human answers": (
        "winner",
        each(
            lambda q, a, b: {
                **{"post_id": "x7", "history": q, "c_root_id_A": "a1", "c_root_id_B": "b1", "human_ref_A": a},
                **{"human_ref_B": b, "labels": 1, "score_A": 9, "score_B": 2, "score_ratio": 4.5},
            }
        ),
    ),
    "answers with what is told of them": (
        "explicit",
        each(lambda q, a, b: {"prompt": q, "chosen": {"text": a, "model": "m"}, "rejected": {"text": b, "model": "n"}}),
    ),
    "turns of ShareGPT and texts": (
        "sharegpt",
        each(lambda q, a, b: {"conversations": [{"from": "human", "value": q}], "chosen": a, "rejected": b}),
    ),
    "conversation and answer": (
        "continued",
        each(lambda q, a, b: {"chosen": exchange(q, a), "rejected": b}),
    ),
    "names of papers": ("explicit", each(lambda q, a, b: {"prompt": q, "y_w": a, "y_l": b})),
    "names of a vote": ("explicit", each(lambda q, a, b: {"question": q, "win": a, "lose": b})),
    "names in words": (
        "explicit",
        each(lambda q, a, b: {"User Prompt": q, "Chosen Response": a, "rejectedResponse": b}),
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_give_the_three_pairs(name: str, tmp_path: Path) -> None:
    layout, rows = LAYOUTS[name]
    loaded = load_file(write(tmp_path / "x.jsonl", rows))
    assert loaded.mapping.layout == layout
    are_the_three(loaded)
    assert str(loaded.recognised).endswith(".") and "layout." not in str(loaded.recognised)


WITH_SYSTEM: dict[str, list[Row]] = {
    "conversations": each(lambda q, a, b: {"system": SYSTEM, **whole(q, a, b)}),
    "transcripts": each(
        lambda q, a, b: {
            "system_prompt": SYSTEM,
            "chosen": f"\n\nHuman: {q}\n\nAssistant: {a}",
            "rejected": f"\n\nHuman: {q}\n\nAssistant: {b}",
        }
    ),
    "instruction": each(lambda q, a, b: {"System": SYSTEM, "instruction": q, "input": "", "chosen": a, "rejected": b}),
    "continued": each(lambda q, a, b: {"system": SYSTEM, "messages": exchange(q, a), "rejected_response": b}),
    "winner": each(lambda q, a, b: {"system": SYSTEM, "prompt": q, "answer_a": a, "answer_b": b, "winner": "A"}),
    "ranked": each(lambda q, a, b: {"system": SYSTEM, "prompt": q, "answers": [a, b], "ranks": [1, 2]}),
    "OpenAI": each(
        lambda q, a, b: {
            "system": SYSTEM,
            "input": {"messages": [turn("user", q)]},
            "preferred_output": [turn("assistant", a)],
            "non_preferred_output": [turn("assistant", b)],
        }
    ),
    "labels": [
        row
        for q, a, b in zip(ASKED, GOOD, BAD, strict=True)
        for row in (
            {"system": SYSTEM, "prompt": q, "completion": a, "label": True},
            {"system": SYSTEM, "prompt": q, "completion": b, "label": False},
        )
    ],
}


@pytest.mark.parametrize("name", WITH_SYSTEM)
def test_a_system_column_is_the_first_turn_in_every_layout(name: str, tmp_path: Path) -> None:
    loaded = load_file(write(tmp_path / "x.jsonl", WITH_SYSTEM[name]))
    assert [said(pair) for pair in loaded.pairs] == [
        ([SYSTEM, q], [a], [b]) for q, a, b in zip(ASKED, GOOD, BAD, strict=True)
    ]
    assert [turn.role for turn in loaded.pairs[0].prompt] == ["system", "user"]
    assert "ystem" in str(loaded.recognised) and loaded.unused == []


def test_roles_in_capitals_and_several_turns(tmp_path: Path) -> None:
    before = [turn("Human", "Hi."), turn("Assistant", "Hello.")]
    rows = each(
        lambda q, a, b: {
            side: [*before, turn("Human", q), turn("Assistant", text)]
            for side, text in (("chosen", a), ("rejected", b))
        }
    )
    loaded = load_file(write(tmp_path / "x.jsonl", rows))
    assert [said(pair) for pair in loaded.pairs] == [
        (["Hi.", "Hello.", q], [a], [b]) for q, a, b in zip(ASKED, GOOD, BAD, strict=True)
    ]
    assert [turn.role for turn in loaded.pairs[0].prompt] == ["user", "assistant", "user"]


def test_system_instruction_and_input_are_one_prompt(tmp_path: Path) -> None:
    rows = each(
        lambda q, a, b: {"id": q, "system": SYSTEM, "instruction": "Do.", "input": q, "chosen": a, "rejected": b}
    )
    loaded = load_file(write(tmp_path / "x.jsonl", rows))
    assert [said(pair) for pair in loaded.pairs] == [
        ([SYSTEM, f"Do.\n\n{q}"], [a], [b]) for q, a, b in zip(ASKED, GOOD, BAD, strict=True)
    ]


def test_columns_by_hand_take_several_for_the_prompt_and_one_for_the_system(tmp_path: Path) -> None:
    rows = each(lambda q, a, b: {"s": SYSTEM, "task": "Answer.", "ask": q, "good": a, "bad": b, "note": "seen"})
    mapping = Mapping(prompt="task", after=("ask",), chosen="good", rejected="bad", system="s")
    loaded = load_file(write(tmp_path / "x.jsonl", rows), mapping)
    assert said(loaded.pairs[0])[0] == [SYSTEM, f"Answer.\n\n{ASKED[0]}"]
    assert loaded.unused == ["note"]
    conversations = each(lambda q, a, b: {"s": SYSTEM, **whole(q, a, b)})
    mapping = Mapping(chosen="chosen", rejected="rejected", system="s")
    assert said(load_file(write(tmp_path / "y.jsonl", conversations), mapping).pairs[0])[0] == [SYSTEM, ASKED[0]]


AROUND: dict[str, tuple[Row, list[str]]] = {
    "input": ({"instruction": "Correct it.", "input": "name a lake"}, ["Correct it.\n\nname a lake"]),
    "context": ({"context": "A snail crosses.", "prompt": "Ask."}, ["A snail crosses.\n\nAsk."]),
    "passages": ({"contexts": ["One.", "Two."], "question": "Ask."}, ["One.\n\nTwo.\n\nAsk."]),
    "history": (
        {"instruction": "And in winter?", "input": "", "history": [["Where in summer?", "By the lakes."]]},
        ["Where in summer?", "By the lakes.", "And in winter?"],
    ),
    "history of turns": (
        {"prompt": "And?", "chat_history": [turn("user", "Where?"), turn("assistant", "Here.")]},
        ["Where?", "Here.", "And?"],
    ),
    "history of exchanges": (
        {"query": "And?", "history": [{"user": "Where?", "assistant": "Here."}]},
        ["Where?", "Here.", "And?"],
    ),
    "instruction and question": ({"instruction": "Be short.", "question": "Why?"}, ["Be short.\n\nWhy?"]),
    "said twice": (
        {"instruction": "Name the deepest lake.", "prompt": "### Task\nName the deepest lake.\n### Answer"},
        ["### Task\nName the deepest lake.\n### Answer"],
    ),
    "missing input": ({"instruction": "Add.", "input": None, "history": []}, ["Add."]),
}


@pytest.mark.parametrize("name", AROUND)
def test_what_stands_around_a_prompt_belongs_to_it(name: str, tmp_path: Path) -> None:
    row, prompt = AROUND[name]
    loaded = load_file(write(tmp_path / "x.jsonl", [{**row, "chosen": "a", "rejected": "b"}]))
    assert said(loaded.pairs[0])[0] == prompt
    assert loaded.unused == []


def test_posts_of_forums_are_prompts_where_nothing_else_is_asked(tmp_path: Path) -> None:
    loaded = load_file(write(tmp_path / "x.jsonl", LAYOUTS["posts and human answers"][1]))
    assert (loaded.mapping.prompt, loaded.mapping.before, loaded.mapping.decides) == (
        "history",
        (),
        ("score_A", "score_B"),
    )


def test_a_column_that_first_appears_far_down_belongs_to_the_prompt_too(tmp_path: Path) -> None:
    rows: list[Row] = [{"instruction": f"Add {n}.", "chosen": f"{n}", "rejected": "no"} for n in range(400)]
    rows[300] |= {"input": "1 and 2", "history": [["Ready?", "Yes."]], "system": "Be brief.", "remark": "late"}
    loaded = load_file(write(tmp_path / "x.jsonl", rows))
    assert said(loaded.pairs[300])[0] == ["Be brief.", "Ready?", "Yes.", "Add 300.\n\n1 and 2"]
    assert said(loaded.pairs[299])[0] == ["Add 299."]
    assert loaded.unused == ["remark"]


def test_context_of_conversations_stands_in_front(tmp_path: Path) -> None:
    row = {"context": "A snail crosses.", **whole("Ask.", "What?", "No.")}
    loaded = load_file(write(tmp_path / "x.jsonl", [row]))
    assert said(loaded.pairs[0])[0] == ["A snail crosses.\n\nAsk."]
    assert "In front of the prompt: context" in str(loaded.recognised)


HELD: dict[str, tuple[Row, str]] = {
    "tool_calls": (turn("assistant", "Looking.", tool_calls=[{"function": {"name": "look"}}]), "tool_calls"),
    "tool_calls alone": (turn("assistant", None, tool_calls=[{"function": {"name": "look"}}]), "tool_calls"),
    "reasoning": (turn("assistant", "Yes.", reasoning_content="Because."), "reasoning_content"),
    "thinking": (turn("assistant", "Yes.", thinking="Because."), "thinking"),
    "image": (turn("assistant", [{"type": "image_url", "image_url": {"url": "x"}}]), "image_url"),
    "image beside": (turn("assistant", "See.", images=["a.png"]), "images"),
    "another key": (turn("assistant", "", answer="42"), "answer"),
}


@pytest.mark.parametrize("name", HELD)
def test_a_turn_whose_meaning_is_no_text_costs_its_row_with_the_reason(name: str, tmp_path: Path) -> None:
    held, key = HELD[name]
    row = {"chosen": [turn("user", "Do."), held], "rejected": [turn("user", "Do."), turn("assistant", "No.")]}
    loaded = load_file(write(tmp_path / "x.jsonl", [whole("Why?", "So.", "No."), row]))
    assert [(bad.number, str(bad.reason)) for bad in loaded.bad_rows] == [
        (2, f"a turn of chosen holds “{key}”, which a text cannot carry")
    ]
    with pytest.raises(StudioError, match=f"holds “{key}”"):
        load_file(write(tmp_path / "y.jsonl", [row] * 3))


def test_empty_keys_of_turns_are_nothing_and_names_are_left_unused(tmp_path: Path) -> None:
    row = whole("Why?", "So.", "No.")
    row["chosen"] = [turn("user", "Why?", name="Ada"), turn("assistant", "So.", tool_calls=None, images=[], weight=1)]
    loaded = load_file(write(tmp_path / "x.jsonl", [row]))
    assert (len(loaded.pairs), loaded.unused) == (1, ["chosen[].name"])


def test_a_label_of_two_answers_with_letters_says_nothing_alone(tmp_path: Path) -> None:
    rows = each(lambda q, a, b: {"prompt": q, "answer_a": a, "answer_b": b, "label": 1})
    with pytest.raises(LayoutUnknown, match="no column says in a known way"):
        load_file(write(tmp_path / "x.jsonl", rows))
    numbered = each(lambda q, a, b: {"prompt": q, "answer_0": b, "answer_1": a, "label": 1})
    are_the_three(load_file(write(tmp_path / "y.jsonl", [*numbered])))


def test_a_conversation_that_ends_in_an_answer_is_no_prompt(tmp_path: Path) -> None:
    rows = each(lambda q, a, b: {"conversations": exchange(q, a), "chosen": a, "rejected": b})
    for row in rows:
        row["conversations"] = [{"from": each["role"], "value": each["content"]} for each in row["conversations"]]
    with pytest.raises(StudioError, match="row 1: the last turn of the prompt is the assistant's, not the user's"):
        load_file(write(tmp_path / "x.jsonl", rows))
    rows[1]["conversations"] = rows[1]["conversations"][:1]
    loaded = load_file(write(tmp_path / "y.jsonl", rows))
    assert [said(pair) for pair in loaded.pairs] == [([ASKED[1]], [GOOD[1]], [BAD[1]])]
    assert [bad.number for bad in loaded.bad_rows] == [1, 3]


def test_columns_left_unused_are_named(tmp_path: Path) -> None:
    rows = each(
        lambda q, a, b: {
            **{"prompt": q, "chosen": a, "rejected": b, "again": q, "score": 3, "judge": "fine", "tags": ["x"]},
            **{"empty": "", "nothing": None},
        }
    )
    assert load_file(write(tmp_path / "x.jsonl", rows)).unused == ["judge", "tags"]
    inner = each(
        lambda q, a, b: {
            "input": {"messages": [turn("user", q)], "tools": [{"name": "look"}]},
            "preferred_output": [turn("assistant", a)],
            "non_preferred_output": [turn("assistant", b)],
        }
    )
    assert load_file(write(tmp_path / "y.jsonl", inner)).unused == ["input.tools"]
    for name, column in (("answers with what is told of them", "chosen.model"), ("posts and human answers", "post_id")):
        assert column in load_file(write(tmp_path / "t.jsonl", LAYOUTS[name][1])).unused
    told = load_file(write(tmp_path / "w.jsonl", LAYOUTS["a question with what is told of it"][1]))
    assert told.unused == ["quotes_0", "question.dataset", "question.id"]
    listed = each(
        lambda q, a, b: {
            "prompt": q,
            "answers": [{"answer": text, "rank": rank, "model": "m"} for rank, text in enumerate((a, "so so", b))],
        }
    )
    assert load_file(write(tmp_path / "z.jsonl", listed)).unused == ["answers[2…2]", "answers[].model"]


LABELLED = [
    *({"prompt": q, "completion": a, "label": True} for q, a in zip(ASKED, GOOD, strict=True)),
    *({"prompt": q, "completion": b, "label": False} for q, b in zip(ASKED[:2], BAD, strict=False)),
]


def test_labels_are_joined_where_a_prompt_has_both_and_named_where_it_has_not(tmp_path: Path) -> None:
    loaded = load_file(write(tmp_path / "x.jsonl", LABELLED))
    assert [said(pair) for pair in loaded.pairs] == [([ASKED[n]], [GOOD[n]], [BAD[n]]) for n in range(2)]
    assert [(bad.number, str(bad.reason)) for bad in loaded.bad_rows] == [
        (3, "a label and no pair: no row with the same prompt has the other label in “label” left for it"),
        (4, "joined to the pair of row 1"),
        (5, "joined to the pair of row 2"),
    ]
    conversations = [
        {"messages": [turn("user", row["prompt"]), turn("assistant", row["completion"])], "kto_tag": row["label"]}
        for row in LABELLED
    ]
    (tmp_path / "y.json").write_text(json.dumps(conversations))
    assert [said(pair) for pair in load_file(tmp_path / "y.json").pairs] == [said(pair) for pair in loaded.pairs]


def test_labels_without_pairs_are_said_to_be_labels(tmp_path: Path) -> None:
    with pytest.raises(LayoutUnknown, match="labels, not pairs") as caught:
        load_file(write(tmp_path / "x.jsonl", LABELLED[:3]))
    assert guess(caught.value.rows) is None


def test_winners_that_nobody_can_tell_cost_their_row(tmp_path: Path) -> None:
    rows = [
        {"prompt": q, "response_a": a, "response_b": b, "winner": winner}
        for q, a, b, winner in zip(ASKED, GOOD, BAD, ("model_a", "tie (bothbad)", None), strict=True)
    ]
    loaded = load_file(write(tmp_path / "x.jsonl", rows))
    assert [(bad.number, str(bad.reason)) for bad in loaded.bad_rows] == [
        (2, "neither answer is the better one"),
        (3, "nothing in winner says which answer is the better one"),
    ]
    for row in rows:
        row["winner"] = 1  # the first, counted from 1, or the second, counted from 0
    with pytest.raises(LayoutUnknown, match="no column says in a known way"):
        load_file(write(tmp_path / "y.jsonl", rows))


def test_scores_against_the_answers_are_said(tmp_path: Path) -> None:
    rows = [
        row | {"score_chosen": one, "score_rejected": other}
        for row, one, other in zip(plain(), (8, 5, 2), (3, 5, 9), strict=True)
    ]
    notes = [str(note) for note in load_file(write(tmp_path / "x.jsonl", rows)).notes]
    assert any("is lower than" in note for note in notes) and any("the same score" in note for note in notes)


@pytest.mark.parametrize("mark", ["<|im_start|>user\n", "<s>[INST] ", "<start_of_turn>user\n"])
def test_markup_of_a_template_in_the_text_is_said(mark: str, tmp_path: Path) -> None:
    rows = [*plain(), {"prompt": f"{mark}Why?", "chosen": "So.", "rejected": "No."}]
    (note,) = load_file(write(tmp_path / "x.jsonl", rows)).notes
    assert "In 1 pair the text already holds markup" in str(note) and mark.split("user")[0].split()[-1].removeprefix(
        "<s>"
    ) in str(note)


def test_several_rejected_answers_are_named(tmp_path: Path) -> None:
    rows = [*plain(), {"prompt": "q", "chosen": "a", "rejected": ["b", "c"]}]
    loaded = load_file(write(tmp_path / "x.jsonl", rows))
    assert [(bad.number, str(bad.reason)) for bad in loaded.bad_rows] == [
        (4, "rejected holds 2 texts where one is needed")
    ]


def python(rows: list[Row], how: str) -> str:
    """Return a table with lists as pandas writes them, those of numpy arrays if so wished."""
    text = "prompt,chosen,rejected\n"
    for row in rows:
        cells = [row["prompt"], *(str(row[side]) for side in ("chosen", "rejected"))]
        if how == "numpy":
            cells = [cell.replace("}, {", "}\n {").replace("', '", "' '") for cell in cells]
        elif how == "array":
            cells = [cells[0], *(f"array({cell}, dtype=object)" for cell in cells[1:])]
        text += ",".join('"' + cell.replace('"', '""') + '"' for cell in cells) + "\n"
    return text


@pytest.mark.parametrize("how", ["python", "numpy", "array"])
def test_lists_written_by_python_into_a_table_are_lists(how: str, tmp_path: Path) -> None:
    texts = each(lambda q, a, b: {"prompt": q, "chosen": [a], "rejected": [b]})
    are_the_three(load_file(write(tmp_path / "a.csv", python(texts, how))))
    turns = each(lambda q, a, b: {"prompt": q, **whole(q, a + " It's so.", b)})
    loaded = load_file(write(tmp_path / "b.csv", python(turns, how)))
    assert [said(pair) for pair in loaded.pairs] == [
        ([q], [a + " It's so."], [b]) for q, a, b in zip(ASKED, GOOD, BAD, strict=True)
    ]
    two = each(lambda q, a, b: {"prompt": q, "chosen": [a, "or so"], "rejected": [b]})
    with pytest.raises(StudioError, match="chosen holds 2 texts"):
        load_file(write(tmp_path / "c.csv", python(two, how)))


@pytest.mark.parametrize("write_list", [json.dumps, str])
def test_lists_written_into_texts_are_lists_in_any_file(write_list: Callable[[Any], str], tmp_path: Path) -> None:
    rows = each(lambda q, a, b: {"prompt": write_list([q]), "chosen": write_list([a]), "rejected": write_list([b])})
    are_the_three(load_file(write(tmp_path / "x.jsonl", rows)))
    asked = each(lambda q, a, b: {"history": write_list([["Ready?", "Yes."]]), "prompt": q, "chosen": a, "rejected": b})
    for row in asked[1:]:
        row["history"] = "[]"  # nothing was said before, and nothing is decided by it
    for path in (write(tmp_path / "y.jsonl", asked), csv_file(tmp_path / "y.csv", asked)):
        prompts = [said(pair)[0] for pair in load_file(path).pairs]
        assert prompts == [["Ready?", "Yes.", ASKED[0]], [ASKED[1]], [ASKED[2]]]
    asked[0]["history"] = "[]"
    assert [said(pair)[0] for pair in load_file(write(tmp_path / "z.jsonl", asked)).pairs] == [[q] for q in ASKED]


def csv_file(path: Path, rows: list[Row]) -> Path:
    """Write rows as a table of text."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_answers_in_brackets_among_others_stay_text(tmp_path: Path) -> None:
    loaded = load_file(write(tmp_path / "x.csv", "prompt,chosen,rejected\nq,['a'],b\nr,c,d\ns,e,[1]\n"))
    assert [said(pair)[1] for pair in loaded.pairs] == [["['a']"], ["c"], ["e"]]


TABLES: dict[str, tuple[str, bytes]] = {
    "semicolon": ("x.csv", table(";").encode()),
    "tab": ("x.tsv", table("\t").encode()),
    "pipe": ("x.csv", table("|").encode()),
    "sep": ("x.csv", ("sep=;\r\n" + table(";", "\r\n")).encode()),
    "trailing commas": ("x.csv", table(tail=",").encode()),
    "nameless index": (
        "x.csv",
        "".join(f"{n - 1 if n else ''},{line}\n" for n, line in enumerate(table().splitlines())).encode(),
    ),
    "old Mac": ("x.csv", table(end="\r").encode()),
    "old Mac, tabs": ("x.tsv", table("\t", "\r").encode()),
    "UTF-16": ("x.csv", table().encode("utf-16")),
    "UTF-16 without a mark": ("x.csv", table().encode("utf-16-le")),
    "UTF-8 with a mark": ("x.csv", table().encode("utf-8-sig")),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_text_however_they_are_written(name: str, tmp_path: Path) -> None:
    file, content = TABLES[name]
    loaded = load_file(write(tmp_path / file, content))
    are_the_three(loaded)
    assert loaded.columns == ["prompt", "chosen", "rejected"]


@pytest.mark.parametrize(
    ("encoding", "row"),
    [
        ("gb18030", "茶怎么泡？,用热水泡三分钟。,不知道。"),
        (
            "big5",
            "這個問題的答案是什麼？請說明理由與背景。,答案在書裡，請仔細閱讀第三章的說明。,我不知道這個問題的答案。",
        ),
        ("shift_jis", "お茶はどうやっていれますか？,熱いお湯で三分間蒸らします。,わかりません。"),
        ("euc_kr", "차는 어떻게 우립니까?,뜨거운 물로 삼 분 동안 우립니다.,모르겠습니다."),
        ("cp874", "ทำไม,เพราะ,ไม่รู้"),
        ("cp1252", "Qu’est-ce que c’est déjà ?,C’est déjà vu été là.,Né à côté de l’église où il était."),
        ("cp1251", "Как заваривать чай, если нет чайника и горячей воды?".replace(",", " ") + ",Никак.,Не знаю этого."),
    ],
)
def test_text_in_other_encodings_is_read_and_said(encoding: str, row: str, tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", f"prompt,chosen,rejected\n{row}\n".encode(encoding))
    loaded = load_file(path)
    assert [text for part in said(loaded.pairs[0]) for text in part] == row.split(",")
    assert any("not UTF-8" in str(note) for note in loaded.notes)


def test_quotes_written_with_a_backslash_are_quotes(tmp_path: Path) -> None:
    rows = 'prompt,chosen,rejected\n"He said \\"why\\", twice",yes,no\n"In C:\\\\new and \\"old\\"","a\nb","\\"\\""\n'
    loaded = load_file(write(tmp_path / "x.csv", rows))
    assert [said(pair)[0] for pair in loaded.pairs] == [['He said "why", twice'], ['In C:\\new and "old"']]
    assert said(loaded.pairs[1])[1:] == (["a\nb"], ['""'])
    assert [str(note) for note in loaded.notes] == ['Quotes within fields are written with a backslash (\\").']
    alone = load_file(
        write(tmp_path / "y.csv", rows.replace("yes", '"a\\d \\\\ {2}"'))
    )  # no backslash is an escape there
    assert said(alone.pairs[0])[1] == ["a\\d \\\\ {2}"] and "C:\\\\new" in said(alone.pairs[1])[0][0]
    with pytest.raises(StudioError, match="quoting is broken at line 3"):
        load_file(write(tmp_path / "z.csv", 'prompt,chosen,rejected\nq,a,b\n"He \\"said" so,a,b\n'))


def test_a_word_for_nothing_is_no_answer(tmp_path: Path) -> None:
    text = table() + "".join(f"Why {word}?,{word},Because.\n" for word in ("nan", "N/A", "None", "NULL"))
    loaded = load_file(write(tmp_path / "x.csv", text))
    assert [(bad.number, str(bad.reason)) for bad in loaded.bad_rows] == [
        (number, f"chosen is “{word}”, which stands for a missing value")
        for number, word in enumerate(("nan", "N/A", "None", "NULL"), 4)
    ]


def columns(rows: list[Row]) -> Row:
    return {name: [row[name] for row in rows] for name in rows[0]}


def indexed(rows: list[Row]) -> Row:
    return {name: {str(n): row[name] for n, row in enumerate(rows)} for name in rows[0]}


DOCUMENTS: dict[str, Any] = {
    "list": plain(),
    "one key": {"version": "1.0", "examples": plain()},
    "columns": columns(plain()),
    "columns under a name": {"pairs": columns(plain())},
    "pandas columns": indexed(plain()),
    "pandas index": {str(n): row for n, row in enumerate(plain())},
    "pandas split": {
        "columns": ["prompt", "chosen", "rejected"],
        "index": [0, 1, 2],
        "data": [list(row.values()) for row in plain()],
    },
    "pandas table": {
        "schema": {"fields": [], "primaryKey": ["index"]},
        "data": [{"index": n, **row} for n, row in enumerate(plain())],
    },
    "header": [["prompt", "chosen", "rejected"], *(list(row.values()) for row in plain())],
    "the Hub's viewer": {
        "features": [],
        "rows": [{"row_idx": n, "row": row, "truncated_cells": []} for n, row in enumerate(plain())],
        "num_rows_total": 3,
    },
    "header beside": {"columns": list(plain()[0]), "rows": [list(row.values()) for row in plain()]},
    "named rows": {f"pair-{n}": row for n, row in enumerate(plain())},
    "several parts": {"easy": plain()[:1], "hard": plain()[1:]},
}


@pytest.mark.parametrize("spaces", [None, 1])
@pytest.mark.parametrize("name", DOCUMENTS)
def test_rows_in_json_wherever_they_are(name: str, spaces: int | None, tmp_path: Path) -> None:
    are_the_three(load_file(write(tmp_path / "x.json", json.dumps(DOCUMENTS[name], indent=spaces))))


def test_other_splits_of_a_document_are_named(tmp_path: Path) -> None:
    loaded = load_file(write(tmp_path / "x.json", json.dumps({"train": plain(), "test": plain()[:1]})))
    assert len(loaded.pairs) == 3
    assert [(bad.number, str(bad.reason)) for bad in loaded.bad_rows] == [
        (4, "belongs to the split “test”; only “train” is read")
    ]
    assert any("test" in str(note) for note in loaded.notes)


def test_one_row_of_conversations_is_a_row(tmp_path: Path) -> None:
    row = LAYOUTS["arena"][1][0]
    for space in (None, 1):
        loaded = load_file(write(tmp_path / "x.json", json.dumps({"judge": "j", **row}, indent=space)))
        assert [said(pair) for pair in loaded.pairs] == [([ASKED[0]], [GOOD[0]], [BAD[0]])]


def test_text_that_the_viewer_has_cut_is_no_pair(tmp_path: Path) -> None:
    rows = [{"row": row, "truncated_cells": ["chosen"] if n else []} for n, row in enumerate(plain())]
    loaded = load_file(write(tmp_path / "x.json", json.dumps({"rows": rows, "num_rows_total": 90})))
    assert len(loaded.pairs) == 1 and [bad.number for bad in loaded.bad_rows] == [2, 3]
    assert any("3 of the dataset's 90 rows" in str(note) for note in loaded.notes)


@pytest.mark.parametrize("how", ["gz", "bz2", "xz", "zstd", "lz4", "zip"])
def test_compressed_files_are_unpacked(how: str, tmp_path: Path) -> None:
    are_the_three(load_file(cases.packed(tmp_path / "x.jsonl", how)))


@pytest.mark.parametrize("stream", [True, False])
def test_arrow_files_are_read(stream: bool, tmp_path: Path) -> None:
    loaded = load_file(cases.arrow(tmp_path / "data-00000-of-00001.arrow", stream=stream))
    are_the_three(loaded)
    assert (loaded.format, loaded.notes) == ("Arrow", [])


def test_an_archive_of_several_files_names_them(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name in ("train.csv", "test.csv"):
            archive.writestr(name, table())
    with pytest.raises(StudioError, match=r"2 data files: train\.csv"):
        load_file(tmp_path / "x.zip")


def test_a_column_that_nobody_needs_never_stops_a_load(tmp_path: Path) -> None:
    far = pa.array([253402300800000000, 0, 1], pa.timestamp("us"))  # the year 10000
    bytes_ = pa.array([b"ab\xffc", b"x", b"y"]).cast(pa.binary())
    text = pa.StringArray.from_buffers(3, bytes_.buffers()[1], bytes_.buffers()[2])
    data = pa.Table.from_pylist(plain()).append_column("when", far).append_column("note", text)
    loaded = load_file(cases.parquet(tmp_path / "x.parquet", data))
    are_the_three(loaded)
    assert loaded.pairs[0].metadata["when"].startswith("10000-01-01")
    inner = pa.StructArray.from_arrays([far, pa.array(["one", "two", "three"])], ["when", "note"])
    data = pa.Table.from_pylist(plain()).append_column("inner", inner)
    loaded = load_file(cases.parquet(tmp_path / "z.parquet", data))
    are_the_three(loaded)
    assert (loaded.pairs[0].metadata["inner"]["note"], loaded.unused) == ("one", ["inner"])
    broken = pa.table({"prompt": ASKED, "chosen": text, "rejected": BAD})
    loaded = load_file(cases.parquet(tmp_path / "y.parquet", broken))
    assert [(bad.number, str(bad.reason)) for bad in loaded.bad_rows] == [(1, "a text holds bytes that are not UTF-8")]
    assert len(loaded.pairs) == 2


def test_a_row_nested_too_deeply_is_named(tmp_path: Path) -> None:
    deep = '{"prompt": "q", "chosen": "a", "rejected": "b", "more": ' + "[" * 600 + "1" + "]" * 600 + "}\n"
    loaded = load_file(write(tmp_path / "x.jsonl", cases.lines(plain()) + deep.encode()))
    assert (len(loaded.pairs), [str(bad.reason) for bad in loaded.bad_rows]) == (
        3,
        ["its values are nested too deeply"],
    )


def test_types_of_parquet_that_hold_text_are_text(tmp_path: Path) -> None:
    data = pa.table(
        {
            "prompt": pa.array(ASKED, pa.large_string()),
            "chosen": pa.array(GOOD).dictionary_encode(),
            "rejected": pa.array([each.encode() for each in BAD]),
            "tags": pa.array([["a"], [], None], pa.large_list(pa.string())),
        }
    )
    are_the_three(load_file(cases.parquet(tmp_path / "x.parquet", data)))
    turns = pa.list_(pa.map_(pa.string(), pa.string()))
    maps = {
        side: [[list(each.items()) for each in row[side]] for row in map(whole, ASKED, GOOD, BAD)]
        for side in ("chosen", "rejected")
    }
    data = pa.table({side: pa.array(values, turns) for side, values in maps.items()})
    are_the_three(load_file(cases.parquet(tmp_path / "y.parquet", data)))


def test_two_columns_or_keys_of_one_name_are_refused_by_name(tmp_path: Path) -> None:
    twice = pa.table([ASKED, GOOD, BAD, GOOD], names=["prompt", "chosen", "rejected", "chosen"])
    with pytest.raises(StudioError, match="same name: chosen"):
        load_file(cases.parquet(tmp_path / "x.parquet", twice))
    with pytest.raises(StudioError, match="same name: Chosen, chosen"):
        load_file(write(tmp_path / "x.csv", "Prompt,Chosen,Rejected,chosen \nq,a,b,c\n"))
    line = '{"prompt": "q", "chosen": "a", "rejected": "b", "chosen": "c"}\n'
    loaded = load_file(write(tmp_path / "x.jsonl", cases.lines(plain()) + line.encode()))
    assert [(bad.number, str(bad.reason)) for bad in loaded.bad_rows] == [(4, "the key “chosen” stands there twice")]
    listed = f"[{json.dumps(plain()[0])}, {line}]"
    loaded = load_file(write(tmp_path / "x.json", listed))
    assert [bad.number for bad in loaded.bad_rows] == [2]


@pytest.mark.parametrize(
    ("row", "proposed"),
    [
        (
            {"question_id": "two-0", "problem_description": "Name it.", "starter_code": "def f():"},
            "problem_description",
        ),
        ({"prompt_id": "7", "labelling_prompt": "Rate a and b: yes / no", "user_request": "Is it?"}, "user_request"),
        ({"prompt_hash": "9f", "judge_prompt": "Which is better, yes or no?"}, ""),
        ({"task_number": "17", "label_question": "yes"}, ""),
    ],
)
def test_a_guess_is_never_an_id_a_number_or_a_judges_prompt(row: Row, proposed: str, tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", [{**row, "chosen": "yes", "rejected": "no"}] * 2)
    with pytest.raises(LayoutUnknown) as caught:
        load_file(path)
    found = guess(caught.value.rows)
    assert found is not None and (found.prompt, found.chosen, found.rejected) == (proposed, "chosen", "rejected")


def test_not_recognised_quotes_the_first_rows_reason(tmp_path: Path) -> None:
    with pytest.raises(LayoutUnknown, match="Row 1: the first answer turn of chosen is the user's"):
        load_file(
            write(tmp_path / "x.jsonl", [{"prompt": "a", "rejected": "b", "chosen": whole("q", "a", "b")["chosen"]}])
        )
    with pytest.raises(LayoutUnknown, match="None of them is known to hold"):
        load_file(write(tmp_path / "y.jsonl", [{"text": "a", "title": "b"}]))


def test_arrow_files_whose_texts_end_before_they_begin_are_damaged(tmp_path: Path) -> None:
    raw = cases.arrow(tmp_path / "x.arrow", stream=True).read_bytes()
    offsets = pa.array(ASKED).buffers()[1].to_pybytes()
    assert raw.count(offsets) == 1
    (tmp_path / "x.arrow").write_bytes(raw.replace(offsets, offsets[:8] + b"\x00\x00\x00\xf0" + offsets[12:]))
    with pytest.raises(StudioError, match="cut off or damaged"):
        load_file(tmp_path / "x.arrow")
