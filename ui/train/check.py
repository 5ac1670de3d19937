"""What the Train tab says before a training: the machine, the numbers, what stops it, what to beware of."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from pipeline.base.message import Message
from pipeline.base.preflight import Preflight
from pipeline.hardware import machine as hardware_machine
from pipeline.hardware.pricing import money
from pipeline.models.tokens import unit_of
from pipeline.train.check import TrainNumbers
from pipeline.train.params import TrainParams
from ui.parts.notice import facts, line, notices
from ui.parts.run_view import duration, rough
from ui.text import say


def machine_line() -> Markup:
    """Return what this machine has, as one line of HTML."""
    machine = hardware_machine.this_machine()
    gpus = ", ".join(f"{gpu.name} ({hardware_machine.size(gpu.memory)})" for gpu in machine.gpus) or say("train.no_gpu")
    return line(say("train.machine", cpus=machine.cpus, memory=hardware_machine.size(machine.memory), gpus=gpus))


def summary(found: Preflight[TrainNumbers], params: TrainParams) -> Markup:
    """Return what a check found as HTML: numbers, what stops the run, what to beware of.

    Args:
        found: What the check found.
        params: The hyperparameters checked.
    """
    numbers = found.numbers
    step = params.batch_size * params.gradient_accumulation
    cuts = [
        say(f"train.cut.{name}", count=count, share=f"{count / numbers.pairs:.0%}")
        for name in ("prompts", "completions", "sequences")
        if (count := getattr(numbers, f"{name}_cut"))
    ]
    lines = {
        "pairs": f"{numbers.pairs:,}",
        **({"left_out": f"{numbers.left_out:,}"} if numbers.left_out else {}),
        "steps": say("train.steps.of", steps=f"{numbers.steps:,}", pairs=step, epochs=params.epochs)
        + (say("train.steps.last", count=numbers.last_step) if numbers.last_step else ""),
        "reports": _reports(numbers, params),
        "format": say(f"train.mixed_precision.{numbers.number_format}"),
        "longest": f"{numbers.longest:,} {unit_of(numbers.unit)}"
        + ("" if numbers.unit == "tokens" else say("train.estimated")),
        "cuts": say("train.comma").join(cuts) or say("train.cut.none"),
        "memory": _memory(numbers),
        "seconds": _time(numbers),
    }
    if numbers.job:
        lines["most"] = say(
            "train.most_space" if numbers.job.offer.where == "space" else "train.most",
            most=money(numbers.job.offer.at_most),
            time=duration(numbers.job.offer.hard_stop),
        )
    shown = facts({say(f"train.fact.{name}"): value for name, value in lines.items()}) if numbers.pairs else Markup("")
    return notices(_others(found.blockers), bad=True) + shown + notices(_others(found.warnings))


def _others(found: Sequence[Message]) -> list[Message]:
    """Leave out what the doctor's section says itself."""
    return [each for each in found if not each.code.startswith("doctor.") or each.code == "doctor.first"]


def _reports(numbers: TrainNumbers, params: TrainParams) -> str:
    """Return how often the loss is reported, and that it is more often than was asked for."""
    every = say("train.reports.every", steps=numbers.logging_interval)
    shorter = numbers.logging_interval < params.logging_steps
    return every + (say("train.reports.shorter", asked=params.logging_steps) if shorter else "")


def _memory(numbers: TrainNumbers) -> str:
    if numbers.memory is None:
        return say("train.memory.unknown")
    if numbers.job:  # in the Hub's units, as in the list of hardware
        sizes = {"need": numbers.memory, "total": numbers.job.offer.flavor.memory}
        return say("train.memory.about", **{name: f"{size / 1e9:.1f} GB" for name, size in sizes.items()})
    total = hardware_machine.this_machine().training_memory
    return say("train.memory.about", need=hardware_machine.size(numbers.memory), total=hardware_machine.size(total))


def _time(numbers: TrainNumbers) -> str:
    planned = numbers.job
    if planned is None:
        return say("train.about", time=duration(numbers.seconds)) if numbers.seconds else say("train.time.unknown")
    offer = planned.offer
    if offer.estimate is None or offer.cost is None:
        return say("hardware.time.unknown")
    about = {"time": rough(offer.estimate.seconds), "cost": money(offer.cost)}
    return say("train.time.job" if offer.estimate.source == "formula" else "hardware.time.former", **about)
