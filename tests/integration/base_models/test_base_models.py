"""Base models written by transformers 5: training and evaluation read the same model, or the training refuses it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.engines import base_model
from tests.integration.autotrain.conftest import WORKER
from tests.integration.base_models import forms
from tests.tiny_model import make_tiny_model

HERE = Path(__file__).parent
KINDS, SCALED = sorted(base_model.ROTARY), sorted(base_model.SCALED)
FORMS = sorted(forms.configs(KINDS, SCALED))
CLASSES = [
    *("LlamaTokenizer", "LlamaTokenizer-bare", "LlamaTokenizer-ends"),
    *("Qwen2Tokenizer", "GPT2Tokenizer", "GPT2Tokenizer-space"),
]
EXACT = 1e-4  # nats


@pytest.fixture(scope="module")
def read(
    tmp_path_factory: pytest.TempPathFactory, autotrain_python: Path, lighteval_python: Path
) -> dict[str, dict[str, Any]]:
    """What each engine reads: `written` and `scored` by the evaluation's, `trained` by the training's."""
    work = tmp_path_factory.mktemp("base-models")
    folder, saved = work / "models", work / "saved"
    base, order = make_tiny_model(work / "base"), work / "order.json"
    order.write_text(json.dumps({"kinds": KINDS, "scaled": SCALED}))

    def run(python: Path, *arguments: Path | str) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HF_HOME": str(work / "hf")}
        done = subprocess.run([python, *arguments], capture_output=True, text=True, env=environment, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]

    run(lighteval_python, HERE / "newer.py", "write", folder, base, order)
    run(autotrain_python, HERE / "older.py", WORKER.parent, folder, saved, work / "older.json")
    run(lighteval_python, HERE / "newer.py", "read", saved)
    files = {"written": "models-write.json", "trained": "older.json", "scored": "saved-read.json"}
    return {name: json.loads((work / file).read_text()) for name, file in files.items()}


def distance(one: Any, other: Any) -> float:
    assert not isinstance(one, str), one
    assert not isinstance(other, str), other
    return float(np.abs(np.asarray(one) - np.asarray(other)).max())


@pytest.mark.parametrize("form", FORMS)
def test_training_and_evaluation_read_the_same_model(form: str, read: dict[str, dict[str, Any]]) -> None:
    written, trained = read["written"]["logits"][form], read["trained"]["logits"][form]
    assert distance(written, trained) <= EXACT
    assert distance(trained, read["scored"]["logits"][form]) <= EXACT  # what was saved after a training


@pytest.mark.parametrize("form", FORMS)
def test_without_the_translation_another_model_would_be_trained(form: str, read: dict[str, dict[str, Any]]) -> None:
    assert distance(read["written"]["logits"][form], read["trained"]["as it is"][form]) > 10 * EXACT


def test_the_published_number_format_is_kept(read: dict[str, dict[str, Any]]) -> None:
    assert read["trained"]["dtype"]["llama"] == "torch.bfloat16"
    assert read["trained"]["dtype"]["mistral"] == "torch.float32"


@pytest.mark.parametrize("form", ["backend", "list", *CLASSES])
def test_tokenizers_are_the_same(form: str, read: dict[str, dict[str, Any]]) -> None:
    written, trained = read["written"]["tokens"][form], read["trained"]["tokens"][form]
    assert trained == written and read["scored"]["tokens"][form] == written
    assert ("<|new|>" in trained["special"]) == (form == "list")


def test_the_list_of_kinds_is_the_engines(read: dict[str, dict[str, Any]]) -> None:
    assert sorted(base_model.CAUSAL) == read["trained"]["kinds"]
