from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from pipeline.base.pair import Message, Pair
from pipeline.models.tokens import PairCounts, WordEstimate, counter, pair_counts


def train(folder: Path, vocabulary: int = 300) -> Path:
    """Make a byte-level tokenizer that adds special tokens, truncates and pads, as a used tokenizer.json may."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["the quick brown fox jumps over the lazy dog"] * 20, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    tokenizer.enable_truncation(max_length=4)
    tokenizer.enable_padding(length=8)
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def test_folder_counts_with_its_tokenizer(tmp_path: Path) -> None:
    found = counter(str(train(tmp_path / "model")))
    assert (found.name, found.unit) == (str(tmp_path / "model"), "tokens")
    assert found.count("") == 0
    assert found.count("猫") == 3  # three bytes: no special token, no padding
    assert found.count("zqzqzqzqzqzq") > 4  # not truncated
    texts = ["the fox", "猫和狗", "", "a\x00b", "<script>", "\u202e"] * 400
    assert found.count_many(texts) == [found.count(text) for text in texts]


def test_counter_is_kept_until_the_file_changes(tmp_path: Path) -> None:
    folder = train(tmp_path / "model")
    first = counter(str(folder))
    assert counter(str(folder)) is first
    train(folder, vocabulary=280)
    assert counter(str(folder)) is not first


@pytest.mark.parametrize("content", [None, "", "{}", "not json"])
def test_folder_without_a_usable_tokenizer_gives_the_estimate(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
    assert counter(str(tmp_path)).unit == "words (estimate)"


def test_no_model_gives_the_estimate() -> None:
    assert counter("") == WordEstimate()


@pytest.mark.parametrize(
    ("text", "words"),
    [("", 0), ("the quick fox", 3), ("don't  stop\n", 2), ("我爱北京", 3), ("我用 Python 3 写。", 5)]
    + [("これは本です。", 4), ("ภาษาไทยง่ายมาก", 4), ("ພາສາລາວງ່າຍ", 3), ("ភាសាខ្មែរងាយស្រួល", 2), ("မြန်မာဘာသာစကား", 2)]
    + [("half \ud800 我爱", 3)],
)
def test_estimate_counts_words_in_scripts_with_and_without_spaces(text: str, words: int) -> None:
    assert WordEstimate().count(text) == words
    assert WordEstimate().count_many([text, text]) == [words, words]
    assert "token" not in WordEstimate().name + WordEstimate().unit


def test_pairs_are_counted_by_part() -> None:
    def say(role: str, *texts: str) -> tuple[Message, ...]:
        return tuple(Message(role, text) for text in texts)

    pairs = [
        Pair("1", say("user", "one two", "three"), say("assistant", "four"), say("assistant", "你好")),
        Pair("2", say("user", "a"), say("assistant", "b c"), say("assistant", "")),
    ]
    assert pair_counts(pairs, WordEstimate()) == [PairCounts(3, 1, 1), PairCounts(1, 2, 0)]
    assert pair_counts([], WordEstimate()) == []
