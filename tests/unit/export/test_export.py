"""An export holds what its plan says, is split by prompt, and is there whole or not at all."""

from __future__ import annotations

import hashlib
import json
import random
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from pipeline.base.errors import StudioError
from pipeline.base.message import verbatim
from pipeline.base.pair import Message, Pair, as_messages
from pipeline.export.options import ExportOptions, Provenance
from pipeline.export.writing import plan, write
from pipeline.filter.recipe import RuleEffect
from pipeline.models.tokens import PairCounts
from pipeline.review.settle import Settled, Verdict


def pair(record_id: str, prompt: str = "", source: str = "made up") -> Pair:
    return Pair(
        record_id,
        (Message("system", "Be brief."), Message("user", prompt or f"Question {record_id}?")),
        (Message("assistant", f"Good {record_id}"),),
        (Message("assistant", f"Bad {record_id}"),),
        source,
    )


def reviewed(record_id: str, preference: Verdict | None, relevance: float | None = 4.0) -> Settled:
    return Settled(record_id, 2, relevance, preference)


def provenance() -> Provenance:
    return Provenance(
        dataset="made up",
        kind="file",
        sha256="0" * 64,
        languages=["en", "zh"],
        recipe={"min_relevance": 3.0},
        rule_effects=[RuleEffect("min_relevance", verbatim("mean rating of at least 3"), 7, 5, ["x"])],
        settle_policy={"preference": "plurality"},
        annotators=2,
        created="2026-11-20T12:00:00+00:00",
        studio_version="0.1.0",
    )


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def random_pairs(seed: int) -> list[Pair]:
    """Pairs of which several share a prompt, written with other case and spacing here and there."""
    rng = random.Random(seed)
    prompts = [f"What is the sum of {n} and one?" for n in range(rng.randint(2, 60))]
    pairs = []
    for index in range(rng.randint(2, 200)):
        prompt = rng.choice(prompts)
        prompt = rng.choice([prompt, prompt.upper(), prompt.replace(" ", "  "), f"{prompt}\n"])
        pairs.append(pair(f"{index:016x}", prompt))
    return pairs


def splits_of(folder: Path) -> dict[str, set[str]]:
    names = ("train", "test")
    return {
        name: {str(row["record_id"]) for row in lines(folder / f"{name}.jsonl")}
        for name in names
        if (folder / f"{name}.jsonl").exists()
    }


# What becomes of each verdict


@pytest.mark.parametrize(
    ("options", "kept", "dropped"),
    [
        ({}, "aeru", {"undecided": 1, "ties": 1, "rejected_better": 0, "too_few": 0}),
        ({"undecided": "keep"}, "aeiru", {"undecided": 0, "ties": 1, "rejected_better": 0, "too_few": 0}),
        ({"ties": "keep"}, "aertu", {"undecided": 1, "ties": 0, "rejected_better": 0, "too_few": 0}),
        ({"rejected_better": "drop"}, "aeu", {"undecided": 1, "ties": 1, "rejected_better": 1, "too_few": 0}),
        ({"rejected_better": "keep"}, "aeru", {"undecided": 1, "ties": 1, "rejected_better": 0, "too_few": 0}),
    ],
)
def test_each_verdict_goes_where_the_options_send_it(
    tmp_path: Path, options: dict[str, str], kept: str, dropped: dict[str, int]
) -> None:
    # a: chosen is better, r: rejected is better, t: tie, i: undecided, e: reviewed but not compared, u: not reviewed
    verdicts: dict[str, Verdict | None] = {"a": "chosen", "r": "rejected", "t": "tie", "i": "undecided", "e": None}
    settled = {each: reviewed(each, verdict) for each, verdict in verdicts.items()}
    pairs = [pair(each) for each in "aeirtu"]
    chosen = ExportOptions(name="x", test_share=0, **options)
    planned = plan(pairs, settled, chosen)
    assert planned.dropped == dropped
    assert (planned.total, planned.kept, planned.train, planned.test) == (6, len(kept), len(kept), 0)
    assert planned.kept + sum(dropped.values()) == planned.total
    result = write(pairs, settled, chosen, tmp_path / "x", provenance())
    assert result.plan == planned
    rows = {row["record_id"]: row for row in lines(tmp_path / "x" / "train.jsonl")}
    assert sorted(rows) == sorted(kept)
    assert planned.swapped == sum(row["swapped"] is True for row in rows.values())
    if options.get("rejected_better", "swap") == "swap":
        assert planned.swapped == 1


