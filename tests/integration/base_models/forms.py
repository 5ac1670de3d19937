"""Base models as transformers 5 writes them: which kinds and forms, what is read of them. Run by both engines' Pythons."""

from __future__ import annotations

from typing import Any

IDS = [7, 50, 91, 12, 33, 7, 64, 80, 25, 11] * 4
TEXTS = ["The river is cold.\n\n<|im_start|>user", "  two  spaces 12345", "请告诉我", "<|new|>yes<|im_end|>\n"]
DEFAULT = {"rope_type": "default", "rope_theta": 500_000.0}
SHAPE = {
    "vocab_size": 128,
    "hidden_size": 64,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
ALL_HEADS: dict[str, Any] = {"num_key_value_heads": 4}
HALF = {"rope_parameters": {**DEFAULT, "partial_rotary_factor": 0.5}}
MORE: dict[str, dict[str, Any]] = {  # what a kind needs beside the shape, or to differ where it can
    "cohere2": {"sliding_window": 8},
    "glm": HALF,
    "gpt_neox": {**ALL_HEADS, **HALF},
    "mistral": {"sliding_window": 8},
    "nemotron": HALF,
    "persimmon": {**ALL_HEADS, **HALF},
    "phi3": {**ALL_HEADS, "original_max_position_embeddings": 64},
    "phimoe": ALL_HEADS,
    "qwen2_moe": {
        "moe_intermediate_size": 16,
        "shared_expert_intermediate_size": 16,
        "num_experts": 4,
        "num_experts_per_tok": 2,
    },
    "stablelm": {**ALL_HEADS, **HALF},
}
SCALINGS: dict[str, dict[str, Any]] = {
    "linear": {"rope_type": "linear", "factor": 4.0},
    "dynamic": {"rope_type": "dynamic", "factor": 4.0},
    "yarn": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64},
    "yarn-set": {
        "rope_type": "yarn",
        "factor": 4.0,
        "beta_fast": 16.0,
        "beta_slow": 2.0,
        "attention_factor": 1.1,
        "original_max_position_embeddings": 64,
    },
    "llama3": {
        "rope_type": "llama3",
        "factor": 4.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 16,
    },
}


def configs(kinds: list[str], scaled: list[str]) -> dict[str, dict[str, Any]]:
    """Return the values of a configuration by the form's name, its kind first."""
    found = {kind: {"kind": kind, **SHAPE, "rope_parameters": DEFAULT, **MORE.get(kind, {})} for kind in kinds}
    for kind in scaled:
        for name, scaling in SCALINGS.items():
            rotary = {"rope_theta": 5000.0, **scaling}
            found[f"{kind}-{name}"] = {"kind": kind, **SHAPE, "rope_parameters": rotary}
    return found


def logits(model: Any) -> list[list[float]]:
    """Return a model's logits of IDS."""
    import torch

    model.config.use_cache = False
    with torch.no_grad():
        found: list[list[float]] = model.float().eval()(torch.tensor([IDS])).logits[0].tolist()
    return found


def tokens(tokenizer: Any) -> dict[str, Any]:
    """Return what a tokenizer makes of TEXTS and of a conversation."""
    turns = [{"role": "user", "content": "Why?"}]
    return {
        "ids": [tokenizer(text, add_special_tokens=False)["input_ids"] for text in TEXTS],
        "whole": [tokenizer(text)["input_ids"] for text in TEXTS],
        "said": [tokenizer.decode(tokenizer(text)["input_ids"]) for text in TEXTS],
        "end": tokenizer.eos_token,
        "special": sorted(tokenizer.all_special_tokens),
        "chat": tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True),
    }
