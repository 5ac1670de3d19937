"""The card of a trained model: what it comes from, how it was trained, how to load it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.train.orpo import OrpoParams, TrainOptions

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


def render(options: TrainOptions, params: OrpoParams, repository: str, origin: Origin) -> str:
    """Return the model card: front matter that the Hub reads, then what a person wants to know.

    Args:
        options: What was trained on what.
        params: The hyperparameters.
        repository: Where the model goes, owner/name.
        origin: What it is made from.
    """
    whole = not params.lora or params.merge_adapter
    return "\n\n".join(
        [
            _front_matter(options, origin),
            f"# {options.project_name}",
            f"`{options.base_model}` after one run of ORPO (odds ratio preference optimization, "
            "[arXiv 2403.07691](https://arxiv.org/abs/2403.07691)) on reviewed preference pairs. Made with Align "
            "Studio, by AutoTrain 0.8.36's training code.",
            "## Origin",
            _table(
                ["", ""],
                [
                    ("Base model", f"`{options.base_model}`"),
                    ("Its newest revision when the training was started", f"`{origin.base_revision or 'not known'}`"),
                    ("Pairs", f"`{origin.dataset}`, train split"),
                    ("Revision of the pairs", f"`{origin.revision}`"),
                ],
            ),
            "## Last values of the training",
            RESULTS,
            "They are measured on the training pairs themselves. A comparison with the base model needs an evaluation "
            "on pairs that were held out.",
            "## Parameters",
            parameters(params),
            "## How to load it",
            f"```python\n{snippet(repository, '' if whole else 'merged')}```",
            "## Limits",
            "What the reviewers preferred is what the model was taught, with their tastes and their mistakes. It can "
            "be wrong, and it inherits the limits of its base model. The licenses of the base model and of the pairs "
            "apply.",
            "",
        ]
    )


def parameters(params: OrpoParams) -> str:
    """Return the table of the hyperparameters, from their declaration."""
    rows = []
    for name, info in OrpoParams.model_fields.items():
        if name.startswith("lora_") and not params.lora:
            continue
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        unit = str(extra.get("unit", ""))
        rows.append((f"`{name}`", f"{_shown(getattr(params, name))} {unit}".strip(), info.description or ""))
    return _table(["Parameter", "Value", "Meaning"], rows)


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


def _front_matter(options: TrainOptions, origin: Origin) -> str:
    """Return the YAML block; strings are written as JSON, which is YAML."""
    base = [f"base_model: {json.dumps(options.base_model)}", "base_model_relation: finetune"] if origin.public else []
    return "\n".join(
        [
            "---",
            *base,
            f"datasets: [{json.dumps(origin.dataset)}]",
            "library_name: transformers",
            "pipeline_tag: text-generation",
            "tags: [orpo, trl, autotrain, preference, align-studio]",
            "---",
        ]
    )


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
