"""What the Dataset tab says of a dataset: where it is from, what it holds, how long its parts are."""

from __future__ import annotations

from markupsafe import Markup

from pipeline.base.project import DatasetRecord
from pipeline.dataset.project import Counted, recognised_of
from pipeline.dataset.summary import Lengths, Summary
from ui.parts import notice
from ui.parts.pair_view import PARTS, unit_name
from ui.text import has, say

MOST = 8  # sources and the like named one by one


def short(text: str, length: int) -> str:
    """Return a text on one line, cut to a length."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "…"


def facts(record: DatasetRecord, summary: Summary, lengths: str = "") -> Markup:
    """Return what was recognised and what the dataset holds, as HTML.

    Args:
        record: What the project says of its dataset.
        summary: What is in it.
        lengths: What `lengths` returned; empty while they are being counted.
    """
    kind = say(f"dataset.kind.{record.kind}")
    items = [
        (say("dataset.fact.origin"), kind if record.kind == "sample" else f"{kind}: {record.name}"),
        (say("dataset.fact.part"), _part(record)),
        (say("dataset.fact.recognised"), recognised_of(record).said()),
        (say("dataset.fact.pairs"), _pairs(record, summary)),
        (say("dataset.fact.unused"), say("list.comma").join(short(name, 60) for name in record.unused)),
        (say("dataset.fact.sources"), _listed(summary.sources) or say("dataset.fact.sources.none")),
        (say("dataset.fact.scripts"), _listed({_script(name): count for name, count in summary.scripts.items()})),
        (say("dataset.fact.turns"), _turns(summary)),
        (say("dataset.fact.lengths"), lengths or say("dataset.fact.counting")),
    ]
    return notice.facts({name: value for name, value in items if value})


def _part(record: DatasetRecord) -> str:
    """Return which part of a Hub dataset was read, and at which commit."""
    if not record.revision:
        return ""
    parts = [say("dataset.fact.config", name=record.config), say("dataset.fact.split", name=record.split)]
    parts.append(say("dataset.fact.commit", sha=record.revision[:12]))
    if record.limit is not None and record.rows >= record.limit:
        parts.append(say("dataset.fact.first", rows=f"{record.limit:,}"))
    return " · ".join(parts)


def _pairs(record: DatasetRecord, summary: Summary) -> str:
    parts = [say("dataset.fact.pairs.of", pairs=f"{record.pairs:,}", rows=f"{record.rows:,}")]
    if record.bad_rows:
        parts.append(say("dataset.fact.pairs.bad", count=f"{record.bad_rows:,}"))
    if summary.duplicates:
        parts.append(say("dataset.fact.pairs.repeated", count=f"{summary.duplicates:,}"))
    return " · ".join(parts)


def _turns(summary: Summary) -> str:
    parts = [
        say("dataset.fact.turns.one" if turns == 1 else "dataset.fact.turns.many", turns=turns, pairs=f"{count:,}")
        for turns, count in list(summary.turns.items())[:MOST]
    ]
    if summary.with_system:
        parts.append(say("dataset.fact.turns.system", pairs=f"{summary.with_system:,}"))
    return " · ".join(parts)


def _script(name: str) -> str:
    key = f"dataset.script.{name.lower()}"
    return say(key) if has(key) else name


def _listed(counts: dict[str, int]) -> str:
    named = [f"{short(name, 60) or '—'} {count:,}" for name, count in list(counts.items())[:MOST] if name or count]
    if list(counts) == [""]:
        return ""
    if len(counts) > MOST:
        named.append(say("dataset.fact.more", count=f"{len(counts) - MOST:,}"))
    return " · ".join(named)


def lengths(counted: Counted, found: dict[str, Lengths]) -> str:
    """Return the lengths of the dataset's parts with unit and tokenizer."""
    parts = " · ".join(
        say(
            "dataset.fact.length",
            part=say(f"pair.{part}"),
            median=f"{found[part].median:,.0f}",
            shortest=f"{found[part].shortest:,}",
            longest=f"{found[part].longest:,}",
        )
        for part in PARTS
    )
    by = say("dataset.fact.by", name=counted.name) if counted.unit == "tokens" else say("dataset.fact.estimate")
    return say("dataset.fact.lengths.all", unit=unit_name(counted.unit), parts=parts, by=by)