def test_a_swapped_pair_exchanges_its_completions_and_keeps_its_id(tmp_path: Path) -> None:
    pairs = [pair("a"), pair("b")]
    settled = {"b": reviewed("b", "rejected", 2.5)}
    write(pairs, settled, ExportOptions(name="x", test_share=0), tmp_path / "x", provenance())
    first, second = lines(tmp_path / "x" / "train.jsonl")
    assert (first["record_id"], first["swapped"], first["answers"]) == ("a", False, 0)
    assert (second["record_id"], second["swapped"], second["answers"]) == ("b", True, 2)
    assert second["prompt"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Question b?"},
    ]
    assert second["chosen"] == [{"role": "assistant", "content": "Bad b"}]
    assert second["rejected"] == [{"role": "assistant", "content": "Good b"}]
    # turned around once more, by reviewers of the export, it is what it was
    again = [Pair(**{**vars(pair("b")), "chosen": pairs[1].rejected, "rejected": pairs[1].chosen, "swapped": True})]
    write(again, settled, ExportOptions(name="y", test_share=0), tmp_path / "y", provenance())
    [row] = lines(tmp_path / "y" / "train.jsonl")
    assert row["swapped"] is False
    assert as_messages(row["chosen"]) == pairs[1].chosen


# The split


@pytest.mark.parametrize("seed", range(25))
def test_no_prompt_is_in_both_splits_and_the_order_of_rows_decides_nothing(tmp_path: Path, seed: int) -> None:
    pairs = random_pairs(seed)
    options = ExportOptions(name="x", test_share=random.Random(seed).choice([0.01, 0.1, 0.25, 0.5]), seed=seed)
    planned = plan(pairs, {}, options)
    write(pairs, {}, options, tmp_path / "x", provenance())
    found = splits_of(tmp_path / "x")
    train, test = found["train"], found.get("test", set())
    assert (len(train), len(test)) == (planned.train, planned.test)
    assert train | test == {each.record_id for each in pairs}
    assert not train & test

    def prompts(ids: set[str]) -> set[str]:
        return {" ".join(each.prompt[-1].content.lower().split()) for each in pairs if each.record_id in ids}

    assert not prompts(train) & prompts(test)
    assert planned.prompts == len(prompts(train)) + len(prompts(test))
    largest = max(
        sum(" ".join(each.prompt[-1].content.lower().split()) == prompt for each in pairs)
        for prompt in prompts(train | test)
    )
    if planned.prompts > 1:
        assert planned.test >= 1
        assert abs(planned.test - options.test_share * planned.kept) <= largest
    shuffled = random.Random(seed + 1000).sample(pairs, len(pairs))
    write(shuffled, {}, options, tmp_path / "y", provenance())
    assert splits_of(tmp_path / "y") == found


def test_the_share_is_met_exactly_where_prompts_differ() -> None:
    pairs = [pair(f"{index}") for index in range(1000)]
    for share, test in ((0, 0), (0.001, 1), (0.1, 100), (0.25, 250), (0.5, 500)):
        assert plan(pairs, {}, ExportOptions(name="x", test_share=share)).test == test


def test_another_seed_is_another_split(tmp_path: Path) -> None:
    pairs = [pair(f"{index}") for index in range(100)]
    tests = []
    for seed in (1, 2):
        write(pairs, {}, ExportOptions(name="x", seed=seed), tmp_path / f"{seed}", provenance())
        tests.append(splits_of(tmp_path / f"{seed}")["test"])
    assert tests[0] != tests[1]
    assert len(tests[0]) == len(tests[1]) == 10


