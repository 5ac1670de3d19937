"""What the Filter step keeps in a project: its recipe, and what that makes of the pairs."""

from __future__ import annotations

from pipeline.base.project import Project, Record
from pipeline.dataset.project import counts_of, pairs_of
from pipeline.filter import recipe as filter_recipe
from pipeline.review.project import settled_of
from pipeline.review.settle import Settling


def recipe_of(of: Project) -> filter_recipe.Recipe:
    """Return the project's filter recipe; the default one until another is saved.

    What it asks of a rule that is not there any more (an extension that was taken away) is left out.
    """
    saved = of.read().recipe or {}
    known = filter_recipe.Recipe.model_fields
    return filter_recipe.Recipe.model_validate({name: value for name, value in saved.items() if name in known})


def save_recipe(of: Project, recipe: filter_recipe.Recipe) -> None:
    """Make a recipe the project's."""

    def change(record: Record) -> None:
        record.recipe = recipe.model_dump(mode="json")

    of.update(change)


def filtered(
    of: Project, recipe: filter_recipe.Recipe | None = None, settling: Settling | None = None
) -> filter_recipe.Filtered:
    """Apply a recipe, the project's own by default, to the project's pairs; see `settled_of` for the last."""
    counted = counts_of(of)
    return filter_recipe.apply(
        pairs_of(of), settled_of(of, settling), counted.counts, recipe or recipe_of(of), counted.unit
    )


def distributions(of: Project, outcome: filter_recipe.Filtered) -> filter_recipe.Distributions:
    """Return the distributions of the project's pairs, those an outcome keeps and the others apart."""
    kept = {pair.record_id for pair in outcome.kept}
    return filter_recipe.distributions(pairs_of(of), settled_of(of), counts_of(of).counts, kept)
