"""The translation of queries, tried on a real FTS5 table."""

from __future__ import annotations

import random
import sqlite3

import pytest

from pipeline.engines.argilla_server.query_text import EVERY, EVERY_TOKEN, MAX_BRACKETS, TOKENIZER, index_text, to_fts5

TEXTS = ["alpha beta", "beta gamma", "模型 alpha", "", 'quote " in it', "C++ and c#"]


@pytest.fixture
def table() -> sqlite3.Connection:
    con = sqlite3.connect(":memory:")
    con.execute(f"CREATE VIRTUAL TABLE t USING fts5({EVERY}, f_1, tokenize='{TOKENIZER}')")
    con.executemany("INSERT INTO t VALUES (?, ?)", [(EVERY_TOKEN, index_text(text)) for text in TEXTS])
    return con


def find(table: sqlite3.Connection, query: str, column: str | None = None) -> list[str]:
    expression = to_fts5(query, column)
    if expression is None:
        return []
    return [
        TEXTS[rowid - 1] for (rowid,) in table.execute("SELECT rowid FROM t WHERE t MATCH ? ORDER BY 1", (expression,))
    ]


def test_no_query_is_an_error_of_fts5(table: sqlite3.Connection) -> None:
    rng = random.Random(1)
    pieces = ["alpha", "beta", "模", "AND", "OR", "NOT", "NEAR", *"()|+-*\"~^:{}'\\;, “”é7\u0000\ud800"]
    answered = 0
    for _ in range(3000):
        query = "".join(rng.choices(pieces, k=rng.randint(1, 14)))
        answered += bool(find(table, query, rng.choice([None, "f_1"])))
    assert answered > 300


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("1", []),
        (EVERY_TOKEN, []),
        ("c++", ["C++ and c#"]),
        ('beta "', ["alpha beta", "beta gamma"]),
        ("alpha AND beta", []),
        ("alpha~2", ["alpha beta", "模型 alpha"]),
        ("al* -模", ["alpha beta"]),
        ("-alpha -beta -模", ["", 'quote " in it', "C++ and c#"]),
        ("quote | gamma", ["beta gamma", 'quote " in it']),
    ],
)
def test_queries(table: sqlite3.Connection, query: str, expected: list[str]) -> None:
    assert find(table, query) == expected


def test_the_marker_of_every_document_is_never_found_as_text(table: sqlite3.Connection) -> None:
    assert find(table, f'"{EVERY_TOKEN}"') == []
    assert find(table, f"{EVERY_TOKEN}*") == []


def test_many_words_and_deep_brackets(table: sqlite3.Connection) -> None:
    assert find(table, " | ".join(["alpha"] * 1000)) == ["alpha beta", "模型 alpha"]
    assert find(table, " ".join(["alpha"] * 1000)) == ["alpha beta", "模型 alpha"]
    assert find(table, "(" * MAX_BRACKETS + "alpha" + ")" * MAX_BRACKETS) == ["alpha beta", "模型 alpha"]
    with pytest.raises(ValueError, match="brackets"):
        to_fts5("(" * (MAX_BRACKETS + 1) + "alpha")
