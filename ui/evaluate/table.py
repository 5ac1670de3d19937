"""Scores of an evaluation as the Evaluate tab shows them: the table, what was left out, the bars."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pandas as pd
from markupsafe import Markup

from pipeline.evaluate import comparison
from pipeline.evaluate import task as task_registry
from pipeline.evaluate.comparison import BASE, TUNED, Row, finding, interval, interval_words
from pipeline.evaluate.evaluations import Evaluation
from pipeline.evaluate.task import Metric
from pipeline.evaluate.tasks.reviewed_pairs import REVIEWED
from pipeline.evaluate.tasks.truthfulqa import TRUTHFULQA
from pipeline.runs.launch import ROOT
from ui.parts.notice import line, notice
from ui.text import has, say

SAMPLE = ROOT / "samples" / "truthful_mini.jsonl"
PAIR = ("task", "measure", "base", "tuned", "difference", "verdict", "samples")  # columns of base against tuned
MANY = ("task", "measure", "model", "score", "difference", "verdict", "samples")  # a line per model
ALONE = ("task", "measure", "model", "score", "samples")  # a line per model, nothing to compare with
_NUMBERS = ("base", "tuned", "score", "difference", "samples")
_STYLE = dict.fromkeys(_NUMBERS, Markup(' class="number"')) | {"model": Markup(' style="min-width: 190px"')}

Line = dict[str, str]


def task_name(task: str, data: Path | str | None) -> str:
    """Return what a task is called: by its name, or TruthfulQA by a file in its place or our sample."""
    if task != TRUTHFULQA.name or data is None:
        return task_registry.task_of(task).called
    return say("evaluate.sample") if Path(data) == SAMPLE else say("evaluate.truthful.file", name=Path(data).name)


def paired(found: Evaluation) -> bool:
    """Return whether there are a base and a trained model and no others."""
    return set(found.models) == {BASE, TUNED}


def role_name(found: Evaluation, role: str) -> str:
    """Return what a model is called beside others: its part and its name, or its name alone."""
    name = found.name(role)
    key = f"evaluate.bar.{role}"
    return say(key, name=name) if has(key) and len(found.models) > 1 else name


def table(found: Evaluation) -> Markup:
    """Return the scores as an HTML table, each task's and measure's name once."""
    columns = PAIR if paired(found) else MANY if BASE in found.models else ALONE
    cell, row = Markup("<td{}>{}</td>"), Markup("<tr>{}</tr>")
    head = [Markup('<th class="number">{}</th>').format(say(f"evaluate.column.{name}")) for name in columns]
    body: list[Markup] = []
    last: Line = {}
    for each in _pair_lines(found) if paired(found) else _model_lines(found):
        shown = dict(each)
        if each["task"] == last.get("task"):
            shown["task"] = ""
            if each["measure"] == last.get("measure"):
                shown["measure"] = ""
        last = each
        cells = (cell.format(_STYLE.get(name, ""), shown[name]) for name in columns)
        body.append(row.format(Markup("").join(cells)))
    whole = Markup('<div class="wide"><table class="plain-table"><thead>{}</thead><tbody>{}</tbody></table></div>')
    return whole.format(row.format(Markup("").join(head)), Markup("").join(body))


def task_of(found: Evaluation, task: str) -> str:
    """Return what a task of an evaluation is called."""
    return task_name(task, found.tasks.get(task, {}).get("data"))


def _metric(task: str, name: str) -> Metric:
    return task_registry.task_of(task).metric(name)


def _names(found: Evaluation, row: Row) -> Line:
    return {"task": task_of(found, row.task), "measure": _metric(row.task, row.metric).called()}


def _pair_lines(found: Evaluation) -> Iterator[Line]:
    for row in found.rows():
        if _metric(row.task, row.metric).directed:
            scores = {"base": comparison.rounded(row.base, row.base_stderr)}
            scores["tuned"] = comparison.rounded(row.tuned, row.tuned_stderr)
            yield _names(found, row) | scores | _difference(row) | {"samples": samples(row)}


def _model_lines(found: Evaluation) -> Iterator[Line]:
    """Yield a line for each model under each measure: the base model's, then the others against it."""
    by_role = {role: {(row.task, row.metric): row for row in found.rows(role)} for role in found.compared}
    for task, metric in dict.fromkeys(key for rows in by_role.values() for key in rows):
        rows = [(role, row) for role, each in by_role.items() if (row := each.get((task, metric))) is not None]
        if not _metric(task, metric).directed or not rows:
            continue
        first = rows[0][1]
        names = _names(found, first)
        if BASE in found.models:
            score = comparison.rounded(first.base, first.base_stderr)
            nothing = {"difference": "", "verdict": "", "samples": ""}
            yield names | {"model": role_name(found, BASE), "score": score} | nothing
        for role, row in rows:
            score = comparison.rounded(row.tuned, row.tuned_stderr)
            shown = {"model": role_name(found, role), "score": score, "samples": samples(row)}
            yield names | shown | _difference(row, "" if role == TUNED else ".other")


