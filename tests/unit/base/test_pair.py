from __future__ import annotations

import json
import random

import pytest

from pipeline.base.pair import (
    SCHEMA,
    Message,
    Messages,
    Pair,
    as_dicts,
    as_messages,
    from_table,
    identify,
    text_of,
    to_table,
)


def user(text: str) -> Messages:
    return (Message("user", text),)


def answer(text: str) -> Messages:
    return (Message("assistant", text),)


THREE = [(user(f"question {n}"), answer(f"good {n}"), answer(f"bad {n}")) for n in range(3)]


def test_ids_do_not_depend_on_order_or_subset() -> None:
    ids = dict(zip(THREE, identify(THREE), strict=True))
    shuffled = random.Random(0).sample(THREE, 3)
    assert identify(shuffled) == [ids[pair] for pair in shuffled]
    assert identify(THREE[1:2]) == [ids[THREE[1]]]
    assert len(set(ids.values())) == 3


def test_exact_duplicates_are_numbered() -> None:
    first, second, third, other = identify([THREE[0], THREE[0], THREE[0], THREE[1]])
    assert (second, third) == (f"{first}-1", f"{first}-2")
    assert len(first) == 16 and int(first, 16) >= 0
    assert "-" not in other


@pytest.mark.parametrize("changed", ["prompt", "chosen", "rejected", "exchanged", "role", "space", "border"])
def test_ids_tell_pairs_apart(changed: str) -> None:
    prompt, chosen, rejected = THREE[0]
    other = {
        "prompt": (user("question 0?"), chosen, rejected),
        "chosen": (prompt, answer("good"), rejected),
        "rejected": (prompt, chosen, answer("bad")),
        "exchanged": (prompt, rejected, chosen),
        "role": ((Message("system", "question 0"),), chosen, rejected),
        "space": (user("question 0 "), chosen, rejected),
        "border": (user("question") + user(" 0"), chosen, rejected),
    }[changed]
    assert identify([other]) != identify([THREE[0]])


def test_table_round_trip_keeps_everything() -> None:
    pairs = [
        Pair(
            "a", user("hi"), answer("yes"), answer("no"), "web", {"score": 0.5, "tags": ["x", None], "名": "值"}, True
        ),
        Pair("b", (Message("system", "be kind"), *user("a\r\nb\x00 ")), answer("\u202ertl"), answer("<script>")),
    ]
    table = to_table(pairs)
    assert table.schema == SCHEMA
    assert from_table(table) == pairs
    assert json.loads(table["metadata"][0].as_py())["名"] == "值"


def test_no_pairs_make_an_empty_table() -> None:
    assert to_table([]).num_rows == 0
    assert from_table(to_table([])) == []


def test_messages_and_dicts_are_inverse() -> None:
    dicts = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": ""}]
    assert as_dicts(as_messages(dicts)) == dicts
    assert text_of(as_messages(dicts)) == "hello\n\n"
