from __future__ import annotations

import ast
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from pipeline.base import project
from pipeline.base.errors import StudioError
from pipeline.base.home import open_home
from pipeline.base.options import readable, table
from pipeline.base.project import Project
from pipeline.export import exported
from pipeline.hardware.machine import Gpu, Hardware
from pipeline.hardware.pricing import JobOptions
from pipeline.models import reference
from pipeline.models.shape import ModelShape
from pipeline.models.tokens import PairCounts
from pipeline.runs.ledger import Ledger, Run, State
from pipeline.train import card, check, trainings
from pipeline.train.algorithm import Algorithm, algorithm_of, algorithms
from pipeline.train.algorithms.orpo import ORPO, OrpoParams
from pipeline.train.card import Origin
from pipeline.train.check import spec
from pipeline.train.options import TrainOptions
from pipeline.train.params import Cuts, cuts, steps_per_epoch
from tests.tiny_model import make_pairs, make_tiny_model

TUTORIAL = {
    "learning_rate": 2e-5,
    "batch_size": 4,
    "epochs": 1,
    "block_size": 512,
    "warmup_ratio": 0.1,
    "lora": True,
    "lora_r": 16,
    "lora_alpha": 32,
    "lora_dropout": 0.05,
    "merge_adapter": True,
    "weight_decay": 0.01,
    "gradient_accumulation": 4,
    "mixed_precision": "auto",
    "max_prompt_length": 256,
    "max_completion_length": 256,
    "logging_steps": 10,
    "save_total_limit": 2,
    "seed": 42,
    "beta": 0.1,
    "nll": "all",
}
MACHINE = Hardware(cpus=2, memory=16 << 30)


