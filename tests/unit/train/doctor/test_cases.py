"""Public bug reports as small cases of their kind: each is found before a run, with advice that can be followed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.base import project
from pipeline.base.home import open_home
from pipeline.base.project import Project
from pipeline.runs.ledger import Ledger
from pipeline.train import check
from pipeline.train.algorithms.orpo import OrpoParams
from pipeline.train.options import TrainOptions
from tests.tiny_model import CHATML, make_tiny_model
from tests.unit.train.doctor.planted import TEMPLATE, Writer
from tests.unit.train.test_train import MACHINE

# case: (template of the base model, system turn, prompt, chosen) of every pair, or of a quarter
OPENED = CHATML.replace("assistant\\n' }}", "assistant\\n<think>\\n' }}")
NAMED = [{"name": "tool_use", "template": CHATML}]
THOUGHT = "<think>\nRivers are long.\n</think>\n"
CASES: dict[str, tuple[Any, str, str, str, str, bool]] = {
    "10-markup-in-text": (CHATML, "", "<|im_start|>user\n{}<|im_end|>", "{}<|im_end|>", "markup", False),
    "10-markup-of-another-model": (
        CHATML,
        "",
        "[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\n{} [/INST]",
        "{}",
        "markup",
        False,
    ),
    "34-no-system-role": (TEMPLATE, "Be brief.", "{}", "{}", "refused", True),
    "35-think-in-generation-prompt": (OPENED, "", "{}", "{}", "opening", True),
    "36-template-strips-think": (TEMPLATE, "", "{}", THOUGHT + "{}", "changed", False),
    "38-named-templates-no-default": (NAMED, "", "{}", "{}", "named_templates", True),
}


@pytest.fixture
def of(tmp_path: Path) -> Project:
    return project.create(open_home(tmp_path / "home"), "case")


def case(of: Project, name: str, folder: Path) -> TrainOptions:
    """Write a case's model and export."""
    template, system, prompt, chosen, _, _ = CASES[name]
    model = make_tiny_model(folder / "model")
    config = json.loads((model / "tokenizer_config.json").read_text())
    (model / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": template}))
    writer = Writer(11)
    rows = []
    for number in range(32):
        pair = writer.pair()
        before = [{"role": "system", "content": system}] if system and number % 4 == 0 else []
        texts = (prompt.format(pair.prompt[-1].content), chosen.format(pair.chosen[-1].content))
        answers = {"chosen": texts[1], "rejected": pair.rejected[-1].content}
        turns = {part: [{"role": "assistant", "content": text}] for part, text in answers.items()}
        rows.append(
            {"record_id": f"{number:016x}", "prompt": [*before, {"role": "user", "content": texts[0]}], **turns}
        )
    export = of.exports / "pairs"
    export.mkdir(parents=True)
    (export / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (export / "export.json").write_text("{}")
    return TrainOptions(base_model=str(model), dataset="pairs")


@pytest.mark.parametrize("name", CASES)
def test_it_is_found_before_the_run(name: str, of: Project, tmp_path: Path) -> None:
    *_, code, blocks = CASES[name]
    options = case(of, name, tmp_path)
    ledger = Ledger(open_home(tmp_path / "home"))
    found = check.preflight(ledger, of, options, OrpoParams(), MACHINE)
    said = [notice for notice in (found.blockers if blocks else found.warnings) if notice.code == f"doctor.{code}"]
    assert len(said) == 1
    if code != "named_templates":  # that one concerns the model, not pairs
        assert said[0].values["count"] == (8 if code == "refused" else 32)
    assert not blocks or "doctor" in found.blockers[0].code
    # What stops the run can be mended, and then nothing of it is left.
    if blocks:
        mended = options.model_copy(update={"remedies": [f"{code}=otherwise"]})
        assert not check.preflight(ledger, of, mended, OrpoParams(), MACHINE).blockers
        told = check.spec(of, mended, OrpoParams())["doctor"]
        assert told["join_system"] or told["template"]
