"""Run in the training engine's Python (transformers 4.48): python older.py WORKER_FOLDER FOLDER SAVED RESULTS.json

Load what transformers 5 wrote, as it is and translated, and save what the translation gives.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import forms  # type: ignore[import-not-found]
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES


def models(places: list[Path]) -> dict[str, Any]:
    """Return the logits by name, or the error."""
    found: dict[str, Any] = {}
    for place in places:
        try:
            found[place.name] = forms.logits(AutoModelForCausalLM.from_pretrained(place))
        except Exception as error:
            found[place.name] = f"{type(error).__name__}: {error}"
    return found


def main() -> None:
    worker, folder, saved = map(Path, sys.argv[1:4])
    sys.path[:0] = [str(worker), str(worker.parent)]
    base = importlib.import_module("base")
    places = [place for place in sorted(folder.iterdir()) if not (place / "tokenizer_config.json").exists()]
    found: dict[str, Any] = {"kinds": sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES), "as it is": models(places)}
    base.read_newer_configs()
    found["logits"] = models(places)
    found["tokens"], found["dtype"] = {}, {}
    for place in sorted(folder.iterdir()):
        if place in places:
            model = AutoModelForCausalLM.from_pretrained(place)
            found["dtype"][place.name] = str(model.config.torch_dtype)
            model.save_pretrained(saved / place.name)
            continue
        with base.BaseTokenizer(str(place)) as where:
            tokenizer = AutoTokenizer.from_pretrained(where)
        found["tokens"][place.name] = forms.tokens(tokenizer)
        tokenizer.save_pretrained(saved / place.name)
    Path(sys.argv[4]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
