"""How a project's review is at the moment, and what the stream says of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline.base.errors import StudioError
from pipeline.base.project import Project
from pipeline.review import annotators, readback
from pipeline.review.api import Refused, ReviewError
from pipeline.review.project import own_plan, review_of
from pipeline.runs.ledger import Run, State
from pipeline.visit import Visit
from ui.parts.notice import notice
from ui.review import people as review_people
from ui.stream import Said
from ui.text import say

Phase = Literal["none", "plan", "importing", "stopped", "review"]


def phase_of(of: Project | None, run: Run | None) -> Phase:
    """Return how far a project's way into Argilla is."""
    if of is None or of.read().dataset is None:
        return "none"
    if run is not None and run.active:
        return "importing"
    kept = of.read().review
    if kept is None or not kept.dataset_id:
        return "plan"
    return "review" if run is None or run.state is State.SUCCEEDED else "stopped"


@dataclass(frozen=True)
class Now:
    """What changes of a review by itself.

    Attributes:
        waiting: Why nothing can be done yet: Argilla is not ready.
        progress: How far the annotators are, or why that is not known, HTML.
        again: Whether the pairs can be imported again.
        names: Who has an account; None where that is not known.
    """

    phase: Phase
    waiting: str = ""
    progress: str = ""
    again: bool = False
    names: list[str] | None = None

    @property
    def shape(self) -> str:
        """A text that changes when more than the progress has to be drawn."""
        return f"{self.phase} {self.waiting} {self.again}"


def now_of(visit: Visit, of: Project | None) -> Now:
    """Look at a project's review; Argilla is asked while people review."""
    studio, phase = visit.studio, phase_of(of, visit.ledger.latest(of.name, "import") if of else None)
    if of is None or phase in ("none", "importing"):
        return Now(phase)
    try:
        endpoint = studio.argilla.endpoint()
    except StudioError as error:
        return Now(phase, say("review.waiting") if studio.argilla.status.state != "failed" else str(error))
    if phase == "plan":
        return Now(phase)
    plan = own_plan(visit.home, of)
    try:
        kept = review_of(of, endpoint)
        names = annotators.list_annotators(endpoint, plan.workspace)
        state = readback.progress(endpoint, kept.dataset_id)
    except Refused as error:
        problem = say("review.gone") if error.status == 404 else str(error)
        return Now(phase, progress=notice(problem), again=True)
    except StudioError as error:  # of another server, or one that does not answer at the moment
        return Now(phase, progress=notice(str(error)), again=not isinstance(error, ReviewError))
    return Now(phase, progress=review_people.progress(state, names, plan.min_submitted), names=names)


class ReviewTopic:
    """What the stream says of a project's review."""

    every, slow = 5.0, True

    def admit(self, visit: Visit, name: str) -> None:
        """Let the visitor watch projects of their own.

        Raises:
            StudioError: They have none of that name.
        """
        visit.project(name)

    def look(self, visit: Visit, name: str) -> Said:
        """Return how far the annotators are."""
        now = now_of(visit, visit.project(name))
        return Said({"html": now.progress, "shape": now.shape})
