from __future__ import annotations

import itertools
import json

import pytest

from tests.integration.autotrain.conftest import Bench


@pytest.mark.matrix
def test_every_combination_trains_and_loads(bench: Bench) -> None:
    specs = {}
    for lora, precision, model, merge in itertools.product(
        (True, False), ("none", "bf16", "fp16"), ("chat", "plain", "half"), (True, False)
    ):
        if not lora and not merge:
            continue
        name = f"m-{'lora' if lora else 'full'}-{precision}-{model}-{'merged' if merge else 'adapter'}"
        specs[name] = bench.spec(
            name,
            model=model,
            pairs=13,
            lora=lora,
            mixed_precision=precision,
            merge_adapter=merge,
            batch_size=3,
            gradient_accumulation=2,
            epochs=2,
        )
    folders = {name: bench.folder / "out" / name / ("merged" if name.endswith("adapter") else "") for name in specs}
    results, loaded = bench.drive(list(specs.values()), list(folders.values()))
    for name, run in results.items():
        assert run.code == 0, (name, run.events[-1])
        assert run.one("done")["steps"] == run.one("begin")["max_steps"] == run.one("ready")["steps"] == 6, name
        assert run.one("done")["model_path"] == str(folders[name])
        assert all(isinstance(loss, float) for loss in run.losses)
        assert "error" not in loaded[str(folders[name])], loaded[str(folders[name])]
        saved = json.loads((folders[name] / "config.json").read_text())["torch_dtype"]
        assert saved == ("bfloat16" if "-half-" in name and "lora" in name else "float32"), name
        fp16 = [event for event in run.all("warning") if event["code"] == "engines.fp16_ignored"]
        assert len(fp16) <= ("-fp16-" in name)
