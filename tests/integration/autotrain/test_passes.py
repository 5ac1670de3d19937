"""The training that was asked for: its passes, steps, learning rates and losses, all in one process."""

from __future__ import annotations

import functools
import json
import math
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from pipeline.hardware.machine import this_machine
from pipeline.train.params import last_step, number_format, steps_per_epoch
from tests.integration.autotrain.conftest import WORKER, Bench, Result
from tests.tiny_model import make_tiny_model, write_safetensors

SIZES, MORE_SIZES = (1, 17, 151), (150, 1000)
BATCHES = ((4, 4), (16, 3), (64, 1))
EPOCHS = 2
CASES = [(pairs, batch, accumulation) for pairs in SIZES for batch, accumulation in BATCHES]
MORE_CASES = [(pairs, batch, accumulation) for pairs in MORE_SIZES for batch, accumulation in BATCHES]
QUICK: dict[str, Any] = {"lora": False, "epochs": EPOCHS, "block_size": 64, "max_prompt_length": 32}
GRADIENTS = {
    "gradient-21": {"pairs": 21, "batch_size": 4, "gradient_accumulation": 4},
    "gradient-22-answer": {"pairs": 22, "batch_size": 4, "gradient_accumulation": 4, "nll": "answer"},
    "gradient-5-one-batch": {"pairs": 5, "batch_size": 8, "gradient_accumulation": 3},
}


@dataclass
class Seen:
    """What the runs left, and what was seen of them from within."""

    runs: dict[str, Result]
    seen: dict[str, dict[str, Any]]
    losses: list[dict[str, Any]]
    rates: list[list[float]]


