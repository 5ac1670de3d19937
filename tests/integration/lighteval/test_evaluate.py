"""Scores of real lighteval on tiny models, against lighteval's own files and direct forward passes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.message import Message
from tests.integration.lighteval.conftest import (
    NoNetwork,
    Run,
    pairs_task,
    reviewed,
    scale_weights,
    spec_of,
    truthful,
    write_jsonl,
)
from tests.tiny_model import CHATML, CONTEXT, END, make_tiny_model

PAIRS = 14
BOS_TEMPLATE = "{{ bos_token }}" + CHATML

# Sums of log-probabilities without the worker's code: labels by character offsets, one sequence at a time.
FORWARD = """
import json, sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def passes(model_path, template):
    tokenizer = AutoTokenizer.from_pretrained(model_path)
    model = AutoModelForCausalLM.from_pretrained(model_path, dtype=torch.float32).eval()
    found = {}
    for line in open(sys.argv[1], encoding="utf-8"):
        row = json.loads(line)
        sums = []
        for side in ("chosen", "rejected"):
            write = lambda turns, ask: tokenizer.apply_chat_template(
                turns, chat_template=template, tokenize=False, add_generation_prompt=ask)
            prompt, whole = write(row["prompt"], True), write(row["prompt"] + row[side], False)
            whole = whole.removesuffix("\\n")  # behind the end token, where the answer has ended
            coded = tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
            ids, first = coded["input_ids"], next(i for i, (a, b) in enumerate(coded["offset_mapping"]) if b > len(prompt))
            if ids[-1] != tokenizer.eos_token_id:
                ids = ids + [tokenizer.eos_token_id]
            with torch.no_grad():
                logs = model(torch.tensor([ids])).logits[0].log_softmax(-1)
            sums.append([sum(logs[i - 1, ids[i]].item() for i in range(first, len(ids))), len(ids) - first, ids[:2]])
        found[row["record_id"]] = sums
    return found


print(json.dumps([passes(*asked) for asked in json.loads(sys.argv[2])]))
"""


def _say(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Local data: reviewed pairs with some that cannot be scored, the same turned around, TruthfulQA questions."""
    root = tmp_path_factory.mktemp("data")
    rows, question = reviewed(PAIRS), [{"role": "user", "content": "Why?"}]
    odd = [
        {"record_id": "same", "prompt": question, "chosen": _say("Because. "), "rejected": _say("Because.")},
        {"record_id": "blank", "prompt": question, "chosen": _say("Because."), "rejected": _say(" \n")},
        {"record_id": "long", "prompt": question, "chosen": _say("river " * 2 * CONTEXT), "rejected": _say("No.")},
    ]
    turned = [row | {"chosen": row["rejected"], "rejected": row["chosen"]} for row in rows]
    return {
        "pairs": write_jsonl(root / "test.jsonl", [*odd, *rows]),
        "plain": write_jsonl(root / "plain.jsonl", rows),
        "turned": write_jsonl(root / "turned.jsonl", turned),
        "truthful": write_jsonl(root / "truthful.jsonl", truthful(6)),
    }


@pytest.fixture(scope="module")
def network() -> NoNetwork:
    return NoNetwork()


@pytest.fixture(scope="module")
def evaluation(
    run: Any, models: dict[str, Path], files: dict[str, Path], network: NoNetwork, tmp_path_factory: Any
) -> Run:
    tasks = [{"name": "truthfulqa:mc", "data": str(files["truthful"])}, pairs_task(files["pairs"])]
    folder = tmp_path_factory.mktemp("evaluation")
    return run(spec_of(models, tasks), folder, **network.environment)


@pytest.fixture(scope="module")
def later(evaluation: Run, run_all: Any, models: dict[str, Path], files: dict[str, Path], tmp_path_factory: Any) -> Any:
    """`changed` and `extremes`, run by one process; the folder of the latter's base model."""
    root, folders = tmp_path_factory.mktemp("later"), {}
    for role in ("base", "nan", "flat", "torn"):
        folders[role] = make_tiny_model(root / "models" / role, seed=3)
        config = json.loads((folders[role] / "tokenizer_config.json").read_text("utf-8"))
        (folders[role] / "tokenizer_config.json").write_text(json.dumps(config | {"bos_token": END}), "utf-8")
    scale_weights(folders["nan"], float("nan"))
    scale_weights(folders["flat"], 0.0)
    weights = folders["torn"] / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    extreme = spec_of(folders, [pairs_task(files["plain"], BOS_TEMPLATE)], max_samples=5)

    kept = models["base"].with_name("kept.safetensors")
    shutil.copy(models["base"] / "model.safetensors", kept)
    shutil.copy(models["tuned"] / "model.safetensors", models["base"] / "model.safetensors")
    turned = spec_of(models, [pairs_task(files["turned"])])
    try:
        return *run_all({root / "changed": turned, root / "extreme": extreme}), folders["base"]
    finally:
        kept.replace(models["base"] / "model.safetensors")


