"""Which models are scored: pickers with the project's own models, what the Hub finds while somebody types, any name."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from pipeline.base.errors import StudioError
from pipeline.base.project import DEFAULT_BASE_MODEL, Project
from pipeline.evaluate.options import EvaluateOptions
from pipeline.export import exported
from pipeline.hub import models as hub_models
from pipeline.hub.look import Found
from pipeline.train import trainings
from pipeline.visit import Visit
from ui.handlers import QUIET, Given, Update, Wiring
from ui.parts.forms import control
from ui.text import say, t

SHORTEST = 2  # letters before the Hub is searched
PAUSE_S = 0.3  # without another key before it is
_PAGES = 200  # pages whose keystrokes are remembered

CHOICES = ("models.tuned", "models.base", "models.further", "dataset")  # what `choices` updates
Choice = tuple[str, str]  # what is shown, what is chosen


@dataclass(frozen=True)
class ModelPickers:
    """The controls that name models."""

    tuned: gr.Dropdown
    base: gr.Dropdown
    further: gr.Dropdown


def build() -> ModelPickers:
    """Lay out the pickers; those of further models are folded away."""
    with gr.Row(elem_classes="form-row"):
        tuned = control(EvaluateOptions, "evaluate", "tuned", choices=[])
        base = control(EvaluateOptions, "evaluate", "base", choices=[])
    with gr.Accordion(t("evaluate.group.further"), open=False):
        further = gr.Dropdown(
            [],
            value=[],
            multiselect=True,
            allow_custom_value=True,
            max_choices=6,
            label=t("evaluate.further"),
            info=t("evaluate.further.help"),
            elem_id="evaluate-further",
        )
    assert isinstance(tuned, gr.Dropdown) and isinstance(base, gr.Dropdown)
    return ModelPickers(tuned, base, further)


def wire(wiring: Wiring) -> None:
    """Search the Hub's models while somebody types in the pickers, which the tab calls `models`.

    Args:
        wiring: Knows the tab's parts.
    """
    # A choice is shown by its name alone.
    wiring.on(wiring.parts["models.tuned"].select, tuned_chosen, "page.project", "models.tuned", event=gr.SelectData)
    wiring.on(wiring.parts["models.base"].select, base_chosen, "page.project", "models.base", event=gr.SelectData)
    # Not always_last: Gradio 6.31 then sends the first key's event again instead of the last one's.
    each_key = {**QUIET, "trigger_mode": "multiple"}
    typed = {"models.tuned": tuned_typed, "models.base": base_typed, "models.further": further_typed}
    for name, handler in typed.items():
        wiring.on(wiring.parts[name].key_up, handler, "page.project", name, each_key, event=gr.KeyUpData)


def tuned_typed(visit: Visit, given: Given) -> Update:
    """Search what is typed as the trained model."""
    return _looked_up(visit, given, "models.tuned")


def base_typed(visit: Visit, given: Given) -> Update:
    """Search what is typed as the base model."""
    return _looked_up(visit, given, "models.base")


def further_typed(visit: Visit, given: Given) -> Update:
    """Search what is typed as a further model."""
    return _looked_up(visit, given, "models.further")


def _looked_up(visit: Visit, given: Given, picker: str) -> Update:
    typed = str(given["event"].input_value or "").strip()
    still = _newest.note(f"{given['asked'].page} {picker}")
    time.sleep(PAUSE_S)
    if not searched(typed) or not still():
        return {}
    own = _listed(visit, given)
    found = suggestions(typed, own)
    return {picker: gr.update(choices=[*own, *found])} if still() else {}


def tuned_chosen(visit: Visit, given: Given) -> Update:
    """Show the trained model chosen by its name alone."""
    return _plain(visit, given, "models.tuned")


def base_chosen(visit: Visit, given: Given) -> Update:
    """Show the base model chosen by its name alone."""
    return _plain(visit, given, "models.base")


def _plain(visit: Visit, given: Given, picker: str) -> Update:
    own, name = _listed(visit, given), str(given["event"].value)
    if name in {value for _, value in own}:
        return {}
    return {picker: gr.update(choices=[*own, (name, name)], value=name)}


class _Newest:
    """Tells which of a page's keystrokes is the newest: older ones are not searched for, nor shown after it."""

    def __init__(self) -> None:
        self._count = 0
        self._seen: OrderedDict[str, int] = OrderedDict()
        self._guard = threading.Lock()

    def note(self, session: str) -> Callable[[], bool]:
        """Note a keystroke; return what says whether it is still the newest of its page."""
        with self._guard:
            self._count += 1
            mine = self._seen[session] = self._count
            self._seen.move_to_end(session)
            while len(self._seen) > _PAGES:
                self._seen.popitem(last=False)
        return lambda: self._seen.get(session) == mine


