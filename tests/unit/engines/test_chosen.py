"""What the training worker does about the doctor's findings: its own program, without its engine."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline import engines
from pipeline.models import template
from pipeline.models.template import ModelReader
from tests.tiny_model import make_tiny_model

FLOOR = Path(engines.__file__).parent


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The worker's module, imported as the worker does; what it brought is forgotten again."""
    monkeypatch.setattr(sys, "path", [str(FLOOR / "autotrain"), *sys.path, str(FLOOR)])
    before = set(sys.modules)
    yield importlib.import_module("chosen")
    for name in set(sys.modules) - before:
        del sys.modules[name]


class Told:
    """A reporter that remembers its warnings."""

    def __init__(self) -> None:
        self.warnings: list[tuple[str, dict[str, Any]]] = []

    def warning(self, code: str, /, **values: Any) -> None:
        self.warnings.append((code, values))


class Tokenizer:
    """A tokenizer as transformers has them, by the app's own reader."""

    bos_token, eos_token, all_special_tokens = None, "<|im_end|>", ["<|im_start|>", "<|im_end|>"]

    def __init__(self, model: Path) -> None:
        self._reader = ModelReader(template.files(str(model)))
        self.chat_template = "its own"

    def apply_chat_template(self, turns: Any, tokenize: bool, add_generation_prompt: bool) -> str:
        return self._reader.render(turns, add_generation_prompt)

    def __call__(self, text: str, add_special_tokens: bool) -> dict[str, list[int]]:
        return {"input_ids": self._reader.encode(text)}


def row(prompt: str, chosen: str, rejected: str, system: str = "") -> dict[str, list[dict[str, str]]]:
    before = [{"role": "system", "content": system}] if system else []
    parts = {"chosen": chosen, "rejected": rejected}
    answers = {part: [{"role": "assistant", "content": text}] for part, text in parts.items()}
    return {"prompt": [*before, {"role": "user", "content": prompt}], **answers}


def test_rows_are_left_out_by_number_and_named(chosen: Any) -> None:
    rows = [row(f"Why {number}?", "Yes.", "No.") for number in range(6)]
    told = Told()
    spec = {"doctor": {"left_out": {"markup": [2, 5], "duplicates": [6]}, "join_system": False}}
    assert chosen.choose(rows, spec, told) == [rows[0], rows[2], rows[3]]
    assert [(code, values["count"]) for code, values in told.warnings] == [
        ("engines.left_out", 2),
        ("engines.left_out", 1),
    ]
    assert told.warnings[0][1]["finding"]["code"] == "doctor.name.markup"
    assert chosen.choose(rows, {}, Told()) == rows


def test_a_system_turn_goes_into_the_users(chosen: Any) -> None:
    spec = {"doctor": {"left_out": {}, "join_system": True}}
    (found,) = chosen.choose([row("Why?", "Yes.", "No.", system="Be brief.")], spec, Told())
    assert found["prompt"] == [{"role": "user", "content": "Be brief.\n\nWhy?"}]


def test_the_template_chosen_is_the_tokenizers(chosen: Any, tmp_path: Path) -> None:
    tokenizer = Tokenizer(make_tiny_model(tmp_path / "base"))
    chosen.set_template(tokenizer, {"doctor": {"template": ""}})
    chosen.set_template(tokenizer, {})
    assert tokenizer.chat_template == "its own"
    chosen.set_template(tokenizer, {"doctor": {"template": "another"}})
    assert tokenizer.chat_template == "another"


def test_what_the_app_did_not_see_is_said(chosen: Any, tmp_path: Path) -> None:
    tokenizer = Tokenizer(make_tiny_model(tmp_path / "base"))
    rows = [row("Why?", "Yes.", "No."), row("<|im_start|>Why?", "Yes.", "No."), row("How?", "So.", "So.")]
    params = SimpleNamespace(max_prompt_length=64, max_completion_length=64, block_size=128)
    told = Told()
    chosen.look(rows, tokenizer, params, {}, told)
    assert {(code, values["finding"]["code"], values["count"]) for code, values in told.warnings} == {
        ("engines.doctor", "doctor.name.markup", 1),
        ("engines.doctor", "doctor.name.equal_once_cut", 1),
    }
    known = Told()
    chosen.look(rows, tokenizer, params, {"doctor": {"known": ["markup", "equal_once_cut"]}}, known)
    assert known.warnings == []
