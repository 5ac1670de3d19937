"""What the spec says of the doctor's findings: rows left out or rendered otherwise, and one more look at the rest."""

from __future__ import annotations

from collections import Counter
from typing import Any

from budget import TooMuch, memory, processor  # type: ignore[import-not-found]
from examined import Examiner, Limits, Refused, joined  # type: ignore[import-not-found]
from protocol import Problem, Reporter  # type: ignore[import-not-found]

RENDERING_S, RENDERING_MIB = 10, 1024  # processor time of one pair, memory of all, that a chat template may take
Rows = list[dict[str, list[dict[str, str]]]]


def choose(rows: Rows, spec: dict[str, Any], reporter: Reporter) -> Rows:
    """Return the rows that are trained on; the others are counted and named.

    Args:
        rows: The train split, in its order.
        spec: With `doctor`, see `pipeline/train/doctor/decided.py`; without, all rows are trained on as they are.
        reporter: Tells it.
    """
    chosen = spec.get("doctor") or {}
    gone: set[int] = set()
    for code, numbers in (chosen.get("left_out") or {}).items():
        gone.update(numbers)
        reporter.warning("engines.left_out", count=len(numbers), pairs=len(rows), finding=_named(code))
    kept = [row for number, row in enumerate(rows, 1) if number not in gone]
    if chosen.get("join_system"):
        kept = [{**row, "prompt": joined(row["prompt"])} for row in kept]
    return kept


def set_template(tokenizer: Any, spec: dict[str, Any]) -> None:
    """Give the tokenizer the chat template that was chosen, where one was; it is saved with the model."""
    template = (spec.get("doctor") or {}).get("template")
    if template:
        tokenizer.chat_template = template


def look(rows: Rows, tokenizer: Any, params: Any, spec: dict[str, Any], reporter: Reporter) -> None:
    """Examine the rows with the tokenizer that trains, and warn of what the doctor of the app has not seen.

    Args:
        rows: Those that are trained on.
        tokenizer: The base model's.
        params: Gives the lengths.
        spec: With `doctor`; without it nothing is known, and everything is said.
        reporter: Tells it.
    """
    known = set((spec.get("doctor") or {}).get("known") or ())
    examiner = Examiner(
        _Reader(tokenizer), Limits(params.max_prompt_length, params.max_completion_length, params.block_size)
    )
    found: Counter[str] = Counter()
    try:
        with memory(RENDERING_MIB):
            for row in rows:
                with processor(RENDERING_S):
                    seen = examiner.examine(row["prompt"], row["chosen"], row["rejected"])
                found.update(seen.codes - known)
    except (TooMuch, MemoryError) as error:
        raise Problem("engines.template_endless", seconds=RENDERING_S, mib=RENDERING_MIB) from error
    for code, count in found.most_common():
        reporter.warning("engines.doctor", count=count, pairs=len(rows), finding=_named(code))


def _named(code: str) -> dict[str, Any]:
    return {"@": "message", "code": f"doctor.name.{code}", "values": {}}


class _Reader:
    """A transformers tokenizer as the examiner reads it; see `examined.Reader`."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.beginning, self.end = tokenizer.bos_token or "", tokenizer.eos_token or ""
        self.special = frozenset(tokenizer.all_special_tokens)

    def render(self, turns: list[dict[str, str]], ask: bool = False) -> str:
        """Write a conversation; see `examined.Reader`."""
        try:
            return str(self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=ask))
        except Exception as error:  # a template is a program of the model's author: any error is possible
            raise Refused(str(error)) from error

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text, none added."""
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids
