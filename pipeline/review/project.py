"""What the review keeps in a project: where its pairs are in Argilla, and what was answered."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pyarrow.parquet as pq
from filelock import FileLock

from pipeline.base.errors import StudioError
from pipeline.base.home import Home
from pipeline.base.memory import cached, remembered, version
from pipeline.base.message import Message
from pipeline.base.project import Project, Record, ReviewRecord
from pipeline.dataset.project import pairs_of
from pipeline.models import tokens
from pipeline.review import answers as answer_file
from pipeline.review import plan as review_plan
from pipeline.review import readback
from pipeline.review.answers import Answer
from pipeline.review.order import CHOSEN_FIRST, AsStored, Drawn, Meaning, Order, draw_key, kept_order
from pipeline.review.plan import ReviewPlan
from pipeline.review.service import Endpoint
from pipeline.review.settle import NOBODY, Arbitration, Settled, Settling, Votes, count, decide
from pipeline.review.workspace import workspace_of
from pipeline.runs import launch
from pipeline.runs.ledger import Ledger, Run

_ARBITRATION = "disputes.json"  # whose answer decides which pairs


def answers_of(of: Project) -> list[Answer]:
    """Return the answers read back so far."""
    if not of.answers.exists():
        return []
    return cached("answers", of.folder, version(of.answers), lambda: answer_file.open_answers(of.answers))


def votes_of(of: Project) -> dict[str, Votes]:
    """Return the answers to each record, counted."""
    arbitration = arbitration_of(of)
    seen = (version(of.answers), arbitration)
    return cached("votes", of.folder, seen, lambda: count(answers_of(of), arbitration))


def arbitration_of(of: Project) -> Arbitration:
    """Return whose answer decides which pairs of a project."""
    file = of.folder / _ARBITRATION
    if not file.exists():
        return NOBODY
    found = cached("arbitration", of.folder, version(file), lambda: json.loads(file.read_text(encoding="utf-8")))
    return Arbitration(found["name"], frozenset(found["record_ids"]))


def save_arbitration(of: Project, arbitration: Arbitration) -> None:
    """Keep whose answer decides which pairs of a project."""
    fresh = of.folder / f"{_ARBITRATION}.new"
    fresh.write_text(json.dumps({"name": arbitration.name, "record_ids": sorted(arbitration.record_ids)}))
    fresh.replace(of.folder / _ARBITRATION)


def settling_of(of: Project) -> Settling:
    """Return how a project's answers are settled: as in its last export, else as usual."""
    return Settling.model_validate(of.read().settling or {})


def save_settling(of: Project, settling: Settling) -> None:
    """Make a policy the project's."""

    def change(record: Record) -> None:
        record.settling = settling.model_dump(mode="json")

    of.update(change)


def settled_of(of: Project, settling: Settling | None = None) -> dict[str, Settled]:
    """Return what the reviewers said of each record, settled into one.

    Args:
        of: The project.
        settling: How; None: the project's own policy.
    """
    policy = settling or settling_of(of)
    seen = (version(of.answers), arbitration_of(of))
    return cached(f"settled {policy.model_dump_json()}", of.folder, seen, lambda: decide(votes_of(of), policy))


def plan_of(of: Project) -> ReviewPlan:
    """Return how the project's pairs are put before annotators: as last asked for, else a suggestion."""
    record = of.read()
    if record.review is not None:
        return ReviewPlan.kept(record.review.plan)
    return review_plan.suggest(pairs_of(of), of.name, tokens.counter(record.base_model).unit)


def own_plan(home: Home, of: Project) -> ReviewPlan:
    """Return how a project's pairs are put before annotators, in the workspace that is its owner's.

    Args:
        home: The home as the owner sees it.
        of: The project.
    """
    return settled_plan(home, plan_of(of))


def settled_plan(home: Home, plan: ReviewPlan) -> ReviewPlan:
    """Return a plan whose workspace is its owner's, whatever it named; see `workspace_of`."""
    return plan.model_copy(update={"workspace": workspace_of(home, plan.workspace)})


def columns(of: Project) -> dict[str, review_plan.Kept]:
    """Return the other columns of a project's dataset, and what they are as metadata."""
    return cached("columns", of.folder, version(of.pairs), lambda: review_plan.columns_of(pairs_of(of)))


def reviewed_number(of: Project, plan: ReviewPlan) -> int:
    """Return how many of a project's pairs a plan puts before annotators."""
    whole = len(pairs_of(of))
    return min(plan.pairs, whole) if plan.pairs else whole


