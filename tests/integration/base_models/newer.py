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
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer


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
    return found


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
