"""Scores on a model's card: what would be written is shown before, then it is one commit on what was shown."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from huggingface_hub import CommitOperationAdd, EvalResult, ModelCard, ModelCardData
from yaml import YAMLError

from pipeline.base import words
from pipeline.base.errors import StudioError
from pipeline.base.message import Message, message
from pipeline.base.plain import plain
from pipeline.evaluate.comparison import BASE, TUNED, Row, compare, rounded
from pipeline.evaluate.task import Source, task_of
from pipeline.hub import account, client, repositories
from pipeline.hub.retry import retrying
from pipeline.models import reference

if TYPE_CHECKING:
    from pipeline.evaluate.evaluations import Evaluation

BEGIN, END = "<!-- align-studio:evaluation -->", "<!-- /align-studio:evaluation -->"
CARD = "README.md"
_SECTION = re.compile(rf"\n*{re.escape(BEGIN)}.*?{re.escape(END)}\n*", re.DOTALL)


@dataclass(frozen=True)
class CardPlan:
    """What would be written to a model's card.

    Attributes:
        repository: The model's repository.
        evaluated: The commit that was scored.
        head: The commit the card is changed on.
        text: The whole card afterwards.
        results: Its evaluation results in words: what, value.
        left_out: Tasks that are not written, each with the reason.
        unchanged: Whether the card says all this already.
        moved: Whether the repository has gone on since the model was scored.
    """

    repository: str
    evaluated: str
    head: str
    text: str
    results: tuple[tuple[str, str], ...]
    left_out: tuple[Message, ...]
    unchanged: bool
    moved: bool


def plan(found: Evaluation, role: str = TUNED) -> CardPlan:
    """Return what would be written to the card of an evaluated model; nothing is written.

    Args:
        found: The evaluation.
        role: Which of its models.

    Raises:
        StudioError: The model is no repository that this account may write, or there is nothing to write.
    """
    model = found.models.get(role, {})
    repository = str(model.get("path", ""))
    if not reference.refer(repository).on_hub:
        raise StudioError("scores.local_model", model=found.name(role))
    _check_owner(repository)
    rows = [row for row in compare(found.results, found.folder, role) if row.tuned is not None and row.headline]
    kept = [row for row in rows if _source(found, row.task) is not None]
    left_out = tuple(message("scores.left_out", task=task) for task in _lost(rows, kept))
    if not kept:
        raise StudioError("scores.nothing", reasons=list(left_out) or message("scores.no_number"))
    head, before = _read(repository)
    text = _with_results(before, repository, found, role, kept)
    return CardPlan(
        repository=repository,
        evaluated=str(model.get("revision") or ""),
        head=head,
        text=text,
        results=tuple((f"{row.task}: {_metric_name(row)}", rounded(row.tuned, row.tuned_stderr)) for row in kept),
        left_out=left_out,
        unchanged=text == before,
        moved=bool(model.get("revision")) and model["revision"] != head,
    )


def write(wanted: CardPlan) -> str:
    """Write a card as planned, in one commit on the commit that was shown; return the commit's address.

    Args:
        wanted: From `plan`.

    Raises:
        StudioError: The repository changed meanwhile, the Hub refuses, or it is not reached.
    """
    if wanted.unchanged:
        raise StudioError("scores.unchanged")
    text = wanted.text.encode()
    digest = hashlib.sha256(f"{wanted.repository} {wanted.head} ".encode() + text).hexdigest()[:16]
    commit = repositories.commit(
        wanted.repository,
        "model",
        [CommitOperationAdd(CARD, text)],
        "Evaluation results by Align Studio",
        f"align-studio-evaluation: {digest}",
        wanted.head,
    )
    return repositories.page(wanted.repository, "model", commit)


def _check_owner(repository: str) -> None:
    who = account.require_write()
    owner = repository.partition("/")[0] if "/" in repository else ""
    if owner not in (who.name, *who.organisations):
        raise StudioError("scores.not_yours", repository=repository, account=who.name, owner=owner or "Hub")
    repositories.may_write(repository, "model")


def _read(repository: str) -> tuple[str, str]:
    """Return the head commit of a model's repository, and its card as it is there, "" for none."""
    found = repositories.info(repository, "model")
    if found is None:
        raise StudioError("scores.model_gone", repository=repository)
    if CARD not in found.files:
        return found.head, ""
    what = message("scores.card_unread", repository=repository)
    with repositories.explained(what, repository), tempfile.TemporaryDirectory(prefix="align-studio-") as folder:
        # A folder of its own: a private card stays out of the cache that everybody shares.
        file = retrying(lambda: client.api().hf_hub_download(repository, CARD, revision=found.head, cache_dir=folder))
        return found.head, Path(file).read_bytes().decode("utf-8")


