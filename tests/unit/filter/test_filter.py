"""Rules keep what they say, their effects add up, and a stricter rule never keeps more."""

from __future__ import annotations

import random

import pytest
from pydantic import ValidationError

from pipeline.base.pair import Message, Pair, identify
from pipeline.filter.recipe import RATINGS, TOKEN_BINS, Filtered, Recipe, apply, distributions
from pipeline.models.tokens import PairCounts
from pipeline.review.settle import Settled

OPEN = {"min_chosen_tokens": 0, "min_rejected_tokens": 0, "drop_duplicates": False}  # a recipe that keeps everything
WORDS = ("river", "Mountain", "straße", "数据", "bridge", "Éclair")


def pair(record_id: str, text: str = "text", source: str = "") -> Pair:
    return Pair(
        record_id, (Message("user", "prompt"),), (Message("assistant", text),), (Message("assistant", "no"),), source
    )


def random_pairs(seed: int, size: int = 200) -> tuple[list[Pair], dict[str, Settled], list[PairCounts]]:
    """Pairs with duplicates, several sources and verdicts of every kind."""
    rng = random.Random(seed)
    triples = [
        tuple((Message(role, " ".join(rng.choices(WORDS, k=2))),) for role in ("user", "assistant", "assistant"))
        for _ in range(size)
    ]
    sources = [rng.choice(["", "capybara", "ultrafeedback"]) for _ in range(size)]
    pairs = [
        Pair(record_id, *triple, source)
        for record_id, triple, source in zip(identify(triples), triples, sources, strict=True)
    ]
    settled = {
        each.record_id: Settled(
            each.record_id,
            rng.randint(1, 3),
            rng.choice([None, rng.uniform(1, 5)]),
            rng.choice(["chosen", "rejected", "tie", "undecided", None]),
        )
        for each in pairs
        if rng.random() < 0.6
    }
    return pairs, settled, [PairCounts(*(rng.randrange(2000) for _ in range(3))) for _ in pairs]


def random_recipe(rng: random.Random) -> Recipe:
    return Recipe(
        only_reviewed=rng.random() < 0.3,
        min_relevance=rng.choice([None, 2.0, 3.5]),
        preference_agrees=rng.choice(["any", "agrees", "decided"]),
        sources=rng.choice([[], ["capybara"], ["", "ultrafeedback"]]),
        min_prompt_tokens=rng.choice([0, 50]),
        max_prompt_tokens=rng.choice([None, 1500]),
        max_chosen_tokens=rng.choice([None, 1000]),
        max_rejected_tokens=rng.choice([None, 1000]),
        contains=rng.choice(["", "RIVER"]),
        contains_not=rng.choice(["", "数据"]),
        drop_duplicates=rng.random() < 0.5,
    )


def kept_ids(filtered: Filtered) -> list[str]:
    return [each.record_id for each in filtered.kept]


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        ({"only_reviewed": True}, ["a", "b", "c", "d"]),
        ({"min_relevance": 3}, ["a", "b"]),
        ({"preference_agrees": "agrees"}, ["a"]),
        ({"preference_agrees": "decided"}, ["a", "b"]),
        ({"sources": ["one"]}, ["a", "c"]),
        ({"sources": ["one", ""]}, ["a", "c", "e"]),
        ({"min_prompt_tokens": 3}, ["c", "d", "e"]),
        ({"max_prompt_tokens": 3}, ["a", "b", "c"]),
        ({"min_chosen_tokens": 30}, ["c", "d", "e"]),
        ({"max_chosen_tokens": 30}, ["a", "b", "c"]),
        ({"min_rejected_tokens": 300}, ["c", "d", "e"]),
        ({"max_rejected_tokens": 300}, ["a", "b", "c"]),
        ({"contains": "STRASSE"}, ["b"]),
        ({"contains": "prompt"}, ["a", "b", "c", "d", "e"]),
        ({"contains_not": "l.ke"}, ["a", "b", "c", "d", "e"]),  # plain text, not a pattern
        ({"contains_not": "Lake"}, ["b", "c", "d", "e"]),
    ],
)
def test_each_rule_keeps_what_it_says(rule: dict[str, object], kept: list[str]) -> None:
    texts = {"a": "a lake", "b": "eine Straße", "c": "c", "d": "d", "e": "e"}
    sources = {"a": "one", "b": "two", "c": "one", "d": "two", "e": ""}
    pairs = [pair(each, texts[each], sources[each]) for each in texts]
    counts = [PairCounts(n, 10 * n, 100 * n) for n in range(1, 6)]
    settled = {
        "a": Settled("a", 2, 4.5, "chosen"),
        "b": Settled("b", 1, 3.0, "rejected"),
        "c": Settled("c", 2, 2.9, "undecided"),
        "d": Settled("d", 1, None, "tie"),
    }
    filtered = apply(pairs, settled, counts, Recipe(**{**OPEN, **rule}))
    assert kept_ids(filtered) == kept
    [effect] = filtered.removed
    removed = [each for each in texts if each not in kept]
    assert (effect.rule, effect.removes_alone, effect.removes_first) == (next(iter(rule)), len(removed), len(removed))
    assert effect.examples == removed


