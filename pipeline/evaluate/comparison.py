"""A model against its base: differences with their standard errors, in numbers and words. Only samples are read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.base.message import Message, message
from pipeline.evaluate.task import task_of

Result = Mapping[str, Any]  # a `result` event of the evaluation worker
Samples = dict[str, float | None]
Finding = Literal["none", "undirected", "few", "unknown", "same", "better", "worse"]

BASE, TUNED, FURTHER = "base", "tuned", "further-"  # roles; the last has a number behind it: further-1

_ENOUGH = 10  # samples below which a standard error says nothing
_Z = 1.96  # two-sided 95 % of the normal distribution


@dataclass(frozen=True)
class Row:
    """One metric of one task, base against tuned or a further model; values are the engine's to the last digit.

    Attributes:
        task: lighteval's name of the task.
        metric: lighteval's name of the metric.
        headline: Whether it is one to look at first.
        base: The base model's score; None when it is not a number.
        base_stderr: Its standard error.
        tuned: The score of the model compared with it.
        tuned_stderr: Its standard error.
        difference: Tuned minus base; None when they cannot be compared.
        difference_stderr: Its standard error: of the differences per sample where both models' samples are there,
            else of two independent means, which is larger.
        paired: Whether it comes from the differences per sample.
        samples: Samples scored.
        available: Samples the task has.
        dropped: Pairs left out, by reason.
        note: Why there is no difference; None where there is one.
    """

    task: str
    metric: str
    headline: bool
    base: float | None
    base_stderr: float | None
    tuned: float | None
    tuned_stderr: float | None
    difference: float | None
    difference_stderr: float | None
    paired: bool
    samples: int
    available: int
    dropped: dict[str, int]
    note: Message | None = None

    @property
    def partial(self) -> bool:
        """Whether only some of the task's samples were scored."""
        return self.samples < self.available


def compare(results: Sequence[Result], folder: Path | None = None, role: str = TUNED) -> list[Row]:
    """Put the base model's scores and another's side by side.

    Args:
        results: The `result` events of one evaluation.
        folder: The evaluation's folder with <role>/samples.jsonl; None: no comparison per sample.
        role: Which model is compared with the base model.

    Returns:
        Rows in the order of the tasks, each task's headlines first. Where one model failed a task, or there is no base
        model, the other's scores stand alone.
    """
    by_role = {each: {str(r["task"]): r for r in results if r["role"] == each} for each in (BASE, role)}
    samples = {each: read_samples(folder / each / "samples.jsonl") if folder else {} for each in (BASE, role)}
    rows = []
    for task in dict.fromkeys(str(result["task"]) for result in results):
        one, other = by_role[BASE].get(task), by_role[role].get(task)
        if one is None and other is None:
            continue
        headlines = [metric.name for metric in task_of(task).metrics if metric.headline]
        metrics = dict.fromkeys([*headlines, *((one or {}).get("scores", {})), *((other or {}).get("scores", {}))])
        for metric in metrics:
            pair = (samples[BASE].get((task, metric)), samples[role].get((task, metric)))
            rows.append(_row(task, metric, one, other, pair, metric in headlines))
    return rows


def _row(
    task: str,
    metric: str,
    base: Result | None,
    tuned: Result | None,
    samples: tuple[Samples | None, Samples | None],
    headline: bool,
) -> Row:
    """Compare one metric; the difference is refused where the models were not given the same samples."""
    first = tuned or base or {}
    scores = [_value(result, "scores", metric) for result in (base, tuned)]
    errors = [_value(result, "stderr", metric) for result in (base, tuned)]
    difference = error = None
    paired, note = False, None
    if base is None or tuned is None:
        note = message("comparison.no_base" if base is None else "comparison.no_tuned")
    elif base.get("settings") != tuned.get("settings") or base["samples"] != tuned["samples"]:
        note = message("comparison.settings")
    elif scores[0] is None or scores[1] is None:
        note = message("comparison.no_number")
    elif samples[0] is not None and samples[1] is not None and samples[0].keys() != samples[1].keys():
        note = message("comparison.samples")
    else:
        difference = scores[1] - scores[0]
        error = paired_stderr(samples[0], samples[1]) if samples[0] and samples[1] else None
        paired = error is not None
        if error is None and errors[0] is not None and errors[1] is not None:
            error = math.hypot(errors[0], errors[1])
    return Row(
        task=task,
        metric=metric,
        headline=headline,
        base=scores[0],
        base_stderr=errors[0],
        tuned=scores[1],
        tuned_stderr=errors[1],
        difference=difference,
        difference_stderr=error,
        paired=paired,
        samples=int(first.get("samples", 0)),
        available=int(first.get("available", first.get("samples", 0))),
        dropped={reason: int(count) for reason, count in dict(first.get("dropped") or {}).items() if count},
        note=note,
    )