def _source(found: Evaluation, name: str) -> Source | None:
    """Return where others find what a task reads, None for a file that nobody else has."""
    return task_of(name).source(found.tasks.get(name, {}), found.dataset)


def _lost(rows: Sequence[Row], kept: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row.task for row in rows if row not in kept))


def _metric_name(row: Row) -> str:
    name = task_of(row.task).metric(row.metric).called("card")
    return _said("partial", metric=name, samples=row.samples, available=row.available) if row.partial else name


def _said(name: str, **values: object) -> str:
    return words.say(f"card.evaluation.{name}", **values)


def _with_results(before: str, repository: str, found: Evaluation, role: str, rows: Sequence[Row]) -> str:
    """Return a card with these results, in its metadata and as a section that people read."""
    try:
        card = ModelCard(_SECTION.sub("\n\n", before))
        data = cast(ModelCardData, card.data)  # declared as its base class by the library
        others = list(data.eval_results or [])
    except (ValueError, YAMLError, TypeError, KeyError) as error:
        raise StudioError("scores.card_torn", repository=repository, detail=str(error)[:200]) from error
    fresh = list(_results(found, rows))
    said = {_key(result) for result in fresh}
    data.eval_results = [result for result in others if _key(result) not in said] + fresh
    data.model_name = data.model_name or repository.rpartition("/")[2]
    card.text = f"{card.text.strip()}\n\n{_section(found, role, rows)}\n".lstrip()
    return str(card.content)


def _key(result: EvalResult) -> tuple[str | None, ...]:
    """Return what a result is about; a newer one of the same takes its place, whatever the revision."""
    return result.dataset_type, result.dataset_config, result.dataset_split, result.metric_type


def _results(found: Evaluation, rows: Sequence[Row]) -> Iterator[EvalResult]:
    for row in rows:
        source = _source(found, row.task)
        assert source is not None  # such rows are left out
        yield EvalResult(
            task_type="text-generation",
            task_name="Text Generation",
            dataset_type=source.repository,
            dataset_name=source.name,
            dataset_config=source.config,
            dataset_split=source.split,
            dataset_revision=source.revision or None,
            metric_type=task_of(row.task).metric(row.metric).kind,
            metric_name=_metric_name(row),
            metric_value=row.tuned,
        )


def _section(found: Evaluation, role: str, rows: Sequence[Row]) -> str:
    """Return the results as Markdown, beside the base model's where there is one."""
    compared = BASE in found.models
    names = ("measure", "base", "this", "difference", "samples") if compared else ("measure", "score", "samples")
    head = [_said(f"column.{name}") for name in names]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for row in rows:
        counts = {"samples": f"{row.samples:,}", "available": f"{row.available:,}"}
        samples = _said("some_of", **counts) if row.partial else counts["samples"]
        cells = [_metric_name(row), rounded(row.tuned, row.tuned_stderr), samples]
        if compared:
            cells.insert(1, rounded(row.base, row.base_stderr))
            cells.insert(3, rounded(row.difference, row.difference_stderr, signed=True))
        lines.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
    revision = str(found.models[role].get("revision") or "")
    said = _said("about", date=f"{found.created:%Y-%m-%d}", commit=revision[:12])
    if compared:
        base = found.models[BASE]
        code = "base.at" if base.get("revision") else "base"
        values = {"commit": str(base["revision"])[:12]} if base.get("revision") else {}
        said += f" {_said(code, model=_cell(found.base), **values)}"
    return "\n".join([BEGIN, f"## {_said('title')}", "", said, "", *lines, END])


def _cell(text: str) -> str:
    """Return a text that stays in its table's cell."""
    return re.sub(r"[|`\n]", " ", plain(text))
