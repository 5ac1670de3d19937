from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from tests.integration.autotrain.conftest import TOKEN, Bench, Result
from tests.tiny_model import make_pairs

Runs = tuple[dict[str, Result], dict[str, dict[str, Any]]]


def chatml(messages: list[dict[str, str]]) -> str:
    return "".join(f"<|im_start|>{turn['role']}\n{turn['content']}<|im_end|>\n" for turn in messages)


def header(folder: Path) -> dict[str, Any]:
    """Return the tensors of model.safetensors by name."""
    data = (folder / "model.safetensors").read_bytes()
    tensors: dict[str, Any] = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    tensors.pop("__metadata__", None)
    return tensors


def test_events_come_in_order_and_the_model_is_a_plain_folder(lora: Result, bench: Bench) -> None:
    assert lora.code == 0, bench.log("lora")[-3000:]
    kinds = [event["event"] for event in lora.events]
    assert kinds[0] == "started" and kinds[-1] == "done"
    places = [
        kinds.index(kind) for kind in ("started", "ready", "begin", "step", "log", "checkpoint", "saving", "done")
    ]
    assert places == sorted(places)
    stages = [event["stage"] for event in lora.all("stage")]
    assert list(dict.fromkeys(stages)) == ["starting", "loading", "preparing", "tokenizing", "training", "saving"]
    assert [event["step"] for event in lora.all("step")] == list(range(1, 21))
    assert lora.one("started")["versions"]["autotrain-advanced"] == "0.8.36"
    names = {path.name for path in lora.folder.iterdir()}
    assert {"model.safetensors", "config.json", "generation_config.json", "tokenizer.json", "README.md"} <= names
    assert {"trainer_state.json", "training_params.json"} <= names
    left = [name for name in names if name.startswith(("adapter", "checkpoint", "autotrain", "runs", "training_args"))]
    assert left == []


def test_a_short_run_still_shows_a_curve(lora: Result) -> None:
    ready, logs = lora.one("ready"), lora.all("log")
    assert (ready["pairs"], ready["steps"], ready["logging_steps"]) == (40, 20, 2)
    assert [event["step"] for event in logs] == [1, *range(2, 21, 2)]
    wanted = ("loss", "nll_loss", "log_odds_ratio", "log_odds_chosen", "rewards/accuracies", "rewards/margins")
    assert all(isinstance(event[name], float) for event in logs for name in (*wanted, "learning_rate", "grad_norm"))
    assert lora.losses[-1] < lora.losses[0]
    done = lora.one("done")
    assert done["metrics"]["loss"] == lora.losses[-1]
    assert (done["stopped"], done["steps"], done["chat_template_added"]) == (False, 20, False)
    assert done["size_bytes"] == sum(path.stat().st_size for path in lora.folder.rglob("*") if path.is_file())


def test_token_and_space_are_neither_used_nor_written(lora: Result, bench: Bench) -> None:
    assert lora.code == 0
    assert lora.asked == []  # by nobody: the base model is a folder
    written = [path for path in bench.folder.rglob("*") if path.is_file()]
    assert len(written) > 10
    assert [path for path in written if TOKEN.encode() in path.read_bytes()] == []
    params = json.loads((lora.folder / "training_params.json").read_text())
    assert "token" not in params and params["seed"] == 42
    local = str(bench.folder).encode()
    assert [path.name for path in lora.folder.rglob("*") if path.is_file() and local in path.read_bytes()] == []


def test_the_prompt_is_in_the_batch_and_masked(runs: Runs, bench: Bench) -> None:
    run = runs[0]["same"]
    tokenizer = Tokenizer.from_file(str(Path(bench.model("chat")) / "tokenizer.json"))
    pairs = make_pairs(40)
    first = pairs[0]
    head = chatml(first["prompt"]) + "<|im_start|>assistant\n"
    end = "<|im_end|>"  # not the line break the template writes behind it, nor the second end token trl would add
    assert run.one("ready")["example"] == {
        "prompt": head,
        "chosen_answer": first["chosen"][0]["content"] + end,
        "rejected_answer": first["rejected"][0]["content"] + end,
        "masked_tokens": len(tokenizer.encode(head, add_special_tokens=False).ids),
    }
    expected = {}
    for pair in pairs:
        head = chatml(pair["prompt"]) + "<|im_start|>assistant\n"
        expected[head] = {side: pair[side][0]["content"] + end for side in ("chosen", "rejected")}
    for side in ("chosen", "rejected"):
        for ids, labels in zip(run.batch[f"{side}_input_ids"], run.batch[f"{side}_labels"], strict=True):
            answer = [label for label in labels if label != -100]
            start = labels.index(answer[0])
            assert labels[:start] == [-100] * start and ids[start : start + len(answer)] == answer
            head = tokenizer.decode(ids[:start], skip_special_tokens=False)
            assert tokenizer.decode(answer, skip_special_tokens=False) == expected[head][side]


