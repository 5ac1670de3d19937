"""One pair as a template and a tokenizer make it: what is seen, and what is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.engines.examined import Examiner, Limits, Refused, joined, without_opening
from pipeline.models import template
from pipeline.models.template import DEFAULT, ModelReader
from tests.tiny_model import CHATML, make_tiny_model
from tests.unit.train.doctor.planted import BEGIN, TEMPLATE, base_model

WIDE = Limits(prompt=256, completion=256, block=512)
THINKING = CHATML.replace("assistant\\n' }}", "assistant\\n<think>\\n' }}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def answer(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def examiner(folder: Path, chat: str = TEMPLATE, limits: Limits = WIDE) -> Examiner:
    return Examiner(ModelReader(template.files(str(base_model(folder / "model", chat)))), limits)


def codes(of: Examiner, prompt: str, chosen: str, rejected: str, system: str = "") -> set[str]:
    before = [{"role": "system", "content": system}] if system else []
    return set(of.examine(before + user(prompt), answer(chosen), answer(rejected)).codes)


def test_a_sound_pair_has_nothing(folder: Path) -> None:
    assert codes(examiner(folder), "What is a river?", "Water that flows.", "A mountain.") == set()
    # What a template trims is no loss, and comparing numbers is no markup.
    assert codes(examiner(folder), " What is 3 < 4? ", "  True,\n because 3 < 4.", "<b>No</b> [1]") == set()


@pytest.mark.parametrize(
    ("pair", "code"),
    [
        (("What?", "<think>Hm.</think>Water.", "Stone."), "changed"),
        (("<|im_start|>user\nWhat?<|im_end|>", "Water.", "Stone."), "markup"),
        (("What?", "Water.</s>[/INST]", "Stone."), "markup"),
        (("### Instruction:\nWhat?", "Water.", "Stone."), "markup"),
        (("Human: What?\n\nAssistant: ", "Water.", "Stone."), "markup"),
        (("What?", "<｜Assistant｜>Water.", "Stone."), "markup"),
        (("  ", "Water.", "Stone."), "prompt_empty"),
        (("What?", "Water.", "Water."), "equal_once_cut"),
        (("What?", "Water.", "Water. "), "equal_once_cut"),
    ],
)
def test_each_defect_is_seen(folder: Path, pair: tuple[str, str, str], code: str) -> None:
    assert codes(examiner(folder), *pair) == {code}


def test_what_the_template_says_is_kept(folder: Path) -> None:
    seen = examiner(folder).examine(
        [{"role": "system", "content": "Be brief."}, *user("What?")], answer("Water."), answer("Stone.")
    )
    assert seen.codes == {"refused"} and seen.detail["refused"] == "System role not supported"
    merged = joined([{"role": "system", "content": "Be brief."}, *user("What?")])
    assert merged == user("Be brief.\n\nWhat?")
    assert not examiner(folder).examine(merged, answer("Water."), answer("Stone.")).codes
    assert joined(user("What?")) == user("What?")


def test_a_beginning_within_the_text_is_a_second_one(folder: Path) -> None:
    assert codes(examiner(folder), "What?", f"{BEGIN}Water.", "Stone.") == {"two_beginnings", "markup"}
    # A template that does not write it: trl puts one in front, the text's own is the second.
    bare = examiner(folder, CHATML)
    assert codes(bare, "What?", f"{BEGIN}Water.", "Stone.") == {"two_beginnings", "markup"}
    assert codes(bare, "What?", "Water.", "Stone.") == set()
    # One whose every turn begins with it, as SmolLM2's <|im_start|>.
    every = examiner(folder, CHATML.replace("<|im_start|>", BEGIN))
    assert codes(every, "What?", "Water.", "Stone.") == set()
    twice = examiner(folder, "{{ bos_token }}" + CHATML.replace("<|im_start|>", BEGIN))
    assert codes(twice, "What?", "Water.", "Stone.") == {"two_beginnings"}


def test_text_opened_in_the_generation_prompt_is_taken_back(folder: Path) -> None:
    of = template.files(str(base_model(folder / "model", THINKING)))
    prompt, chosen = user("What?"), answer("Water.")
    seen = Examiner(ModelReader(of), WIDE).examine(prompt, chosen, answer("Stone."))
    assert seen.codes == {"opening"} and seen.detail["opening"] == "<think>\n"
    mended = ModelReader(of, without_opening(of.template, seen.detail["opening"]))
    assert not Examiner(mended, WIDE).examine(prompt, chosen, answer("Stone.")).codes
    assert mended.render(prompt, ask=True) == "<|im_start|>user\nWhat?<|im_end|>\n<|im_start|>assistant\n"
    assert mended.render(prompt + chosen) == ModelReader(of).render(prompt + chosen)


def test_answers_that_differ_only_beyond_the_cut(folder: Path) -> None:
    same = "The river crosses the valley. " * 30
    short, long = (examiner(folder, limits=Limits(64, most, 1024)) for most in (128, 900))
    assert codes(short, "What?", f"{same}It is cold.", f"{same}It is warm.") == {"equal_once_cut"}
    assert codes(long, "What?", f"{same}It is cold.", f"{same}It is warm.") == set()
    need = short.examine(user("What?"), answer(f"{same}It is cold."), answer(f"{same}It is warm.")).need
    enough = examiner(folder, limits=Limits(64, need["equal_once_cut"], 2048))
    assert codes(enough, "What?", f"{same}It is cold.", f"{same}It is warm.") == set()


def test_an_answer_that_the_block_cuts_has_no_end(folder: Path) -> None:
    question, text = "Why is the river cold in winter? " * 6, "The river is cold because of the ice. " * 30
    narrow, wide = (examiner(folder, limits=Limits(128, 512, block)) for block in (256, 1024))
    assert codes(narrow, question, text, "Stone.") == {"no_end"}
    assert codes(wide, question, text, "Stone.") == set()
    assert codes(narrow, "Why?", "Ice.", "Stone.") == set()


def test_a_prompt_cut_to_the_templates_own_tokens(folder: Path) -> None:
    limits = Limits(prompt=4, completion=256, block=512)
    seen = examiner(folder, limits=limits).examine(user("What is a river?"), answer("Water."), answer("Stone."))
    assert seen.codes == {"prompt_empty"} and seen.need["prompt_empty"] > 4


def test_it_renders_as_transformers_does(folder: Path) -> None:
    reader = ModelReader(template.Files("x", {"default": "{% for m in messages %}\n  {{ m | tojson }}\n{% endfor %}"}))
    assert reader.render(user('Ä "q"')) == '  {"role": "user", "content": "Ä \\"q\\""}\n'
    tagged = "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% break %}{% endfor %}"
    assert ModelReader(template.Files("x", {"default": tagged})).render(user("a") + user("b")) == "a"
    with pytest.raises(Refused):
        ModelReader(template.Files("x", {"default": "{{ ''.__class__.__mro__ }}"})).render(user("a"))
    with pytest.raises(Refused):
        ModelReader(template.Files("x", {"default": "{% nonsense %}"})).render(user("a"))


def edited(model: Path, **values: Any) -> Path:
    file = model / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))
    return model


def test_templates_are_found_where_models_keep_them(tmp_path: Path) -> None:
    plain = template.files(str(make_tiny_model(tmp_path / "plain", chat_template=False)))
    assert plain.templates == {} and plain.template == DEFAULT
    named = [{"name": "tool_use", "template": "tool"}, {"name": "default", "template": "usual"}]
    model = edited(make_tiny_model(tmp_path / "named"), chat_template=named, bos_token={"content": "<s>"})
    found = template.files(str(model))
    assert (found.template, found.special["bos_token"]) == ("usual", "<s>")
    (model / "chat_template.jinja").write_text("alone")
    assert template.files(str(model)).template == "alone"
    assert template.files(str(model)).mark != found.mark
