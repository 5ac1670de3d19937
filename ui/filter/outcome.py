"""What the rules of the Filter tab do, as its page shows it: counts, labels, plots, a removed pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
import pandas as pd
from markupsafe import Markup

from pipeline.base.project import Project
from pipeline.dataset.project import counts_of, pairs_of
from pipeline.filter.project import distributions, recipe_of
from pipeline.filter.recipe import NO_SOURCE, UNRATED, Filtered, Recipe
from pipeline.review.project import settled_of
from ui.handlers import Update, prefixed
from ui.parts import pair_view
from ui.parts.notice import line, notice
from ui.text import say

SOURCES = 12  # bars of the plot of sources; the rest share one
COLOURS = ("#0d9488", "#94a3b8")  # kept, removed: told apart in light and dark


@dataclass(frozen=True)
class Effect:
    """What one rule removes, as a row of the table.

    Attributes:
        label: What the rule is called, in the visitor's language.
        alone: Pairs that it would remove alone.
        after: Pairs that it removes after the rules before it.
        examples: Ids of a few of the former.
    """

    label: str
    alone: int
    after: int
    examples: list[str]


def source_name(name: str) -> str:
    """Return what a source is called on the page."""
    return say("filter.no_source") if name in ("", NO_SOURCE) else name


def count(outcome: Filtered) -> Markup:
    """Return how many pairs are kept, as HTML."""
    kept, total = len(outcome.kept), outcome.total
    said = say("filter.kept", kept=f"{kept:,}", total=f"{total:,}")
    share = say("filter.removed", count=f"{total - kept:,}", share=f"{(total - kept) / max(total, 1):.1%}")
    return Markup('<div class="big-count">{}</div>{}').format(said, line(share))


def saved(project: Project, recipe: Recipe) -> Markup:
    """Return whether a recipe is the one that the project's exports use, as HTML."""
    if recipe_of(project) != recipe:
        return notice(say("filter.state.changed"))
    return line(say("filter.state.saved" if project.read().recipe is not None else "filter.state.default"))


def effects(outcome: Filtered) -> list[Effect]:
    """Return what each rule removes."""
    return [
        Effect(each.label.said(), each.removes_alone, each.removes_first, each.examples) for each in outcome.removed
    ]


def table(removed: Sequence[Effect]) -> dict[str, Any]:
    """Return the value of the table whose rows are effects."""
    rows = [[each.label, f"{each.alone:,}", f"{each.after:,}"] for each in removed]
    headers = [say(f"filter.column.{name}") for name in ("rule", "alone", "after")]
    return {"headers": headers, "data": rows or [[say("filter.no_rule"), "0", "0"]]}


def plots(project: Project, outcome: Filtered, part: str, unit: str) -> Update:
    """Return updates for the plots by name; one that would say nothing is hidden."""
    found = distributions(project, outcome)
    rating = found.rating.replace({"rating": {UNRATED: say("filter.unrated")}})
    lengths = found.tokens[found.tokens["part"] == part].drop(columns="part")
    sources = _largest(found.sources)
    rated = bool(found.rating.loc[found.rating["rating"] != UNRATED, "pairs"].sum())
    unit_name = pair_view.unit_name(unit)
    return {
        "rating": _bars(rating, "rating", say("filter.axis.rating"), visible=rated),
        "tokens": _bars(lengths, "tokens", unit_name),
        "source": _bars(sources, "source", say("filter.axis.source"), visible=sources["source"].nunique() > 1),
    }


def _largest(sources: pd.DataFrame) -> pd.DataFrame:
    """Return the table of sources with all but the largest as one bar."""
    names = list(dict.fromkeys(sources["source"]))
    many = len(names) > SOURCES
    kept = names[: SOURCES - 1] if many else names
    rest = say("filter.other_sources", count=len(names) - len(kept))
    shown = {name: source_name(name) if name in kept else rest for name in names}
    table = sources.assign(source=sources["source"].map(shown))
    return table.groupby(["source", "state"], sort=False)["pairs"].sum().reset_index()


def _bars(table: pd.DataFrame, column: str, axis: str, *, visible: bool = True) -> Any:
    """Return the update of one plot, its states named in the visitor's language."""
    names = {state: say(f"filter.state.{state}") for state in ("kept", "removed")}
    return gr.update(
        value=table.replace({"state": names}),
        sort=list(dict.fromkeys(table[column])),
        color_map=dict(zip(names.values(), COLOURS, strict=True)),
        x_title=axis,
        y_title=say("filter.axis.pairs"),
        visible=visible,
    )


def example(project: Project, record_id: str) -> Update:
    """Return updates that show one pair, and what reviewers said of it; none where the project has no such pair."""
    pairs, counted = pairs_of(project), counts_of(project)
    index = next((number for number, pair in enumerate(pairs) if pair.record_id == record_id), None)
    if index is None:
        return {}
    verdict = settled_of(project).get(record_id)
    if verdict is None:
        said = say("filter.said.nothing")
    else:
        rating = f"{verdict.relevance:.1f}" if verdict.relevance is not None else "–"
        preference = say(f"filter.verdict.{verdict.preference}")
        said = say("filter.said", answers=verdict.answers, rating=rating, preference=preference)
    drawn = pair_view.draw(pairs[index], counted.counts[index], counted.unit, index + 1)
    return {"said": line(said), **prefixed("pair.", drawn)}