_newest = _Newest()


def searched(typed: str) -> bool:
    """Return whether what is typed can be a model's name on the Hub: not a path, not yet a revision."""
    return len(typed) >= SHORTEST and typed[0] not in "/~.\\" and "@" not in typed


def suggestions(typed: str, own: list[Choice]) -> list[Choice]:
    """Return the models that the Hub finds, but for those listed anyway; none where it is not reached.

    Args:
        typed: Part of a name.
        own: Choices that are there without searching.
    """
    try:
        found = hub_models.search(typed)
    except StudioError:  # somebody is typing: the check says it once a name is chosen
        return []
    known = {value for _, value in own}
    return [(_label(one), one.name) for one in found if one.name not in known]


def _label(found: Found) -> str:
    marks = [say("evaluate.hub.downloads", count=f"{found.downloads:,}")] if found.downloads else []
    marks += [say(f"evaluate.hub.{mark}") for mark in ("private", "gated") if getattr(found, mark)]
    return " · ".join([found.name, *marks])


def _listed(visit: Visit, given: Given) -> list[Choice]:
    project = visit.project_or_none(given["page.project"])
    return own_models(visit, project) + _bases(visit, project) if project else []


def own_models(visit: Visit, project: Project) -> list[Choice]:
    """Return the models trained in a project, the newest first."""
    models = trainings.models(visit.ledger, project)
    return [(say("evaluate.model", name=model.name, dataset=model.dataset), str(model.path)) for model in models]


def _bases(visit: Visit, project: Project) -> list[Choice]:
    found = (model.base_model for model in trainings.models(visit.ledger, project))
    return [(name, name) for name in dict.fromkeys([*found, project.read().base_model, DEFAULT_BASE_MODEL])]


def choices(visit: Visit, project: Project | None, tuned: str = "", *, change: bool = False) -> Update:
    """Return updates for the pickers of trained model, base model, further models and export: `CHOICES`.

    Args:
        visit: Who asks.
        project: The project shown.
        tuned: The trained model chosen so far; the newest is chosen when there is none.
        change: Whether base model and export follow the trained model.
    """
    if project is None:
        nothing = gr.update(choices=[], value=None)
        return {"models.tuned": nothing, "models.further": gr.update(choices=[], value=[]), "dataset": nothing}
    models = trainings.models(visit.ledger, project)
    own, bases, exports = own_models(visit, project), _bases(visit, project), exported.names(project)
    path = tuned or (str(models[0].path) if models else "")
    model = next((model for model in models if str(model.path) == path), None)
    base: dict[str, Any] = {"choices": bases}
    dataset: dict[str, Any] = {"choices": exports}
    if change or not tuned:
        base["value"] = model.base_model if model else project.read().base_model
        dataset["value"] = model.dataset if model and model.dataset in exports else next(iter(exports), None)
    shown = dict(own)
    return {
        "models.tuned": gr.update(choices=own, value=path or None),
        "models.base": gr.update(**base),
        "models.further": gr.update(choices=[*own, *(one for one in bases if one[0] not in shown)]),
        "dataset": gr.update(**dataset),
    }
