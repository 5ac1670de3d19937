"""The card of a trained model: what it comes from, how it was trained, how to load it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.base import words
from pipeline.base.options import extras
from pipeline.base.plain import code
from pipeline.train.algorithm import algorithm_of
from pipeline.train.doctor.finding import Report
from pipeline.train.options import TrainOptions
from pipeline.train.params import TrainParams

# The program that uploads the model puts the table of its last metrics in place of this line.
RESULTS = "<!-- align-studio:results -->"


@dataclass(frozen=True)
class Origin:
    """What a model is made from.

    Attributes:
        dataset: Repository of the pairs.
        revision: Commit of the pairs.
        base_revision: Commit of the base model's newest version when the training was asked for; "": not known.
        public: Whether everybody can see the base model; only then the Hub links it.
    """

    dataset: str
    revision: str
    base_revision: str
    public: bool


def _said(name: str, **values: object) -> str:
    return words.say(f"card.model.{name}", **values)


def render(
    options: TrainOptions,
    params: TrainParams,
    repository: str,
    origin: Origin,
    language: str = words.ENGLISH,
    report: Report | None = None,
) -> str:
    """Return the model card: front matter that the Hub reads, then what a person wants to know.

    Args:
        options: What was trained on what.
        params: The hyperparameters.
        repository: Where the model goes, owner/name.
        origin: What it is made from.
        language: Language of its sentences.
        report: What the doctor found in the pairs; None: nobody looked.
    """
    whole = not params.lora or params.merge_adapter
    algorithm = algorithm_of(options.algorithm)
    with words.speaking(language):
        about = {"model": code(options.base_model), "method": algorithm.called, "citation": algorithm.citation}
        return "\n\n".join(
            [
                _front_matter(options, origin, algorithm.tags),
                f"# {options.project_name}",
                _said("about", **about),
                f"## {_said('origin')}",
                _table(["", ""], _origin(options, origin)),
                *_examined(options, report),
                f"## {_said('values')}",
                RESULTS,
                _said("values.note"),
                f"## {_said('parameters')}",
                parameters(params),
                f"## {_said('load')}",
                f"```python\n{snippet(repository, '' if whole else 'merged')}```",
                f"## {_said('limits')}",
                _said("limits.text"),
                "",
            ]
        )


def _examined(options: TrainOptions, report: Report | None) -> list[str]:
    """Return the section on what the doctor found, and what was done about each finding."""
    if report is None:
        return []
    head, pairs = f"## {_said('examined')}", f"{report.pairs:,}"
    if not report.findings:
        return [head, _said("examined.nothing", pairs=pairs)]
    rows = [
        (finding.title(), f"{finding.count:,}", _said(f"examined.{options.chosen.get(finding.code, 'undecided')}"))
        for finding in report.findings
    ]
    columns = [_said(f"examined.column.{name}") for name in ("finding", "pairs", "done")]
    return [head, _said("examined.about", pairs=pairs), _table(columns, rows)]


def result_words() -> dict[str, str]:
    """Return the words of the table of last metrics, which the program that uploads the model writes."""
    return {name: _said(f"result.{name}") for name in ("metric", "value", "steps", "seconds", "none")}


def _origin(options: TrainOptions, origin: Origin) -> list[tuple[str, str]]:
    return [
        (_said("base"), f"`{code(options.base_model)}`"),
        (_said("base.revision"), f"`{origin.base_revision}`" if origin.base_revision else _said("unknown")),
        (_said("pairs"), _said("pairs.split", repository=origin.dataset)),
        (_said("pairs.revision"), f"`{origin.revision}`"),
    ]


def parameters(params: TrainParams) -> str:
    """Return the table of the hyperparameters, from their declaration."""
    rows = []
    for name, info in type(params).model_fields.items():
        if name.startswith("lora_") and not params.lora:
            continue
        extra = extras(info)
        unit, meaning = str(extra.get("unit", "")), info.description or ""
        if words.spoken() != words.ENGLISH and words.has(f"train.{name}.help"):
            unit, meaning = "", words.say(f"train.{name}.help")  # with its unit
        rows.append((f"`{name}`", f"{_shown(getattr(params, name))} {unit}".strip(), meaning))
    return _table([_said("parameter"), _said("value"), _said("meaning")], rows)


def snippet(name: str, subfolder: str = "", revision: str = "") -> str:
    """Return Python that loads a trained model and lets it answer, for use elsewhere.

    Args:
        name: The model's folder or Hub id.
        subfolder: Folder of the whole model in its repository, where it is not the repository's root.
        revision: The model's commit on the Hub; empty: the newest.
    """
    chosen = {"revision": revision, "subfolder": subfolder}
    more = "".join(f", {key}={json.dumps(value)}" for key, value in chosen.items() if value)
    return f"""from transformers import AutoModelForCausalLM, AutoTokenizer

name = {json.dumps(name, ensure_ascii=False)}
tokenizer = AutoTokenizer.from_pretrained(name{more})
model = AutoModelForCausalLM.from_pretrained(name{more})
messages = [{{"role": "user", "content": "What is a river?"}}]
inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
output = model.generate(inputs["input_ids"], attention_mask=inputs["attention_mask"], max_new_tokens=128)
print(tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))
"""


def _front_matter(options: TrainOptions, origin: Origin, tags: Sequence[str]) -> str:
    """Return the YAML block; strings are written as JSON, which is YAML."""
    base = [f"base_model: {json.dumps(options.base_model)}", "base_model_relation: finetune"] if origin.public else []
    return "\n".join(
        [
            "---",
            *base,
            f"datasets: [{json.dumps(origin.dataset)}]",
            "library_name: transformers",
            "pipeline_tag: text-generation",
            f"tags: [{', '.join([*tags, 'preference', 'align-studio'])}]",
            "---",
        ]
    )


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return _said("on" if value else "off")
    return f"{value:g}" if isinstance(value, float) else str(value)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
