"""A language model small enough to train in seconds, made without torch, and preference pairs to train it on."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

LAYERS, HIDDEN, HEADS, INTERMEDIATE, CONTEXT = 2, 64, 4, 128, 1024
END, TURN, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)

_ENGLISH = (
    "the a river city water winter light story answer please tell me why how many people live in under old new "
    "small great green house garden mountain because when they grow bread music and north every morning"
)
_CHINESE = (
    "请 告诉 我 为什么 河流 城市 冬天 很 冷 人们 住在 老 房子 里 早上 喝 茶 因为 山 上 有 绿色 的 花园 新 故事 回答"
)
_WORDS = {"en": _ENGLISH.split(), "zh": _CHINESE.split()}
_SENTENCES = [
    "Tell me why the river is cold in winter. Please answer in one sentence.",
    "How many people live in the old city under the great mountain?",
    "The garden grows because they water it every morning; the house is small and green.",
    "请告诉我为什么冬天的河流很冷。",
    "人们住在老房子里，早上喝茶，因为山上有绿色的花园。",
    "system user assistant You are a helpful assistant.",
]


def make_tiny_model(folder: Path, *, chat_template: bool = True, seed: int = 0) -> Path:
    """Write a random Llama (2 layers, hidden 64, tied embeddings, context 1024) that transformers 4.48 and 5 load.

    Its vocabulary is padded beyond the tokenizer's, as that of many published models is.

    Args:
        folder: Where to write it; made if missing.
        chat_template: Whether the tokenizer has a ChatML template and its special tokens, as an instruct model's does;
            without, it is a base model's that ends its texts with `<|endoftext|>`.
        seed: Seed of the weights.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    specials = [END, TURN, TURN_END] if chat_template else [END]
    tokenizer = _train_tokenizer(specials)
    tokenizer.save(str(folder / "tokenizer.json"))
    end = TURN_END if chat_template else END
    settings: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": end,
        "pad_token": END,
        "model_max_length": CONTEXT,
        "clean_up_tokenization_spaces": False,
    }
    if chat_template:
        settings["chat_template"] = CHATML
    ids = {"eos_token_id": tokenizer.token_to_id(end), "pad_token_id": tokenizer.token_to_id(END)}
    vocabulary = -(-(tokenizer.get_vocab_size() + 1) // 64) * 64
    _write_json(folder / "tokenizer_config.json", settings)
    _write_json(folder / "config.json", _config(vocabulary, ids))
    _write_json(folder / "generation_config.json", {"_from_model_config": True, **ids})
    write_safetensors(folder / "model.safetensors", _weights(vocabulary, seed))
    return folder


def write_safetensors(path: Path, tensors: dict[str, np.ndarray[Any, np.dtype[np.float32]]]) -> None:
    """Write float32 tensors in the safetensors format: header length (u64), JSON header, raw little-endian data."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, tensor in tensors.items():
        end = offset + tensor.nbytes
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors.values():
            file.write(tensor.astype("<f4").tobytes())


def make_pairs(n: int, seed: int = 0) -> list[dict[str, list[dict[str, str]]]]:
    """Return synthetic pairs: prompts and answers of 5 to 30 words, English and Chinese, every fourth multi-turn.

    Args:
        n: Number of pairs.
        seed: Seed of the words.

    Returns:
        Rows with prompt, chosen and rejected as chat lists; no two prompts alike.
    """
    words = random.Random(seed)

    def text(language: str) -> str:
        chosen = words.choices(_WORDS[language], k=words.randint(5, 30))
        return " ".join(chosen) + "." if language == "en" else "".join(chosen) + "。"

    rows = []
    for number in range(n):
        language = "zh" if number % 3 == 2 else "en"
        prompt = [{"role": "user", "content": f"{number}: {text(language)}"}]
        if number % 4 == 3:
            prompt += [{"role": "assistant", "content": text(language)}, {"role": "user", "content": text(language)}]
        rows.append(
            {
                "prompt": prompt,
                "chosen": [{"role": "assistant", "content": text(language)}],
                "rejected": [{"role": "assistant", "content": text(language)}],
            }
        )
    return rows


def write_train_jsonl(folder: Path, n: int, seed: int = 0) -> Path:
    """Write `make_pairs(n, seed)` to `<folder>/train.jsonl` and return that file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "train.jsonl"
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in make_pairs(n, seed)]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def _train_tokenizer(specials: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=specials,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*_SENTENCES, *(" ".join(words) for words in _WORDS.values())], trainer)
    return tokenizer


def _config(vocabulary: int, ids: dict[str, int | None]) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": vocabulary,
        "hidden_size": HIDDEN,
        "intermediate_size": INTERMEDIATE,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS // 2,
        "head_dim": HIDDEN // HEADS,
        "max_position_embeddings": CONTEXT,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "attention_bias": False,
        "mlp_bias": False,
        "attention_dropout": 0.0,
        "initializer_range": 0.02,
        "tie_word_embeddings": True,
        "torch_dtype": "float32",
        "use_cache": True,
        "bos_token_id": None,
        **ids,
    }


def _weights(vocabulary: int, seed: int) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
    generator = np.random.default_rng(seed)
    half = HIDDEN // 2

    def normal(*shape: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        values: np.ndarray[Any, np.dtype[np.float32]] = generator.normal(0.0, 0.02, shape).astype(np.float32)
        return values

    ones: np.ndarray[Any, np.dtype[np.float32]] = np.ones(HIDDEN, dtype=np.float32)
    tensors = {"model.embed_tokens.weight": normal(vocabulary, HIDDEN), "model.norm.weight": ones}
    for layer in range(LAYERS):
        shapes = {
            "self_attn.q_proj": (HIDDEN, HIDDEN),
            "self_attn.k_proj": (half, HIDDEN),
            "self_attn.v_proj": (half, HIDDEN),
            "self_attn.o_proj": (HIDDEN, HIDDEN),
            "mlp.gate_proj": (INTERMEDIATE, HIDDEN),
            "mlp.up_proj": (INTERMEDIATE, HIDDEN),
            "mlp.down_proj": (HIDDEN, INTERMEDIATE),
        }
        prefix = f"model.layers.{layer}."
        tensors |= {f"{prefix}{name}.weight": normal(*shape) for name, shape in shapes.items()}
        tensors[f"{prefix}input_layernorm.weight"] = tensors[f"{prefix}post_attention_layernorm.weight"] = ones
    return tensors


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")
