"""The base model's configuration and tokenizer, whatever version of transformers wrote them."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import base_model  # type: ignore[import-not-found]

# What transformers 4.48 may read for a tokenizer, beside its own configuration.
_FILES = (
    "config.json",
    "tokenizer.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
)
_TOKENIZER_CONFIG = "tokenizer_config.json"


def read_newer_configs() -> None:
    """Let every configuration that transformers reads be translated first; once is enough for a process."""
    from transformers import PretrainedConfig

    if hasattr(PretrainedConfig, "untranslated"):
        return
    original = PretrainedConfig.get_config_dict.__func__

    def translated(cls: Any, *args: Any, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        values, rest = original(cls, *args, **kwargs)
        # A folder without a language model's configuration: an adapter's, a generation's.
        return (base_model.config(values) if "model_type" in values else values), rest

    PretrainedConfig.untranslated = original
    PretrainedConfig.get_config_dict = classmethod(translated)


def watch_weights(found: dict[str, list[str]]) -> dict[tuple[Any, str], Any]:
    """Return what replaces transformers' loading of weights, so that what it leaves out is known.

    Args:
        found: Gets the names of `missing` and `unused` weights of each model that is loaded.
    """
    from transformers import PreTrainedModel

    original = PreTrainedModel._load_pretrained_model.__func__

    def watched(cls: Any, *args: Any, **kwargs: Any) -> Any:
        loaded = original(cls, *args, **kwargs)
        _, missing, unused, *_ = loaded
        found.update(missing=sorted(missing), unused=sorted(unused))
        return loaded

    return {(PreTrainedModel, "_load_pretrained_model"): classmethod(watched)}


class BaseTokenizer:
    """Where a base model's tokenizer is loaded from, for as long as that is needed.

    Args:
        name: The model's folder or Hub id.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._made: Path | None = None

    def __enter__(self) -> str:
        """Return the model's own place, or a folder with a translation of its tokenizer's files."""
        from transformers.models.auto.tokenization_auto import get_tokenizer_config

        values = get_tokenizer_config(self._name)
        values.pop("_commit_hash", None)
        told = base_model.tokenizer(values)
        if told == values:
            return self._name
        self._made = Path(tempfile.mkdtemp())
        for name in _FILES:
            if (found := self._file(name)) is not None:
                shutil.copyfile(found, self._made / name)
        (self._made / _TOKENIZER_CONFIG).write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
        return str(self._made)

    def __exit__(self, *_: object) -> None:
        """Remove what was made."""
        if self._made is not None:
            shutil.rmtree(self._made, ignore_errors=True)

    def _file(self, name: str) -> str | None:
        from transformers.utils import cached_file

        found: str | None = cached_file(
            self._name,
            name,
            _raise_exceptions_for_gated_repo=False,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
        return found