@pytest.mark.parametrize(
    ("prompts", "train", "test"),
    [
        (["p"], 1, 0),
        (["p", "p", "p"], 3, 0),  # one prompt cannot be on both sides
        (["p", "q"], 1, 1),
        (["p"] * 9 + ["q"] * 3, 9, 3),  # at least one prompt is held out: the smaller
        (["p", "q", "r"], 2, 1),
    ],
)
def test_small_sets_have_a_test_split_when_they_can(prompts: list[str], train: int, test: int) -> None:
    pairs = [pair(f"{index}", prompt) for index, prompt in enumerate(prompts)]
    planned = plan(pairs, {}, ExportOptions(name="x", test_share=0.1))
    assert (planned.train, planned.test) == (train, test)


# The folder


def test_the_folder_holds_both_forms_the_card_and_the_record(tmp_path: Path) -> None:
    pairs = [pair(f"{index}", source="one" if index % 4 else "t|wo <b>") for index in range(40)]
    settled = {each.record_id: reviewed(each.record_id, "chosen", 1 + index % 5) for index, each in enumerate(pairs)}
    counts = [PairCounts(index, 2, 3) for index in range(40)]
    seen: list[tuple[str, int, int]] = []
    options = ExportOptions(name="my_set-1")
    result = write(
        pairs,
        settled,
        options,
        tmp_path / "exports" / "my_set-1",
        provenance(),
        counts,
        lambda *each: seen.append(each),
    )
    folder = tmp_path / "exports" / "my_set-1"
    assert result.folder == folder
    assert [each.name for each in folder.parent.iterdir()] == ["my_set-1"]
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    data = {"data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"}
    assert files == {"train.jsonl", "test.jsonl", "README.md", "export.json"} | data

    record = json.loads((folder / "export.json").read_text(encoding="utf-8"))
    assert {each["path"] for each in record["files"]} == files - {"export.json"}
    for each in record["files"]:
        content = (folder / each["path"]).read_bytes()
        assert (each["bytes"], each["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert {each["path"]: each["rows"] for each in record["files"]} == {
        "train.jsonl": 36,
        "data/train-00000-of-00001.parquet": 36,
        "test.jsonl": 4,
        "data/test-00000-of-00001.parquet": 4,
        "README.md": None,
    }
    assert ExportOptions.model_validate(record["options"]) == options
    assert Provenance.model_validate(record["provenance"]) == provenance()
    assert record["counts"]["train"] == 36

    for split in ("train", "test"):
        table = pq.read_table(folder / "data" / f"{split}-00000-of-00001.parquet")
        assert table.schema.metadata is None  # no feature metadata of datasets
        assert table.to_pylist() == lines(folder / f"{split}.jsonl")

    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "| mean rating of at least 3 | 7 | 5 |" in card
    assert "| t\\|wo &lt;b&gt; | 10 |" in card
    assert "| all | 40 | 36 | 4 |" in card
    assert "| Length in tokens | Median | Longest | All |" in card
    assert "| prompt | 19.5 | 39 | 780 |" in card
    assert "0" * 64 in card
    assert 'language: ["en", "zh"]' in card
    assert str(tmp_path) not in card + json.dumps(record)
    assert "| preference | plurality |" in card and "reviewed by 2 annotators." in card
    assert seen[-1] == ("card", 1, 1)
    assert ("rows", 40, 40) in seen


def test_without_a_test_split_nothing_speaks_of_one(tmp_path: Path) -> None:
    write([pair("a"), pair("b")], {}, ExportOptions(name="x", test_share=0), tmp_path / "x", provenance())
    assert {path.name for path in (tmp_path / "x").iterdir()} == {"train.jsonl", "data", "README.md", "export.json"}
    front_matter = (tmp_path / "x" / "README.md").read_text().split("---")[1]
    assert re.findall(r"split: (\w+)", front_matter) == ["train"]


def test_relevance_is_in_jsonl_only_when_every_pair_has_one(tmp_path: Path) -> None:
    pairs = [pair("a"), pair("b")]
    settled = {"b": reviewed("b", "chosen", 3.5)}
    write(pairs, settled, ExportOptions(name="x", test_share=0), tmp_path / "x", provenance())
    assert all("relevance" not in row for row in lines(tmp_path / "x" / "train.jsonl"))
    table = pq.read_table(tmp_path / "x" / "data")
    assert table["relevance"].to_pylist() == [None, 3.5]
    assert str(table.schema.field("relevance").type) == "double"


def test_a_name_in_use_is_refused_and_left_alone(tmp_path: Path) -> None:
    options = ExportOptions(name="x")
    write([pair("a"), pair("b")], {}, options, tmp_path / "x", provenance())
    before = (tmp_path / "x" / "export.json").read_bytes()
    with pytest.raises(StudioError, match="Choose another name"):
        write([pair("c"), pair("d")], {}, options, tmp_path / "x", provenance())
    assert (tmp_path / "x" / "export.json").read_bytes() == before


def test_what_a_crash_left_behind_does_not_get_into_the_next_export(tmp_path: Path) -> None:
    (tmp_path / "x.partial" / "data").mkdir(parents=True)
    (tmp_path / "x.partial" / "data" / "train-00001-of-00002.parquet").write_bytes(b"half")
    write([pair("a"), pair("b")], {}, ExportOptions(name="x", test_share=0), tmp_path / "x", provenance())
    assert [path.name for path in (tmp_path / "x" / "data").iterdir()] == ["train-00000-of-00001.parquet"]
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_an_interruption_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(stage: str, done: int, total: int) -> None:
        if stage == "card":
            assert (tmp_path / "x.partial" / "train.jsonl").stat().st_size > 0
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write([pair("a"), pair("b")], {}, ExportOptions(name="x"), tmp_path / "x", provenance(), None, interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StudioError, match="Its folder cannot be written"):
        write([pair("a"), pair("b")], {}, ExportOptions(name="x"), tmp_path / "file" / "x", provenance())


@pytest.mark.parametrize("limit", [1, 100_000])  # at the first byte, and after some chunks were written
def test_a_full_disk_says_so_and_leaves_nothing(tmp_path: Path, limit: int) -> None:
    resource = pytest.importorskip("resource")  # POSIX
    pairs = [pair(f"{index:016x}") for index in range(3000)]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(StudioError) as caught:
            write(pairs, {}, ExportOptions(name="x"), tmp_path / "x", provenance())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "nothing of it is left behind" in caught.value.what
    assert caught.value.why.startswith("The disk is full: File too large")
    assert "Free some space" in caught.value.next
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_export_names_the_reasons(tmp_path: Path) -> None:
    pairs = [pair("a"), pair("b"), pair("c")]
    settled = {"a": reviewed("a", "tie"), "b": reviewed("b", "tie"), "c": reviewed("c", "undecided")}
    with pytest.raises(StudioError, match="All 3 pairs are dropped: 1 undecided, 2 ties"):
        write(pairs, settled, ExportOptions(name="x"), tmp_path / "x", provenance())
    with pytest.raises(StudioError, match="The filter keeps no pair"):
        write([], {}, ExportOptions(name="x"), tmp_path / "x", provenance())
    assert plan([], {}, ExportOptions(name="x")).train == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a", "my-set", "My_Set_2", "a" * 64, "2026-11-20"])
def test_good_names(name: str) -> None:
    assert ExportOptions(name=name).name == name


@pytest.mark.parametrize(
    "name", ["", "a" * 65, "a b", "../a", "a/b", "a.b", "数据", "-a", "a-", "_a", "a_", "a--b", "a\n", "x.partial"]
)
def test_bad_names(name: str) -> None:
    with pytest.raises(ValidationError):
        ExportOptions(name=name)


@pytest.mark.parametrize("values", [{"test_share": 0.51}, {"test_share": -0.1}, {"seed": -1}, {"ties": "swap"}])
def test_impossible_options_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ExportOptions(name="x", **values)


def test_counts_of_other_pairs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="1 token counts for 2 pairs"):
        write([pair("a"), pair("b")], {}, ExportOptions(name="x"), tmp_path / "x", provenance(), [PairCounts(1, 1, 1)])
