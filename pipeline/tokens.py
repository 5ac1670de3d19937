"""Count tokens with the base model's own tokenizer, or estimate words where it is not at hand."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from huggingface_hub import HfApi, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import HFValidationError, HTTPError
from huggingface_hub.utils import validate_repo_id
from tokenizers import Tokenizer

from pipeline.errors import StudioError
from pipeline.pair import Pair, text_of

_HUB_TIMEOUT_S = 3.0
_ASK_AGAIN_AFTER_S = 300.0
_BATCH = 1000  # texts encoded at once: 40,000 encodings together would need gigabytes
_IDEOGRAPH = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_CHARACTER = re.compile(f"[{_IDEOGRAPH}]")
_CHARACTER_OR_WORD = re.compile(f"[{_IDEOGRAPH}]|[^\\W{_IDEOGRAPH}]+")


class TokenCounter(Protocol):
    """Counts the units of texts.

    Attributes:
        name: Model whose tokenizer counts, or "words (estimate)".
        unit: "tokens" or "words (estimate)": what a page writes behind the numbers.
    """

    @property
    def name(self) -> str:
        """Model whose tokenizer counts, or "words (estimate)"."""

    @property
    def unit(self) -> str:
        """What a page writes behind the numbers."""

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
    """Counts words, and every Chinese or Japanese character as one: an estimate, never called tokens."""

    name: str = "words (estimate)"
    unit: str = "words (estimate)"

    def count(self, text: str) -> int:
        """Return the words of one text."""
        if text.isascii() or not _CHARACTER.search(text):
            return len(text.split())
        return len(_CHARACTER_OR_WORD.findall(text))

    def count_many(self, texts: Iterable[str]) -> list[int]:
        """Return the words of many texts."""
        return [self.count(text) for text in texts]


@dataclass(frozen=True)
class PairCounts:
    """Lengths of a pair's parts, in the counter's unit."""

    prompt: int
    chosen: int
    rejected: int


# Counters by model, with the file's time of change and size for a folder, or when to ask the Hub again after a failure.
_known: dict[str, tuple[TokenCounter, object]] = {}


def counter(base_model: str, token: str | None = None) -> TokenCounter:
    """Return the counter for a base model; the estimate where its tokenizer cannot be had within seconds.

    Args:
        base_model: A folder with tokenizer.json, or a model's id on the Hugging Face Hub; empty: the estimate.
        token: The user's access token for a private or gated model; None: anonymous.
    """
    file = Path(base_model) / "tokenizer.json"
    if base_model and file.is_file():
        stamp = (file.stat().st_mtime_ns, file.stat().st_size)
        known, then = _known.get(base_model, (None, None))
        if known is None or then != stamp:
            known = _load(base_model, file) or WordEstimate()
            _known[base_model] = (known, stamp)
        return known
    if not base_model or Path(base_model).is_dir():
        return WordEstimate()
    known, until = _known.get(base_model, (None, None))
    if known is None or (isinstance(until, float) and time.monotonic() > until):
        found = _from_hub(base_model, token)
        known = found or WordEstimate()
        _known[base_model] = (known, None if found else time.monotonic() + _ASK_AGAIN_AFTER_S)
    return known


def check(base_model: str) -> str:
    """Return a base model as a project names it: the whole path of a folder, or an id on the Hub.

    Args:
        base_model: What somebody typed.

    Raises:
        StudioError: It is neither, or the folder has no tokenizer that can be read.
    """
    name = base_model.strip()
    folder = Path(name).expanduser()
    if name and folder.is_dir():
        if not isinstance(counter(str(folder.resolve())), ModelTokens):
            raise StudioError(
                f"The tokenizer of {name} cannot be used.",
                "The folder has no tokenizer.json, or one that cannot be read.",
                "Choose the folder of a model that was saved together with its tokenizer.",
            )
        return str(folder.resolve())
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise StudioError(
            f"There is no model “{name}”." if name else "No model is named.",
            "It is no folder on this machine, and a model's id on the Hub looks like owner/name.",
            "Correct it, then try again.",
        ) from error
    return name


def pair_counts(pairs: Iterable[Pair], counter: TokenCounter) -> list[PairCounts]:
    """Count every pair's parts: the contents alone, without what a chat template adds around them."""
    texts = ((text_of(pair.prompt), text_of(pair.chosen), text_of(pair.rejected)) for pair in pairs)
    flat = iter(counter.count_many(itertools.chain.from_iterable(texts)))
    return [PairCounts(*three) for three in zip(flat, flat, flat, strict=True)]


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(texts)
    while batch := list(itertools.islice(rest, _BATCH)):
        yield batch


def _load(name: str, file: Path) -> ModelTokens | None:
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception:  # tokenizers 0.23 raises bare Exception for a file it cannot parse
        return None
    # A tokenizer.json may carry the truncation and padding it was last used with: every count would be that length.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return ModelTokens(name, tokenizer)


def _from_hub(model: str, token: str | None) -> ModelTokens | None:
    """Return the counter of a model on the Hub, from the local cache first."""
    try:
        file = try_to_load_from_cache(model, "tokenizer.json")
        if not isinstance(file, str):
            # Asked first with a short limit: hf_hub_download of huggingface_hub 2.4 tries an unreachable Hub for 23 s.
            HfApi(token=token or False).model_info(model, timeout=_HUB_TIMEOUT_S)
            file = hf_hub_download(model, "tokenizer.json", token=token or False, etag_timeout=_HUB_TIMEOUT_S)
    except (HFValidationError, HTTPError, OSError):
        return None  # no such model, no tokenizer.json, no consent or no network: the estimate says so by its unit
    return _load(model, Path(file))