def _difference(row: Row, which: str = "") -> Line:
    kind = "equal" if interval(row) == (0, 0) and finding(row) == "same" else finding(row)
    key = f"evaluate.finding.{kind}"
    low, high = interval_words(row)
    words = say(f"{key}{which}" if has(f"{key}{which}") else key, low=low, high=high)
    return {"difference": comparison.rounded(row.difference, row.difference_stderr, signed=True), "verdict": words}


def samples(row: Row) -> str:
    """Return how many samples were scored, and of how many where it is a part."""
    count = f"{row.samples:,}"
    return say("evaluate.some_of", count=count, total=f"{row.available:,}") if row.partial else count


def counts(found: Evaluation) -> Markup:
    """Return the ties, scores that are no numbers and pairs left out of the reviewed pairs, as HTML."""
    rows = {role: [row for row in found.rows(role) if row.task == REVIEWED.name] for role in found.compared}
    some = next((row for each in rows.values() for row in each), None)
    if some is None:
        return Markup("")
    lines = [_tally(found, rows, metric) for metric in ("pref_tie", "pref_nan")]
    tallies = line(" ".join(lines).strip())
    left_out = [say("evaluate.dropped.one", count=count, reason=_reason(name)) for name, count in some.dropped.items()]
    if not left_out:
        return tallies
    total = some.available + sum(some.dropped.values())
    return notice(say("evaluate.dropped", list=say("evaluate.semicolon").join(left_out), total=total)) + tallies


def _tally(found: Evaluation, rows: dict[str, list[Row]], metric: str) -> str:
    """Return how many pairs of each model a share stands for, "" where no model has it."""
    shares: dict[str, tuple[float | None, int]] = {}
    for role, each in rows.items():
        row = next((row for row in each if row.metric == metric), None)
        if row is not None:
            if BASE in found.models:
                shares.setdefault(BASE, (row.base, row.samples))
            shares[role] = (row.tuned, row.samples)
    if not shares:
        return ""
    numbers = {role: "–" if share is None else f"{round(share * count)}" for role, (share, count) in shares.items()}
    if paired(found):
        return say(f"evaluate.count.{metric}", base=numbers[BASE], tuned=numbers[TUNED])
    listed = say("evaluate.comma").join(f"{number} ({found.name(role)})" for role, number in numbers.items())
    return say(f"evaluate.count.{metric}.list", list=listed)


def _reason(reason: str) -> str:
    key = f"evaluate.reason.{reason}"
    return say(key) if has(key) else reason


def plot(found: Evaluation) -> Any:
    """Return the update of the plot: a bar for each model beside each other for each share of 0 to 1."""
    rows = {role: {(row.task, row.metric): row for row in found.rows(role)} for role in found.compared}
    bars: list[tuple[str, float, str]] = []
    for key in dict.fromkeys(key for each in rows.values() for key in each):
        if _metric(*key).share:
            scored = [(role, each[key]) for role, each in rows.items() if key in each]
            scores = [(BASE, scored[0][1].base), *((role, row.tuned) for role, row in scored)]
            short = f"evaluate.short.{key[1]}"
            measure = say(short) if has(short) else key[1]
            bars += [(_bar(found, role, measure), s, role_name(found, role)) for role, s in scores if s is not None]
    made = pd.DataFrame(bars, columns=["measure", "score", "model"])
    return gr.update(value=made, sort=list(dict.fromkeys(made["measure"])), label=plot_title(found))


def plot_title(found: Evaluation) -> str:
    """Return what the plot shows, by its models."""
    return say("evaluate.plot" if paired(found) else "evaluate.plot.models")


def _bar(found: Evaluation, role: str, measure: str) -> str:
    key = f"evaluate.bar.{role}.of"
    if has(key):
        return say(key, measure=measure)
    return say("evaluate.bar.further.of", measure=measure, name=found.name(role))
