"""Nothing is lost on the way in: of files of every layout in every container, each row and each text is accounted for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from pipeline.base.errors import StudioError
from pipeline.base.pair import Pair
from pipeline.dataset.files import read_rows
from pipeline.dataset.reading import LayoutUnknown, load_file, load_rows
from pipeline.dataset.recognise import Loaded, NothingUsable
from pipeline.dataset.rows import Rows
from pipeline.dataset.values import texts
from tests import mix
from tests.unit.dataset.made_files import CONTAINERS, LAYOUTS, PACKINGS, Made, files, write

FILES = 20_400  # of the matrix; `make test` reads a few hundred
# What is made is small already: making a failure smaller took minutes and told nothing more.
PHASES = (Phase.explicit, Phase.generate)
FORM = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck), phases=PHASES)


def accounted(loaded: Loaded, made: Made) -> None:
    """Check that pairs and bad rows are all rows, and that each text is in its pair or in a column named."""
    bad = {row.number: str(row.reason) for row in loaded.bad_rows}
    assert len(loaded.pairs) + len(loaded.bad_rows) == len(made.rows) and len(bad) == len(loaded.bad_rows)
    assert all(reason and not reason.startswith("row.") for reason in bad.values())
    numbers = [number for number in range(1, len(made.rows) + 1) if number not in bad]
    named = set(loaded.mapping.decides) | {loaded.mapping.source} | set(loaded.unused)
    for number, pair in zip(numbers, loaded.pairs, strict=True):
        for column, value in made.rows[number - 1].items():
            if column not in named:
                inside = {key.rpartition(".")[2] for key in loaded.unused if key.startswith(column)}
                assert_spoken(pair, value, inside)
        # A question that is mostly numbers is told as unused, and so is missing from what was said.
        if (said := made.said[number - 1]) is not None and not (made.spoilt and "question" in loaded.unused):
            assert tuple(turn.content.strip() for turn in pair.prompt) == tuple(text.strip() for text in said.prompt)
            assert [pair.chosen[-1].content, pair.rejected[-1].content] == [said.chosen, said.rejected]
    for number, reason in bad.items():
        assert made.said[number - 1] is None, reason


def assert_spoken(pair: Pair, value: Any, inside: set[str]) -> None:
    """Check that all texts of a value are in a pair, roles and names of types aside."""
    spoken = "\n".join(turn.content for part in (pair.prompt, pair.chosen, pair.rejected) for turn in part)
    aside = ("user", "assistant", "system", "human", "gpt", "text", "tool", *inside)
    for text in texts(value):
        bare = text.strip()
        assert bare in spoken or bare.lower() in aside or bare.startswith(("Human: ", "Assistant: ")), bare


def conserved(rows: Rows, loaded: Loaded) -> None:
    """Check that all rows are pairs or named, and all texts in their pair or in a column that is named."""
    bad = {row.number for row in loaded.bad_rows}
    assert len(loaded.pairs) + len(bad) == rows.total
    good = [row for number, row in zip(rows.numbers, rows.rows, strict=True) if number not in bad]
    named = {*loaded.mapping.decides, loaded.mapping.source, *loaded.unused}
    for row, pair in zip(good, loaded.pairs, strict=True):
        for column, value in row.items():
            if column not in named:
                assert_spoken(pair, value, set())


CHINESE = [
    ("长江有多长？", "约六千三百公里，是亚洲最长的河流。", "很长。"),
    ("请用一句话解释“光合作用”。", "植物利用光能，把二氧化碳和水变成糖与氧气。", "植物要晒太阳。"),
    ("怎样泡绿茶？", "水温八十度，泡两分钟。\n\n第一泡倒掉也可以。", "用开水煮一小时。"),
    ("把“慢慢来”译成英语。", "Take your time. / Easy does it.", "Slow slow come."),
]


def chinese() -> list[dict[str, Any]]:
    """Return rows as Chinese files have them: turns of ShareGPT, an instruction, a note that no pair has."""
    return [
        {
            "conversations": [{"from": "human", "value": f"第{number}问："}, {"from": "gpt", "value": "请说。"}]
            + [{"from": "human", "value": q}],
            "system": "请用中文回答。" if number else "",
            "chosen": {"from": "gpt", "value": a},
            "rejected": {"from": "gpt", "value": b},
            "备注": "重复" if number == 3 else "",
        }
        for number, (q, a, b) in enumerate([*CHINESE, ("", "好。", "不。"), ("谁？", "我。", "我。")])
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "gb18030"])
def test_a_chinese_file_is_whole(encoding: str, folder: Path) -> None:
    rows = chinese()
    path = folder / "中文.json"
    path.write_bytes(json.dumps(rows, ensure_ascii=False).encode(encoding))
    read = read_rows(path)
    loaded = load_rows(read)
    conserved(read, loaded)
    assert (loaded.mapping.layout, loaded.mapping.system, loaded.unused) == ("sharegpt", "system", ["备注"])
    assert [(bad.number, str(bad.reason)) for bad in loaded.bad_rows] == [
        (5, "the prompt is empty"),
        (6, "chosen and rejected are identical"),
    ]
    for pair, (q, a, b) in zip(loaded.pairs, CHINESE, strict=True):
        assert (pair.prompt[-1].content, pair.chosen[-1].content, pair.rejected[-1].content) == (q, a, b)
    table = "prompt,chosen,rejected\n" + "".join(",".join(f'"{text}"' for text in row) + "\n" for row in CHINESE)
    path.write_bytes(table.encode(encoding))
    assert [pair.prompt[-1].content for pair in load_file(path).pairs] == [q for q, _, _ in CHINESE]


@pytest.mark.matrix
def test_a_file_of_44_245_rows_is_whole(folder: Path) -> None:
    read = read_rows(mix.write(folder / "mix.parquet"))
    loaded = load_rows(read)
    conserved(read, loaded)
    assert (len(loaded.pairs), loaded.bad_rows, loaded.unused) == (mix.ROWS, [], [])


def check(layout: str, made: Made, container: str, packing: str, folder: Path) -> None:
    """Read a made file, and check it."""
    path = folder / "made"
    assume(write(path, made, container, packing))
    try:
        loaded = load_file(path)
    except (LayoutUnknown, NothingUsable) as error:
        assert made.spoilt, error
    except StudioError as error:
        assert made.spoilt, error
    else:
        accounted(loaded, made)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("made")


kinds = st.sampled_from(sorted(LAYOUTS)).flatmap(lambda layout: st.tuples(st.just(layout), files(layout)))


@settings(FORM, max_examples=150)
@given(kinds, st.sampled_from(sorted(CONTAINERS)), st.sampled_from(sorted(PACKINGS)))
def test_every_row_and_text_is_accounted_for(
    folder: Path, kind: tuple[str, Made], container: str, packing: str
) -> None:
    check(*kind, container, packing, folder)


@pytest.mark.matrix
@pytest.mark.parametrize("container", CONTAINERS)
def test_every_row_and_text_is_accounted_for_in_every_file(folder: Path, container: str) -> None:
    seen = 0

    @settings(FORM, max_examples=FILES // len(CONTAINERS))
    @given(kinds, st.sampled_from(sorted(PACKINGS)))
    def read(kind: tuple[str, Made], packing: str) -> None:
        nonlocal seen
        check(*kind, container, packing, folder)
        seen += 1

    read()
    assert seen >= FILES // len(CONTAINERS)


JUNK = st.binary(max_size=400) | st.builds(
    lambda head, rest: head + rest,
    st.sampled_from(
        [
            b"PAR1",
            b"ARROW1",
            b"\xff\xff\xff\xff",
            b"\x1f\x8b\x08",
            b"BZh9",
            b"\xfd7zXZ\x00",
            b"\x28\xb5\x2f\xfd",
            b"PK\x03\x04",
        ]
        + [
            b"\xff\xfe",
            b"sep=",
            b"[",
            b"{",
            b'{"a":',
            b"prompt,chosen,rejected\n",
            b'{"prompt":"q","chosen":"a","rejected":',
        ]
    ),
    st.binary(max_size=200),
)


@settings(FORM, max_examples=150)
@given(JUNK)
def test_what_is_no_data_is_refused_and_never_crashes(folder: Path, raw: bytes) -> None:
    path = folder / "junk"
    path.write_bytes(raw)
    try:
        loaded = load_file(path)
    except StudioError as error:
        assert str(error)
    else:
        assert loaded.pairs


@settings(FORM, max_examples=150)
@given(kinds, st.sampled_from(sorted(CONTAINERS)), st.integers(0, 10_000), st.integers(0, 255))
def test_a_damaged_file_never_crashes(folder: Path, kind: tuple[str, Made], container: str, at: int, byte: int) -> None:
    path = folder / "damaged"
    assume(write(path, kind[1], container, "plain"))
    raw = bytearray(path.read_bytes())
    raw[at % len(raw)] = byte
    path.write_bytes(raw if at % 3 else raw[: at % len(raw)])
    try:
        load_file(path)
    except StudioError as error:
        assert str(error)
