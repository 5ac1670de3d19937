from __future__ import annotations

import csv
import json
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.base.errors import StudioError
from pipeline.dataset.pairs import open_pairs, save
from pipeline.dataset.reading import SAMPLE, LayoutUnknown, load_file
from pipeline.dataset.recognise import Mapping
from pipeline.dataset.summary import summarise
from pipeline.dataset.tables import TableRows
from pipeline.hub.datasets import choose

ROOT = Path(__file__).resolve().parents[3]
Row = dict[str, Any]
ROWS: list[Row] = [
    {"source": "a", "prompt": "Say hello.", "chosen": "Hello!", "rejected": "No."},
    {"source": "b", "prompt": "你好吗？", "chosen": "很好，\n谢谢。", "rejected": 'He said "no", then left; fine.'},
    {"source": "b", "prompt": "tab\there", "chosen": "<b>x</b> 👩‍👩‍👧", "rejected": "\u202etxet"},
]


def write_parquet(path: Path, rows: list[Row]) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path)


def write_json_lines(path: Path, rows: list[Row]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_json(path: Path, rows: list[Row]) -> None:
    path.write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8")


def write_data_json(path: Path, rows: list[Row]) -> None:
    path.write_text(json.dumps({"version": 1, "data": rows}), encoding="utf-8")


def write_columns(path: Path, rows: list[Row]) -> None:
    path.write_text(json.dumps({name: [row[name] for row in rows] for name in rows[0]}, indent=2), encoding="utf-8")


def write_table(delimiter: str) -> Callable[[Path, list[Row]], None]:
    def write(path: Path, rows: list[Row]) -> None:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter=delimiter)
            writer.writerow(rows[0])
            for row in rows:
                values = row.values()
                writer.writerow(value if isinstance(value, str) else json.dumps(value) for value in values)

    return write


FORMATS: dict[str, tuple[str, Callable[[Path, list[Row]], None]]] = {
    "data.parquet": ("parquet", write_parquet),
    "data.jsonl": ("JSON Lines", write_json_lines),
    "data.ndjson": ("JSON Lines", write_json_lines),
    "list.json": ("JSON", write_json),
    "data.json": ("JSON", write_data_json),
    "columns.json": ("JSON", write_columns),
    "comma.csv": ("CSV", write_table(",")),
    "semicolon.csv": ("CSV", write_table(";")),
    "data.tsv": ("TSV", write_table("\t")),
}


@pytest.mark.parametrize("name", FORMATS)
def test_formats_give_the_same_pairs_with_the_same_ids(name: str, tmp_path: Path) -> None:
    format, write = FORMATS[name]
    write_json_lines(tmp_path / "reference.jsonl", ROWS)
    write(tmp_path / name, ROWS)
    loaded = load_file(tmp_path / name)
    assert (loaded.format, loaded.columns, loaded.notes) == (format, list(ROWS[0]), [])
    assert loaded.pairs == load_file(tmp_path / "reference.jsonl").pairs
    assert [pair.chosen[0].content for pair in loaded.pairs] == [row["chosen"] for row in ROWS]


@pytest.mark.parametrize("name", ["data.parquet", "data.jsonl", "list.json", "data.json", "comma.csv", "data.tsv"])
def test_message_lists_survive_every_format(name: str, tmp_path: Path) -> None:
    turns = [
        {
            "chosen": [{"role": "user", "content": f'{n}, \n"x"'}, {"role": "assistant", "content": "yes"}],
            "rejected": [{"role": "user", "content": f'{n}, \n"x"'}, {"role": "assistant", "content": "no"}],
        }
        for n in range(3)
    ]
    FORMATS[name][1](tmp_path / name, turns)
    loaded = load_file(tmp_path / name)
    assert loaded.mapping.layout == "mix"
    assert [pair.prompt[0].content for pair in loaded.pairs] == [f'{n}, \n"x"' for n in range(3)]


def test_ids_do_not_depend_on_order_or_subset_and_duplicates_are_numbered(tmp_path: Path) -> None:
    write_json_lines(tmp_path / "all.jsonl", ROWS)
    write_parquet(tmp_path / "some.parquet", [ROWS[2], ROWS[0], ROWS[0]])
    first, _, third = (pair.record_id for pair in load_file(tmp_path / "all.jsonl").pairs)
    assert [pair.record_id for pair in load_file(tmp_path / "some.parquet").pairs] == [third, first, f"{first}-1"]


