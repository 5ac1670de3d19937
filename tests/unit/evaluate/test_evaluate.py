from __future__ import annotations

import json
import math
import shutil
import statistics
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard
from pydantic import ValidationError

from pipeline.base import project
from pipeline.base.errors import StudioError
from pipeline.base.home import open_home
from pipeline.base.message import message
from pipeline.base.options import readable
from pipeline.base.project import Project
from pipeline.evaluate import evaluations, job, publish
from pipeline.evaluate import options as evaluate_options
from pipeline.evaluate.check import preflight
from pipeline.evaluate.comparison import Row, compare, finding, paired_stderr, read_samples, rounded
from pipeline.evaluate.options import EvaluateOptions
from pipeline.evaluate.spec import model_entry, spec
from pipeline.evaluate.task import task_of
from pipeline.hardware.flavors import Flavor
from pipeline.hardware.machine import Gpu, Hardware
from pipeline.hardware.pricing import JobOptions
from pipeline.hub import look
from pipeline.models import reference
from pipeline.runs import events
from pipeline.runs.ledger import Ledger, Run, State
from pipeline.train.algorithms.orpo import OrpoParams
from pipeline.train.check import spec as train_spec
from pipeline.train.options import TrainOptions
from tests.tiny_model import CHATML, make_pairs, make_tiny_model

CPU = Hardware(cpus=2, memory=16 << 30)
GPU = Hardware(2, 16 << 30, (Gpu("NVIDIA L4", 24 << 30),))
SETTINGS = {"dtype": "float32", "batch_size": 8}


def export(of: Project, name: str, train_pairs: int, test_pairs: int, source: str = "", first: int = 0) -> None:
    folder = of.exports / name
    folder.mkdir(parents=True)
    pairs = enumerate(make_pairs(train_pairs + test_pairs), first)
    rows = [{"record_id": f"{number:016x}", "source": source, **row} for number, row in pairs]
    for split, part in (("train", rows[:train_pairs]), ("test", rows[train_pairs:])):
        if part:
            (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))


def truthfulqa(file: Path, rows: int, **changes: Any) -> Path:
    targets = {"choices": ["It flows.", "It sleeps."], "labels": [1, 0]}
    row = {"question": "What does a river do?", "mc1_targets": targets, "mc2_targets": targets} | changes
    file.write_text(
        "".join(json.dumps({name: value for name, value in row.items() if value}) + "\n" for _ in range(rows))
    )
    return file


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("base") / "base", chat_template=False)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(open_home(tmp_path / "home"))


@pytest.fixture
def work(ledger: Ledger) -> Project:
    made = project.create(ledger.home, "rivers")
    export(made, "first", 32, 8)
    return made


@pytest.fixture
def options(ledger: Ledger, work: Project, base: Path, tmp_path: Path) -> EvaluateOptions:
    """A trained model in the ledger, evaluated on both tasks with local data."""
    tuned = make_tiny_model(work.models / "my-autotrain-llm", seed=1)
    how = TrainOptions(base_model=str(base), dataset="first")
    run, _ = ledger.add("train", work.name, "Train", train_spec(work, how, OrpoParams()))
    ledger.end(run.id, State.SUCCEEDED, result={"model_path": str(tuned), "steps": 2})
    data = truthfulqa(tmp_path / "truthful.jsonl", 50)
    return EvaluateOptions(base=str(base), tuned=str(tuned), dataset="first", truthfulqa_data=data)


def change(options: EvaluateOptions, **values: Any) -> EvaluateOptions:
    return EvaluateOptions.model_validate(options.model_dump() | values)


def blockers(ledger: Ledger, work: Project, options: EvaluateOptions) -> list[str]:
    return [notice.what for notice in preflight(ledger, work, options, CPU).blockers]


def warnings(ledger: Ledger, work: Project, options: EvaluateOptions, machine: Hardware = GPU) -> list[str]:
    return [notice.what for notice in preflight(ledger, work, options, machine).warnings]


