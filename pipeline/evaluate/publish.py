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

from pipeline.base.errors import StudioError
from pipeline.evaluate.comparison import BASE, LABELS, TUNED, Row, compare, rounded
from pipeline.evaluate.options import REVIEWED, TRUTHFULQA, TRUTHFULQA_REPOSITORY
from pipeline.hub import account, client, repositories
from pipeline.hub.retry import retrying
from pipeline.models import reference

if TYPE_CHECKING:
    from pipeline.evaluate.evaluations import Evaluation

BEGIN, END = "<!-- align-studio:evaluation -->", "<!-- /align-studio:evaluation -->"
CARD = "README.md"
_TYPES = {
    "truthfulqa_mc1": "mc1",
    "truthfulqa_mc2": "mc2",
    "pref_acc_norm": "accuracy",
    "pref_margin_norm": "preference_margin",
}
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
    left_out: tuple[str, ...]
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
        raise StudioError(
            "The scores cannot be written to a model card.",
            f"{found.name(role)} is a folder on this machine, not a repository on the Hub.",
            "Evaluate a model of the Hub.",
        )
    _check_owner(repository)
    rows = [row for row in compare(found.results, found.folder, role) if row.tuned is not None and row.headline]
    kept = [row for row in rows if _dataset(found, row.task) is not None]
    left_out = tuple(f"{task}: its questions are from a local file" for task in _lost(rows, kept))
    if not kept:
        raise StudioError(
            "There is nothing to write to the model card.",
            " ".join(left_out) or "No score of this model is a number.",
            "Score reviewed pairs, or TruthfulQA from the Hub.",
        )
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
        raise StudioError("The model card says this already.", "", "Nothing has to be written.")
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
        raise StudioError(
            f"{repository} is not yours to write.",
            f"You are signed in as {who.name}, and it belongs to {owner or 'the Hub'}.",
            "Evaluate a model of your own or of one of your organisations.",
        )
    repositories.may_write(repository, "model")


def _read(repository: str) -> tuple[str, str]:
    """Return the head commit of a model's repository, and its card as it is there, "" for none."""
    found = repositories.info(repository, "model")
    if found is None:
        raise StudioError(f"There is no model {repository} on the Hub any more.", "", "Evaluate one that is there.")
    if CARD not in found.files:
        return found.head, ""
    what = f"The card of {repository} cannot be read."
    with repositories.explained(what, repository), tempfile.TemporaryDirectory(prefix="align-studio-") as folder:
        # A folder of its own: a private card stays out of the cache that everybody shares.
        file = retrying(lambda: client.api().hf_hub_download(repository, CARD, revision=found.head, cache_dir=folder))
        return found.head, Path(file).read_bytes().decode("utf-8")


def _dataset(found: Evaluation, task: str) -> tuple[str, str, str] | None:
    """Return id, name and revision of what a task reads, None for a file that nobody else has."""
    asked = found.tasks.get(task, {})
    if task == REVIEWED:
        published = asked.get("published") or {}
        name = str(published.get("repository") or found.dataset)
        return name, f"Reviewed pairs held out of training ({found.dataset})", str(published.get("revision") or "")
    if task == TRUTHFULQA and asked.get("data") is None:
        return TRUTHFULQA_REPOSITORY, "TruthfulQA (multiple choice)", ""
    return None


def _lost(rows: Sequence[Row], kept: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row.task for row in rows if row not in kept))


def _metric_name(row: Row) -> str:
    part = f" ({row.samples} of {row.available} samples)" if row.partial else ""
    return f"{LABELS.get(row.metric, row.metric)}{part}"


def _with_results(before: str, repository: str, found: Evaluation, role: str, rows: Sequence[Row]) -> str:
    """Return a card with these results, in its metadata and as a section that people read."""
    try:
        card = ModelCard(_SECTION.sub("\n\n", before))
        data = cast(ModelCardData, card.data)  # declared as its base class by the library
        others = list(data.eval_results or [])
    except (ValueError, YAMLError, TypeError, KeyError) as error:
        raise StudioError(
            f"The card of {repository} has metadata that cannot be read.",
            str(error)[:200],
            "Correct the head of its README.md on the Hub, then try again.",
        ) from error
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
        dataset, name, revision = _dataset(found, row.task) or ("", "", "")
        truthful = row.task == TRUTHFULQA
        yield EvalResult(
            task_type="text-generation",
            task_name="Text Generation",
            dataset_type=dataset,
            dataset_name=name,
            dataset_config="multiple_choice" if truthful else None,
            dataset_split="validation" if truthful else "test",
            dataset_revision=revision or None,
            metric_type=_TYPES[row.metric],
            metric_name=_metric_name(row),
            metric_value=row.tuned,
        )


def _section(found: Evaluation, role: str, rows: Sequence[Row]) -> str:
    """Return the results as Markdown, beside the base model's where there is one."""
    compared = BASE in found.models
    head = ["Measure", "Base", "This model", "Difference", "Samples"] if compared else ["Measure", "Score", "Samples"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for row in rows:
        samples = f"{row.samples:,} of {row.available:,}" if row.partial else f"{row.samples:,}"
        cells = [_metric_name(row), rounded(row.tuned, row.tuned_stderr), samples]
        if compared:
            cells.insert(1, rounded(row.base, row.base_stderr))
            cells.insert(3, rounded(row.difference, row.difference_stderr, signed=True))
        lines.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
    revision = str(found.models[role].get("revision") or "")
    said = f"Scored by lighteval 0.13.0 with Align Studio on {found.created:%Y-%m-%d}, at commit `{revision[:12]}`."
    if compared:
        base = found.models[BASE]
        at = f" at commit `{str(base['revision'])[:12]}`" if base.get("revision") else ""
        said += f" Base: `{_cell(found.base)}`{at}. ± is one standard error; that of a difference is paired by sample."
    return "\n".join([BEGIN, "## Evaluation", "", said, "", *lines, END])


def _cell(text: str) -> str:
    """Return a text that stays in its table's cell."""
    return re.sub(r"[|`\n\r]", " ", text)
