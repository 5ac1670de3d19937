"""Count tokens with the base model's own tokenizer, or estimate words where it is not at hand."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from icu4py.breakers import WordBreaker
from tokenizers import Tokenizer

from pipeline.base.errors import StudioError
from pipeline.base.message import Message, message
from pipeline.base.pair import Pair, text_of
from pipeline.hub import models
from pipeline.hub.look import Memory
from pipeline.models import reference

_KEPT_S = 3600.0
_ASK_AGAIN_AFTER_S = 60.0
_BATCH = 1000  # texts encoded at once: 40,000 encodings together would need gigabytes
# Scripts without spaces between words: Thai, Lao, Burmese, Khmer and their kin, kana, Chinese characters.
_WITHOUT_SPACES = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1980-\u19ff\u1a20-\u1aaf\ua9e0-\ua9ff\uaa60-\uaadf"
    "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
_LETTER = re.compile(r"\w")


class TokenCounter(Protocol):
    """Counts the units of texts.

    Attributes:
        name: Model whose tokenizer counts, or "words (estimate)".
        unit: "tokens" or "words (estimate)"; `unit_of` has words for it.
    """

    @property
    def name(self) -> str:
        """Model whose tokenizer counts, or "words (estimate)"."""

    @property
    def unit(self) -> str:
        """What is counted; see `unit_of`."""

    def count(self, text: str) -> int:
        """Return the length of one text."""

    def count_many(self, texts: Iterable[str]) -> list[int]:
        """Return the lengths of many texts."""


@dataclass(frozen=True)
class ModelTokens:
    """Counts with a model's tokenizer, without the special tokens it would add."""

    name: str
    tokenizer: Tokenizer
    unit: str = "tokens"

    def count(self, text: str) -> int:
        """Return the tokens of one text."""
        return len(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def count_many(self, texts: Iterable[str]) -> list[int]:
        """Return the tokens of many texts, encoded in batches."""
        return [
            len(encoding.ids)
            for batch in _batches(texts)
            for encoding in self.tokenizer.encode_batch_fast(batch, add_special_tokens=False)
        ]


@dataclass(frozen=True)
class WordEstimate:
    """Counts words, by ICU's dictionaries where a script has no spaces: an estimate, never called tokens."""

    name: str = "words (estimate)"
    unit: str = "words (estimate)"

    def count(self, text: str) -> int:
        """Return the words of one text."""
        if text.isascii() or not _WITHOUT_SPACES.search(text):
            return len(text.split())
        # The locale decides about nothing in these scripts; a lone surrogate cannot be handed over.
        words = WordBreaker(text.encode("utf-8", "replace").decode(), "en")
        return sum(bool(_LETTER.search(word)) for word in words)

    def count_many(self, texts: Iterable[str]) -> list[int]:
        """Return the words of many texts."""
        return [self.count(text) for text in texts]


@dataclass(frozen=True)
class PairCounts:
    """Lengths of a pair's parts, in the counter's unit."""

    prompt: int
    chosen: int
    rejected: int


# Counters of folders, with the file's time of change and size; those of the Hub apart for everyone who asks.
_folders: dict[str, tuple[TokenCounter, object]] = {}
_hub: Memory[TokenCounter] = Memory(
    lambda found: _KEPT_S if isinstance(found, ModelTokens) else _ASK_AGAIN_AFTER_S, most=20
)


def counter(base_model: str) -> TokenCounter:
    """Return the counter for a base model; the estimate where its tokenizer cannot be had within seconds.

    Args:
        base_model: A folder with tokenizer.json, or a model's id on the Hugging Face Hub; empty: the estimate.
    """
    file = Path(base_model) / "tokenizer.json"
    if base_model and file.is_file():
        stamp = (file.stat().st_mtime_ns, file.stat().st_size)
        known, then = _folders.get(base_model, (None, None))
        if known is None or then != stamp:
            known = load(base_model, file.read_bytes()) or WordEstimate()
            _folders[base_model] = (known, stamp)
        return known
    model = reference.refer(base_model)
    if not model.on_hub:
        return WordEstimate()
    return _hub.get(base_model, lambda: _from_hub(base_model, model))


def check(base_model: str) -> str:
    """Return a base model as a project names it: the whole path of a folder, or an id on the Hub.

    Args:
        base_model: What somebody typed.

    Raises:
        StudioError: It is neither, or the folder has no tokenizer that can be read.
    """
    name = base_model.strip()
    model = reference.refer(name)
    if model.local:
        if not isinstance(counter(model.path), ModelTokens):
            raise StudioError("model.tokenizer", name=name)
        return model.path
    if not model.on_hub:
        raise StudioError("model.unknown", name=name) if name else StudioError("model.unnamed")
    return name


def unit_of(unit: str) -> Message:
    """Return what people call a counter's unit; see `TokenCounter.unit`."""
    return message("unit.tokens" if unit == ModelTokens.unit else "unit.words")


def pair_counts(pairs: Iterable[Pair], counter: TokenCounter) -> list[PairCounts]:
    """Count every pair's parts: the contents alone, without what a chat template adds around them."""
    texts = ((text_of(pair.prompt), text_of(pair.chosen), text_of(pair.rejected)) for pair in pairs)
    flat = iter(counter.count_many(itertools.chain.from_iterable(texts)))
    return [PairCounts(*three) for three in zip(flat, flat, flat, strict=True)]


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(texts)
    while batch := list(itertools.islice(rest, _BATCH)):
        yield batch


def load(name: str, content: bytes) -> ModelTokens | None:
    """Return the counter of a tokenizer.json, None where it cannot be read.

    Args:
        name: The model's name.
        content: The file's content.
    """
    try:
        tokenizer = Tokenizer.from_buffer(content)
    except Exception:  # tokenizers 0.23 raises bare Exception for a file it cannot parse
        return None
    # A tokenizer.json may carry the truncation and padding it was last used with: every count would be that length.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return ModelTokens(name, tokenizer)


def _from_hub(name: str, model: reference.Reference) -> TokenCounter:
    """Return the counter of a model on the Hub, from the machine's cache where the Hub is not reached."""
    content = models.read(model.path, "tokenizer.json", model.revision)
    # No such model, no tokenizer.json, no consent or no network: the estimate says so by its unit.
    return (load(name, content) if content else None) or WordEstimate()