def short_pairs(folder: Path, count: int) -> str:
    """Write pairs of a few words, of several lengths; no two alike."""
    if not folder.exists():
        folder.mkdir()
        rows = []
        for number in range(count):
            texts = {
                "prompt": f"{number}?",
                "chosen": "yes " * (1 + number % 4) + str(number),
                "rejected": "no " * (1 + number % 3),
            }
            roles = {"prompt": "user", "chosen": "assistant", "rejected": "assistant"}
            rows.append({side: [{"role": roles[side], "content": text}] for side, text in texts.items()})
        (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(folder)


def chain(folder: Path, *, unused_is_nan: bool = False) -> Path:
    """Write a model without attention that is certain of one answer, “yes”: each of its tokens follows from the last."""
    make_tiny_model(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": False}))
    data = (folder / "model.safetensors").read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    tensors = {}
    for name, entry in json.loads(data[8:start]).items():
        if name != "__metadata__":
            first, end = entry["data_offsets"]
            tensors[name] = np.frombuffer(data[start + first : start + end], "<f4").reshape(entry["shape"]).copy()
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                tensors[name][:] = 0
    embedding = tensors["model.embed_tokens.weight"]
    head = np.zeros_like(embedding)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    ids = tokenizer.encode("<|im_start|>assistant\nyes<|im_end|>", add_special_tokens=False).ids
    for before, after in zip(ids, ids[1:], strict=False):
        head[after] = 30 * embedding[before] / np.linalg.norm(embedding[before])
    if unused_is_nan:
        embedding[-1] = math.nan
    write_safetensors(folder / "model.safetensors", {**tensors, "lm_head.weight": head})
    return folder


def spec(bench: Bench, work: Path, name: str, pairs: int, **changes: Any) -> Path:
    changes.setdefault("data_dir", short_pairs(work / f"data-{pairs}", pairs))
    return bench.spec(name, **{**QUICK, **changes})


def cases(bench: Bench, work: Path, which: list[tuple[int, int, int]]) -> list[Path]:
    return [
        spec(bench, work, name_of(*case), case[0], batch_size=case[1], gradient_accumulation=case[2]) for case in which
    ]


@pytest.fixture(scope="module")
def more(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    work = tmp_path_factory.mktemp("more-passes")
    return watch(bench, work, cases(bench, work, MORE_CASES), [])


@pytest.fixture(scope="module")
def watched(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    work = tmp_path_factory.mktemp("passes")
    one = functools.partial(spec, bench, work)
    certain = work / "certain"
    certain.mkdir()
    turns = {"prompt": "Well?", "chosen": "yes", "rejected": "no"}
    row = {side: [{"role": "user" if side == "prompt" else "assistant", "content": turns[side]}] for side in turns}
    (certain / "train.jsonl").write_text(json.dumps(row) + "\n")
    specs = [
        *cases(bench, work, CASES),
        *(one(name, **changes) for name, changes in GRADIENTS.items()),
        one("curve", 17, batch_size=4, gradient_accumulation=4, epochs=3, learning_rate=1e-5),
        one("one-step", 3, batch_size=4, epochs=1),
        one("automatic", 3, batch_size=4, mixed_precision="auto"),
        one("certain", 1, base_model=str(chain(work / "chain")), data_dir=str(certain)),
        one("hidden-nan", 3, base_model=str(chain(work / "nan", unused_is_nan=True))),
        one("empty", 0),
    ]
    return watch(bench, work, specs, [one("broken", 3)])


def watch(bench: Bench, work: Path, specs: list[Path], broken: list[Path]) -> Seen:
    """Train all specs in one process."""
    order, results = work / "order.json", work / "results.json"
    told = {"specs": list(map(str, specs)), "broken": list(map(str, broken)), "results": str(results)}
    order.write_text(json.dumps(told))
    done = subprocess.run(
        [bench.python, Path(__file__).with_name("watched.py"), WORKER, order],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HOME": str(work / "hf"), "HF_HUB_OFFLINE": "1"},
        timeout=550,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(results.read_text())
    runs = {name: bench.result(name, code) for name, code in found["codes"].items()}
    return Seen(runs, found["seen"], found["losses"], found["rates"])


def name_of(pairs: int, batch: int, accumulation: int) -> str:
    return f"pairs-{pairs}-{batch}-{accumulation}"


@pytest.mark.parametrize(("pairs", "batch", "accumulation"), CASES)
def test_every_pair_is_seen_in_every_pass(pairs: int, batch: int, accumulation: int, watched: Seen) -> None:
    check_passes(pairs, batch, accumulation, watched)


@pytest.mark.matrix
@pytest.mark.parametrize(("pairs", "batch", "accumulation"), MORE_CASES)
def test_every_pair_of_more_is_seen_in_every_pass(pairs: int, batch: int, accumulation: int, more: Seen) -> None:
    check_passes(pairs, batch, accumulation, more)


def check_passes(pairs: int, batch: int, accumulation: int, watched: Seen) -> None:
    name = name_of(pairs, batch, accumulation)
    run, seen = watched.runs[name], watched.seen[name]
    assert run.code == 0, run.events[-1]
    assert seen["times"] == [EPOCHS] * pairs
    assert run.one("done")["pairs_seen"] == pairs * EPOCHS
    per_pass = steps_per_epoch(pairs, batch, accumulation)  # what the page says before
    steps = run.one("done")["steps"]
    assert steps == run.one("begin")["max_steps"] == len(seen["steps"]) == per_pass * EPOCHS
    whole = batch * accumulation
    sizes = [whole] * (pairs // whole) + ([pairs % whole] if pairs % whole else [])
    assert [sum(step) for step in seen["steps"]] == sizes * EPOCHS
    assert sizes[-1] == (last_step(pairs, batch, accumulation) or whole)
    assert run.all("log")[-1]["epoch"] == EPOCHS


@pytest.mark.parametrize("name", GRADIENTS)
def test_a_steps_gradient_is_that_of_trls_loss_of_all_its_pairs(name: str, watched: Seen) -> None:
    seen = watched.seen[name]
    assert len(seen["gradients"]) == len(seen["steps"]) and sum(seen["steps"][-1]) < 16  # the last is partial
    for difference, largest in seen["gradients"]:
        assert largest > 1e-3 and difference <= 1e-5


def test_a_curve_does_not_dip_at_the_end_of_a_pass(watched: Seen) -> None:
    logs = watched.runs["curve"].all("log")
    assert [log["epoch"] for log in logs] == pytest.approx([0.8, 1, 1.8, 2, 2.8, 3])
    assert max(log["loss"] for log in logs) < 1.1 * min(log["loss"] for log in logs)
    for log in logs:
        assert log["loss"] == pytest.approx(log["nll_loss"] - 0.1 * log["log_odds_ratio"], abs=2e-4)


def test_no_step_has_a_learning_rate_of_0_and_each_log_has_its_steps(watched: Seen) -> None:
    for name in ("curve", "one-step", name_of(17, 4, 4)):
        run, rates = watched.runs[name], watched.seen[name]["rates"]
        assert all(rate > 0 for rate in rates) and max(rates) == run.one("ready")["params"]["learning_rate"]
        assert {log["step"]: log["learning_rate"] for log in run.all("log")}.items() <= dict(
            enumerate(rates, 1)
        ).items()
    assert watched.rates == [[1.0], [0.5, 1.0], [0.25, 0.5, 0.75, *(left / 7 for left in range(7, 0, -1))]]


def test_the_odds_ratio_is_that_of_float64(watched: Seen) -> None:
    assert len(watched.losses) > 50
    for place in watched.losses:
        ours, exact = place["torch.float32"], place["torch.float64"]
        assert all(map(math.isfinite, ours)), place
        if place["chosen"] < -1e-7:
            assert ours == pytest.approx(exact, rel=2e-4, abs=2e-6), place
        elif place["rejected"] <= -1e-3:  # beyond what float32 resolves the gradient is its limit for p → 1
            assert ours[0] == pytest.approx(exact[0], abs=2e-5), place
            assert ours[1] == pytest.approx(exact[1], rel=1e-3), place


def test_a_model_certain_of_its_answer_stays_whole(watched: Seen) -> None:
    run = watched.runs["certain"]
    assert run.code == 0, run.events[-1]
    assert run.all("log")[0]["logps/chosen"] > -1e-6  # where trl's gradient is no number
    assert all(math.isfinite(log["grad_norm"]) for log in run.all("log"))


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("broken", "engines.gradient_not_finite"),
        ("hidden-nan", "engines.weights_not_finite"),
        ("empty", "engines.no_training_pairs"),
    ],
)
def test_what_is_no_number_does_not_end_as_a_model(name: str, code: str, watched: Seen) -> None:
    run = watched.runs[name]
    assert run.code == 1 and run.one("error")["code"] == code
    assert not (run.folder / "model.safetensors").exists()


def test_automatic_is_what_the_machine_computes_in(watched: Seen) -> None:
    run, expected = watched.runs["automatic"], number_format("auto", this_machine().bf16)
    assert run.one("done")["mixed_precision"] == run.one("ready")["params"]["mixed_precision"] == expected
