"""The example of docs/add-a-rule.md becomes part of the recipe, the form and what is removed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


SEEN = """
import contextlib, io, json
from pipeline.base.options import table
from pipeline.base.pair import Message, Pair
from pipeline.command.main import main
from pipeline.filter.recipe import Recipe, apply
from pipeline.models.tokens import PairCounts
from ui.filter import rules
import gradio as gr

answer = (Message("assistant", "a"),)
turn = (Message("user", "u"),)
pairs = [Pair("a", turn, answer, answer), Pair("b", turn + answer + turn, answer, answer)]
found = apply(pairs, {}, [PairCounts(99, 99, 99)] * 2, Recipe(max_turns=1))
with gr.Blocks():
    control = rules.build().form.components["max_turns"]
help = io.StringIO()
with contextlib.redirect_stdout(help):
    main(["filter", "--help"])
print(json.dumps({
    "option": "--max-turns" in help.getvalue(),
    "kept": [pair.record_id for pair in found.kept],
    "effects": [(each.rule, str(each.label), each.removes_alone) for each in found.removed],
    "fields": list(Recipe.model_fields),
    "table": "`max_turns`" in table(Recipe),
    "control": [control.label, control.elem_id],
}))
"""


def test_a_rule_of_one_file_outside_the_tree_is_in_recipe_and_form_and_removes_pairs(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "add-a-rule.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "turns.py").write_text(example)
    environment = {**os.environ, "ALIGN_STUDIO_EXTENSIONS": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", SEEN], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["kept"] == ["a"]
    assert ["max_turns", "max turns: 1", 1] in seen["effects"]
    assert seen["fields"].index("max_turns") == seen["fields"].index("contains") - 1
    assert seen["table"] and seen["option"] and seen["control"] == ["Max turns", "filter-max-turns"]
