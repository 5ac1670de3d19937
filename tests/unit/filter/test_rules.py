"""A rule is one file; the example of its page in docs becomes part of the recipe, the form and what is removed."""

from __future__ import annotations

from pathlib import Path

from pipeline.base import words
from pipeline.base.home import open_home
from pipeline.base.project import Record, create
from pipeline.filter.project import recipe_of
from pipeline.filter.recipe import Recipe
from pipeline.filter.rule import label, rules

ROOT = Path(__file__).resolve().parents[3]


def test_the_rules_of_this_program_make_the_recipe_in_their_order() -> None:
    assert [rule.name for rule in rules()] == [
        *("reviewed", "relevance", "preference", "sources", "lengths", "text", "duplicates")
    ]
    assert list(Recipe.model_fields) == [
        *("only_reviewed", "min_relevance", "preference_agrees", "sources"),
        *("min_prompt_tokens", "max_prompt_tokens", "min_chosen_tokens", "max_chosen_tokens"),
        *("min_rejected_tokens", "max_rejected_tokens", "contains", "contains_not", "drop_duplicates"),
    ]


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
