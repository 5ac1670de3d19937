"""The Filter tab on a project with answers: counts follow the rules, removed pairs are shown, what is saved stays."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from pipeline.base.home import open_home
from pipeline.base.project import Project
from pipeline.filter.project import recipe_of
from pipeline.filter.recipe import Recipe
from tests.browser.conftest import App
from tests.browser.steps import cells, open_tab, set_number
from tests.reviewed import make_reviewed

OPEN_MS = 60_000  # the whole page draws itself before its first tab is done


def make_project(app: App, name: str, *, reviewed: bool = True) -> Project:
    """Make a project of twenty pairs; see `tests.reviewed`."""
    return make_reviewed(open_home(app.home.resolve()), name, reviewed=reviewed)


def open_filter(page: Page, app: App, project: Project) -> None:
    """Open the tab on a project and wait for its counts."""
    page.set_default_timeout(OPEN_MS)
    page.goto(f"{app.url}/?project={project.name}")
    expect(page.locator("#status-project input")).to_have_value(project.name)
    open_tab(page, "Filter")
    expect(page.locator("#filter-count")).to_contain_text("of 20 pairs", timeout=OPEN_MS)


def test_counts_follow_the_rules_and_what_is_saved_stays(page: Page, studio: App) -> None:
    project = make_project(studio, "rules")
    open_filter(page, studio, project)
    expect(page.locator("#filter-answers")).to_contain_text("16 answers by 2 annotators on 8 pairs")
    expect(page.locator("#filter-count")).to_contain_text("Kept 18 of 20")

    set_number(page, "filter-min-relevance", 3)
    expect(page.locator("#filter-count")).to_contain_text("Kept 6 of 20")
    expect(page.locator("#filter-saved")).to_contain_text("not saved")
    table = page.locator("#filter-rules")
    expect(table).to_contain_text("mean rating of at least 3")
    assert [row[1:] for row in cells(table)] == [["14", "14"], ["2", "0"], ["0", "0"], ["0", "0"]]

    page.locator("#filter-rules [data-testid=cell-1-0]").click()
    expect(page.locator("#filter-removed-title")).to_contain_text("2 pairs")
    expect(page.locator("#filter-removed-said")).to_contain_text("Nobody has reviewed this pair")
    expect(page.locator("#filter-pair-chosen")).to_contain_text("<b>Good</b> 18")
    page.locator("#filter-removed-which").get_by_label("2", exact=True).check()
    expect(page.locator("#filter-pair-chosen")).to_contain_text("<b>Good</b> 19")

    page.locator("#filter-save").click()
    expect(page.locator("#export-incoming")).to_contain_text("keeps 6 of 20 pairs; 6 of them are reviewed")
    assert recipe_of(project) == Recipe(min_relevance=3)
    open_filter(page, studio, project)
    expect(page.locator("#filter-min-relevance input")).to_have_value("3")
    expect(page.locator("#filter-saved")).to_contain_text("Saved")
