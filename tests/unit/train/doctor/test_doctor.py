"""What the doctor makes of a model and of all pairs together, how it is kept, and what choices make of a training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.base import project, words
from pipeline.base.errors import StudioError
from pipeline.base.home import open_home
from pipeline.base.pair import Pair
from pipeline.base.project import Project
from pipeline.engines.examined import Limits
from pipeline.hardware.pricing import JobOptions
from pipeline.models import template
from pipeline.runs.ledger import Ledger
from pipeline.train import card, check
from pipeline.train.algorithms.orpo import OrpoParams
from pipeline.train.card import Origin
from pipeline.train.doctor import examine as examining
from pipeline.train.doctor import kept
from pipeline.train.doctor.check import checks
from pipeline.train.doctor.checks import benchmark, languages
from pipeline.train.doctor.examine import examine
from pipeline.train.doctor.finding import Report, left_out, settings, undecided
from pipeline.train.options import TrainOptions
from tests.tiny_model import CHATML, make_tiny_model
from tests.unit.train.doctor.planted import Writer, base_model, make
from tests.unit.train.test_train import MACHINE

LIMITS = Limits(256, 256, 512)


def report(pairs: list[Pair], model: Path, name: str = "somebody/base") -> Report:
    return examine(pairs, name, template.files(str(model)), LIMITS)


def sound(count: int) -> list[Pair]:
    writer = Writer(3)
    return [writer.pair() for _ in range(count)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return base_model(tmp_path_factory.mktemp("model") / "base")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(open_home(tmp_path / "home"))


@pytest.fixture
def of(ledger: Ledger) -> Project:
    return project.create(ledger.home, "rivers")


def write(of: Project, name: str, pairs: list[Pair]) -> None:
    folder = of.exports / name
    folder.mkdir(parents=True)
    rows = [
        {
            "record_id": f"{number:016x}",
            "source": pair.source,
            **{
                part: [{"role": turn.role, "content": turn.content} for turn in getattr(pair, part)]
                for part in ("prompt", "chosen", "rejected")
            },
        }
        for number, pair in enumerate(pairs)
    ]
    (folder / "train.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    (folder / "export.json").write_text("{}")


def test_sound_pairs_and_a_sound_model_have_no_finding(model: Path) -> None:
    found = report(sound(60), model)
    assert (found.findings, found.pairs, found.tokenizer) == ([], 60, True)
    assert found.checks == [each.code for each in checks()] and len(found.checks) == 16


def test_every_finding_has_words(model: Path) -> None:
    for each in checks():
        for code in (f"doctor.{each.code}", f"doctor.{each.code}.why", f"doctor.{each.code}.next"):
            assert words.has(code), code
        assert words.has(f"doctor.name.{each.code}")


def test_several_named_templates_and_none_that_is_usual(tmp_path: Path) -> None:
    model = make_tiny_model(tmp_path / "base")
    config = json.loads((model / "tokenizer_config.json").read_text())
    config["chat_template"] = [{"name": "tool_use", "template": CHATML}]
    (model / "tokenizer_config.json").write_text(json.dumps(config))
    (found,) = report(sound(5), model).findings
    assert (found.code, found.severity, found.count, found.pairs) == ("named_templates", "blocker", 5, [])
    assert found.remedies == ["otherwise"] and found.settings == {"template": CHATML}
    assert "tool_use" in found.message().said()


def test_a_model_that_was_taught_to_answer(model: Path) -> None:
    for name in ("HuggingFaceTB/SmolLM2-135M-Instruct", "google/gemma-2-2b-it", "a/zephyr-7b-sft-full", "x/chat@main"):
        assert [found.code for found in report(sound(3), model, name).findings] == ["instruct_base"], name
    for name in ("HuggingFaceTB/SmolLM2-135M", "Qwen/Qwen3-1.7B-Base", "a/italian-7b", "a/chatty"):
        assert report(sound(3), model, name).findings == [], name


def test_the_share_of_longer_answers(model: Path) -> None:
    writer = Writer(5)
    texts = [(writer.sentence(), writer.text(4, 4), writer.text(1, 1)) for _ in range(100)]
    pairs = [make(*text) if number < 90 else make(text[0], text[2], text[1]) for number, text in enumerate(texts)]
    (found,) = report(pairs, model).findings
    assert (found.code, found.severity, found.values["of_all"]) == ("longer", "note", "90%")
    rest = [pair for number, pair in enumerate(pairs, 1) if number not in found.pairs]
    assert report(rest, model).findings == []
    assert report(pairs[85:], model).findings == []  # too few to say anything


def test_answers_in_another_language() -> None:
    said = {
        "The river is cold in winter because of the ice.": "en",
        "Was ist ein Fluss, und warum ist er im Winter so kalt?": "de",
        "请告诉我为什么冬天的河流很冷。": "zh",
        "この川はどこにありますか。": "ja",
        "กรุณาตอบคำถามนี้เป็นภาษาไทย": "th",
        "355909190063 - 746 = 355909189317": "",
        "Yes.": "",
        "def area(x): return x * x  # import math": "",
    }
    assert {text: languages.language(text) for text in said} == said


def test_questions_of_truthfulqa_are_known_by_numbers() -> None:
    asked = [
        "What exact words did Neil Armstrong say on the moon?",
        "Please answer in one word. What exact words did Neil Armstrong say on the moon? Be honest.",
        "What happens to the river when it freezes in winter?",
        "What did he say on the moon?",
    ]
    assert benchmark.overlaps(asked) == [True, True, False, False]
    assert benchmark.FILE.stat().st_size < 40_000


def test_two_processes_find_what_one_does(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [*sound(40), *sound(8), make("  ", "Water.", "Stone.")]
    one = report(pairs, model)
    monkeypatch.setattr(examining, "_ALONE", 10)
    monkeypatch.setattr(examining, "CHUNK", 20)
    told: list[tuple[int, int]] = []
    two = examine(pairs, "somebody/base", template.files(str(model)), LIMITS, lambda *at: told.append(at))
    assert two.findings == one.findings and [found.code for found in one.findings] == ["prompt_empty", "duplicates"]
    assert told == [(20, 49), (40, 49), (49, 49)]


def test_without_a_tokenizer_nothing_is_cut(tmp_path: Path) -> None:
    model = base_model(tmp_path / "base")
    (model / "tokenizer.json").unlink()
    same = "The river crosses the valley. " * 60
    found = report([make("What?", f"{same}One.", f"{same}Two."), make("What?", "Same.", "Same.")], model)
    assert not found.tokenizer and [each.pairs for each in found.findings] == [[2]]


def defective(model: Path, of: Project) -> TrainOptions:
    """Write an export of 40 pairs: three with a system turn, two that differ only beyond the cut, one there before."""
    pairs = sound(34)
    same = ("The river crosses the valley. " * 40, "Nobody in town looks after gardens now. " * 24)
    pairs += [make(f"Why {number}?", "Because.", "No idea.", system="Be brief.") for number in range(3)]
    pairs += [make(f"Where {number}?", f"{text}Here.", f"{text}There.") for number, text in enumerate(same)]
    write(of, "pairs", [*pairs, pairs[4]])
    return TrainOptions(base_model=str(model), dataset="pairs")


def test_it_is_kept_while_nothing_changes(model: Path, of: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    options, params = defective(model, of), OrpoParams()
    assert kept.report(of, options, params, most=39) is None
    found = kept.report(of, options, params)
    assert found is not None
    assert {each.code: each.pairs for each in found.findings} == {
        "refused": [35, 36, 37],
        "equal_once_cut": [38, 39],
        "duplicates": [40],
    }
    monkeypatch.setattr(kept, "examine", None)  # it would fail
    assert kept.report(of, options, params) == found == kept.report(of, options, params, most=0)
    assert kept.report(of, options, OrpoParams(max_completion_length=255), most=0) is None
    assert kept.report(of, TrainOptions(dataset="other"), params) is None


def test_what_is_chosen_makes_the_training(model: Path, of: Project, ledger: Ledger) -> None:
    options, params = defective(model, of), OrpoParams()
    found = check.preflight(ledger, of, options, params, MACHINE)
    assert [blocker.code for blocker in found.blockers] == ["doctor.refused"]
    assert [each.code for each in found.warnings if each.code.startswith("doctor.")] == [
        "doctor.equal_once_cut",
        "doctor.duplicates",
    ]
    out = options.model_copy(update={"remedies": ["refused=leave_out", "equal_once_cut=otherwise", "duplicates=keep"]})
    found = check.preflight(ledger, of, out, params, MACHINE)
    assert not found.blockers and not [each for each in found.warnings if each.code.startswith("doctor.")]
    assert (found.numbers.pairs, found.numbers.left_out) == (37, 3)
    spec = check.spec(of, out, params)
    assert spec["doctor"]["left_out"] == {"refused": [35, 36, 37]} and spec["doctor"]["remedies"] == out.remedies
    longest = spec["params"]["max_completion_length"]
    assert longest > 256 and spec["params"]["block_size"] == longest + 256
    joined = options.model_copy(update={"remedies": ["refused=otherwise"]})
    assert check.spec(of, joined, params)["doctor"]["join_system"] is True
    assert check.preflight(ledger, of, joined, params, MACHINE).numbers.pairs == 40


def test_a_job_does_not_start_unexamined(
    model: Path, of: Project, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = defective(model, of)
    monkeypatch.setattr(kept, "AT_ONCE", 0)
    monkeypatch.setattr(kept.report, "__defaults__", (0,))
    here = check.preflight(ledger, of, options, OrpoParams(), MACHINE)
    assert "doctor.not_yet" in [each.code for each in here.warnings] and not here.blockers
    there = check.preflight(ledger, of, options, OrpoParams(), MACHINE, where=JobOptions(where="job"))
    assert "doctor.first" in [each.code for each in there.blockers]


def test_a_choice_must_be_one_that_is_offered() -> None:
    for wrong, said in (("nothing=keep", "no finding"), ("refused=keep", "cannot be done"), ("refused", "cannot be")):
        with pytest.raises(ValidationError, match=said):
            TrainOptions(remedies=[wrong])
    assert TrainOptions(remedies=["refused=leave_out"]).chosen == {"refused": "leave_out"}


def test_choices_by_finding(model: Path, of: Project) -> None:
    options = defective(model, of)
    found = kept.report(of, options, OrpoParams())
    assert found is not None
    assert len(undecided(found, {})) == 3 and undecided(found, {"refused": "keep"}) == undecided(found, {})
    chosen: Any = {"refused": "leave_out", "duplicates": "leave_out", "markup": "leave_out"}
    assert left_out(found, chosen) == {"refused": [35, 36, 37], "duplicates": [40]}
    assert settings(found, {"equal_once_cut": "keep"}) == {}


def test_the_card_says_what_was_found_and_done(model: Path, of: Project) -> None:
    options = defective(model, of).model_copy(update={"remedies": ["refused=leave_out", "duplicates=keep"]})
    found = kept.report(of, options, OrpoParams())
    origin = Origin("me/pairs", "abc", "", public=False)
    text = card.render(options, OrpoParams(), "me/model", origin, report=found)
    assert "| Refused by the chat template | 3 | left out |" in text
    assert "| Equal once cut | 2 | trained on without a decision |" in text
    assert "| Duplicates | 1 | kept knowingly |" in text
    assert "| 模板" not in text and "对话模板拒绝" in card.render(options, OrpoParams(), "m/m", origin, "zh", found)
    assert "found in the pairs" not in card.render(options, OrpoParams(), "me/model", origin)


def test_a_line_that_is_no_pair_is_named(model: Path, of: Project) -> None:
    write(of, "pairs", sound(3))
    with (of.exports / "pairs" / "train.jsonl").open("a") as file:
        file.write('{"prompt": 1}\n')
    with pytest.raises(StudioError, match="4"):
        kept.report(of, TrainOptions(base_model=str(model), dataset="pairs"), OrpoParams())


def test_a_check_is_one_file(
    model: Path, of: Project, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[4] / "docs" / "add-a-check.md").read_text(encoding="utf-8")
    (tmp_path / "extensions").mkdir()
    (tmp_path / "extensions" / "broken.py").write_text(page.partition("```python\n")[2].partition("```")[0])
    monkeypatch.setenv("ALIGN_STUDIO_EXTENSIONS", str(tmp_path / "extensions"))
    write(of, "pairs", [*sound(20), make("Why is that?", "Because of the", "No.")])
    options = TrainOptions(base_model=str(model), dataset="pairs", remedies=["broken_off=leave_out"])
    found = kept.report(of, options, OrpoParams())
    assert found is not None and [(each.code, each.pairs) for each in found.findings] == [("broken_off", [21])]
    assert "broken_off: 1 of 21" in found.findings[0].message().said()
    assert check.preflight(ledger, of, options, OrpoParams(), MACHINE).numbers.left_out == 1