def test_by_default_short_completions_and_duplicates_go() -> None:
    pairs = [pair("a"), pair("a-1"), pair("b"), pair("c")]
    counts = [PairCounts(1, 10, 10), PairCounts(1, 10, 10), PairCounts(1, 9, 10), PairCounts(1, 10, 9)]
    filtered = apply(pairs, {}, counts, Recipe(), unit="words (estimate)")
    assert kept_ids(filtered) == ["a"]
    assert [(each.rule, each.removes_first) for each in filtered.removed] == [
        ("min_chosen_tokens", 1),
        ("min_rejected_tokens", 1),
        ("drop_duplicates", 1),
    ]
    assert str(filtered.removed[0].label) == "has a chosen answer of at least 10 words (estimate)"


def test_of_duplicates_the_reviewed_one_stays() -> None:
    pairs = [pair("a"), pair("a-1"), pair("a-2"), pair("b-1"), pair("c")]
    counts = [PairCounts(9, 99, 99)] * 5
    assert kept_ids(apply(pairs, {}, counts, Recipe())) == ["a", "b-1", "c"]
    reviewed = {"a-1": Settled("a-1", 1, 5.0, "chosen")}
    assert kept_ids(apply(pairs, reviewed, counts, Recipe())) == ["a-1", "b-1", "c"]
    assert kept_ids(apply(pairs, reviewed, counts, Recipe(only_reviewed=True))) == ["a-1"]


def test_nothing_in_nothing_out() -> None:
    filtered = apply([], {}, [], Recipe())
    assert (filtered.kept, filtered.total) == ([], 0)
    assert all(each.removes_alone == each.removes_first == 0 for each in filtered.removed)
    assert distributions([], {}, [], set()).tokens["pairs"].sum() == 0


def test_counts_of_other_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="1 token counts for 2 pairs"):
        apply([pair("a"), pair("b")], {}, [PairCounts(1, 1, 1)], Recipe())


@pytest.mark.parametrize("seed", range(20))
def test_effects_add_up_and_rules_do_not_depend_on_each_other(seed: int) -> None:
    pairs, settled, counts = random_pairs(seed)
    recipe = random_recipe(random.Random(seed))
    filtered = apply(pairs, settled, counts, recipe)
    assert sum(each.removes_first for each in filtered.removed) == filtered.total - len(filtered.kept)
    left = {each.record_id for each in pairs}
    for effect in filtered.removed:
        value = getattr(recipe, effect.rule)
        alone = apply(pairs, settled, counts, Recipe(**{**OPEN, effect.rule: value}))
        assert len(pairs) - len(alone.kept) == effect.removes_alone
        assert not set(effect.examples) & set(kept_ids(alone))
        after = left & set(kept_ids(alone))
        assert len(left) - len(after) == effect.removes_first
        left = after
    assert left == set(kept_ids(filtered))


