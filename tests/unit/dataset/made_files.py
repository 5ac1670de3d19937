"""Files of preference data made at random: every layout in every container, some rows spoilt, and what they say."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

Row = dict[str, Any]


@dataclass(frozen=True)
class Said:
    """What a row says: the texts of its prompt in order, and both answers."""

    prompt: tuple[str, ...]
    chosen: str
    rejected: str


@dataclass(frozen=True)
class Made:
    """A file's rows, what those say that are pairs, and the rows that another row of the file joins to a pair."""

    rows: list[Row]
    said: list[Said | None]
    spoilt: bool


# Letters of many scripts, marks that combine, emoji, quotes, and what files use to keep fields apart.
_LETTERS = "aZé9 ßжπאع你好。ភាษาไทยລາວမြန်ひカ한🙂👩‍👧\u0301\u200b\"'`,;|\t\n{}[]()<>\\/=+-*#%&_~^"
_BEGIN = "Abéжπ你ภລひ한7"
CHOSEN_NAMES = [
    ("chosen", "rejected"),
    ("Chosen", "Rejected"),
    ("chosen_response", "rejected_response"),
    ("chosenResponse", "rejectedResponse"),
    ("response_chosen", "response_rejected"),
    ("preferred", "dispreferred"),
    ("better_response", "worse_response"),
]
PROMPT_NAMES = ["prompt", "question", "Question", "instruction", "query", "user_prompt"]
SYSTEM_NAMES = ["system", "System Prompt", "system_message"]

words = st.builds(
    lambda first, rest: (first + rest).rstrip(),
    st.sampled_from(_BEGIN),
    st.text(st.sampled_from(_LETTERS), max_size=12),
)


def turn(role: str, content: str, style: int) -> Row:
    """Return a turn in one of the ways of writing one."""
    if style == 1:
        return {"from": {"user": "human", "assistant": "gpt"}.get(role, role), "value": content}
    if style == 2:
        return {"speaker": role.capitalize(), "text": content}
    if style == 3:
        return {"role": role, "content": [{"type": "text", "text": content}]}
    return {"role": role, "content": content}


def talk(turns: list[tuple[str, str]], style: int) -> Any:
    """Return turns as a list, or as a dictionary of lists."""
    if style == 4:
        return {"role": [role for role, _ in turns], "content": [content for _, content in turns]}
    return [turn(role, content, style) for role, content in turns]


@dataclass(frozen=True)
class Names:
    """What a file calls its columns, and how it writes turns."""

    chosen: str
    rejected: str
    prompt: str
    system: str
    style: int


names = st.builds(
    lambda sides, prompt, system, style: Names(*sides, prompt, system, style),
    st.sampled_from(CHOSEN_NAMES),
    st.sampled_from(PROMPT_NAMES),
    st.sampled_from(SYSTEM_NAMES),
    st.integers(0, 4),
)
Maker = Callable[[Names, str, str, str], Row]


def _answers(named: Names, a: str, b: str) -> Row:
    return {named.chosen: a, named.rejected: b}


def _whole(named: Names, q: str, a: str, b: str) -> Row:
    return {
        side: talk([("user", q), ("assistant", text)], named.style)
        for side, text in ((named.chosen, a), (named.rejected, b))
    }


def _transcript(between: str) -> Maker:
    def make(named: Names, q: str, a: str, b: str) -> Row:
        lead = between if len(between) > 1 else ""
        return {
            side: f"{lead}Human: {q}{between}Assistant: {text}"
            for side, text in ((named.chosen, a), (named.rejected, b))
        }

    return make


def _openai(named: Names, q: str, a: str, b: str) -> Row:
    return {
        "input": {"messages": [turn("user", q, 0)], "parallel_tool_calls": True},
        "preferred_output": [turn("assistant", a, 0)],
        "non_preferred_output": [turn("assistant", b, 0)],
    }


def _winner(way: str) -> Maker:
    def make(named: Names, q: str, a: str, b: str) -> Row:
        first = (len(q) + len(a)) % 2 == 0  # not always the same side
        one, other = (a, b) if first else (b, a)
        if way == "letter":
            more: Row = {"candidate_a": one, "candidate_b": other, "winner": "a" if first else "b"}
        elif way == "name":
            more = {"response_1": one, "response_2": other, "preferred": "response_1" if first else "response_2"}
        elif way == "place":
            more = {"response_0": one, "response_1": other, "better_response_id": 0 if first else 1}
        else:
            scores = (0.5, -2.0) if first else (1.0, 7.0)
            more = {"answer_a": one, "answer_b": other, "score_a": scores[0], "score_b": scores[1]}
        return {named.prompt: q, **more}

    return make


def _ranked(named: Names, q: str, a: str, b: str) -> Row:
    return {named.prompt: q, "answers": [{"answer": b, "rank": 2}, {"answer": a, "rank": 1}]}


LAYOUTS: dict[str, Maker] = {
    "explicit": lambda named, q, a, b: {named.prompt: q, **_answers(named, a, b)},
    "explicit turns": lambda named, q, a, b: {
        named.prompt: talk([("user", q)], named.style),
        named.chosen: talk([("assistant", a)], named.style),
        named.rejected: talk([("assistant", b)], named.style),
    },
    "lists of one": lambda named, q, a, b: {named.prompt: q, named.chosen: [a], named.rejected: [b]},
    "mix": _whole,
    "ultrafeedback": lambda named, q, a, b: {
        **_whole(named, q, a, b),
        **{"score_chosen": 8.0, "score_rejected": 2.0},
    },
    "transcripts": _transcript("\n\n"),
    "transcripts, one line": _transcript("\n"),
    "transcripts, CRLF": _transcript("\r\n\r\n"),
    "continued": lambda named, q, a, b: {
        "messages": talk([("user", q), ("assistant", a)], named.style),
        "rejected_response": b,
    },
    "openai": _openai,
    "winner by letter": _winner("letter"),
    "winner by name": _winner("name"),
    "winner by place": _winner("place"),
    "winner by score": _winner("score"),
    "ranked": _ranked,
}
WITH_TEXT_PROMPT = ("explicit", "lists of one", "winner by letter", "winner by name", "ranked")