def export(of: Project, name: str, train_pairs: int, test_pairs: int = 0) -> None:
    folder = of.exports / name
    folder.mkdir(parents=True)
    rows = [
        {"record_id": f"{i:016x}", "source": "", **row} for i, row in enumerate(make_pairs(train_pairs + test_pairs))
    ]
    for split, part in (("train", rows[:train_pairs]), ("test", rows[train_pairs:])):
        if part:
            (folder / f"{split}.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in part))
    (folder / "export.json").write_text("{}")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(open_home(tmp_path / "home"))


@pytest.fixture
def work(ledger: Ledger) -> Project:
    made = project.create(ledger.home, "rivers")
    export(made, "first", 32)
    return made


@pytest.fixture
def options(tiny: Path) -> TrainOptions:
    return TrainOptions(base_model=str(tiny), dataset="first")


def blockers(ledger: Ledger, work: Project, options: TrainOptions, **params: Any) -> list[str]:
    found = check.preflight(ledger, work, options, OrpoParams(**params), MACHINE)
    return [notice.what for notice in found.blockers]


def ran(ledger: Ledger, work: Project, options: TrainOptions, state: State, **result: Any) -> Run:
    """Put a run into the ledger as a supervisor would have left it."""
    params = OrpoParams()
    asked = trainings.asked(options, params, JobOptions())
    run, _ = ledger.add("train", work.name, "Train", spec(work, options, params), asked)
    if state in (State.SUCCEEDED, State.FAILED, State.CANCELLED):
        ledger.end(run.id, state, result=result or None)
    return ledger.get(run.id)


def test_defaults_are_the_tutorials_in_its_order_but_for_the_number_format() -> None:
    assert list(OrpoParams().model_dump().items()) == list(TUTORIAL.items())


def test_options_default_to_the_tutorials_model_and_name() -> None:
    assert TrainOptions().model_dump() == {
        "base_model": "HuggingFaceTB/SmolLM2-135M",
        "project_name": "my-autotrain-llm",
        "dataset": "",
        "algorithm": "orpo",
        "remedies": [],
    }


def test_every_field_says_what_it_is() -> None:
    for name, info in (OrpoParams.model_fields | TrainOptions.model_fields).items():
        assert info.description and info.description.endswith("."), name
    assert all(isinstance(info.json_schema_extra, dict) for info in OrpoParams.model_fields.values())


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"learning_rate": 0}, "learning_rate must be greater than 0"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"batch_size": 1.5}, "batch_size must be a whole number"),
        ({"lora_dropout": 1}, "lora_dropout must be at most 0.9"),
        ({"mixed_precision": "int4"}, "mixed_precision must be 'auto', 'bf16', 'fp16' or 'none'; it is “int4”."),
        ({"epochs": None}, "epochs must be a whole number; it is empty."),
        ({"warmup": 1}, "warmup is no option here."),
        ({"max_prompt_length": 512}, "“Longest prompt” (512) must be smaller than “Block size” (512)"),
    ],
)
def test_a_wrong_value_is_said_in_plain_words(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        OrpoParams(**values)
    assert said in readable(caught.value).why


def test_several_wrong_values_are_all_named() -> None:
    with pytest.raises(ValidationError) as caught:
        OrpoParams(seed=-1, beta=0)
    error = readable(caught.value)
    assert error.what == "2 values cannot be used."
    assert "seed must be at least 0; it is -1." in error.why and "beta must be greater than 0; it is 0." in error.why
    assert error.next == "Change seed, beta, then try again."


def test_assignment_is_checked_too() -> None:
    params = OrpoParams()
    with pytest.raises(ValidationError):
        params.block_size = 128
    params.max_prompt_length = 100
    params.block_size = 128
    assert params.block_size == 128


@pytest.mark.parametrize("name", ["my_model", "a" * 51, "-a", "a--b", "", "ä", "a b"])
def test_names_autotrain_or_the_hub_refuse_are_refused(name: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TrainOptions(project_name=name)
    assert "letters, digits and single hyphens" in readable(caught.value).why


def test_the_table_has_a_row_per_field_with_default_and_bounds() -> None:
    lines = table(OrpoParams).splitlines()
    assert len(lines) == 2 + len(TUTORIAL)
    assert lines[2] == "| `learning_rate` | 2e-05 | > 0, ≤ 0.1 |  | Peak learning rate of AdamW. |"
    assert "| auto | auto, bf16, fp16, none |" in table(OrpoParams)


@pytest.mark.parametrize(
    ("pairs", "batch", "accumulation", "steps"),
    [(16, 4, 4, 1), (17, 4, 4, 2), (13, 4, 4, 1), (1, 4, 4, 1), (64, 4, 4, 4), (100, 8, 1, 13), (0, 4, 4, 0)],
)
def test_steps_per_epoch(pairs: int, batch: int, accumulation: int, steps: int) -> None:
    assert steps_per_epoch(pairs, batch, accumulation) == steps


def test_cuts_follow_the_worker() -> None:
    params = OrpoParams(block_size=100, max_prompt_length=60, max_completion_length=50)
    counts = [
        PairCounts(40, 30, 20),  # fits
        PairCounts(70, 10, 10),  # prompt cut to 60: 70 in all
        PairCounts(10, 20, 90),  # rejected cut to 50
        PairCounts(80, 80, 10),  # both cut: 60 + 50 > 100
    ]
    assert cuts(counts, params) == Cuts(longest=160, prompts=2, completions=2, sequences=1)


def test_preflight_counts_with_the_models_tokenizer(ledger: Ledger, work: Project, options: TrainOptions) -> None:
    found = check.preflight(ledger, work, options, OrpoParams(epochs=3, max_completion_length=16), MACHINE)
    assert found.blockers == []
    numbers = found.numbers
    assert (numbers.pairs, numbers.steps_per_epoch, numbers.steps, numbers.last_step) == (32, 2, 6, 0)
    assert numbers.unit == "tokens" and numbers.longest > 16
    assert numbers.memory is not None and numbers.memory > 0.7e9
    assert numbers.seconds is None
    assert 0 < numbers.completions_cut <= 32
    (warning,) = [notice for notice in found.warnings if "completion" in notice.what]
    assert warning.what.startswith(f"{numbers.completions_cut} of 32 pairs") and "“Longest answer”" in warning.next


@pytest.mark.parametrize(
    ("pairs", "steps", "last", "every"), [(1, 1, 1, 1), (17, 2, 1, 1), (150, 10, 6, 1), (352, 22, 0, 2)]
)
def test_every_pair_is_in_a_step(
    ledger: Ledger, work: Project, tiny: Path, pairs: int, steps: int, last: int, every: int
) -> None:
    export(work, "other", pairs)
    found = check.preflight(ledger, work, TrainOptions(base_model=str(tiny), dataset="other"), OrpoParams(), MACHINE)
    assert found.blockers == []
    numbers = found.numbers
    assert (numbers.pairs, numbers.steps, numbers.last_step, numbers.logging_interval) == (pairs, steps, last, every)


@pytest.mark.parametrize(
    ("asked", "machine", "computed", "warned"),
    [
        ("auto", Hardware(2, 16 << 30), "none", False),
        ("auto", Hardware(2, 16 << 30, processor_bf16=True), "bf16", False),
        ("auto", Hardware(2, 16 << 30, (Gpu("NVIDIA L4", 24 << 30),)), "bf16", False),
        ("auto", Hardware(2, 16 << 30, (Gpu("Tesla T4", 16 << 30),), processor_bf16=True), "none", False),
        ("bf16", Hardware(2, 16 << 30), "bf16", True),
        ("bf16", Hardware(2, 16 << 30, processor_bf16=True), "bf16", False),
    ],
)
def test_the_number_format_is_the_hardwares(
    ledger: Ledger, work: Project, options: TrainOptions, asked: str, machine: Hardware, computed: str, warned: bool
) -> None:
    found = check.preflight(ledger, work, options, OrpoParams(mixed_precision=asked), machine)
    assert found.numbers.number_format == computed
    assert [notice.code for notice in found.warnings if "format" in notice.code] == ["training.slow_format"] * warned


def test_what_is_missing_stops_the_run(ledger: Ledger, work: Project, tiny: Path, tmp_path: Path) -> None:
    assert "No dataset is chosen." in blockers(ledger, work, TrainOptions(base_model=str(tiny)))
    absent = TrainOptions(base_model=str(tiny), dataset="absent")
    assert blockers(ledger, work, absent) == ["There is no export “absent” with a train split."]
    nowhere = TrainOptions(base_model=str(tmp_path / "nowhere"), dataset="first")
    assert blockers(ledger, work, nowhere) == [f"There is no model folder {tmp_path / 'nowhere'}."]


@pytest.mark.parametrize(
    ("file", "lacks"),
    [("config.json", "config.json"), ("model.safetensors", "weights"), ("tokenizer.json", "a tokenizer")],
)
def test_an_incomplete_model_folder_stops_the_run(
    ledger: Ledger, work: Project, tiny: Path, tmp_path: Path, file: str, lacks: str
) -> None:
    broken = Path(shutil.copytree(tiny, tmp_path / "broken"))
    (broken / file).unlink()
    options = TrainOptions(base_model=str(broken), dataset="first")
    (notice,) = check.preflight(ledger, work, options, OrpoParams(), MACHINE).blockers
    assert "is not a whole model" in notice.what and lacks in notice.why


def test_an_adapter_is_not_a_base_model(ledger: Ledger, work: Project, tmp_path: Path) -> None:
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    options = TrainOptions(base_model=str(tmp_path / "adapter"), dataset="first")
    assert blockers(ledger, work, options) == ["adapter is an adapter, not a whole model."]


def test_a_block_beyond_the_context_stops_the_run(ledger: Ledger, work: Project, options: TrainOptions) -> None:
    assert blockers(ledger, work, options, block_size=1024) == []
    assert blockers(ledger, work, options, block_size=1025) == [
        "“Block size” (1025 tokens) is beyond what the base model reads."
    ]


def test_fp16_needs_a_gpu(ledger: Ledger, work: Project, options: TrainOptions) -> None:
    assert blockers(ledger, work, options, mixed_precision="fp16") == ["fp16 needs a GPU, and this machine has none."]
    machine = Hardware(2, 16 << 30, (Gpu("NVIDIA L4", 24 << 30),))
    assert check.preflight(ledger, work, options, OrpoParams(mixed_precision="fp16"), machine).blockers == []


def test_warnings_about_memory_and_idle_settings(ledger: Ledger, work: Project, options: TrainOptions) -> None:
    small = Hardware(cpus=1, memory=256 << 20)
    found = check.preflight(ledger, work, options, OrpoParams(lora=False, lora_r=8), small)
    said = [notice.what for notice in found.warnings]
    assert "“LoRA r” will have no effect." in said
    assert any(what.startswith("The run may need") for what in said)


def test_an_unreachable_hub_is_told_from_a_missing_model(
    monkeypatch: pytest.MonkeyPatch, ledger: Ledger, work: Project
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    options = TrainOptions(base_model="studio-tests/no-such-model", dataset="first")
    (notice,) = check.preflight(ledger, work, options, OrpoParams(), MACHINE).blockers
    assert notice.what == "studio-tests/no-such-model is not on this machine, and the Hub cannot be reached."
    assert "folder" in notice.next


def test_a_name_is_in_use_while_its_model_or_run_is_there(ledger: Ledger, work: Project, options: TrainOptions) -> None:
    (work.models / options.project_name).mkdir(parents=True)
    assert blockers(ledger, work, options) == ["The name “my-autotrain-llm” is in use."]
    assert blockers(ledger, work, options.model_copy(update={"project_name": "other"})) == []
    run = ran(ledger, work, options, State.QUEUED)
    (notice,) = check.preflight(ledger, work, options, OrpoParams(seed=1), MACHINE).blockers
    assert "is training" in notice.why
    ledger.end(run.id, State.FAILED)
    assert blockers(ledger, work, options) == []  # what the failed run left does not keep its name
    ran(ledger, work, options, State.SUCCEEDED, model_path=str(work.models / options.project_name))
    assert blockers(ledger, work, options) == ["The name “my-autotrain-llm” is in use."]


def test_start_raises_the_first_blocker_and_starts_nothing(ledger: Ledger, work: Project, tiny: Path) -> None:
    with pytest.raises(StudioError, match="No dataset is chosen"):
        trainings.start(ledger, work, TrainOptions(base_model=str(tiny)), OrpoParams())
    assert ledger.list() == []


def test_asked_twice_a_run_is_started_once(ledger: Ledger, work: Project, options: TrainOptions) -> None:
    first = ran(ledger, work, options, State.QUEUED)
    assert trainings.start(ledger, work, options, OrpoParams()).id == first.id
    assert len(ledger.list()) == 1


def test_time_is_estimated_from_a_former_run_alone(ledger: Ledger, work: Project, options: TrainOptions) -> None:
    run = ran(ledger, work, options, State.SUCCEEDED, model_path="gone", steps=2, seconds=30.0)
    marks = [{"ts": 100.0, "event": "begin"}, {"ts": 108.0, "event": "step"}, {"ts": 120.0, "event": "step"}]
    run.events.write_text("".join(json.dumps(mark) + "\n" for mark in marks))
    other = options.model_copy(update={"project_name": "second"})

    def seconds(**params: Any) -> float | None:
        return check.preflight(ledger, work, other, OrpoParams(**params), MACHINE).numbers.seconds

    assert seconds(epochs=5) == 10.0 + 5 * 20.0
    assert seconds(learning_rate=1e-4) == 30.0
    assert seconds(block_size=300) is None


def test_models_are_those_of_finished_runs_that_are_still_there(
    ledger: Ledger, work: Project, options: TrainOptions
) -> None:
    folder = make_tiny_model(work.models / "my-autotrain-llm")
    ran(ledger, work, options.model_copy(update={"project_name": "gone"}), State.SUCCEEDED, model_path="gone")
    ran(ledger, work, options.model_copy(update={"project_name": "failed"}), State.FAILED)
    run = ran(ledger, work, options, State.SUCCEEDED, model_path=str(folder), steps=2)
    (model,) = trainings.models(ledger, work)
    assert (model.name, model.path, model.run_id, model.dataset) == ("my-autotrain-llm", str(folder), run.id, "first")
    assert model.size == sum(file.stat().st_size for file in folder.iterdir())
    assert model.base_model == options.base_model and model.result["steps"] == 2


def test_a_models_name_on_the_hub_has_its_revision(ledger: Ledger, work: Project, options: TrainOptions) -> None:
    def finished(name: str, **result: Any) -> None:
        wanted = spec(work, options.model_copy(update={"project_name": name}), OrpoParams()) | {"place": "job"}
        run, _ = ledger.add("train", work.name, "Train", wanted)
        ledger.end(run.id, State.SUCCEEDED, result=result)

    finished("whole", repo="ada/whole", revision="c0ffee", model_path="/gone", size_bytes=7)
    finished("adapter", repo="ada/adapter", revision="c0ffee", model_path="/gone/merged", adapter_path="/gone")
    (model,) = trainings.models(ledger, work)  # a model in a folder of its repository cannot be evaluated
    assert (model.path, model.place, model.size, model.name) == ("ada/whole@c0ffee", "job", 7, "whole")


def test_a_job_that_failed_gives_no_leave_to_remove_a_model_here(
    ledger: Ledger, work: Project, options: TrainOptions
) -> None:
    (work.models / options.project_name).mkdir(parents=True)
    ran(ledger, work, options, State.SUCCEEDED, model_path=str(work.models / options.project_name))
    run, _ = ledger.add("train", work.name, "Train", spec(work, options, OrpoParams()) | {"place": "job"})
    ledger.end(run.id, State.FAILED)
    assert blockers(ledger, work, options) == ["The name “my-autotrain-llm” is in use."]


def test_a_job_is_another_run_than_the_same_training_here(ledger: Ledger, work: Project, options: TrainOptions) -> None:
    here = ran(ledger, work, options, State.QUEUED)
    asked = (ledger, work, options, OrpoParams())
    same = trainings.asked_already(*asked, JobOptions())
    assert same is not None and same.id == here.id
    assert trainings.asked_already(*asked, JobOptions(where="job")) is None


def test_a_revision_of_the_base_model_is_refused(ledger: Ledger, work: Project, options: TrainOptions) -> None:
    asked = options.model_copy(update={"base_model": "studio-tests/no-such-model@abc"})
    assert "A training starts from the newest version of a model." in blockers(ledger, work, asked)


def test_a_job_is_refused_what_it_cannot_have(ledger: Ledger, work: Project, options: TrainOptions) -> None:
    found = check.preflight(ledger, work, options, OrpoParams(), where=JobOptions(where="job", flavor="l4x4"))
    said = [notice.what for notice in found.blockers]
    assert said == [
        "You are not signed in to Hugging Face.",
        "4x Nvidia L4 (l4x4) is not for this run.",
        "A Job cannot read the base model: it is a folder on this machine.",
        "The export “first” is not published.",
    ]
    with pytest.raises(StudioError, match="not signed in"):
        trainings.start(ledger, work, options, OrpoParams(), JobOptions(where="job"))
    assert ledger.list() == []


def test_the_card_is_what_the_hub_and_a_person_read() -> None:
    options = TrainOptions(base_model="ada/base", project_name="tuned")
    origin = Origin("ada/pairs", "c0ffee", "beef", public=True)
    text = card.render(options, OrpoParams(lora=False), "ada/tuned", origin)
    front = yaml.safe_load(text.split("---")[1])
    assert (front["base_model"], front["datasets"]) == ("ada/base", ["ada/pairs"])
    assert front["pipeline_tag"] == "text-generation" and "orpo" in front["tags"]
    assert card.RESULTS in text and "`c0ffee`" in text and "`beef`" in text
    assert "| `learning_rate` | 2e-05 | Peak learning rate of AdamW. |" in text
    assert "lora_dropout" not in text  # it had no effect
    private = card.render(options, OrpoParams(), "ada/tuned", Origin("ada/pairs", "c0ffee", "", public=False))
    assert "base_model" not in yaml.safe_load(private.split("---")[1])


def test_every_parameter_is_in_the_card() -> None:
    text = card.parameters(OrpoParams())
    assert [name for name in OrpoParams.model_fields if f"| `{name}` |" not in text] == []


def test_the_snippet_of_a_model_on_the_hub_names_revision_and_folder() -> None:
    text = card.snippet("ada/tuned", "merged", "c0ffee")
    ast.parse(text)
    assert text.count('revision="c0ffee", subfolder="merged"') == 2


def test_the_snippet_is_python_that_names_the_model() -> None:
    tree = ast.parse(card.snippet('/a "b"/c'))
    strings = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    assert '/a "b"/c' in strings


def test_exports_are_listed_and_damaged_lines_named(ledger: Ledger, work: Project, options: TrainOptions) -> None:
    assert exported.names(work) == ["first"]
    file = work.exports / "first" / "train.jsonl"
    assert [pair.record_id for pair in exported.read_pairs(file)][:2] == ["0" * 16, "0" * 15 + "1"]
    file.write_text(file.read_text() + '{"prompt": []}\n')
    with pytest.raises(StudioError, match=r"Line 33 of first/train.jsonl is no pair"):
        exported.read_pairs(file)
    assert "Line 33 of first/train.jsonl is no pair." in blockers(ledger, work, options)


def test_shape_and_context_are_read_without_loading(tiny: Path) -> None:
    shape = reference.shape(tiny)
    assert shape is not None
    layer = 2 * (64 * 64) + 2 * (32 * 64) + 3 * (64 * 128) + 2 * 64
    assert shape.parameters == shape.vocabulary * 64 + 64 + 2 * layer
    assert shape.adaptable == 2 * (2 * (64 + 64) + 2 * (32 + 64) + 3 * (64 + 128))
    assert reference.context(tiny) == 1024


# SmolLM2-135M: 134,515,008 parameters, hidden 576, 30 layers, intermediate 1536, 192 for keys and values.
_LAYER = 4 * 576 + 2 * (576 + 192) + 3 * (576 + 1536)
SMOLLM2 = ModelShape(134_515_008, 30 * _LAYER, 576, 30, 49_152)


@pytest.mark.parametrize(
    ("batch", "tokens", "rank", "precision", "measured"),
    [
        (4, 126, 16, "bf16", 2.3),
        (4, 254, 16, "bf16", 3.1),
        (4, 254, None, "bf16", 4.8),
        (1, 254, 16, "none", 2.3),
        (4, 254, 16, "none", 5.35),
        (4, 508, 16, "none", 9.8),
    ],
)
def test_the_memory_of_a_run_agrees_with_what_was_measured(
    batch: int, tokens: int, rank: int | None, precision: str, measured: float
) -> None:
    estimate = ORPO.footprint.peak(SMOLLM2, batch_size=batch, tokens=tokens, lora_rank=rank, mixed_precision=precision)
    assert estimate / 1e9 == pytest.approx(measured, rel=0.1)


def test_training_all_weights_takes_more_than_an_adapter() -> None:
    adapter, full = (
        ORPO.footprint.peak(SMOLLM2, batch_size=4, tokens=512, lora_rank=rank, mixed_precision="bf16")
        for rank in (16, None)
    )
    assert full - adapter == 12 * (SMOLLM2.parameters - 16 * SMOLLM2.adaptable)


FAKE = """
from pydantic import Field
from pipeline.train.algorithm import Algorithm, Curve, Footprint
from pipeline.train.params import OPTIMIZER, TrainParams

class FakeParams(TrainParams):
    delta: float = Field(0.7, gt=0, le=2, description="How far apart.", json_schema_extra=OPTIMIZER)

FAKE = Algorithm(
    name="fake",
    title="algorithm.fake",
    params=FakeParams,
    curves=(Curve("loss", ("loss",)), Curve("apart", ("apart",))),
    footprint=Footprint(sequences=1, logit_bytes={"none": 8, "bf16": 4, "fp16": 4}, models=1),
    told={"trainer": "fake"},
    engine="trl",
)
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Algorithm:
    """An algorithm from one file outside the tree."""
    (tmp_path / "extensions").mkdir()
    (tmp_path / "extensions" / "fake.py").write_text(FAKE)
    monkeypatch.setenv("ALIGN_STUDIO_EXTENSIONS", str(tmp_path / "extensions"))
    return algorithms()["fake"]


def test_an_algorithm_is_one_file(fake: Algorithm, ledger: Ledger, work: Project, options: TrainOptions) -> None:
    chosen = options.model_copy(update={"algorithm": "fake"})
    assert TrainOptions.model_validate(chosen.model_dump()).algorithm == "fake"
    assert "| `delta` | 0.7 | > 0, ≤ 2 |  | How far apart. |" in table(fake.params)
    wanted = spec(work, chosen, fake.params.model_validate({"delta": 1.5}))
    assert (wanted["algorithm"], wanted["trainer"], wanted["engine"]) == ("fake", "fake", "trl")
    assert wanted["params"] == OrpoParams().model_dump(exclude={"beta", "nll"}) | {"delta": 1.5}
    assert fake.called == "fake"  # nobody has given it words
    found = check.preflight(ledger, work, chosen, fake.params(), MACHINE)
    less = check.preflight(ledger, work, options, OrpoParams(), MACHINE)
    assert found.blockers == [] and found.numbers.memory != less.numbers.memory
    assert "| `delta` | 0.7 | How far apart. |" in card.render(
        chosen, fake.params(), "a/b", Origin("d", "r", "", False)
    )


def test_only_an_algorithm_that_is_there_can_be_chosen() -> None:
    with pytest.raises(ValidationError) as caught:
        TrainOptions(algorithm="fake")
    assert "choose one of: orpo" in readable(caught.value).why
    assert algorithm_of("gone").name == "orpo"
