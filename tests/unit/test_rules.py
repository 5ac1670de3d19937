"""A rule is one file; the example of its page in docs becomes part of the recipe, the form and what is removed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from pipeline.base import words
from pipeline.base.home import open_home
from pipeline.base.project import Record, create
from pipeline.filter.project import recipe_of
from pipeline.filter.recipe import Recipe
from pipeline.filter.rule import label, rules

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


def test_the_rules_of_this_program_make_the_recipe_in_their_order() -> None:
    assert [rule.name for rule in rules()] == [
        *("reviewed", "relevance", "preference", "sources", "lengths", "text", "duplicates")
    ]
    assert list(Recipe.model_fields) == [
        *("only_reviewed", "min_relevance", "preference_agrees", "sources"),
        *("min_prompt_tokens", "max_prompt_tokens", "min_chosen_tokens", "max_chosen_tokens"),
        *("min_rejected_tokens", "max_rejected_tokens", "contains", "contains_not", "drop_duplicates"),
    ]


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


def test_a_recipe_saved_with_a_rule_that_is_gone_still_opens(tmp_path: Path) -> None:
    of = create(open_home(tmp_path), "p")

    def change(record: Record) -> None:
        record.recipe = {"max_turns": 3, "min_relevance": 4.0}

    of.update(change)
    assert recipe_of(of) == Recipe(min_relevance=4.0)


def test_a_rules_label_is_said_in_the_readers_language() -> None:
    said = label("min_prompt_tokens", 1200, unit="tokens")
    assert str(said) == "has a prompt of at least 1,200 tokens"
    with words.speaking("zh"):
        assert str(said) == "提示不少于 1,200 tokens"