def result(
    role: str, task: str, scores: dict[str, float | None], stderr: dict[str, float], **more: Any
) -> dict[str, Any]:
    fixed = {"samples": 20, "available": 20, "dropped": {}, "settings": SETTINGS, "seconds": 10.0}
    return {"role": role, "name": role, "task": task, "scores": scores, "stderr": stderr, **fixed, **more}


def write_samples(folder: Path, role: str, metric: str, values: dict[str, float | None], task: str) -> None:
    (folder / role).mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"task": task, "id": name, "metrics": {metric: value}}) for name, value in values.items()]
    (folder / role / "samples.jsonl").write_text("\n".join(lines) + "\n")


def row(**values: Any) -> Row:
    plain: dict[str, Any] = {
        "task": "reviewed_pairs",
        "metric": "pref_acc_norm",
        "headline": True,
        "base": 0.5,
        "base_stderr": 0.05,
        "tuned": 0.6,
        "tuned_stderr": 0.05,
        "difference": 0.1,
        "difference_stderr": 0.02,
        "paired": True,
        "samples": 100,
        "available": 100,
        "dropped": {},
    }
    return Row(**plain | values)


# Options and what is checked before the start


def test_defaults_score_everything_in_float32() -> None:
    options = EvaluateOptions()
    assert options.tasks == ["truthfulqa:mc", "reviewed_pairs"]
    assert (options.max_samples, options.batch_size, options.dtype) == (None, 8, "float32")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"tasks": ["truthfulqa:gen"]},
            "there is no task “truthfulqa:gen”; choose among: reviewed_pairs, truthfulqa:mc",
        ),
        ({"tasks": []}, "tasks must have at least 1"),
        ({"max_samples": 0}, "max_samples must be at least 1"),
        ({"dtype": "int8"}, "dtype must be 'float32' or 'bfloat16'"),
        ({"dataset": "../secrets"}, "dataset has characters or a form that is not allowed"),
    ],
)
def test_a_wrong_value_is_said_in_plain_words(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        EvaluateOptions(**values)
    assert said in readable(caught.value).why


def test_a_whole_evaluation_passes_and_knows_its_samples(
    ledger: Ledger, work: Project, options: EvaluateOptions
) -> None:
    found = preflight(ledger, work, options, CPU)
    assert found.blockers == []
    assert found.numbers.samples == {"truthfulqa:mc": 50, "reviewed_pairs": 8}
    limited = preflight(ledger, work, change(options, max_samples=5), CPU)
    assert limited.numbers.samples == {"truthfulqa:mc": 5, "reviewed_pairs": 5}


def test_the_spec_holds_data_template_and_equal_settings(work: Project, options: EvaluateOptions) -> None:
    made = spec(work, options)
    assert [(model["role"], model["path"]) for model in made["models"]] == [
        ("base", options.base),
        ("tuned", options.tuned),
    ]
    test = str(work.exports / "first" / "test.jsonl")
    assert made["tasks"] == [
        {"name": "truthfulqa:mc", "data": str(options.truthfulqa_data)},
        {"name": "reviewed_pairs", "data": test, "chat_template": CHATML, "published": None},
    ]
    assert (made["batch_size"], made["dtype"], made["max_samples"]) == (8, "float32", None)


def test_missing_models_stop_the_evaluation(ledger: Ledger, work: Project, options: EvaluateOptions) -> None:
    assert "No trained model is chosen." in blockers(ledger, work, change(options, tuned=""))
    assert "The base model and the trained model are the same." in blockers(
        ledger, work, change(options, tuned=options.base)
    )
    gone = f"{options.tuned}/gone/away"
    assert f"There is no model folder {gone}." in blockers(ledger, work, change(options, tuned=gone))


def test_reviewed_pairs_need_a_test_split(ledger: Ledger, work: Project, options: EvaluateOptions) -> None:
    export(work, "whole", 16, 0)
    assert blockers(ledger, work, change(options, dataset="whole")) == ["The export “whole” has no test split."]
    (work.exports / "whole" / "test.jsonl").write_text("")
    assert blockers(ledger, work, change(options, dataset="whole")) == ["The export “whole” has no test split."]
    assert blockers(ledger, work, change(options, dataset="")) == ["No export is chosen for the reviewed pairs."]
    (work.exports / "whole" / "test.jsonl").write_text('{"record_id": "1"}\n')
    assert blockers(ledger, work, change(options, dataset="whole")) == ["The test split is damaged."]
    assert blockers(ledger, work, change(options, dataset="", tasks=["truthfulqa:mc"])) == []


def test_reviewed_pairs_need_a_chat_template(ledger: Ledger, work: Project, options: EvaluateOptions) -> None:
    (Path(options.tuned) / "tokenizer_config.json").write_text('{"eos_token": "x"}')
    assert blockers(ledger, work, options) == ["The trained model has no chat template."]
    assert blockers(ledger, work, change(options, tasks=["truthfulqa:mc"])) == []


@pytest.mark.parametrize("changes", [{"mc1_targets": None}, {"question": " "}, {"mc2_targets": {"choices": ["a"]}}])
def test_a_file_that_is_not_truthfulqa_is_refused(
    ledger: Ledger, work: Project, options: EvaluateOptions, tmp_path: Path, changes: dict[str, Any]
) -> None:
    wrong = truthfulqa(tmp_path / "wrong.jsonl", 3, **changes)
    assert blockers(ledger, work, change(options, truthfulqa_data=wrong)) == [
        "wrong.jsonl is not TruthfulQA's multiple-choice data."
    ]


def test_a_missing_or_damaged_truthfulqa_file_is_refused(
    ledger: Ledger, work: Project, options: EvaluateOptions, tmp_path: Path
) -> None:
    gone = tmp_path / "gone.parquet"
    assert blockers(ledger, work, change(options, truthfulqa_data=gone)) == [f"There is no file {gone}."]
    gone.write_bytes(b"PAR1 torn")
    assert blockers(ledger, work, change(options, truthfulqa_data=gone)) == [
        "gone.parquet is not TruthfulQA's multiple-choice data."
    ]


def test_truthfulqa_without_a_file_needs_the_hub(
    monkeypatch: pytest.MonkeyPatch, ledger: Ledger, work: Project, options: EvaluateOptions, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    look.Memory.forget()
    (notice,) = preflight(ledger, work, change(options, truthfulqa_data=""), CPU).blockers
    assert "the Hub cannot be reached" in notice.what and "“File with the questions”" in notice.next
    look.Memory.forget()


def test_a_long_evaluation_on_a_cpu_is_warned_of(ledger: Ledger, work: Project, options: EvaluateOptions) -> None:
    slow = "50 samples of TruthfulQA take long without a GPU."
    assert slow in warnings(ledger, work, options, CPU)
    assert slow not in warnings(ledger, work, options, GPU)
    assert slow not in warnings(ledger, work, change(options, max_samples=40), CPU)


def test_a_model_of_another_base_or_trained_on_the_test_pairs_is_warned_of(
    ledger: Ledger, work: Project, options: EvaluateOptions, base: Path, tmp_path: Path
) -> None:
    assert warnings(ledger, work, options) == ["The test split is small: 8 pairs."]
    assert warnings(ledger, work, change(options, max_samples=5)) == ["Only 5 of the test split's 8 pairs are scored."]
    other = shutil.copytree(base, tmp_path / "other")
    assert "my-autotrain-llm was trained from another base model." in warnings(
        ledger, work, change(options, base=str(other))
    )
    export(work, "second", 0, 20, first=20)  # 12 of its pairs are in the first export's train split
    assert "12 of the test pairs were training pairs of my-autotrain-llm." in warnings(
        ledger, work, change(options, dataset="second")
    )


def test_training_pairs_written_for_truthfulqa_are_warned_of(
    ledger: Ledger, work: Project, options: EvaluateOptions
) -> None:
    shutil.rmtree(work.exports / "first")
    export(work, "first", 30, 8, source="truthy-dpo-v0.1")
    said = "30 of the 30 training pairs come from truthy-dpo."
    assert said in warnings(ledger, work, options)
    assert said not in warnings(ledger, work, change(options, tasks=["reviewed_pairs"]))


def test_start_raises_and_starts_nothing(ledger: Ledger, work: Project, options: EvaluateOptions) -> None:
    with pytest.raises(StudioError, match="No trained model is chosen"):
        evaluations.start(ledger, work, change(options, tuned=""))
    with pytest.raises(StudioError, match="nothing to answer"):
        evaluations.answer(ledger, work, {"tuned": options.tuned}, "  ")
    with pytest.raises(StudioError, match="There is no model folder"):
        evaluations.answer(ledger, work, {"tuned": f"{options.tuned}/x/y"}, "Why?")
    assert ledger.list(kind="evaluate") == ledger.list(kind="answer") == []


def test_an_answer_is_asked_of_all_models_alike(options: EvaluateOptions) -> None:
    models = {"base": options.base, "tuned": options.tuned}
    made = evaluations.answer_spec(models, "Why?", evaluate_options.AnswerOptions(max_new_tokens=5))
    assert {model["role"]: model["path"] for model in made["models"]} == models
    assert made["messages"] == [{"role": "user", "content": "Why?"}]
    assert (made["max_new_tokens"], made["temperature"], made["seed"], made["dtype"]) == (5, 0.0, 42, "float32")


# Several models, one model, revisions


def test_further_models_have_roles_of_their_own_and_are_named_once(options: EvaluateOptions, tmp_path: Path) -> None:
    several = change(options, further=[" ada/one@v2 ", "ada/one@v2", "", str(tmp_path)])
    assert list(several.models) == ["base", "tuned", "further-1", "further-2"]
    assert several.models["further-1"] == "ada/one@v2"
    assert list(change(options, base="").models) == ["tuned"]
    assert change(options, further=None).further == []


def test_a_model_chosen_twice_stops_the_evaluation(
    ledger: Ledger, work: Project, options: EvaluateOptions, base: Path, tmp_path: Path
) -> None:
    assert blockers(ledger, work, change(options, further=[options.tuned])) == [f"{options.tuned} is chosen twice."]
    other = shutil.copytree(base, tmp_path / "other")
    assert blockers(ledger, work, change(options, further=[str(other)])) == []


def test_one_model_can_be_scored_alone(ledger: Ledger, work: Project, options: EvaluateOptions) -> None:
    alone = change(options, base="")
    assert blockers(ledger, work, alone) == []
    assert [model["role"] for model in spec(work, alone)["models"]] == ["tuned"]
    run = evaluated(ledger, work, alone, [result("tuned", "reviewed_pairs", {"pref_acc_norm": 0.25}, {})])
    found = evaluations.result(run)
    assert found is not None and (found.base, found.compared) == ("", ["tuned"])
    first = found.rows()[0]
    assert (first.base, first.tuned, first.difference) == (None, 0.25, None)


def test_a_revision_is_shown_short_and_kept_where_the_hub_does_not_answer() -> None:
    commit = "0123456789abcdef" * 2 + "01234567"
    entry = model_entry("tuned", f"ada/one@{commit}")
    assert entry == {"role": "tuned", "name": "ada/one@0123456", "path": "ada/one", "revision": commit}


def test_each_further_model_is_compared_with_the_base_by_its_own_samples(tmp_path: Path) -> None:
    values = {f"s{i}": float(i % 2) for i in range(20)}
    write_samples(tmp_path, "base", "pref_acc_norm", values, "reviewed_pairs|0")
    for role, changed in (("tuned", 2), ("further-1", 4)):
        better = {name: 1.0 if int(name[1:]) in range(0, 2 * changed, 2) else value for name, value in values.items()}
        write_samples(tmp_path, role, "pref_acc_norm", better, "reviewed_pairs|0")
    scores = {"base": 0.5, "tuned": 0.6, "further-1": 0.7}
    results = [result(role, "reviewed_pairs", {"pref_acc_norm": value}, {}) for role, value in scores.items()]
    differences = {role: compare(results, tmp_path, role)[0] for role in ("tuned", "further-1")}
    assert differences["tuned"].difference == pytest.approx(0.1)
    assert differences["further-1"].difference == pytest.approx(0.2)
    assert all(each.paired for each in differences.values())
    expected = statistics.stdev([1.0] * 4 + [0.0] * 16) / math.sqrt(20)
    assert differences["further-1"].difference_stderr == pytest.approx(expected)
    assert compare(results[:1], tmp_path, "further-1")[0].note == message("comparison.no_tuned")


# On a Job


def test_a_job_is_told_nothing_of_this_machine_but_what_is_sent_along(work: Project, options: EvaluateOptions) -> None:
    only = change(options, tasks=["truthfulqa:mc"])
    wanted = spec(work, only)
    told = job.remote(work, only, wanted, fetch="/here/results")
    assert told["overrides"]["tasks"] == [{"name": "truthfulqa:mc", "data": "data/truthful.jsonl"}]
    assert told["files"] == {"data/truthful.jsonl": str(options.truthfulqa_data)}
    assert (told["upload"], told["fetch"], told["overrides"]["output_dir"]) == (None, "/here/results", "output")
    assert wanted["tasks"][0]["data"] == str(options.truthfulqa_data)  # the run's own spec stays


def test_a_job_reads_no_folder_of_this_machine_and_no_unpublished_export(
    work: Project, options: EvaluateOptions
) -> None:
    said = [notice.what for notice in job.blockers(work, options)]
    assert said == [
        f"{options.base} is a folder on this machine.",
        f"{options.tuned} is a folder on this machine.",
        "The export “first” is not on the Hub.",
    ]


def test_without_an_account_nothing_is_sent(ledger: Ledger, work: Project, options: EvaluateOptions) -> None:
    found = preflight(ledger, work, options, CPU, JobOptions(where="job"))
    assert found.blockers[2].what == "The export “first” is not on the Hub."
    assert "You are not signed in to Hugging Face." in [notice.what for notice in found.blockers]
    with pytest.raises(StudioError):
        evaluations.start(ledger, work, options, JobOptions(where="job"))
    assert ledger.list() == ledger.list(kind="train")


def test_an_autotrain_space_evaluates_nothing(ledger: Ledger, work: Project, options: EvaluateOptions) -> None:
    found = preflight(ledger, work, options, CPU, JobOptions(where="space"))
    assert "An evaluation does not run in an AutoTrain Space." in [notice.what for notice in found.blockers]


def test_memory_and_time_follow_model_batch_and_format(work: Project, options: EvaluateOptions) -> None:
    asked = job.load(work, options, {"reviewed_pairs": 8, "truthfulqa:mc": 50})
    (shape,) = {each for each in asked.shapes.values() if each}  # base and tuned have one shape
    assert asked.total["truthfulqa:mc"] == 50 * 12 * 250
    assert 0 < asked.longest["reviewed_pairs"] < asked.total["reviewed_pairs"]
    need = job.memory(asked, options)
    assert need is not None and need > 2e9 + 4 * shape.parameters
    larger = job.memory(asked, change(options, batch_size=512))
    assert larger is not None and larger > need
    l40s = Flavor("l40sx1", "L40S", "L40S", 1, 48 << 30, 0.03)
    time = job.seconds(asked, options, l40s)
    twice = job.seconds(job.load(work, options, {"reviewed_pairs": 8, "truthfulqa:mc": 100}), options, l40s)
    assert time is not None and twice is not None and time < twice
    assert job.seconds(asked, options, Flavor("cpu-basic", "CPU", "", 0, 16 << 30, 0.001)) is None
    assert job.need(asked, change(options, dtype="bfloat16")).bf16


# On a model's card


CARD = """---
license: mit
model-index:
- name: mine
  results:
  - task:
      type: text-generation
    dataset:
      name: HellaSwag
      type: hellaswag
    metrics:
    - type: acc
      value: 0.3
---

# My model

Trained at home | with a pipe.
"""


def test_results_join_the_card_and_take_the_place_of_older_ones(
    ledger: Ledger, work: Project, options: EvaluateOptions
) -> None:
    def card(before: str, value: float) -> str:
        both = [
            result("base", "reviewed_pairs", {"pref_acc_norm": 0.5}, {"pref_acc_norm": 0.1}),
            result("tuned", "reviewed_pairs", {"pref_acc_norm": value}, {"pref_acc_norm": 0.1}, samples=12),
        ]
        found = evaluations.result(evaluated(ledger, work, change(options, batch_size=int(value * 100)), both))
        assert found is not None
        rows = [row for row in found.rows() if row.headline and row.tuned is not None]
        return publish._with_results(before, "ada/mine", found, "tuned", rows)

    once = card(CARD, 0.7512345678901234)
    twice = card(once, 0.8)
    data = ModelCard(once).data
    assert data.license == "mit" and data.model_name == "mine"
    assert [(each.dataset_type, each.metric_value) for each in data.eval_results or []] == [
        ("hellaswag", 0.3),
        ("first", 0.7512345678901234),
    ]
    assert "(12 of 20 samples)" in once and "Trained at home | with a pipe." in once
    assert [each.metric_value for each in ModelCard(twice).data.eval_results or []] == [0.3, 0.8]
    assert twice.count("## Evaluation") == 1 and twice.count("# My model") == 1
    assert card(twice, 0.8) == twice
    fresh = ModelCard(card("", 0.6))
    assert fresh.data.model_name == "mine" and fresh.text.strip().startswith(publish.BEGIN)


def test_a_card_with_broken_metadata_is_left_alone(ledger: Ledger, work: Project, options: EvaluateOptions) -> None:
    found = evaluations.result(evaluated(ledger, work, options, []))
    assert found is not None
    with pytest.raises(StudioError, match="metadata that cannot be read"):
        publish._with_results("---\nlicense: [mit\n---\nText", "ada/mine", found, "tuned", [row()])


# History and comparison


def evaluated(ledger: Ledger, work: Project, options: EvaluateOptions, found: list[dict[str, Any]]) -> Run:
    wanted = spec(work, options)

    def whole(run_id: str) -> dict[str, Any]:
        return wanted | {"output_dir": str(work.evaluations / run_id)}

    run, _ = ledger.add("evaluate", work.name, "Evaluate", whole, wanted)
    for each in found:
        events.append(run.events, "result", **each)
    return run


def test_each_run_has_a_folder_and_a_double_click_one_run(
    ledger: Ledger, work: Project, options: EvaluateOptions
) -> None:
    first = evaluated(ledger, work, options, [])
    again = evaluated(ledger, work, options, [])
    assert again.id == first.id
    ledger.end(first.id, State.SUCCEEDED, result={"commands": ["lighteval accelerate …"]})
    second = evaluated(ledger, work, options, [])
    assert second.id != first.id
    folders = {json.loads(run.spec.read_text())["output_dir"] for run in (first, second)}
    assert len(folders) == 2 and all(Path(folder).parent == work.evaluations for folder in folders)


def test_history_and_pace_come_from_former_runs(ledger: Ledger, work: Project, options: EvaluateOptions) -> None:
    assert evaluations.results(ledger, work) == []
    both = [
        result(role, task, {"x": 0.5}, {}, samples=10, seconds=seconds)
        for role, seconds in (("base", 20.0), ("tuned", 30.0))
        for task in ("truthfulqa:mc", "reviewed_pairs")
    ]
    run = evaluated(ledger, work, options, both)
    (evaluation,) = evaluations.results(ledger, work)
    assert (evaluation.run_id, evaluation.base, evaluation.tuned) == (run.id, "base", "my-autotrain-llm")
    assert evaluation.state is State.QUEUED and len(evaluation.results) == 4 and evaluation.commands == []
    ledger.end(run.id, State.SUCCEEDED, result={"commands": ["lighteval accelerate …"]})
    assert evaluations.results(ledger, work)[0].commands == ["lighteval accelerate …"]
    assert preflight(ledger, work, options, CPU).numbers.seconds == pytest.approx(5 * 50 + 5 * 8)
    assert preflight(ledger, work, change(options, dtype="bfloat16"), CPU).numbers.seconds is None


def test_paired_stderr_is_that_of_the_differences() -> None:
    one = {"a": 0.0, "b": 1.0, "c": 0.0, "d": 1.0}
    other = {"d": 1.0, "c": 1.0, "b": 1.0, "a": 1.0}
    # differences 1, 0, 1, 0: mean 0.5, sample variance 1/3, stderr sqrt(1/3/4)
    assert paired_stderr(one, other) == pytest.approx(math.sqrt(1 / 12))
    assert paired_stderr(one, one) == 0
    assert paired_stderr({"a": 0.0}, {"a": 1.0}) is None
    assert paired_stderr({"a": 0.0, "b": None}, {"a": 1.0, "b": 1.0}) is None


def test_compare_pairs_samples_by_id(tmp_path: Path) -> None:
    base = {f"s{i}": float(i % 2) for i in range(20)}
    tuned = {name: 1.0 if name in ("s0", "s2", "s4") else value for name, value in reversed(base.items())}
    write_samples(tmp_path, "base", "truthfulqa_mc1", base, "truthfulqa:mc|0")
    write_samples(tmp_path, "tuned", "truthfulqa_mc1", tuned, "truthfulqa:mc|0")
    results = [
        result("base", "truthfulqa:mc", {"truthfulqa_mc1": 0.5}, {"truthfulqa_mc1": 0.115}),
        result("tuned", "truthfulqa:mc", {"truthfulqa_mc1": 0.65}, {"truthfulqa_mc1": 0.109}),
    ]
    (found,) = [each for each in compare(results, tmp_path) if each.metric == "truthfulqa_mc1"]
    assert found.difference == pytest.approx(0.15)
    expected = statistics.stdev([1.0] * 3 + [0.0] * 17) / math.sqrt(20)
    assert found.paired and found.difference_stderr == pytest.approx(expected)
    assert found.headline and not found.partial
    (alone,) = [each for each in compare(results) if each.metric == "truthfulqa_mc1"]
    assert not alone.paired and alone.difference_stderr == pytest.approx(math.hypot(0.115, 0.109))


def test_compare_refuses_what_cannot_be_compared(tmp_path: Path) -> None:
    scores, errors = {"pref_acc_norm": 0.5}, {"pref_acc_norm": 0.1}

    def note(base: dict[str, Any], tuned: dict[str, Any] | None, folder: Path | None = None) -> str:
        found = compare([each for each in (base, tuned) if each], folder)
        first = next(each for each in found if each.metric == "pref_acc_norm")
        assert first.difference is None and first.difference_stderr is None
        assert finding(first) == "none" and first.note is not None
        return first.note.what

    base, tuned = (result(role, "reviewed_pairs", scores, errors) for role in ("base", "tuned"))
    assert "tuned model has no result" in note(base, None)
    assert "different settings" in note(base, tuned | {"settings": {"dtype": "bfloat16"}})
    assert "different settings or samples" in note(base, tuned | {"samples": 19})
    assert "not a number" in note(base, tuned | {"scores": {"pref_acc_norm": None}})
    write_samples(tmp_path, "base", "pref_acc_norm", {"a": 1.0, "b": 0.0}, "reviewed_pairs|0")
    write_samples(tmp_path, "tuned", "pref_acc_norm", {"a": 1.0, "c": 0.0}, "reviewed_pairs|0")
    assert "different samples" in note(base, tuned, tmp_path)


def test_headlines_come_first_and_drops_and_parts_are_kept() -> None:
    scores = {"pref_acc": 0.9, "pref_nan": 0.0, "pref_acc_norm": 0.5, "pref_margin_norm": 0.01}
    more = {"samples": 12, "available": 20, "dropped": {"identical": 2, "too_long": 0}}
    rows = compare([result(role, "reviewed_pairs", scores, {}, **more) for role in ("base", "tuned")])
    assert [each.metric for each in rows] == ["pref_acc_norm", "pref_margin_norm", "pref_acc", "pref_nan"]
    assert [each.headline for each in rows] == [True, True, False, False]
    assert rows[0].partial and rows[0].dropped == {"identical": 2}


def test_samples_that_are_no_numbers_are_none(tmp_path: Path) -> None:
    write_samples(tmp_path, "base", "pref_margin_norm", {"a": 0.25, "b": None}, "reviewed_pairs")
    found = read_samples(tmp_path / "base" / "samples.jsonl")
    assert found == {("reviewed_pairs", "pref_margin_norm"): {"a": 0.25, "b": None}}
    assert read_samples(tmp_path / "gone.jsonl") == {}


@pytest.mark.parametrize(
    ("value", "stderr", "text"),
    [
        (0.41234, 0.01526, "0.412 ± 0.015"),
        (0.41234, 0.0996, "0.41 ± 0.10"),
        (-0.00123456, 0.000234, "-0.00123 ± 0.00023"),
        (1234.6, 56.7, "1235 ± 57"),
        (1234.6, 567.0, "1230 ± 570"),
        (12.34, 1.5, "12.3 ± 1.5"),
        (0.412345, None, "0.4123"),
        (1.0, 0.0, "1"),
        (None, 0.1, "–"),
    ],
)
def test_values_are_rounded_by_their_stderr(value: float | None, stderr: float | None, text: str) -> None:
    assert rounded(value, stderr) == text


def test_differences_are_signed() -> None:
    assert rounded(0.1, 0.02, signed=True) == "+0.100 ± 0.020"
    assert rounded(-0.1, 0.02, signed=True) == "-0.100 ± 0.020"
    assert rounded(0.0, 0.0, signed=True) == "0"


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({}, "better"),
        ({"difference": -0.1}, "worse"),
        ({"difference": 0.0392}, "same"),
        ({"difference": 0.0393}, "better"),
        ({"difference": 0.0, "difference_stderr": 0.0}, "same"),
        ({"samples": 9, "available": 9}, "few"),
        ({"difference_stderr": None}, "unknown"),
        ({"metric": "pref_tie"}, "undirected"),
        ({"difference": 0.0, "samples": 40}, "same"),
    ],
)
def test_a_change_is_claimed_only_beyond_the_error(values: dict[str, Any], found: str) -> None:
    assert finding(row(**values)) == found


