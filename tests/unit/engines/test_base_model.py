from __future__ import annotations

from typing import Any

import pytest

from pipeline.engines import base_model
from pipeline.engines.protocol import Problem

LLAMA = {"model_type": "llama", "max_position_embeddings": 1024}


def test_newer_names_become_the_older_ones() -> None:
    newer = {**LLAMA, "rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}, "dtype": "bfloat16"}
    assert base_model.config(newer) == {**LLAMA, "rope_theta": 5e5, "rope_scaling": None, "torch_dtype": "bfloat16"}
    assert "rope_parameters" in newer and base_model.config(LLAMA) == LLAMA


def test_a_scaling_keeps_its_values() -> None:
    scaled = {"rope_theta": 5e5, "rope_type": "linear", "factor": 4.0, "original_max_position_embeddings": 1024}
    told = base_model.config({**LLAMA, "rope_parameters": scaled})
    assert told["rope_scaling"] == {"rope_type": "linear", "factor": 4.0} and told["rope_theta"] == 5e5


def test_a_kind_has_its_own_names() -> None:
    rotary = {"rope_theta": 2e4, "rope_type": "default", "partial_rotary_factor": 0.25}
    told = base_model.config({"model_type": "gpt_neox", "rope_parameters": rotary})
    assert (told["rotary_emb_base"], told["rotary_pct"]) == (2e4, 0.25)


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"model_type": "qwen3"}, "kind_unknown"),
        ({}, "kind_unknown"),
        ({"model_type": "phi"}, "kind_misread"),
        ({"model_type": "gemma2", "rope_parameters": {"rope_theta": 1e4}}, "rope_kind"),
        ({**LLAMA, "rope_parameters": {"full_attention": {"rope_theta": 1e4}}}, "rope_layers"),
        ({**LLAMA, "rope_parameters": {"rope_type": "longrope", "rope_theta": 1e4}}, "rope_form"),
        ({**LLAMA, "rope_parameters": {"rope_theta": 1e4, "partial_rotary_factor": 0.5}}, "rope_form"),
        ({**LLAMA, "rope_parameters": {"rope_type": "linear", "factor": 2.0, "unheard_of": 1}}, "rope_form"),
        (
            {**LLAMA, "rope_parameters": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 256}},
            "rope_form",
        ),
        (
            {**LLAMA, "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 256}},
            "rope_form",
        ),
        ({"model_type": "mixtral", "rope_parameters": {"rope_type": "linear", "factor": 2.0}}, "rope_form"),
        ({"model_type": "qwen2", "layer_types": ["full_attention", "sliding_attention"]}, "layer_kinds"),
    ],
)
def test_what_cannot_be_said_exactly_is_refused(values: dict[str, Any], code: str) -> None:
    with pytest.raises(Problem) as caught:
        base_model.config(values)
    assert caught.value.code == f"engines.{code}"


def test_layers_that_the_engine_makes_so_itself_are_accepted() -> None:
    layers = ["sliding_attention"] * 3 + ["full_attention"]
    assert "layer_types" not in base_model.config({"model_type": "cohere2", "layer_types": layers})
    assert "layer_types" not in base_model.config({**LLAMA, "layer_types": ["full_attention"] * 2})


def test_tokenizers_are_told_in_older_names() -> None:
    newer = {"tokenizer_class": "TokenizersBackend", "backend": "tokenizers", "extra_special_tokens": ["<a>", "<b>"]}
    told = base_model.tokenizer({**newer, "additional_special_tokens": ["<b>"], "eos_token": "</s>"})
    assert told == {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "additional_special_tokens": ["<b>", "<a>"],
        "eos_token": "</s>",
    }
    llama = {"tokenizer_class": "LlamaTokenizer", "add_prefix_space": False}
    assert base_model.tokenizer({**llama, "backend": "tokenizers"})["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert base_model.tokenizer({**llama, "backend": "sentencepiece"}) == llama
    older = {"tokenizer_class": "GPT2Tokenizer", "extra_special_tokens": {"image_token": "<i>"}}
    assert base_model.tokenizer(older) == older


@pytest.mark.parametrize(
    ("values", "longest"),
    [
        ({"max_position_embeddings": 2048}, 2048),
        ({"n_positions": 128, "n_ctx": 128}, 128),
        ({"max_seq_len": 4096}, 4096),
        ({}, None),
        ({"max_position_embeddings": -1}, None),
    ],
)
def test_the_context_has_several_names(values: dict[str, Any], longest: int | None) -> None:
    assert base_model.context(values) == longest