def test_what_the_doctor_found_is_left_out_or_rendered_otherwise(runs: Runs, bench: Bench) -> None:
    refused = runs[0]["undecided"]
    assert refused.code == 1 and refused.one("error")["code"] == "engines.template_rewrites"
    named = [(event["code"], event["values"]["finding"]["code"]) for event in refused.all("warning")]
    assert ("engines.doctor", "doctor.name.opening") in named
    run = runs[0]["decided"]
    assert run.code == 0, run.events[-1]
    (warning,) = run.all("warning")
    assert (warning["code"], warning["values"]["count"]) == ("engines.left_out", 2)
    assert run.one("ready")["pairs"] == 10
    first = make_pairs(12)[1]  # the first pair that is not left out
    assert run.one("ready")["example"]["prompt"] == chatml(first["prompt"]) + "<|im_start|>assistant\n"
    saved = json.loads((run.folder / "tokenizer_config.json").read_text())["chat_template"]
    assert "removesuffix" in saved and saved == run.one("ready")["chat_template"]


def test_seed_decides_the_losses(lora: Result, runs: Runs) -> None:
    assert runs[0]["same"].losses == lora.losses
    assert runs[0]["seed"].losses != lora.losses


def test_seed_decides_the_order_of_the_pairs(runs: Runs) -> None:
    assert runs[0]["full"].batch["chosen_input_ids"] == runs[0]["same"].batch["chosen_input_ids"]
    assert runs[0]["full"].batch["chosen_input_ids"] != runs[0]["full-seed"].batch["chosen_input_ids"]


def test_seed_decides_loras_first_matrices(runs: Runs) -> None:
    """With one batch of all pairs and no dropout, the first gradient differs by those matrices alone."""
    first, other = runs[0]["first-42"], runs[0]["first-7"]
    assert sorted(first.batch["chosen_input_ids"]) == sorted(other.batch["chosen_input_ids"])
    assert first.losses == other.losses
    assert first.one("log")["grad_norm"] != pytest.approx(other.one("log")["grad_norm"], rel=1e-3)


def test_lora_dropout_acts(lora: Result, runs: Runs) -> None:
    assert runs[0]["dropout"].code == 0
    assert runs[0]["dropout"].losses[0] == lora.losses[0]  # LoRA's second matrix is zero until the first step
    assert runs[0]["dropout"].losses != lora.losses


def test_beta_weighs_the_odds_ratio(lora: Result, runs: Runs) -> None:
    for run, beta in ((lora, 0.1), (runs[0]["beta"], 0.5)):
        for log in run.all("log"):
            assert log["loss"] == pytest.approx(log["nll_loss"] - beta * log["log_odds_ratio"], abs=1e-3)


def test_gradient_accumulation_does_not_scale_the_loss(runs: Runs) -> None:
    run = runs[0]["accumulate"]
    assert run.one("begin")["max_steps"] == 5
    for log in run.all("log"):
        assert log["loss"] == pytest.approx(log["nll_loss"] - 0.1 * log["log_odds_ratio"], abs=1e-3)


def test_lengths_are_kept_and_counted(lora: Result, runs: Runs) -> None:
    run = runs[0]["short-answers"]
    ready = run.one("ready")
    assert ready["completions_cut"] > 40 and ready["prompts_cut"] == 40
    answers, prompts = run.all("warning")
    assert (answers["code"], prompts["code"]) == ("engines.answers_cut", "engines.prompts_cut")
    assert answers["values"] == {"limit": 12, "count": ready["completions_cut"], "answers": 80}
    assert prompts["values"] == {"limit": 16, "count": 40, "pairs": 40}
    for side in ("chosen", "rejected"):
        for labels in run.batch[f"{side}_labels"]:
            answer = [label for label in labels if label != -100]
            assert labels.index(answer[0]) == 16
            assert 6 <= len(answer) <= 12
    first = make_pairs(40)[0]
    text = ready["example"]["chosen_answer"].removesuffix("<|im_end|>")
    assert text and first["chosen"][0]["content"].startswith(text)
    assert ready["example"]["prompt"].endswith("<|im_end|>\n<|im_start|>assistant\n")
    assert ready["example"]["masked_tokens"] == 16
    assert run.losses != lora.losses and lora.one("ready")["completions_cut"] == 0


@pytest.mark.parametrize("name", ["same", "adapter", "adapter/merged", "full", "plain", "half", "sampling"])
def test_the_folder_loads_and_has_learned(name: str, runs: Runs, bench: Bench) -> None:
    loaded = runs[1][str(bench.folder / "out" / name)]
    assert "error" not in loaded, loaded["error"]
    assert (loaded["missing"], loaded["unexpected"], loaded["new_tokens"]) == ([], [], 3)
    base = runs[1][bench.model("chat")]
    change = max(abs(new - old) for new, old in zip(loaded["logits"], base["logits"], strict=True))
    assert change > 1e-3
    assert loaded["text"] == "<|im_start|>user\nTell me why.<|im_end|>\n<|im_start|>assistant\n"


