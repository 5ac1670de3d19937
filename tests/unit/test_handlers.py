"""How the page calls its handlers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from pipeline.base.errors import StudioError
from pipeline.base.settings import Settings
from pipeline.studio import Studio
from pipeline.visit import Visit
from ui.handlers import Given, Update, Wiring, parts_of, prefixed, under


@dataclass(frozen=True)
class Form:
    components: dict[str, gr.components.Component]


@dataclass(frozen=True)
class Tab:
    name: gr.Textbox
    note: gr.HTML
    form: Form
    length: int = 3


def greeted(visit: Visit, given: Given) -> Update:
    if given["name"] == "nobody":
        raise StudioError("run.none", run="<b>")
    return {"note": f"{visit.who} {given['name']} {under(given, 'form.')}"}


def idle(visit: Visit, given: Given) -> Update:
    return {}


def careless(visit: Visit, given: Given) -> Update:
    return {"name": "x"}


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(Settings(home=tmp_path))


def build(studio: Studio, handler: Any) -> tuple[Wiring, Any]:
    with gr.Blocks() as demo:
        tab = Tab(gr.Textbox(), gr.HTML(), Form({"rate": gr.Number(1), "size": gr.Number(2)}))
        wiring = Wiring(lambda request: Visit(studio)).within(_=tab)
        wiring.on(tab.name.change, handler, ["name", "form.*"], "note")
    return wiring, next(iter(demo.fns.values())).fn


def request(language: str = "en") -> Any:
    return SimpleNamespace(headers={"accept-language": language})


def test_parts_have_names(studio: Studio) -> None:
    with gr.Blocks():
        tab = Tab(gr.Textbox(), gr.HTML(), Form({"rate": gr.Number(1)}))
    assert list(parts_of(tab)) == ["name", "note", "form.rate"]
    assert list(parts_of(tab, "train.")) == ["train.name", "train.note", "train.form.rate"]
    assert prefixed("form.", {"rate": 1}) == {"form.rate": 1}


def test_a_handler_gets_values_by_name_and_updates_by_name(studio: Studio) -> None:
    wiring, call = build(studio, greeted)
    assert wiring.wired[0].inputs == ("name", "form.rate", "form.size")
    updates = call(request(), "Ada", 0.5, 4)
    assert list(updates.values()) == ["local Ada {'rate': 0.5, 'size': 4}"]
    assert list(updates) == [wiring.parts["note"]]


def test_nothing_to_update_updates_nothing_and_a_handler_may_follow_another(studio: Studio) -> None:
    with gr.Blocks() as demo:
        tab = Tab(gr.Textbox(), gr.HTML(), Form({}))
        wiring = Wiring(lambda request: Visit(studio)).within(_=tab)
        wiring.on(wiring.on(tab.name.change, idle, "name", "note"), greeted, "name", "note")
    first, then = demo.fns.values()
    assert first.fn is not None and first.fn(request(), "Ada") == gr.skip()
    assert then.targets == [(None, "then")]


def test_an_error_is_said_in_the_visitors_language_and_as_text(studio: Studio) -> None:
    _, call = build(studio, greeted)
    with pytest.raises(gr.Error, match="没有运行 &lt;b&gt;"):
        call(request("zh-CN,zh;q=0.9"), "nobody", 1, 2)
    with pytest.raises(gr.Error, match="There is no run &lt;b&gt;"):
        call(request("fr"), "nobody", 1, 2)


def test_a_part_it_was_not_wired_to_is_an_error(studio: Studio) -> None:
    _, call = build(studio, careless)
    with pytest.raises(AssertionError, match="careless updates {'name'}"):
        call(request(), "Ada", 1, 2)
    with pytest.raises(KeyError, match="no part is called nothing"):
        Wiring(lambda request: Visit(studio)).on([], greeted, "nothing")


def test_one_visit_does_not_see_anothers(studio: Studio) -> None:
    ada, bob = Visit(studio, "ada"), Visit(studio, "bob")
    run, _ = ada.ledger.add("export", "p", "Export", {})
    assert ada.run(run.id).owner == "ada"
    assert [each.id for each in studio.ledger.list()] == [run.id]
    assert bob.ledger.list() == []
    with pytest.raises(StudioError, match="There is no run"):
        bob.run(run.id)
    ada.home.uploads.mkdir(parents=True)
    (ada.home.uploads / "a.txt").write_text("a")
    assert ada.file(ada.home.uploads / "a.txt").read_text() == "a"
    with pytest.raises(StudioError, match="no file a.txt of yours"):
        bob.file(ada.home.uploads / "a.txt")