def _value(result: Result | None, part: str, metric: str) -> float | None:
    value = ((result or {}).get(part) or {}).get(metric)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def paired_stderr(base: Samples, tuned: Samples) -> float | None:
    """Return the standard error of the mean difference over the same samples.

    Miller 2024, "Adding Error Bars to Evals" (arXiv 2411.00640), section 4.2: sd(d) / sqrt(n) of the differences d per
    sample. Both models find the same questions hard, so it is smaller than that of two independent means.

    Args:
        base: Value per sample id.
        tuned: The same ids.

    Returns:
        The standard error; None below two samples or where a value is not a number.
    """
    differences = []
    for name, value in base.items():
        other = tuned[name]
        if value is None or other is None:
            return None
        differences.append(other - value)
    n = len(differences)
    if n < 2:
        return None
    mean = math.fsum(differences) / n
    return math.sqrt(math.fsum((d - mean) ** 2 for d in differences) / (n - 1) / n)


def read_samples(file: Path) -> dict[tuple[str, str], Samples]:
    """Return a model's values by (task, metric) and sample id; empty when the file is not there.

    Args:
        file: samples.jsonl of the evaluation worker: one {task, id, metrics} per line.
    """
    found: dict[tuple[str, str], Samples] = {}
    if not file.is_file():
        return found
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            sample = json.loads(line)
            task = str(sample["task"]).removesuffix("|0")
            for metric, value in sample["metrics"].items():
                number = float(value) if isinstance(value, int | float) and math.isfinite(value) else None
                found.setdefault((task, metric), {})[str(sample["id"])] = number
    return found


def rounded(value: float | None, stderr: float | None, *, signed: bool = False) -> str:
    """Return a value as precisely as its standard error allows: that with two significant digits.

    Args:
        value: The value; None is written as a dash.
        stderr: Its standard error; without one (or with 0) the value has four significant digits.
        signed: Whether a plus is written before positive values, as differences have it.
    """
    sign = "+" if signed and value else ""
    if value is None:
        return "–"
    if not stderr:
        return f"{value:{sign}.4g}"
    decimals = _decimals(stderr)
    if decimals <= 0:
        return f"{round(value, decimals):{sign}.0f} ± {round(stderr, decimals):.0f}"
    return f"{value:{sign}.{decimals}f} ± {stderr:.{decimals}f}"


def _decimals(stderr: float) -> int:
    """Return how many decimals show two significant digits of a standard error."""
    return 1 - math.floor(math.log10(float(f"{stderr:.1e}")))  # 0.0996 has two digits as 0.10


def finding(row: Row) -> Finding:
    """Return what kind of statement a row allows: a change is claimed only where 95 % intervals exclude none.

    Args:
        row: From `compare`.
    """
    if row.difference is None:
        return "none"
    if not task_of(row.task).metric(row.metric).directed:
        return "undirected"
    if row.samples < _ENOUGH:
        return "few"
    if row.difference_stderr is None:
        return "unknown"
    if abs(row.difference) <= _Z * row.difference_stderr:
        return "same"
    return "better" if row.difference > 0 else "worse"


def interval(row: Row) -> tuple[float, float] | None:
    """Return the 95 % interval of a row's difference; None where it has no standard error.

    Args:
        row: From `compare`.
    """
    if row.difference is None or row.difference_stderr is None:
        return None
    limit = _Z * row.difference_stderr
    return row.difference - limit, row.difference + limit


def interval_words(row: Row) -> tuple[str, str]:
    """Return the ends of `interval` with the decimals of the difference, signed; zeros where there is none."""
    low, high = interval(row) or (0.0, 0.0)
    decimals = max(0, _decimals(row.difference_stderr)) if row.difference_stderr else 0
    return f"{low:+.{decimals}f}", f"{high:+.{decimals}f}"
