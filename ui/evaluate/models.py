"""Which models are scored: pickers with the project's own models, what the Hub finds while somebody types, any name."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from pipeline.base.errors import StudioError
from pipeline.base.project import DEFAULT_BASE_MODEL, Project, find
from pipeline.evaluate.options import EvaluateOptions
from pipeline.export import exported
from pipeline.hub import models as hub_models
from pipeline.hub.look import Found
from pipeline.studio import Studio
from pipeline.train import trainings
from ui.handlers import QUIET, handle
from ui.parts.forms import control
from ui.text import say, t

SHORTEST = 2  # letters before the Hub is searched
PAUSE_S = 0.3  # without another key before it is
_PAGES = 200  # pages whose keystrokes are remembered

Choice = tuple[str, str]  # what is shown, what is chosen


@dataclass(frozen=True)
class ModelPickers:
    """The controls that name models."""

    tuned: gr.Dropdown
    base: gr.Dropdown
    further: gr.Dropdown

    @property
    def inputs(self) -> list[Component]:
        """The controls in order."""
        return [self.tuned, self.base, self.further]


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


def wire(pickers: ModelPickers, studio: Studio, project: gr.State) -> None:
    """Search the Hub's models while somebody types.

    Args:
        pickers: The controls.
        studio: Names the ledger.
        project: State with the name of the project shown.
    """

    def finder() -> Callable[..., Any]:
        newest = _Newest()

        def look_up(of: str, event: gr.KeyUpData, *, request: gr.Request) -> Any:
            typed = str(event.input_value or "").strip()
            still = newest.note(str(request.session_hash))
            time.sleep(PAUSE_S)
            if not searched(typed) or not still():
                return gr.skip()
            own = _listed(studio, of)
            found = suggestions(typed, own)
            return gr.update(choices=[*own, *found]) if still() else gr.skip()

        return look_up

    def plain(of: str, event: gr.SelectData) -> Any:
        own, name = _listed(studio, of), str(event.value)
        if name in {value for _, value in own}:
            return gr.skip()
        return gr.update(choices=[*own, (name, name)], value=name)

    for picker in (pickers.tuned, pickers.base):
        picker.select(handle(plain), [project], [picker], **QUIET)  # a choice is shown by its name alone
    for picker in (pickers.tuned, pickers.base, pickers.further):
        # Not always_last: Gradio 6.31 then sends the first key's event again instead of the last one's.
        picker.key_up(handle(finder()), [project], [picker], **QUIET, trigger_mode="multiple")


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


def _listed(studio: Studio, name: str) -> list[Choice]:
    project = find(studio.home, name) if name else None
    return own_models(studio, project) + _bases(studio, project) if project else []


def own_models(studio: Studio, project: Project) -> list[Choice]:
    """Return the models trained in a project, the newest first."""
    models = trainings.models(studio.ledger, project)
    return [(say("evaluate.model", name=model.name, dataset=model.dataset), str(model.path)) for model in models]


def _bases(studio: Studio, project: Project) -> list[Choice]:
    found = (model.base_model for model in trainings.models(studio.ledger, project))
    return [(name, name) for name in dict.fromkeys([*found, project.read().base_model, DEFAULT_BASE_MODEL])]


def choices(studio: Studio, project: Project | None, tuned: str = "", *, change: bool = False) -> list[Any]:
    """Return updates for the pickers of trained model, base model, further models and export.

    Args:
        studio: Names the ledger.
        project: The project shown.
        tuned: The trained model chosen so far; the newest is chosen when there is none.
        change: Whether base model and export follow the trained model.
    """
    if project is None:
        nothing = gr.update(choices=[], value=None)
        return [nothing, gr.update(), gr.update(choices=[], value=[]), nothing]
    models = trainings.models(studio.ledger, project)
    own, bases, exports = own_models(studio, project), _bases(studio, project), exported.names(project)
    path = tuned or (str(models[0].path) if models else "")
    model = next((model for model in models if str(model.path) == path), None)
    base: dict[str, Any] = {"choices": bases}
    dataset: dict[str, Any] = {"choices": exports}
    if change or not tuned:
        base["value"] = model.base_model if model else project.read().base_model
        dataset["value"] = model.dataset if model and model.dataset in exports else next(iter(exports), None)
    shown = dict(own)
    further = gr.update(choices=[*own, *(one for one in bases if one[0] not in shown)])
    return [gr.update(choices=own, value=path or None), gr.update(**base), further, gr.update(**dataset)]
