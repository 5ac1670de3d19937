"""Answer one conversation with several models, side by side: same template, same generation settings, same seed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import base_model  # type: ignore[import-not-found]
import torch
from protocol import Problem  # type: ignore[import-not-found]
from rendering import encode_prompt, end_of_turn, render  # type: ignore[import-not-found]
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PreTrainedModel
from transformers.generation.streamers import BaseStreamer


class _Counter(BaseStreamer):  # type: ignore[misc]
    """Calls `report` with the number of tokens written so far; what it raises ends the generation."""

    def __init__(self, report: Callable[[int], None]) -> None:
        self.report = report
        self.written = -1  # the first call brings the prompt

    def put(self, value: Any) -> None:
        """Count one more token."""
        self.written += 1
        self.report(self.written)

    def end(self) -> None:
        """End without a word: the result follows."""


def load_tokenizer(model: dict[str, Any]) -> Any:
    """Return the tokenizer of a spec's model {path, revision}."""
    return AutoTokenizer.from_pretrained(model["path"], revision=model.get("revision") or "main")


def common_template(models: list[dict[str, Any]], given: str | None) -> str | None:
    """Return the chat template for all models: the given one, else a tuned model's own, else any model's, else None.

    Args:
        models: The spec's models.
        given: The spec's template.
    """
    if given:
        return given
    ordered = sorted(models, key=lambda model: model["role"] == "base")
    templates = [load_tokenizer(model).chat_template for model in ordered]
    return next((template for template in templates if isinstance(template, str)), None)


def answer(
    model: dict[str, Any],
    messages: list[dict[str, str]],
    template: str | None,
    spec: dict[str, Any],
    report: Callable[[int], None],
) -> dict[str, Any]:
    """Let one model answer.

    Args:
        model: {role, name, path, revision}.
        messages: The conversation, the user's turn last.
        template: From `common_template`; without one the contents are joined by blank lines.
        spec: max_new_tokens, temperature (0: the most likely token each time), seed, dtype.
        report: Called with the number of tokens written; may raise to stop.

    Returns:
        {role, name, text, tokens, seconds}; seconds without loading.

    Raises:
        Problem: Prompt and answer do not fit the context.
        NotRenderable: If the template refuses the conversation.
    """
    tokenizer = load_tokenizer(model)
    text = render(tokenizer, template, messages, ask=True) if template else "\n\n".join(m["content"] for m in messages)
    ids = encode_prompt(tokenizer, text)
    base_model.safetensors_only(PreTrainedModel)
    network = AutoModelForCausalLM.from_pretrained(
        model["path"], revision=model.get("revision") or "main", dtype=getattr(torch, spec["dtype"])
    )
    limit = getattr(network.config.get_text_config(), "max_position_embeddings", None)
    if limit is not None and len(ids) + spec["max_new_tokens"] > limit:
        counts = {"prompt": len(ids), "answer": spec["max_new_tokens"], "limit": limit}
        raise Problem("engines.prompt_too_long", model=model["name"], **counts)
    network.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    # The models' own generation settings (sampling, penalties) differ and would make the answers incomparable.
    network.generation_config = _settings(tokenizer, template, spec)
    torch.manual_seed(spec["seed"])
    started = time.monotonic()
    prompt = torch.tensor([ids], device=network.device)
    with torch.inference_mode():
        output = network.generate(prompt, attention_mask=torch.ones_like(prompt), streamer=_Counter(report))
    written = output[0, len(ids) :].tolist()
    return {
        "role": model["role"],
        "name": model["name"],
        "text": tokenizer.decode(written, skip_special_tokens=True),
        "tokens": len(written),
        "seconds": round(time.monotonic() - started, 3),
    }


def _settings(tokenizer: Any, template: str | None, spec: dict[str, Any]) -> GenerationConfig:
    """Return the generation settings; the end of a turn ends the answer, as EOS does."""
    ends = {tokenizer.eos_token_id, end_of_turn(tokenizer, template) if template else None} - {None}
    sampling = {"temperature": spec["temperature"], "top_p": 1.0, "top_k": 0} if spec["temperature"] > 0 else {}
    return GenerationConfig(
        max_new_tokens=spec["max_new_tokens"],
        do_sample=spec["temperature"] > 0,
        eos_token_id=sorted(ends) or None,
        pad_token_id=min(ends, default=0),
        **sampling,
    )
