"""Filter: what rules keep of a project's pairs, and what each of them removes."""

from __future__ import annotations

import argparse
from typing import Any

from pydantic import BaseModel, Field

from pipeline.base import words
from pipeline.base.project import Record
from pipeline.command import table
from pipeline.command.frame import Call, Command, project_argument
from pipeline.command.options import add_options, fill
from pipeline.dataset.project import counts_of
from pipeline.filter.project import filtered, recipe_of, save_recipe
from pipeline.filter.recipe import Recipe


class Rule(BaseModel):
    """What one rule removes."""

    rule: str = Field(description="Name of its option.")
    label: str = Field(description="What a kept pair satisfies.")
    removes_alone: int = Field(description="Pairs that it removes by itself.")
    removes_first: int = Field(description="Pairs that it removes after the rules before it.")


class Outcome(BaseModel):
    """What a recipe keeps."""

    total: int
    kept: int
    unit: str = Field(description="What lengths count: tokens, or words (estimate).")
    counted_by: str = Field(description="Name of the tokenizer.")
    rules: list[Rule] = Field(description="Those that are set, in the order applied.")
    recipe: dict[str, Any] = Field(description="Every rule's value.")
    saved: bool = Field(description="Whether exports go by it.")


def _arguments(parser: argparse.ArgumentParser) -> None:
    project_argument(parser)
    parser.add_argument("--save", action="store_true", help=words.say("command.option.save"))
    parser.add_argument("--reset", action="store_true", help=words.say("command.option.reset"))
    parser.add_argument("--base-model", metavar="MODEL", help=words.say("command.option.base_model"))
    add_options(parser, Recipe, "filter")


def apply(call: Call) -> Outcome:
    """Apply the saved recipe with the rules given in place of its own, and save it if asked to."""
    project, given = call.project(), vars(call.given)
    saved = Recipe() if given.get("reset") else recipe_of(project)
    recipe = fill(Recipe, call.given, **saved.model_dump())
    if given.get("base_model"):

        def change(record: Record) -> None:
            record.base_model = given["base_model"]

        project.update(change)
    outcome, counted = filtered(project, recipe), counts_of(project)
    if given.get("save"):
        save_recipe(project, recipe)
    rules = [
        Rule(
            rule=effect.rule,
            label=str(effect.label),
            removes_alone=effect.removes_alone,
            removes_first=effect.removes_first,
        )
        for effect in outcome.removed
    ]
    return Outcome(
        total=outcome.total,
        kept=len(outcome.kept),
        unit=counted.unit,
        counted_by=counted.name,
        rules=rules,
        recipe=recipe.model_dump(mode="json"),
        saved=recipe_of(project) == recipe,
    )


def _show(found: Outcome) -> str:
    head = [words.say(f"filter.column.{name}") for name in ("rule", "alone", "after")]
    rows = [(rule.label, rule.removes_alone, rule.removes_first) for rule in found.rules]
    parts = [words.say("filter.kept", kept=f"{found.kept:,}", total=f"{found.total:,}")]
    if rows:
        parts.append(table.aligned(rows, head, right=(1, 2)))
    return "\n".join([*parts, words.say("command.filter.saved" if found.saved else "command.filter.unsaved")])


FILTER = Command("filter", Outcome, apply, _show, _arguments)
