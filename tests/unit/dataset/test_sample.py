from __future__ import annotations

import json
from collections import Counter

import pytest

from pipeline.base.pair import text_of
from pipeline.dataset.reading import SAMPLE, load_file
from pipeline.dataset.recognise import Loaded
from pipeline.dataset.summary import summarise
from pipeline.models.tokens import WordEstimate, pair_counts


@pytest.fixture(scope="module")
def sample() -> Loaded:
    return load_file(SAMPLE)


def test_sample_is_large_enough_and_whole(sample: Loaded) -> None:
    assert len(sample.pairs) >= 200
    assert sample.bad_rows == []
    assert sample.mapping.layout == "explicit"
    assert not sample.notes


def test_sample_has_both_languages_and_several_sources(sample: Loaded) -> None:
    languages = Counter(pair.metadata["language"] for pair in sample.pairs)
    assert languages["en"] >= 110 and languages["zh"] >= 85
    summary = summarise(sample.pairs)
    assert len(summary.sources) >= 5 and min(summary.sources.values()) >= 15
    assert summary.scripts == {"Latin": languages["en"], "Chinese": languages["zh"]}


def test_sample_prompts_and_ids_are_unique(sample: Loaded) -> None:
    assert len({pair.record_id for pair in sample.pairs}) == len(sample.pairs)
    assert len({text_of(pair.prompt) for pair in sample.pairs}) == len(sample.pairs)


def test_sample_gives_review_and_filter_something_to_find(sample: Loaded) -> None:
    assert sum(len(pair.prompt) > 1 for pair in sample.pairs) >= 8
    counts = pair_counts(sample.pairs, WordEstimate())
    assert sum(min(count.chosen, count.rejected) < 10 for count in counts) >= 5
    assert max(count.prompt + max(count.chosen, count.rejected) for count in counts) < 300


def test_questions_have_the_schema_of_multiple_choice() -> None:
    rows = [json.loads(line) for line in (SAMPLE.parent / "truthful_mini.jsonl").read_text("utf-8").splitlines()]
    assert len(rows) == len({row["question"] for row in rows}) == 40
    for row in rows:
        one, many = row["mc1_targets"], row["mc2_targets"]
        assert sum(one["labels"]) == 1 and one["labels"][0] == 1
        assert 0 < sum(many["labels"]) < len(many["labels"])
        for targets in (one, many):
            assert len(targets["choices"]) == len(targets["labels"]) == len(set(targets["choices"]))
        assert set(one["choices"]) <= set(many["choices"])