@pytest.fixture(scope="module")
def changed(later: tuple[Run, Run, Path]) -> Run:
    """The paths of `evaluation` with other weights for base, and the pairs turned around."""
    return later[0]


@pytest.fixture(scope="module")
def extremes(later: tuple[Run, Run, Path]) -> tuple[Run, Path]:
    """Models with a BOS: a sound one, one of NaN, one that finds all tokens alike, one whose weights are cut off."""
    return later[1], later[2]


@pytest.fixture(scope="module")
def forward(
    in_engine: Any, models: dict[str, Path], files: dict[str, Path], extremes: tuple[Run, Path]
) -> dict[str, dict[str, Any]]:
    """Direct forward passes over the plain pairs, by template."""
    asked = [[str(models["tuned"]), CHATML], [str(extremes[1]), BOS_TEMPLATE]]
    found = in_engine(FORWARD, files["plain"], json.dumps(asked))
    return dict(zip((CHATML, BOS_TEMPLATE), found, strict=True))


def test_events_follow_the_contract(evaluation: Run) -> None:
    kinds = [event["event"] for event in evaluation.events]
    assert evaluation.code == 0, evaluation.log[-3000:]
    assert kinds[0] == "started" and kinds[-1] == "done"
    assert sum(kind in ("done", "error", "cancelled") for kind in kinds) == 1
    assert evaluation.events[0]["versions"]["lighteval"] == "0.13.0"
    stages = [
        (event["stage"], event.get("model"), event.get("task"))
        for event in evaluation.events
        if event["event"] == "stage"
    ]
    scoring = [("scoring", role, task) for role in ("base", "tuned") for task in ("truthfulqa:mc", "reviewed_pairs")]
    assert [stage for stage in stages if stage[0] == "scoring"] == scoring
    ends = {
        (e["model"], e["task"]): (e["done"], e["total"], e["unit"])
        for e in evaluation.events
        if e["event"] == "progress"
    }
    assert ends["base", "truthfulqa:mc"] == (6, 6, "requests")
    assert ends["tuned", "reviewed_pairs"] == (PAIRS, PAIRS, "requests")


def test_scores_are_those_of_lightevals_file(evaluation: Run) -> None:
    results = evaluation.results()
    assert set(results) == {(role, task) for role in ("base", "tuned") for task in ("truthfulqa:mc", "reviewed_pairs")}
    for (_, task), result in results.items():
        saved = json.loads(Path(result["results_file"]).read_text("utf-8"))
        reported = result["scores"] | {f"{name}_stderr": value for name, value in result["stderr"].items()}
        assert reported == saved["results"][f"{task}|0"]
        assert saved["config_general"]["model_config"]["override_chat_template"] is False
        assert set(result["stderr"]) == set(result["scores"])
    mc2 = [results[role, "truthfulqa:mc"]["scores"]["truthfulqa_mc2"] for role in ("base", "tuned")]
    assert mc2[0] != mc2[1] and all(0.01 < value < 0.99 for value in mc2)


def test_results_file_is_what_done_says(evaluation: Run) -> None:
    saved = json.loads((evaluation.folder / "results.json").read_text("utf-8"))
    done = evaluation.events[-1]
    assert saved == {name: done[name] for name in ("results", "commands", "lighteval")}
    assert [result["role"] for result in saved["results"]] == ["base", "base", "tuned", "tuned"]
    assert len(saved["commands"]) == 2
    assert all("'truthfulqa:mc|0'" in command and "reviewed" not in command for command in saved["commands"])


def test_settings_are_equal_and_told(evaluation: Run) -> None:
    settings = {
        task: [r["settings"] for (_, name), r in evaluation.results().items() if name == task]
        for task in ("truthfulqa:mc", "reviewed_pairs")
    }
    common = {"dtype": "float32", "batch_size": 16, "max_samples": None, "override_chat_template": False}
    assert settings["truthfulqa:mc"] == [common | {"chat_template": None}] * 2
    assert settings["reviewed_pairs"] == [common | {"chat_template": CHATML}] * 2


def test_pairs_that_cannot_be_scored_are_counted(evaluation: Run) -> None:
    for role in ("base", "tuned"):
        result = evaluation.results()[role, "reviewed_pairs"]
        assert result["dropped"] == {"empty": 1, "identical": 1, "not_renderable": 0, "too_long": 1}
        assert (result["samples"], result["available"], result["partial"]) == (PAIRS, PAIRS, False)


def test_samples_of_both_models_match(evaluation: Run) -> None:
    for task, count in (("reviewed_pairs|0", PAIRS), ("truthfulqa:mc|0", 6)):
        base, tuned = evaluation.samples("base", task), evaluation.samples("tuned", task)
        assert list(base) == list(tuned) and len(base) == count
    base = evaluation.samples("base")
    assert set(base) == {f"record-{number}" for number in range(PAIRS)}
    mean = sum(sample["metrics"]["pref_acc_norm"] for sample in base.values()) / PAIRS
    assert mean == pytest.approx(evaluation.results()["base", "reviewed_pairs"]["scores"]["pref_acc_norm"])