def test_a_kept_adapter_has_a_merged_model_beside_it(runs: Runs, bench: Bench) -> None:
    run, loaded = runs[0]["adapter"], runs[1]
    done = run.one("done")
    assert done["model_path"] == str(run.folder / "merged") and done["adapter_path"] == str(run.folder)
    assert (run.folder / "adapter_model.safetensors").exists()
    adapter, merged = (loaded[str(folder)]["logits"] for folder in (run.folder, run.folder / "merged"))
    assert merged == pytest.approx(adapter, abs=1e-5)
    assert merged == pytest.approx(loaded[str(bench.folder / "out/same")]["logits"], abs=1e-5)


def test_precision_and_vocabulary_are_the_base_models(runs: Runs, bench: Bench) -> None:
    assert {tensor["dtype"] for tensor in header(runs[0]["same"].folder).values()} == {"F32"}
    assert {tensor["dtype"] for tensor in header(runs[0]["half"].folder).values()} == {"BF16"}
    assert runs[0]["half"].one("done")["dtype"] == "bfloat16"
    for name in ("same", "full"):
        base, trained = header(Path(bench.model("chat"))), header(runs[0][name].folder)
        assert {key: tensor["shape"] for key, tensor in trained.items()} == {
            key: tensor["shape"] for key, tensor in base.items()
        }


def test_full_training_moves_every_weight(runs: Runs) -> None:
    full, lora = runs[0]["full"].one("ready"), runs[0]["same"].one("ready")
    assert full["trainable_parameters"] == full["parameters"]
    assert 0 < lora["trainable_parameters"] < lora["parameters"]
    assert runs[0]["full"].one("done")["adapter_path"] is None


def test_a_base_without_template_gets_chatml_and_keeps_its_vocabulary(runs: Runs, bench: Bench) -> None:
    run = runs[0]["plain"]
    assert run.one("ready")["chat_template_added"] and run.one("done")["chat_template_added"]
    assert run.one("ready")["example"]["chosen_answer"].endswith("<|im_end|>\n<|endoftext|>")
    saved = json.loads((run.folder / "tokenizer_config.json").read_text())
    assert saved["chat_template"] == run.one("ready")["chat_template"]
    base = Path(bench.model("plain"))
    sizes = [json.loads((folder / "config.json").read_text())["vocab_size"] for folder in (base, run.folder)]
    assert sizes[0] == sizes[1]
    tokenizers = [Tokenizer.from_file(str(folder / "tokenizer.json")) for folder in (base, run.folder)]
    assert tokenizers[0].get_vocab() == tokenizers[1].get_vocab()


def test_one_step_is_logged_and_sampling_values_are_saved(runs: Runs) -> None:
    run = runs[0]["sampling"]
    assert run.code == 0, run.events[-1]
    assert [event["step"] for event in run.all("log")] == [1]
    assert run.all("log")[0]["learning_rate"] == 2e-3 and run.all("warning") == []
    assert json.loads((run.folder / "generation_config.json").read_text())["do_sample"] is True


def test_stop_file_stops_after_the_step_and_saves(bench: Bench) -> None:
    spec = bench.spec("stop", pairs=800)
    process = bench.start(spec)
    bench.wait_for("stop", process, "step", 3)
    (bench.folder / "stop.stop").touch()
    run = bench.result("stop", process.wait(timeout=120))
    assert run.code == 0, bench.log("stop")[-3000:]
    done, steps = run.one("done"), len(run.all("step"))
    assert done["stopped"] is True and 3 <= done["steps"] == steps < run.one("begin")["max_steps"] == 400
    assert run.all("log")[-1]["step"] == steps
    assert len(header(run.folder)) == 20


def test_sigterm_cancels_and_keeps_the_newest_checkpoints(bench: Bench) -> None:
    spec = bench.spec("killed", pairs=400, save_total_limit=2)
    process = bench.start(spec)
    bench.wait_for("killed", process, "checkpoint", 3)
    process.send_signal(signal.SIGTERM)
    run = bench.result("killed", process.wait(timeout=60))
    assert run.code == 130, bench.log("killed")[-3000:]
    assert run.events[-1]["event"] == "cancelled" and run.all("done") == run.all("error") == []
    assert len(list(run.folder.glob("checkpoint-*"))) == 2
    assert not (run.folder / "autotrain-data").exists() and not (run.folder / "autotrain-rows").exists()


def test_a_stop_before_the_first_step_cancels(runs: Runs) -> None:
    run = runs[0]["stopped-early"]
    assert run.code == 130 and run.events[-1]["event"] == "cancelled" and run.all("step") == []