@pytest.mark.parametrize(
    ("name", "write", "format"),
    [
        ("x.csv", write_json_lines, "JSON Lines"),
        ("x.jsonl", write_parquet, "parquet"),
        ("x.parquet", write_table(","), "CSV"),
        ("x.json", write_json_lines, "JSON Lines"),
        ("x.csv", write_table("\t"), "TSV"),
    ],
)
def test_content_decides_and_a_wrong_extension_is_noted(
    name: str, write: Callable[[Path, list[Row]], None], format: str, tmp_path: Path
) -> None:
    write(tmp_path / name, ROWS)
    loaded = load_file(tmp_path / name)
    assert len(loaded.pairs) == 3
    (note,) = loaded.notes
    assert f"holds {format}" in str(note)


@pytest.mark.parametrize("name", ["data", "data.txt", "DATA.JSONL"])
def test_other_names_are_read_without_a_note(name: str, tmp_path: Path) -> None:
    write_json_lines(tmp_path / name, ROWS)
    assert (len(load_file(tmp_path / name).pairs), load_file(tmp_path / name).notes) == (3, [])


@pytest.mark.parametrize("name", ["data.jsonl", "list.json", "data.json", "comma.csv"])
def test_byte_order_mark_is_no_part_of_the_data(name: str, tmp_path: Path) -> None:
    FORMATS[name][1](tmp_path / name, ROWS)
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + (tmp_path / name).read_bytes())
    loaded = load_file(tmp_path / name)
    assert (loaded.columns, len(loaded.pairs)) == (list(ROWS[0]), 3)


def test_single_row_on_one_line_is_a_row_and_not_columns(tmp_path: Path) -> None:
    row = {
        "prompt": [{"role": "user", "content": "a"}],
        "chosen": [{"role": "assistant", "content": "b"}],
        "rejected": [{"role": "assistant", "content": "c"}],
    }
    (tmp_path / "one.jsonl").write_text(json.dumps(row))
    assert len(load_file(tmp_path / "one.jsonl").pairs) == 1