def _spoil(row: Row, how: int) -> Row:
    """Return a row with something wrong in it."""
    name = list(row)[how % len(row)]
    held = [{"role": "assistant", "content": "x", "tool_calls": [{"name": "look"}]}]
    wrong: list[Any] = [None, "", 5, [], held, {"role": "tool", "content": "x"}]
    value = wrong[how // 7 % len(wrong)]
    return {key: each for key, each in row.items() if key != name} if how % 5 == 0 else {**row, name: value}


@st.composite
def files(draw: st.DrawFn, layout: str) -> Made:
    """Draw the rows of a file in one layout.

    Args:
        draw: Given by hypothesis.
        layout: One of `LAYOUTS`.
    """
    named = draw(names)
    around = draw(st.sets(st.sampled_from(["system", "context", "history", "input"])))
    text = layout in WITH_TEXT_PROMPT
    rows: list[Row] = []
    said: list[Said | None] = []
    spoilt = False
    for number in range(draw(st.integers(1, 5))):
        q, a, b = (f"{draw(words)} {part}{number}" for part in ("q", "a", "b"))
        row, prompt = LAYOUTS[layout](named, q, a, b), [q]
        if text and "input" in around and named.prompt != "input":
            extra = f"{draw(words)} i{number}"
            row, prompt[-1] = {**row, "input": extra}, f"{prompt[-1]}\n\n{extra}"
        if text and "context" in around:
            extra = f"{draw(words)} c{number}"
            row, prompt[-1] = {**row, "context": extra}, f"{extra}\n\n{prompt[-1]}"
        if text and "history" in around and number != 1:
            before = [f"{draw(words)} h{number}", f"{draw(words)} r{number}"]
            row, prompt = {**row, "history": [before]}, [*before, *prompt]
        if "system" in around and number != 0:
            extra = f"{draw(words)} s{number}"
            row, prompt = {**row, named.system: extra}, [extra, *prompt]
        row |= {"note": f"{draw(words)} n{number}", "seen": number}
        how = draw(st.integers(0, 300))
        if how < 60:
            row, spoilt = _spoil(row, how), True
            said.append(None)
        else:
            said.append(Said(tuple(prompt), a, b))
        rows.append(row)
    return Made(rows, said, spoilt)


def _filled(rows: list[Row]) -> list[Row]:
    """Return rows that all have the same keys."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    return [{key: row.get(key) for key in keys} for row in rows]


def _csv(rows: list[Row], separator: str, python: bool = False) -> str:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator)
    writer.writerow(_filled(rows)[0])
    for row in _filled(rows):
        writer.writerow(_cell(value, python) for value in row.values())
    return out.getvalue()


def _cell(value: Any, python: bool) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return str(value) if python or isinstance(value, bool) else json.dumps(value, ensure_ascii=False)


def _parquet(rows: list[Row]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(_filled(rows)), out)
    return out.getvalue()


def _arrow(rows: list[Row], stream: bool) -> bytes:
    table, out = pa.Table.from_pylist(_filled(rows)), io.BytesIO()
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


def _zipped(raw: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("data/train", raw)
    return out.getvalue()


CONTAINERS: dict[str, Callable[[list[Row]], bytes]] = {
    "lines": lambda rows: "".join(json.dumps(row) + "\n" for row in rows).encode(),
    "list": lambda rows: json.dumps(rows, ensure_ascii=False, indent=1).encode(),
    "data": lambda rows: json.dumps({"version": "1", "data": rows}).encode(),
    "split": lambda rows: json.dumps({"train": rows}).encode(),
    "columns": lambda rows: json.dumps(
        {"x": {key: [row[key] for row in _filled(rows)] for key in _filled(rows)[0]}}
    ).encode(),
    "pandas": lambda rows: json.dumps({str(n): row for n, row in enumerate(_filled(rows))}).encode(),
    "viewer": lambda rows: json.dumps({"rows": [{"row_idx": n, "row": row} for n, row in enumerate(rows)]}).encode(),
    "parquet": _parquet,
    "arrow stream": lambda rows: _arrow(rows, stream=True),
    "arrow file": lambda rows: _arrow(rows, stream=False),
    "csv": lambda rows: _csv(rows, ",").encode(),
    "csv of Python": lambda rows: _csv(rows, ",", python=True).encode(),
    "semicolons": lambda rows: _csv(rows, ";").encode(),
    "tabs": lambda rows: _csv(rows, "\t").encode(),
    "pipes": lambda rows: _csv(rows, "|").encode(),
    "UTF-16": lambda rows: _csv(rows, ",").encode("utf-16"),
    "sep=": lambda rows: b"sep=;\r\n" + _csv(rows, ";").encode(),
}
PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda raw: raw,
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zstd": lambda raw: pa.compress(raw, "zstd", asbytes=True),
    "zip": _zipped,
}


def write(path: Path, made: Made, container: str, packing: str) -> bool:
    """Write a file; return whether it can be: Arrow has no column of two types."""
    try:
        raw = CONTAINERS[container](made.rows)
    except (pa.ArrowException, TypeError, ValueError):
        return False
    path.write_bytes(PACKINGS[packing](raw))
    return True
