"""Preference data in the schema and about the size of mlabonne/orpo-dpo-mix-40k, made for the tests."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 44_245
SOURCES = (
    "Airoboros",
    "Capybara",
    "distilabel-math",
    "distilabel-sysprompts",
    "orca-dpo",
    "toxic-dpo",
    "ultrafeedback",
)
_TURNS = pa.list_(pa.struct([("content", pa.string()), ("role", pa.string())]))
SCHEMA = pa.schema(
    [
        ("source", pa.string()),
        ("chosen", _TURNS),
        ("rejected", _TURNS),
        ("prompt", pa.string()),
        ("question", pa.string()),
    ]
)
_WORDS = ("river", "stone", "answer", "question", "because", "light", "train", "model", "weather") + (
    "careful",
    "never",
    "always",
    "seven",
    "paper",
)


def table(rows: int, seed: int = 0, characters: int = 1900) -> pa.Table:
    """Return whole conversations in chosen and rejected: one turn mostly, three in a tenth of them.

    Args:
        rows: How many.
        seed: Of the random words.
        characters: Of an answer, about.
    """
    return pa.Table.from_pylist(list(_rows(rows, seed, characters)), schema=SCHEMA)


def _rows(rows: int, seed: int, characters: int) -> Iterator[dict[str, object]]:
    chance = random.Random(seed)
    pool = " ".join(chance.choices(_WORDS, k=40_000))

    def text(length: int) -> str:
        start = chance.randrange(len(pool) - length)
        return pool[start : start + length].strip()

    for number in range(rows):
        prompt = f"Question {seed}-{number}: {text(chance.randrange(40, 700))}"
        turns = [{"content": prompt, "role": "user"}]
        if number % 10 == 0:
            turns += [{"content": text(500), "role": "assistant"}, {"content": text(90), "role": "user"}]
        length = chance.randrange(characters // 2, characters * 3 // 2)
        yield {
            "source": chance.choice(SOURCES),
            "chosen": [*turns, {"content": f"A{number} {text(length)}", "role": "assistant"}],
            "rejected": [*turns, {"content": f"B{number} {text(length * 3 // 4)}", "role": "assistant"}],
            "prompt": prompt,
            "question": prompt,
        }


def write(path: Path, rows: int = ROWS, seed: int = 0, row_group: int = 1000) -> Path:
    """Write such data as parquet, the way `datasets` writes it.

    Args:
        path: The file.
        rows: How many.
        seed: Of the random words.
        row_group: Rows of one row group; `datasets` takes 1,000.
    """
    with pq.ParquetWriter(path, SCHEMA) as writer:
        for start in range(0, rows, 5000):
            writer.write_table(table(min(5000, rows - start), seed + start), row_group_size=row_group)
    return path
