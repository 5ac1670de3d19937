"""Several answers per record become one: pure functions, nothing read and nothing written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import fsum
from statistics import median
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from pipeline.review.answers import Answer, Preference

Verdict = Literal["chosen", "rejected", "tie", "undecided", "too_few"]


# Declared once: an export's options are of these too.
PreferenceBy = Annotated[
    Literal["most", "majority", "unanimity"],
    Field(description="The option with the most votes, with more than half of them, or with all of them."),
]
RelevanceBy = Annotated[Literal["mean", "median"], Field(description="What the ratings of one pair become.")]
AtLeast = Annotated[
    int,
    Field(
        ge=1,
        le=10,
        description="Answers a reviewed pair must have for its preference to count.",
        json_schema_extra={"unit": "answers"},
    ),
]


class Settling(BaseModel, extra="forbid"):
    """How several answers become one."""

    preference: PreferenceBy = "most"
    relevance: RelevanceBy = "mean"
    at_least: AtLeast = 1

    def said_of(self) -> dict[str, str | int]:
        """Return the policy for whoever reads an export, what counts of one annotator included."""
        return {"per_annotator": "latest_submitted", **self.model_dump()}


USUAL = Settling()


@dataclass(frozen=True)
class Arbitration:
    """Whose answer decides a disputed pair.

    Attributes:
        name: User name of the owner who settles them.
        record_ids: Pairs that were put before the owner to be settled.
    """

    name: str = ""
    record_ids: frozenset[str] = frozenset()

    def decides(self, answer: Answer) -> bool:
        """Return whether an answer decides its pair alone."""
        return answer.annotator == self.name and answer.record_id in self.record_ids


NOBODY = Arbitration()


@dataclass(frozen=True, slots=True)
class Votes:
    """What the reviewers of one record say, counted.

    Attributes:
        answers: Number of annotators whose answer counts, at least 1.
        counts: Votes for chosen, rejected and tie, in this order.
        ratings: The ratings of those who rated, in no order.
        decided: Whether the votes are those of whoever settled a dispute: no number of answers is asked for then.
    """

    answers: int
    counts: tuple[int, int, int]
    ratings: tuple[float, ...]
    decided: bool = False


@dataclass(frozen=True, slots=True)
class Settled:
    """What the reviewers of one record say together.

    Attributes:
        record_id: Id of the pair.
        answers: Number of annotators whose answer counts, at least 1.
        relevance: The rating, 1 to 5, of those who rated together; None when nobody did.
        preference: The option that wins by the policy; "undecided" where none does; "too_few" with fewer answers than
            the policy asks for; None when nobody answered the question. "tie" is an option like the others: it says
            that reviewers find both completions equal, "undecided" that they disagree.
    """

    record_id: str
    answers: int
    relevance: float | None
    preference: Verdict | None


_OPTIONS: tuple[Preference, ...] = ("chosen", "rejected", "tie")
_PLACE = {option: place for place, option in enumerate(_OPTIONS)}


def count(answers: Iterable[Answer], arbitration: Arbitration = NOBODY) -> dict[str, Votes]:
    """Count the answers to every record; their order makes no difference.

    Args:
        answers: Answers of any number of records, annotators and states. Drafts and discarded answers do not count,
            and of several submitted answers of one annotator to one record only the latest does.
        arbitration: Whose answer decides which pairs: the votes of these are its own, as often as people answered.

    Returns:
        The votes by record id. A record without a submitted answer is not among them.
    """
    found: dict[str, tuple[list[int], list[float], int]] = {}
    decided = {}
    for answer in counted(answers):
        if arbitration.record_ids and arbitration.decides(answer):
            decided[answer.record_id] = answer
        votes, ratings, number = found.get(answer.record_id) or ([0, 0, 0], [], 0)
        if answer.preference is not None:
            votes[_PLACE[answer.preference]] += 1
        if answer.relevance is not None:
            ratings.append(answer.relevance)
        found[answer.record_id] = votes, ratings, number + 1
    for record_id, answer in decided.items():
        votes, ratings, number = found[record_id]
        if answer.preference is not None:
            votes = [number if option == answer.preference else 0 for option in _OPTIONS]
        found[record_id] = votes, ratings if answer.relevance is None else [answer.relevance], number
    return {
        record_id: Votes(number, (votes[0], votes[1], votes[2]), tuple(ratings), record_id in decided)
        for record_id, (votes, ratings, number) in found.items()
    }


def decide(votes: Mapping[str, Votes], settling: Settling = USUAL) -> dict[str, Settled]:
    """Settle counted votes by a policy; by record id."""
    verdicts: dict[tuple[bool, tuple[int, int, int]], Verdict | None] = {}
    found = {}
    for record_id, each in votes.items():
        key = each.decided, each.counts
        if key not in verdicts:
            verdicts[key] = _preference(each, settling)
        found[record_id] = Settled(record_id, each.answers, _relevance(each.ratings, settling), verdicts[key])
    return found


def settle(answers: Iterable[Answer], settling: Settling = USUAL) -> dict[str, Settled]:
    """Settle the answers of every record; see `count` and `decide`."""
    return decide(count(answers), settling)


def counted(answers: Iterable[Answer]) -> Iterable[Answer]:
    """Return the one answer of each annotator to each record that counts: the submitted one that changed last."""
    latest: dict[tuple[str, str], Answer] = {}
    for answer in answers:
        if answer.status == "submitted":
            key = (answer.record_id, answer.annotator)
            before = latest.setdefault(key, answer)
            if before is not answer and _order(answer) > _order(before):
                latest[key] = answer
    return latest.values()


def _order(answer: Answer) -> tuple[datetime, float, str]:
    """Order answers by time; those of the same microsecond by content, so that the order of reading never decides."""
    return answer.updated_at, answer.relevance or 0.0, answer.preference or ""


def _preference(votes: Votes, settling: Settling) -> Verdict | None:
    """Return the verdict of one record's votes."""
    given, most = sum(votes.counts), max(votes.counts)
    if not given:
        return None
    if given < settling.at_least and not votes.decided:
        return "too_few"
    wins = {
        "most": votes.counts.count(most) == 1,
        "majority": 2 * most > given,
        "unanimity": most == given,
    }[settling.preference]
    return _OPTIONS[votes.counts.index(most)] if wins else "undecided"


def _relevance(ratings: tuple[float, ...], settling: Settling) -> float | None:
    """Return the rating of one record."""
    if not ratings:
        return None
    return float(median(ratings)) if settling.relevance == "median" else fsum(ratings) / len(ratings)