def test_broken_lines_are_bad_rows_with_their_line_number(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    lines = [json.dumps(row) for row in ROWS]
    path.write_text("\n".join([lines[0][:-9], lines[0], "", "[1, 2]", lines[1], lines[2][:20], "{" * 5000, lines[2]]))
    loaded = load_file(path)
    assert [bad.number for bad in loaded.bad_rows] == [1, 4, 6, 7]
    assert "cannot be parsed as JSON" in str(loaded.bad_rows[0].reason)
    assert "not an object" in str(loaded.bad_rows[1].reason)
    assert len(loaded.pairs) == 3


def test_json_items_that_are_no_rows_are_bad_rows(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps([ROWS[0], 12, "x", None, ROWS[1]]))
    loaded = load_file(tmp_path / "x.json")
    assert [bad.number for bad in loaded.bad_rows] == [2, 3, 4]
    assert len(loaded.pairs) == 2


def test_csv_lines_of_another_width_are_bad_rows(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("prompt,chosen,rejected\na,b,c\na,b\n\na,b,c,d\nd,e,f\n")
    loaded = load_file(tmp_path / "x.csv")
    assert [(bad.number, str(bad.reason)) for bad in loaded.bad_rows] == [
        (2, "2 fields where the header has 3"),
        (3, "4 fields where the header has 3"),
    ]
    assert len(loaded.pairs) == 2


def test_rows_longer_than_a_piece_are_read(tmp_path: Path) -> None:
    rows = [{**row, "chosen": row["chosen"] + "长" * 1_300_000} for row in ROWS]
    for name in ("data.jsonl", "list.json", "comma.csv"):
        FORMATS[name][1](tmp_path / name, rows)
        assert [len(pair.chosen[0].content) > 1_300_000 for pair in load_file(tmp_path / name).pairs] == [True] * 3


def half(path: Path, write: Callable[[Path, list[Row]], None]) -> bytes:
    """Return the first part of a file of many rows."""
    write(path, ROWS * 20)
    return path.read_bytes()[: path.stat().st_size // 2]


def write_arrow(path: Path, rows: list[Row]) -> None:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, pa.Table.from_pylist(rows).schema) as writer:
        writer.write_table(pa.Table.from_pylist(rows))


def tarred(path: Path) -> bytes:
    write_json_lines(path, ROWS)
    with tarfile.open(path.with_suffix(".tar"), "w") as archive:
        archive.add(path, "x.jsonl")
    return path.with_suffix(".tar").read_bytes()


def test_bytes_that_are_not_utf_8_cost_their_row_alone(tmp_path: Path) -> None:
    lines = [*(b"q%d,yes,no\n" % n for n in range(20)), "café,b,c\n".encode("latin-1"), b"q,b,\xff\xfe\n"]
    (tmp_path / "x.csv").write_bytes(b"prompt,chosen,rejected\n" + b"".join(lines))
    loaded = load_file(tmp_path / "x.csv")
    assert [(bad.number, str(bad.reason)) for bad in loaded.bad_rows] == [
        (21, "a text holds bytes that are not UTF-8"),
        (22, "a text holds bytes that are not UTF-8"),
    ]
    assert len(loaded.pairs) == 20


BROKEN: dict[str, tuple[str, Callable[[Path], bytes], str]] = {
    "empty": ("x.jsonl", lambda _: b"", "It is empty"),
    "blank": ("x.csv", lambda _: b"\xef\xbb\xbf \n\t\n", "It is empty"),
    "parquet cut off": ("x.parquet", lambda path: half(path, write_parquet), "cut off or damaged"),
    "parquet overwritten": ("x.parquet", lambda _: b"PAR1" + bytes(range(256)) * 20 + b"PAR1", "cut off or damaged"),
    "JSON cut off": ("x.json", lambda path: half(path, write_json), "JSON is cut off at line"),
    "JSON broken": ("x.json", lambda _: b'[\n{"prompt": "a"},\n{"prompt" "b"}\n]', "JSON is broken at line 3"),
    "JSON text behind": ("x.json", lambda _: b'[{"prompt": "a"}] and more', "JSON is broken at line 1"),
    "JSON too deep": ("x.json", lambda _: b"[" * 200_000, "JSON"),
    "JSON number": ("x.json", lambda _: b"[1, 2, 3]", "no readable rows"),
    "JSON empty list": ("x.json", lambda _: b"[]", "no readable rows"),
    "all lines broken": ("x.jsonl", lambda _: b'{"a": \n{"b": \n', "JSON"),
    "header alone": ("x.csv", lambda _: b"prompt,chosen,rejected\n", "no readable rows"),
    "open quote": ("x.csv", lambda _: b'prompt,chosen,rejected\na,"b,c\nd,e,f\n', "quoting is broken at line"),
    "same column twice": ("x.csv", lambda _: b"a,a,b\n1,2,3\n", "have the same name: a"),
    "same key in every row": ("x.jsonl", lambda _: b'{"a": 1, "a": 2}\n{"a": 3, "a": 4}\n', "“a” stands there twice"),
    "prose": ("x.txt", lambda _: b"Dear reader,\nthis is a letter.\n", "no list of distinct column names"),
    "binary": ("x.jsonl", lambda _: bytes(range(256)) * 40, "It is not text and not parquet"),
    "gzip cut off": ("x.jsonl", lambda _: b"\x1f\x8b\x08\x00rest", "cut off or damaged"),
    "zip cut off": ("x.csv", lambda _: b"PK\x03\x04rest", "cut off or damaged"),
    "web page": ("x.parquet", lambda _: b"\n<!DOCTYPE html><html></html>", "It is a web page"),
    "XML": ("x.json", lambda _: b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "It is XML"),
    "pickle": ("x.csv", lambda _: b"\x80\x04\x95rest", "pickle"),
    "Arrow cut off": ("x.arrow", lambda path: half(path, write_arrow), "Arrow file that is cut off"),
    "tar": ("x.jsonl", lambda path: tarred(path), "archive of files"),
    "Git LFS": (
        "x.parquet",
        lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 1\n",
        "Git LFS",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_say_what_is_wrong(name: str, tmp_path: Path) -> None:
    file, content, why = BROKEN[name]
    (tmp_path / file).write_bytes(content(tmp_path / "whole"))
    with pytest.raises(StudioError) as caught:
        load_file(tmp_path / file)
    assert why in caught.value.why
    assert file in caught.value.what and str(tmp_path) not in str(caught.value)
    assert caught.value.next


def test_missing_files_and_folders_say_so(tmp_path: Path) -> None:
    with pytest.raises(StudioError, match="No such file"):
        load_file(tmp_path / "absent.csv")
    with pytest.raises(StudioError, match="directory"):
        load_file(tmp_path)


def test_unknown_layout_asks_for_columns_and_takes_them(tmp_path: Path) -> None:
    rows = [{"q": row["prompt"], "good": row["chosen"], "bad": row["rejected"], "lang": "?"} for row in ROWS]
    write_json_lines(tmp_path / "x.jsonl", rows)
    with pytest.raises(LayoutUnknown) as caught:
        load_file(tmp_path / "x.jsonl")
    assert caught.value.rows.columns == ["q", "good", "bad", "lang"]
    loaded = load_file(tmp_path / "x.jsonl", Mapping(prompt="q", chosen="good", rejected="bad", source="lang"))
    assert len(loaded.pairs) == 3
    assert {pair.source for pair in loaded.pairs} == {"?"}


def test_pandas_index_is_no_column(tmp_path: Path) -> None:
    table = pa.Table.from_pylist([{**row, "__index_level_0__": n} for n, row in enumerate(ROWS)])
    pq.write_table(table, tmp_path / "x.parquet")
    loaded = load_file(tmp_path / "x.parquet")
    assert loaded.columns == list(ROWS[0])
    assert loaded.pairs[0].metadata == {}


def test_hostile_text_goes_through_files_unharmed(tmp_path: Path) -> None:
    rows = [
        {"prompt": "<img src=x onerror=alert(1)>", "chosen": "a\x00b", "rejected": "=1+1", "\udcffx": "\ud800"},
        {"prompt": "p", "chosen": "half \ud83d", "rejected": "r"},
    ]
    write_json_lines(tmp_path / "x.jsonl", rows)
    loaded = load_file(tmp_path / "x.jsonl")
    assert [bad.number for bad in loaded.bad_rows] == [2]
    assert loaded.pairs[0].metadata == {"\ufffdx": "\ufffd"}
    save(loaded.pairs, tmp_path / "pairs.parquet")
    (pair,) = open_pairs(tmp_path / "pairs.parquet")
    assert pair == loaded.pairs[0]
    assert (pair.chosen[0].content, pair.rejected[0].content) == ("a\x00b", "=1+1")


def test_saved_pairs_come_back_whole(tmp_path: Path) -> None:
    pairs = load_file(SAMPLE).pairs * 6  # more than one batch
    save(iter(pairs), tmp_path / "pairs.parquet")
    assert open_pairs(tmp_path / "pairs.parquet") == pairs
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.parquet"]
    save([], tmp_path / "pairs.parquet")
    assert open_pairs(tmp_path / "pairs.parquet") == []


def test_damaged_or_missing_pairs_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(StudioError):
        open_pairs(tmp_path / "absent.parquet")
    save(load_file(SAMPLE).pairs, tmp_path / "pairs.parquet")
    data = (tmp_path / "pairs.parquet").read_bytes()
    (tmp_path / "pairs.parquet").write_bytes(data[: len(data) // 2])
    with pytest.raises(StudioError, match="Load the dataset again"):
        open_pairs(tmp_path / "pairs.parquet")
    write_parquet(tmp_path / "other.parquet", ROWS)
    with pytest.raises(StudioError):
        open_pairs(tmp_path / "other.parquet")


def test_summary_counts_what_is_there(tmp_path: Path) -> None:
    extra = [
        {"source": "c", "prompt": "Привет", "chosen": "да", "rejected": "нет"},
        {"source": "c", "prompt": "これは何？", "chosen": "本です", "rejected": "x"},
        {"source": "c", "prompt": "1+1", "chosen": "2", "rejected": "333"},
        ROWS[0],
    ]
    write_json_lines(tmp_path / "x.jsonl", ROWS + extra)
    summary = summarise(load_file(tmp_path / "x.jsonl").pairs)
    assert (summary.pairs, summary.duplicates, summary.with_system) == (7, 1, 0)
    assert summary.sources == {"c": 3, "a": 2, "b": 2}
    assert summary.turns == {1: 7}
    assert summary.scripts == {"Latin": 3, "Chinese": 1, "Cyrillic": 1, "Japanese": 1, "other": 1}
    assert (summary.lengths["chosen"].shortest, summary.lengths["rejected"].longest) == (1, 30)
    assert summarise([]).lengths["prompt"].longest == 0


def test_unreachable_hub_is_told_within_seconds() -> None:
    begun = time.monotonic()
    with pytest.raises(StudioError) as raised:
        choose("mlabonne/orpo-dpo-mix-40k")
    assert "not reached" in raised.value.why and "sample" in raised.value.next
    assert time.monotonic() - begun < 10


def test_table_rows_read_like_a_list() -> None:
    rows = TableRows()
    assert len(rows) == 0 and list(rows) == [] and rows[:5] == []
    written: list[Row] = [{"a": n, "turns": [{"role": "user", "content": f"text {n} 猫"}]} for n in range(450)]
    rows.append(pa.Table.from_pylist(written[:201]))
    rows.append(pa.Table.from_pylist([]))
    rows.append(pa.Table.from_pylist([{**row, "b": "more"} for row in written[201:]]))
    written[201:] = [{**row, "b": "more"} for row in written[201:]]
    assert list(rows) == written == list(rows) and len(rows) == 450  # twice: it can be read again
    assert [rows[0], rows[200], rows[201], rows[-1]] == [written[0], written[200], written[201], written[-1]]
    assert rows[198:204] == written[198:204] and rows[:3] == written[:3] and rows[::-150] == written[::-150]
    assert rows.columns == ["a", "turns", "b"]
    for index in (450, -451):
        with pytest.raises(IndexError):
            rows[index]
