"""Settling policies side by side: what each would export of the reviewed pairs, and what it would leave out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from markupsafe import Markup

from pipeline.base.project import Project
from pipeline.export.options import ExportOptions
from pipeline.export.writing import REASONS, becomes
from pipeline.filter.project import filtered
from pipeline.review.project import votes_of
from pipeline.review.settle import Settling, decide
from ui.parts.notice import line
from ui.text import say

HEADS = ("policy", "kept", "swapped", "lost")


def compare(of: Project, options: ExportOptions) -> Markup:
    """Return a table of the policies as HTML; the one in the form stands among them, marked."""
    votes = votes_of(of)
    if not votes:
        return line(say("export.compare.none"))
    most = max(each.answers for each in votes.values())
    kept = {
        rating: filtered(of, settling=Settling.model_validate({"relevance": rating})).kept
        for rating in ("mean", "median")
    }
    rows = []
    for settling in _policies(options.settling, most):
        decided = decide(votes, settling)
        pairs = kept[settling.relevance]
        found = Counter(becomes(decided.get(pair.record_id), options) for pair in pairs)
        lost = {reason: found[reason] for reason in REASONS if found[reason]}
        row = [_named(settling), f"{found['kept'] + found['swapped']:,}", f"{found['swapped']:,}", _lost(lost)]
        rows.append((row, settling == options.settling))
    return _table(rows)


def _policies(chosen: Settling, most: int) -> Iterator[Settling]:
    """Yield the policies to compare: each way of counting votes, each number of answers, each rating."""
    found: dict[str, Settling] = {}
    for preference in ("most", "majority", "unanimity"):
        policy = chosen.model_copy(update={"preference": preference})
        found[policy.model_dump_json()] = policy
    for at_least in range(1, min(most, 3) + 1):
        policy = chosen.model_copy(update={"at_least": at_least})
        found[policy.model_dump_json()] = policy
    other = "mean" if chosen.relevance == "median" else "median"
    yield from found.values()
    yield chosen.model_copy(update={"relevance": other})


def _named(settling: Settling) -> str:
    policy = say(f"export.preference_by.{settling.preference}")
    named = say("export.compare.at_least", policy=policy, count=settling.at_least)
    rating = say(f"export.relevance_by.{settling.relevance}")
    return f"{named} · {say('export.compare.rating', policy=rating)}"


def _lost(counts: dict[str, int]) -> str:
    return ", ".join(f"{say(f'export.{reason}')}: {count:,}" for reason, count in counts.items()) or "0"


def _table(rows: list[tuple[list[str], bool]]) -> Markup:
    empty, cell = Markup(""), Markup("<td>{}</td>")
    mark = Markup(" <b>({})</b>").format(say("export.compare.chosen"))
    lines = empty.join(
        Markup("<tr>{}{}</tr>").format(
            Markup("<td>{}{}</td>").format(row[0], mark if chosen else ""), empty.join(map(cell.format, row[1:]))
        )
        for row, chosen in rows
    )
    head = empty.join(Markup("<th>{}</th>").format(say(f"export.compare.{name}")) for name in HEADS)
    return Markup(
        '<div class="table-box"><table class="plain-table" id="export-policies"><thead><tr>{}</tr></thead>'
        "<tbody>{}</tbody></table></div>"
    ).format(head, lines)