def server_name(endpoint: Endpoint) -> str:
    """Return what a project's record calls a review server: embedded, or its URL."""
    return "embedded" if endpoint.embedded else endpoint.url


def start_import(ledger: Ledger, of: Project, plan: ReviewPlan, endpoint: Endpoint, title: Message | str) -> Run:
    """Start putting a project's pairs into Argilla, or go on with it.

    Args:
        ledger: The owner's ledger.
        of: The project.
        plan: How the pairs are shown; the workspace it names counts for the local person alone.
        endpoint: The review server.
        title: What people see of the run.
    """
    plan = settled_plan(ledger.home, plan)
    if plan.order == "drawn":
        draw_key(of)
    server, values = server_name(endpoint), plan.model_dump(mode="json")

    def change(record: Record) -> None:
        if record.review is not None and record.review.server == server:
            record.review.plan = values
        else:
            record.review = ReviewRecord(plan=values, server=server)

    of.update(change)
    return launch.start(ledger, "import", of.name, title, {"plan": values})


def order_of(of: Project, plan: ReviewPlan) -> Order:
    """Return how the answers of a project's pairs are put in order.

    Raises:
        StudioError: It was drawn with a key that is gone.
    """
    return kept_order(of) if plan.order == "drawn" else CHOSEN_FIRST


def meaning_of(of: Project) -> Meaning:
    """Return what the answers to a project's pairs mean.

    Raises:
        StudioError: Their order was drawn with a key that is gone.
    """
    plan = plan_of(of)
    if plan.order != "drawn":
        return AsStored()
    order = kept_order(of)

    def draw() -> Drawn:
        ids = pq.read_table(of.pairs, columns=["record_id"])["record_id"].to_pylist()
        return Drawn(order, map(str, ids))

    return cached("meaning", of.folder, (version(of.pairs), order.key), draw)


def review_of(of: Project, endpoint: Endpoint) -> ReviewRecord:
    """Return the project's review on a server.

    Raises:
        StudioError: Nothing is imported yet, or it is on another server.
    """
    found = of.read().review
    if found is None or not found.dataset_id:
        raise StudioError("argilla.nothing")
    if found.server != server_name(endpoint):
        raise StudioError("argilla.elsewhere", there=found.server, here=server_name(endpoint))
    return found


def refresh_answers(of: Project, endpoint: Endpoint) -> list[Answer]:
    """Read what annotators have answered since the last time, and keep it with the project.

    Args:
        of: The project.
        endpoint: The review server.

    Returns:
        All answers there are now.

    Raises:
        StudioError: Nothing is imported there yet, or the server is not reached.
    """
    with FileLock(of.folder / ".answers.lock"):
        before = review_of(of, endpoint)
        kept = answers_of(of)
        known = kept if before.cursor else []
        found, cursor = readback.read_answers(endpoint, before.dataset_id, known, before.cursor, meaning_of(of))
        if cursor == before.cursor:
            return known
        arbitration = arbitration_of(of)
        votes = remembered("votes", of.folder, (version(of.answers), arbitration))
        # The answers first: a crash between the two makes the next reading repeat itself, not miss something.
        answer_file.save(found, of.answers)
        # Whoever settles them need not read the file, nor count again what nobody has changed.
        cached("answers", of.folder, version(of.answers), lambda: found)
        if isinstance(votes, dict):
            seen = (version(of.answers), arbitration)
            cached("votes", of.folder, seen, lambda: _counted_on(votes, kept, found, arbitration))

        def change(record: Record) -> None:
            if record.review is not None and record.review.dataset_id == before.dataset_id:
                record.review.cursor = cursor

        of.update(change)
    return found


def _counted_on(
    votes: dict[str, Votes], before: Sequence[Answer], now: Sequence[Answer], arbitration: Arbitration
) -> dict[str, Votes]:
    """Return the votes there are now; only those of records whose answers have changed are counted.

    Args:
        votes: The votes before.
        before: The answers that they were counted from.
        now: The answers there are.
        arbitration: Whose answer decides which pairs, then and now.
    """
    there = set(map(id, before)).intersection(map(id, now))  # an answer that nobody touched is the same object
    changed = {answer.record_id for answers in (before, now) for answer in answers if id(answer) not in there}
    fresh = count((answer for answer in now if answer.record_id in changed), arbitration)
    gone = changed - fresh.keys()
    still = {record_id: fresh.get(record_id, each) for record_id, each in votes.items() if record_id not in gone}
    return still | fresh
