"""Several answers per record become one: pure functions, nothing read and nothing written."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from math import fsum
from typing import Literal

from pipeline.review.answers import Answer

Verdict = Literal["chosen", "rejected", "tie", "undecided"]


# How several answers become one, for whoever reads an export: see `settle`.
SETTLED_BY = {"per_annotator": "latest_submitted", "preference": "plurality", "relevance": "mean"}


@dataclass(frozen=True)
class Settled:
    """What the reviewers of one record say together.

    Attributes:
        record_id: Id of the pair.
        answers: Number of annotators whose answer counts, at least 1.
        relevance: Mean rating, 1 to 5, of those who rated; None when nobody did.
        preference: The option with strictly more votes than any other; "undecided" when the highest count is shared;
            None when nobody answered the question. "tie" is an option like the others: it says that most reviewers
            find both completions equal, "undecided" that the reviewers disagree.
    """

    record_id: str
    answers: int
    relevance: float | None
    preference: Verdict | None


def settle(answers: Iterable[Answer]) -> dict[str, Settled]:
    """Settle the answers of every record; the order of the answers makes no difference.

    Of an annotator the submitted answer that changed last counts. The preference is the option with more votes than
    every other, the relevance the arithmetic mean of the ratings.

    Args:
        answers: Answers of any number of records, annotators and states. Drafts and discarded answers do not count,
            and of several submitted answers of one annotator to one record only the latest does.

    Returns:
        What was settled, by record id. A record without a submitted answer is not among them.
    """
    by_record: defaultdict[str, list[Answer]] = defaultdict(list)
    for answer in _counted(answers):
        by_record[answer.record_id].append(answer)
    return {
        record_id: Settled(record_id, len(counted), _relevance(counted), _preference(counted))
        for record_id, counted in by_record.items()
    }


def _counted(answers: Iterable[Answer]) -> Iterable[Answer]:
    """Return the one answer of each annotator to each record that counts."""
    latest: dict[tuple[str, str], Answer] = {}
    for answer in answers:
        key = (answer.record_id, answer.annotator)
        if answer.status == "submitted" and (key not in latest or _order(answer) > _order(latest[key])):
            latest[key] = answer
    return latest.values()


def _order(answer: Answer) -> tuple[datetime, float, str]:
    """Order answers by time; those of the same microsecond by content, so that the order of reading never decides."""
    return answer.updated_at, answer.relevance or 0.0, answer.preference or ""


def _preference(answers: list[Answer]) -> Verdict | None:
    """Return the verdict of one record's counted answers."""
    votes = Counter(answer.preference for answer in answers if answer.preference is not None).most_common(2)
    if not votes:
        return None
    shared = len(votes) > 1 and votes[0][1] == votes[1][1]
    return "undecided" if shared else votes[0][0]


def _relevance(answers: list[Answer]) -> float | None:
    """Return the rating of one record's counted answers."""
    ratings = [answer.relevance for answer in answers if answer.relevance is not None]
    return fsum(ratings) / len(ratings) if ratings else None
