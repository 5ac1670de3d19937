"""Where a run goes and what it costs: the picker and the one question before money is spent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr
import pytest
from pydantic import ValidationError

from pipeline.base import words
from pipeline.base.message import message
from pipeline.hardware import flavors, pricing
from pipeline.hardware.flavors import Need
from pipeline.hardware.pricing import Estimate, JobOptions
from pipeline.visit import Visit
from tests.handlers.conftest import value
from ui.handlers import Given, Update
from ui.parts import hardware
from ui.parts.hardware import Question

HERE = {"hardware.where": "local", "hardware.flavor": None, "hardware.budget": None, "hardware.namespace": ""}
AWAY = HERE | {"hardware.where": "job", "hardware.flavor": flavors.DEFAULT, "hardware.budget": 2.0}


def question(budget: float = 2.0, **lines: str) -> Question:
    offer = pricing.quote(JobOptions(where="job", budget=budget), Estimate(600.0, "formula"))
    return Question(offer, lines, [message("run.none", run="<b>")])


class Desk:
    """What a tab asks and starts, and how often."""

    def __init__(self, asked: Callable[[], Question | None]) -> None:
        self.asked, self.started = asked, 0

    def ask(self, visit: Visit, given: Given) -> Question | None:
        return self.asked()

    def go(self, visit: Visit, given: Given) -> Update:
        self.started += 1
        return {"view.run": "run"}


def test_what_belongs_to_a_job_does_not_count_here() -> None:
    assert hardware.read({**HERE, "hardware.budget": -1}) == JobOptions()
    assert hardware.read(AWAY) == JobOptions(where="job", flavor=flavors.DEFAULT, budget=2.0)
    assert hardware.read({**AWAY, "hardware.flavor": None}).flavor == flavors.DEFAULT
    with pytest.raises(ValidationError):
        hardware.read({**AWAY, "hardware.budget": -1})


def test_the_hub_is_not_asked_before_it_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flavors, "listing", lambda: pytest.fail("asked"))
    assert hardware.show(HERE, Need()) == {"hardware.box": gr.update(visible=False)}


def test_what_does_not_fit_is_named_with_its_reason() -> None:
    shown = hardware.show(AWAY, Need(memory=60 * 10**9))
    fitting = [name for _, name in shown["hardware.flavor"]["choices"]]
    assert flavors.DEFAULT not in fitting and value(shown["hardware.flavor"]) in fitting
    assert "disabled" in shown["hardware.unfit"] and hardware.named(flavors.DEFAULT) in shown["hardware.unfit"]
    none = hardware.show(AWAY, Need(memory=10**15))
    assert none["hardware.flavor"]["visible"] is False and value(none["hardware.flavor"]) is None


def test_what_costs_nothing_is_started_at_once(visit: Visit) -> None:
    desk = Desk(lambda: None)
    shown = hardware.pressed(visit, AWAY, desk.ask, desk.go)
    assert desk.started == 1 and shown["view.run"] == "run" and shown["confirm.box"]["visible"] is False


def test_what_costs_is_asked_once_and_only_what_was_agreed_is_started(
    visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    warned: list[Any] = []
    monkeypatch.setattr(gr, "Warning", warned.append)
    now = question(data="<i>mine</i>")
    desk = Desk(lambda: now)
    asked = hardware.pressed(visit, AWAY, desk.ask, desk.go)
    assert desk.started == 0 and asked["confirm.box"]["visible"] and asked["start"]["visible"] is False
    assert pricing.money(now.offer.at_most) in asked["confirm.shown"]
    assert "&lt;i&gt;mine" in asked["confirm.shown"] and "There is no run &lt;b&gt;" in asked["confirm.shown"]
    agreed = {**AWAY, "confirm.agreed": asked["confirm.agreed"]}

    now = question(4.0, data="<i>mine</i>")  # another price
    again = hardware.paid(visit, agreed, desk.ask, desk.go)
    assert desk.started == 0 and again["confirm.agreed"] != asked["confirm.agreed"]
    assert warned == [words.say("hardware.changed")]
    paid = hardware.paid(visit, {**AWAY, "confirm.agreed": again["confirm.agreed"]}, desk.ask, desk.go)
    assert desk.started == 1 and paid["view.run"] == "run"


def test_going_back_takes_the_question_away(visit: Visit) -> None:
    shown = hardware.back(visit, {})
    assert shown["start"]["visible"] and shown["confirm.agreed"] == "" == shown["confirm.shown"]
    assert shown.keys() <= set(hardware.PANEL)