@pytest.mark.parametrize("seed", range(10))
def test_a_stricter_rule_never_keeps_more(seed: int) -> None:
    pairs, settled, counts = random_pairs(seed)
    recipe = random_recipe(random.Random(seed))
    before = set(kept_ids(apply(pairs, settled, counts, recipe)))
    for stricter in (
        {"only_reviewed": True},
        {"min_relevance": 4.5},
        {"preference_agrees": "agrees"},
        {"min_rejected_tokens": 200},
        {"max_prompt_tokens": 900},
        {"contains_not": "数"},
        {"drop_duplicates": True},
    ):
        tight = recipe.model_copy(update=stricter)
        assert set(kept_ids(apply(pairs, settled, counts, tight))) <= before, stricter


@pytest.mark.parametrize(
    "values",
    [
        {"min_relevance": 0.5},
        {"min_relevance": 5.5},
        {"min_chosen_tokens": -1},
        {"min_chosen_tokens": 20, "max_chosen_tokens": 19},
        {"max_rejected_tokens": 9},  # below the default minimum of 10
        {"preference_agrees": "most"},
        {"minimum": 3},
    ],
)
def test_impossible_recipes_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Recipe(**values)


def test_a_recipe_survives_json_and_every_field_can_make_a_form() -> None:
    recipe = Recipe(min_relevance=3, sources=["capybara"], contains="数据")
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
    for name, declared in Recipe.model_fields.items():
        assert declared.description, name
        assert not declared.is_required(), name
        assert isinstance(declared.json_schema_extra, dict) and declared.json_schema_extra["group"], name


def test_distributions_count_every_pair_once() -> None:
    pairs, settled, counts = random_pairs(3)
    kept = {each.record_id for each in pairs[:50]}
    tables = distributions(pairs, settled, counts, kept)
    assert tables.rating["rating"].drop_duplicates().tolist() == list(RATINGS)
    assert tables.rating.groupby("state")["pairs"].sum().to_dict() == {"kept": 50, "removed": 150}
    assert tables.sources.groupby("state")["pairs"].sum().to_dict() == {"kept": 50, "removed": 150}
    assert set(tables.sources["source"]) == {"(none)", "capybara", "ultrafeedback"}
    for part, table in tables.tokens.groupby("part"):
        assert table["tokens"].drop_duplicates().tolist() == list(TOKEN_BINS), part
        assert table.groupby("state")["pairs"].sum().to_dict() == {"kept": 50, "removed": 150}


def test_distributions_put_values_into_their_bars() -> None:
    ratings = {"a": 1.0, "b": 2.5, "c": 4.49, "d": 5.0, "e": None}
    pairs = [pair(each) for each in "abcdef"]
    settled = {each: Settled(each, 1, rating, None) for each, rating in ratings.items()}
    counts = [PairCounts(n, n, n) for n in (0, 9, 10, 1599, 1600, 50000)]
    tables = distributions(pairs, settled, counts, set("ab"))
    rated = tables.rating.set_index(["rating", "state"])["pairs"]
    assert rated[rated > 0].to_dict() == {
        ("1", "kept"): 1,
        ("3", "kept"): 1,
        ("4", "removed"): 1,
        ("5", "removed"): 1,
        ("unrated", "removed"): 2,
    }
    chosen = tables.tokens[tables.tokens["part"] == "chosen"].set_index(["tokens", "state"])["pairs"]
    assert chosen[chosen > 0].to_dict() == {
        ("0–9", "kept"): 2,
        ("10–24", "removed"): 1,
        ("800–1599", "removed"): 1,
        ("1600+", "removed"): 2,
    }


def test_rules_together_keep_what_each_keeps() -> None:
    size = 1000
    pairs = [pair(f"{index:016x}", f"answer {index} " * 20, f"source {index % 7}") for index in range(size)]
    settled = {each.record_id: Settled(each.record_id, 2, 3.0, "chosen") for each in pairs[::2]}
    counts = [PairCounts(index % 300, index % 900, index % 800) for index in range(size)]
    recipe = Recipe(
        only_reviewed=True, min_relevance=2, preference_agrees="agrees", contains="answer", contains_not="x y"
    )
    filtered = apply(pairs, settled, counts, recipe)
    assert 0 < len(filtered.kept) < size / 2
