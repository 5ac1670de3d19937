"""What the check says of base models, before anything is loaded: the forms that public bug reports met."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.base import project
from pipeline.base.home import open_home
from pipeline.base.message import Message
from pipeline.base.preflight import Preflight
from pipeline.hardware.machine import Hardware
from pipeline.models import reference
from pipeline.runs.ledger import Ledger
from pipeline.train import check
from pipeline.train.algorithms.orpo import OrpoParams
from pipeline.train.options import TrainOptions
from tests.tiny_model import CHATML, make_tiny_model

Checked = Callable[..., Preflight[Any]]
THETA = {"rope_parameters": {"rope_theta": 500000.0, "rope_type": "default"}, "dtype": "bfloat16"}
LAYERS = {"full_attention": {"rope_theta": 1e6}, "sliding_attention": {"rope_theta": 1e4}}
GPT2 = {"model_type": "gpt2", "n_positions": 128, "n_embd": 64, "n_layer": 2, "vocab_size": 576}


@pytest.fixture
def checked(tmp_path: Path) -> Checked:
    """Check a training from a tiny model whose files are edited: `config` whole or in part, `tokenizer` in part."""
    ledger = Ledger(open_home(tmp_path / "home"))
    work = project.create(ledger.home, "rivers")

    def run(config: dict[str, Any] | None = None, tokenizer: dict[str, Any] | None = None) -> Preflight[Any]:
        model = make_tiny_model(tmp_path / "model")
        for name, values in (("config.json", config or {}), ("tokenizer_config.json", tokenizer or {})):
            old = {} if values.get("model_type") == "gpt2" else json.loads((model / name).read_text())
            kept = {key: value for key, value in {**old, **values}.items() if value is not None}
            (model / name).write_text(json.dumps(kept))
        options = TrainOptions(base_model=str(model), dataset="none")
        return check.preflight(ledger, work, options, OrpoParams(), Hardware(2, 16 << 30))

    return run


def said(notices: list[Message]) -> dict[str, Message]:
    return {notice.code: notice for notice in notices if notice.code != "training.no_export"}


@pytest.mark.parametrize(
    ("config", "tokenizer"),
    [
        ({}, {}),
        (THETA, {}),
        ({}, {"tokenizer_class": "TokenizersBackend", "backend": "tokenizers", "is_local": False}),
        ({}, {"extra_special_tokens": ["<|im_start|>"]}),
        ({}, {"chat_template": [{"name": "default", "template": CHATML}, {"name": "tool_use", "template": "x"}]}),
    ],
)
def test_what_the_engine_can_be_told_stops_nothing(
    config: dict[str, Any], tokenizer: dict[str, Any], checked: Checked
) -> None:
    found = checked(config, tokenizer)
    assert said(found.blockers) == {} and "training.template_added" not in said(found.warnings)


@pytest.mark.parametrize(
    ("config", "tokenizer", "code", "what", "advice"),
    [
        ({"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"]}, {}, "engines.kind_unknown", "qwen3", "Qwen2"),
        ({"rope_parameters": LAYERS}, {}, "engines.rope_layers", "llama", "another base model"),
        (GPT2, {"model_max_length": 1e30}, "training.beyond_context", "512 tokens", "128 or less"),
    ],
)  # fmt: skip
def test_what_it_cannot_stops_the_run_with_advice(
    config: dict[str, Any], tokenizer: dict[str, Any], code: str, what: str, advice: str, checked: Checked
) -> None:
    blockers = said(checked(config, tokenizer).blockers)
    assert list(blockers) == [code]
    assert what in blockers[code].what and advice in blockers[code].next


def test_a_model_without_a_template_gets_one_and_it_is_said(checked: Checked, tmp_path: Path) -> None:
    found = checked(tokenizer={"chat_template": None})
    assert said(found.blockers) == {} and "ChatML" in said(found.warnings)["training.template_added"].what
    (tmp_path / "model" / "chat_template.jinja").write_text(CHATML)
    assert reference.template_of(str(tmp_path / "model")) == CHATML
