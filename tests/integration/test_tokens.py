"""Token counts with a model of the Hub: from the cache, else at once the estimate."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers


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


HUB = """
import time

from pipeline.models.tokens import counter
start = time.monotonic()
print(counter("someone/cached").unit, counter("someone/absent").unit, counter("no such name!").unit, sep="|")
print(time.monotonic() - start)
"""


def test_hub_model_comes_from_the_cache_and_an_unreachable_hub_gives_the_estimate_at_once(tmp_path: Path) -> None:
    repository = tmp_path / "hub" / "models--someone--cached"
    snapshot = repository / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40)
    train(snapshot)
    # Port 1 refuses connections; a process of its own because huggingface_hub reads its settings when imported.
    environment = {
        **os.environ,
        "HF_HOME": str(tmp_path),
        "HF_ENDPOINT": "http://127.0.0.1:1",
        "HF_HUB_CACHE": str(tmp_path / "hub"),
    }
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", HUB], env=environment, cwd=root, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    units, seconds = done.stdout.splitlines()
    assert units == "tokens|words (estimate)|words (estimate)"
    assert float(seconds) < 5
