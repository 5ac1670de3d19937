"""What the Evaluate tab says before an evaluation: samples, time, cost, what stops it, what to beware of."""

from __future__ import annotations

from markupsafe import Markup

from pipeline.base.preflight import Preflight
from pipeline.evaluate.check import EvaluateNumbers
from pipeline.evaluate.options import EvaluateOptions
from pipeline.evaluate.task import task_of
from pipeline.hardware.pricing import money
from ui.evaluate.table import task_name
from ui.parts.notice import facts, notices
from ui.parts.run_view import duration, rough
from ui.text import say


def summary(found: Preflight[EvaluateNumbers], options: EvaluateOptions) -> Markup:
    """Return what a check found as HTML: what is scored, what stops it, what to beware of.

    Args:
        found: What the check found.
        options: What was checked.
    """
    numbers = found.numbers
    lines = {}
    for name, count in numbers.samples.items():
        lines[task_name(name, options.truthfulqa_data)] = say(f"evaluate.{task_of(name).unit}", count=count)
    unknown = say("evaluate.time.unknown")
    about = say("evaluate.about", time=duration(numbers.seconds)) if numbers.seconds else unknown
    if numbers.offer is not None:
        about = say("evaluate.about", time=rough(numbers.seconds)) if numbers.seconds else unknown
        guess = numbers.offer.estimate is not None and numbers.offer.estimate.source == "formula"
        about = say("evaluate.time.rough", time=about) if guess else about
        lines[say("evaluate.memory")] = _memory(numbers)
        lines[say("evaluate.most")] = money(numbers.offer.at_most)
    lines[say("evaluate.time")] = about
    return notices(found.blockers, bad=True) + facts(lines) + notices(found.warnings)


def _memory(numbers: EvaluateNumbers) -> str:
    need = numbers.need.memory if numbers.need else None
    return say("evaluate.memory.unknown") if need is None else say("evaluate.about", time=f"{need / 1e9:.1f} GB")