FAKE = """
from pipeline.evaluate.task import Metric, Task

class Arc(Task):
    name = "arc:easy"
    metrics = (Metric("acc", share=True), Metric("acc_norm", headline=False))
    samples = 2376
    repository = "allenai/ai2_arc"

ARC = Arc()
"""


def test_a_task_is_one_file(
    ledger: Ledger, work: Project, options: EvaluateOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "extensions").mkdir()
    (tmp_path / "extensions" / "arc.py").write_text(FAKE)
    monkeypatch.setenv("ALIGN_STUDIO_EXTENSIONS", str(tmp_path / "extensions"))
    monkeypatch.setattr(reference, "dataset_problem", lambda name, instead: None)
    chosen = change(options, tasks=["reviewed_pairs", "arc:easy"])
    assert spec(work, chosen)["tasks"][1] == {"name": "arc:easy", "data": None}
    found = preflight(ledger, work, chosen, GPU)
    assert (found.blockers, found.numbers.samples) == ([], {"reviewed_pairs": 8, "arc:easy": 2376})
    assert any("2376 samples of arc:easy" in what for what in warnings(ledger, work, chosen, CPU))
    asked = job.load(work, chosen, found.numbers.samples)
    assert asked.total["arc:easy"] == 2376 * 4 * 250 and job.memory(asked, chosen)
    (told,) = job.remote(work, change(chosen, tasks=["arc:easy"]), spec(work, change(chosen, tasks=["arc:easy"])), "x")[
        "overrides"
    ]["tasks"]
    assert told == {"name": "arc:easy", "data": None}
    scored = [result("tuned", "arc:easy", {"acc_norm": 0.4, "acc": 0.5}, {"acc": 0.1})]
    rows = compare(scored)
    assert [(each.metric, each.headline) for each in rows] == [("acc", True), ("acc_norm", False)]
    source = task_of("arc:easy").source({}, "")
    assert task_of("arc:easy").called == "arc:easy" and source is not None and source.repository == "allenai/ai2_arc"