def test_preference_equals_a_direct_forward_pass(evaluation: Run, forward: dict[str, dict[str, Any]]) -> None:
    _compare(evaluation.samples("tuned"), forward[CHATML])


def test_template_with_bos_gets_one_bos(extremes: tuple[Run, Path], forward: dict[str, dict[str, Any]]) -> None:
    expected = forward[BOS_TEMPLATE]
    first, second = expected["record-0"][0][2]
    assert first != second, "the direct pass itself reads one BOS"
    _compare(extremes[0].samples("base"), expected)


def _compare(samples: dict[str, Any], expected: dict[str, Any]) -> None:
    """Sums within 1e-4, equal token counts, and the scores that follow from them."""
    assert samples
    for name, sample in samples.items():
        (chosen, chosen_tokens, _), (rejected, rejected_tokens, _) = expected[name]
        assert sample["logprobs"] == pytest.approx([chosen, rejected], abs=1e-4)
        assert sample["tokens"] == [chosen_tokens, rejected_tokens]
        margin = chosen / chosen_tokens - rejected / rejected_tokens
        assert sample["metrics"]["pref_margin_norm"] == pytest.approx(margin, abs=1e-4)
        assert sample["metrics"]["pref_acc"] == float(chosen > rejected)
        assert sample["metrics"]["pref_acc_norm"] == float(margin > 0)


def test_turning_the_pairs_around_turns_the_scores_around(evaluation: Run, changed: Run) -> None:
    before = evaluation.results()["tuned", "reviewed_pairs"]["scores"]
    after = changed.results()["tuned", "reviewed_pairs"]["scores"]
    assert before["pref_tie"] == after["pref_tie"] == 0
    assert after["pref_acc_norm"] == pytest.approx(1 - before["pref_acc_norm"])
    assert after["pref_acc"] == pytest.approx(1 - before["pref_acc"])
    assert after["pref_margin_norm"] == pytest.approx(-before["pref_margin_norm"])


def test_other_weights_in_the_same_folder_change_the_scores(evaluation: Run, changed: Run) -> None:
    after = changed.results()
    assert after["base", "reviewed_pairs"]["scores"] == after["tuned", "reviewed_pairs"]["scores"]
    before = evaluation.results()["base", "reviewed_pairs"]["scores"]["pref_margin_norm"]
    assert after["base", "reviewed_pairs"]["scores"]["pref_margin_norm"] != pytest.approx(-before, abs=1e-6)


def test_model_folders_stay_clean_and_nothing_calls_out(
    evaluation: Run, models: dict[str, Path], network: NoNetwork
) -> None:
    expected = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert evaluation.code == 0
    for folder in models.values():
        assert {path.name for path in folder.rglob("*")} == expected
    assert not network.was_called()


def test_nan_is_counted_and_never_a_win(extremes: tuple[Run, Path]) -> None:
    scores = extremes[0].results()["nan", "reviewed_pairs"]["scores"]
    assert scores == {"pref_acc": 0.0, "pref_acc_norm": 0.0, "pref_margin_norm": None, "pref_tie": 0.0, "pref_nan": 1.0}


def test_ties_are_counted_and_never_a_win(extremes: tuple[Run, Path]) -> None:
    scores = extremes[0].results()["flat", "reviewed_pairs"]["scores"]
    assert (scores["pref_acc_norm"], scores["pref_tie"], scores["pref_nan"]) == (0.0, 1.0, 0.0)
    assert scores["pref_margin_norm"] == pytest.approx(0, abs=1e-6)


def test_max_samples_marks_a_partial_result(extremes: tuple[Run, Path]) -> None:
    run, _ = extremes
    for role in ("base", "nan", "flat"):
        result = run.results()[role, "reviewed_pairs"]
        assert (result["samples"], result["available"], result["partial"]) == (5, PAIRS, True)
    assert list(run.samples("base")) == list(run.samples("flat"))


def test_a_model_that_fails_leaves_the_others(extremes: tuple[Run, Path]) -> None:
    run, _ = extremes
    assert run.code == 1
    assert [role for role, _ in run.results()] == ["base", "nan", "flat"]
    end = run.events[-1]
    assert (end["event"], end["code"]) == ("error", "engines.parts_failed")
    (part,) = end["values"]["parts"]
    assert (part["values"]["where"], part["values"]["problem"]["code"]) == ("torn", "engines.model_unavailable")
    assert "torn: tiny torn" in Message.from_dict(end).what
    assert len(json.loads((run.folder / "results.json").read_text("utf-8"))["results"]) == 3
