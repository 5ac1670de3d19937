"""Run in the evaluation engine's Python (transformers 5).

python newer.py write FOLDER BASE ORDER.json    make models and tokenizers, say their logits and tokens
python newer.py read FOLDER                     load what the training engine saved of them
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import forms  # type: ignore[import-not-found]
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GPT2Tokenizer, LlamaTokenizer, Qwen2Tokenizer


def write(folder: Path, base: str, order: dict[str, Any]) -> dict[str, Any]:
    """Make a model of each form, with weights large enough for positions to matter, and tokenizers."""
    found: dict[str, Any] = {"logits": {}, "tokens": {}}
    for name, values in forms.configs(order["kinds"], order["scaled"]).items():
        kind = values.pop("kind")
        torch.manual_seed(1)
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **values)).float()
        with torch.no_grad():
            for weight in model.parameters():
                if weight.ndim == 2:
                    weight.mul_(6)
        model.to(torch.bfloat16 if name == "llama" else torch.float32).save_pretrained(folder / name)
        found["logits"][name] = forms.logits(AutoModelForCausalLM.from_pretrained(folder / name, dtype=torch.float32))
    for name, more in {"backend": {}, "list": {"extra_special_tokens": ["<|im_start|>", "<|new|>"]}}.items():
        tokenizer = AutoTokenizer.from_pretrained(base, **more)
        tokenizer.save_pretrained(folder / name)
        found["tokens"][name] = forms.tokens(tokenizer)
    template = AutoTokenizer.from_pretrained(base).chat_template
    for name, tokenizer in classes(json.loads((Path(base) / "tokenizer.json").read_text())["model"]).items():
        tokenizer.chat_template = template
        tokenizer.save_pretrained(folder / name)
        found["tokens"][name] = forms.tokens(AutoTokenizer.from_pretrained(folder / name))
    return found


def classes(bytes_: dict[str, Any]) -> dict[str, Any]:
    """Return tokenizers of classes of their own, whose defaults transformers 4 and 5 do not share.

    Args:
        bytes_: A byte-level BPE's vocabulary and merges.
    """
    pieces = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    pieces.pre_tokenizer = pre_tokenizers.Metaspace(split=False)
    specials = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces.train_from_iterator(forms.TEXTS, trainers.BpeTrainer(vocab_size=320, special_tokens=specials))
    piece = json.loads(pieces.to_str())["model"]
    byte_level = {"vocab": bytes_["vocab"], "merges": [tuple(merge) for merge in bytes_["merges"]]}
    metaspace = {"vocab": piece["vocab"], "merges": [tuple(merge) for merge in piece["merges"]]}
    return {
        "LlamaTokenizer": LlamaTokenizer(**metaspace),
        "LlamaTokenizer-bare": LlamaTokenizer(**metaspace, add_prefix_space=False, add_bos_token=False),
        "LlamaTokenizer-ends": LlamaTokenizer(**metaspace, add_bos_token=True, add_eos_token=True),
        "Qwen2Tokenizer": Qwen2Tokenizer(**byte_level),
        "GPT2Tokenizer": GPT2Tokenizer(**byte_level),
        "GPT2Tokenizer-space": GPT2Tokenizer(**byte_level, add_prefix_space=True),
    }


def read(folder: Path) -> dict[str, Any]:
    """Load the models and tokenizers in a folder."""
    found: dict[str, Any] = {"logits": {}, "tokens": {}}
    for place in sorted(folder.iterdir()):
        if (place / "tokenizer_config.json").exists():
            found["tokens"][place.name] = forms.tokens(AutoTokenizer.from_pretrained(place))
        else:
            found["logits"][place.name] = forms.logits(AutoModelForCausalLM.from_pretrained(place))
    return found


def main() -> None:
    folder = Path(sys.argv[2])
    if sys.argv[1] == "write":
        found = write(folder, sys.argv[3], json.loads(Path(sys.argv[4]).read_text()))
    else:
        found = read(folder)
    Path(f"{folder}-{sys.argv[1]}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
