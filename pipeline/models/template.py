"""A base model's chat template and tokenizer, as training renders text with them; without torch or transformers.

A template is a program of the model's author; what it is given is in `pipeline.models.sandbox`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2

from pipeline.engines.examined import Refused, Turns
from pipeline.hub import models
from pipeline.models import reference, sandbox, tokens

# AutoTrain 0.8.36's DEFAULT_CHAT_TEMPLATE, for tokenizers that bring none.
DEFAULT = (
    "{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}"
    "{% for message in messages %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_SPECIAL = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


@dataclass(frozen=True)
class Files:
    """What a model's files say of its text.

    Attributes:
        name: The model, as it was named.
        templates: Its chat templates by name; the usual one is called default. Empty where it has none.
        special: Its special tokens by their names in tokenizer_config.json.
        tokenizer: Content of tokenizer.json; None where there is none at hand.
        problem: What stops the template from being used at all; "" where nothing does.
    """

    name: str
    templates: dict[str, str] = field(default_factory=dict)
    special: dict[str, str] = field(default_factory=dict)
    tokenizer: bytes | None = None
    problem: str = ""

    @property
    def template(self) -> str:
        """The template that training uses: the default one, else AutoTrain's."""
        return self.templates.get("default") or DEFAULT

    @property
    def mark(self) -> str:
        """A text that changes with what is rendered and tokenized."""
        said = json.dumps([self.templates, self.special], sort_keys=True).encode()
        return hashlib.sha256(said + (self.tokenizer or b"")).hexdigest()[:16]


def files(name: str) -> Files:
    """Return what a model's files say of its text, from the Hub where they are not here.

    Args:
        name: A folder, or a model's id on the Hub with or without @revision.
    """
    model = reference.refer(name)

    def content(file: str) -> bytes | None:
        if model.local:
            path = Path(model.path) / file
            return path.read_bytes() if path.is_file() else None
        return models.read(model.path, file, model.revision) if model.on_hub else None

    config = _object(content(reference.TOKENIZER_CONFIG))
    alone = (content(reference.TEMPLATE) or b"").decode("utf-8", "replace")
    special = {**_object(content("special_tokens_map.json")), **config}
    return Files(
        name,
        {"default": alone} if alone else _templates(config.get("chat_template")),
        {key: text for key in _SPECIAL if (text := _text(special.get(key)))},
        content("tokenizer.json"),
    )


def _object(content: bytes | None) -> dict[str, Any]:
    try:
        value = json.loads(content or b"{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    """Return a special token's text; transformers writes it plain, or as the object of an added token."""
    found = value.get("content") if isinstance(value, dict) else value
    return found if isinstance(found, str) else ""


def _templates(found: Any) -> dict[str, str]:
    if isinstance(found, str):
        return {"default": found} if found else {}
    entries = found if isinstance(found, list) else []
    return {str(each.get("name")): str(each.get("template")) for each in entries if isinstance(each, dict)}


class ModelReader:
    """Renders and tokenizes as a base model's training does; see `pipeline.engines.examined.Reader`."""

    def __init__(self, of: Files, template: str = "") -> None:
        self._special = of.special
        self.beginning, self.end = of.special.get("bos_token", ""), of.special.get("eos_token", "")
        loaded = tokens.load(of.name, of.tokenizer) if of.tokenizer else None
        self.tokenizer = loaded.tokenizer if loaded else None
        added = self.tokenizer.get_added_tokens_decoder().values() if self.tokenizer else ()
        self.special = frozenset({*of.special.values(), *(each.content for each in added if each.special)})
        self.problem = of.problem
        if of.problem:
            self._template: jinja2.Template | None = None
            return
        try:
            self._template = sandbox.environment().from_string(template or of.template)
            # jinja2 3.1 copies these for each text; a copy of its chain of mappings takes a third of the whole.
            self._template.globals = dict(self._template.globals)
        except jinja2.TemplateError as error:
            self._template, self.problem = None, str(error)

    def render(self, turns: Turns, ask: bool = False) -> str:
        """Write a conversation.

        Args:
            turns: Its turns.
            ask: Whether the opening of the assistant's turn follows.

        Raises:
            Refused: The template raises, or is none.
        """
        if self._template is None:
            raise Refused(self.problem)
        try:
            return self._template.render(
                messages=turns, tools=None, documents=None, add_generation_prompt=ask, **self._special
            )
        except Exception as error:  # a template is a program of the model's author: any error is possible
            raise Refused(str(error)) from error

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text, none added; estimated as one for each character where there is no tokenizer."""
        if self.tokenizer is None:
            return [ord(character) for character in text]
        return self.tokenizer.encode(text, add_special_tokens=False).ids
