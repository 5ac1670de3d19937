"""Run in the engine's Python: several specs in one process (its imports take ten seconds), then load what they made.

python drive.py WORKER.py ORDER.json    {"specs": [spec.json, ...], "load": [folder, ...], "results": file}
"""

from __future__ import annotations

import importlib
import json
import sys
import traceback
from pathlib import Path
from typing import Any


def record_batches(training: Any) -> None:
    """Make each run write the first batch its model sees to <output_dir>/<project_name>.batch.json."""
    original = training.trainer_class

    def recording(job: Any, state: Any, reporter: Any) -> type:
        class Recorder(original(job, state, reporter)):
            def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
                path = job.output_dir / f"{job.project_name}.batch.json"
                if not path.exists():
                    tensors = {key: value.tolist() for key, value in inputs.items() if hasattr(value, "tolist")}
                    path.write_text(json.dumps(tensors))
                return super().compute_loss(model, inputs, *args, **kwargs)

        return Recorder

    training.trainer_class = recording


def load(folder: str) -> dict[str, Any]:
    """Load a model folder as an evaluation would and say what is in it."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model, info = AutoModelForCausalLM.from_pretrained(folder, torch_dtype="auto", output_loading_info=True)
    if isinstance(model, PeftModel) or hasattr(model, "peft_config"):
        info = {}  # a base model with its adapter: the adapter's own weights count as missing
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Tell me why."}], tokenize=False, add_generation_prompt=True
    )
    ids = torch.tensor([tokenizer(text, add_special_tokens=False)["input_ids"]])
    with torch.no_grad():
        logits = model.float().eval()(ids).logits[0, -1]
    return {
        "logits": logits.tolist(),
        "missing": sorted(info.get("missing_keys", [])),
        "unexpected": sorted(info.get("unexpected_keys", [])),
        "text": text,
        "new_tokens": model.generate(ids, max_new_tokens=3, min_new_tokens=3).shape[1] - ids.shape[1],
    }


def main() -> None:
    sys.path.insert(0, str(Path(sys.argv[1]).parent))
    worker = importlib.import_module("worker")  # first: it finds what all engines share
    training = importlib.import_module("training")

    record_batches(training)
    order = json.loads(Path(sys.argv[2]).read_text())
    results: dict[str, Any] = {"codes": {}, "loaded": {}}
    for spec in order["specs"]:
        results["codes"][spec] = worker.main(spec)
    for folder in order["load"]:
        try:
            results["loaded"][folder] = load(folder)
        except Exception:
            results["loaded"][folder] = {"error": traceback.format_exc()}
    Path(order["results"]).write_text(json.dumps(results))


if __name__ == "__main__":
    main()
