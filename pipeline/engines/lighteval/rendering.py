"""Turn conversations into the exact text and tokens that the training run saw (TRL 0.13, as AutoTrain 0.8.36 uses it).

Text (`trl/data_utils.py: apply_chat_template`): the prompt is the chat template over the prompt's turns with its
generation prompt; an answer is what the template adds when the answer's turns follow, its end of turn included.

Tokens (`ORPOTrainer.build_tokenized_answer` and `tokenize_row`): prompt and answer are tokenized together without
special tokens and split where the prompt alone ends; then one BOS is put in front and one EOS behind, each only if the
tokenizer has one and it is not there yet. A template that writes BOS itself therefore never gets a second one. An
answer ends after its first end token, as our training worker has it (`ending.py`).

Imports nothing but the standard library: the tokenizer is handed in.
"""

from __future__ import annotations

from typing import Any

import ending  # type: ignore[import-not-found]
from budget import TooMuch, processor  # type: ignore[import-not-found]
from protocol import Problem  # type: ignore[import-not-found]

RENDERING_S = 10  # processor time that a chat template may take for one conversation
Turns = list[dict[str, str]]


class NotRenderable(Exception):
    """The template refuses a conversation, or writes its prompt differently once an answer follows."""


def render(tokenizer: Any, template: str, turns: Turns, ask: bool = False) -> str:
    """Write a conversation with a chat template.

    Args:
        tokenizer: Gives the template its special tokens (`bos_token`, `eos_token`); its own template is not used.
        template: The chat template, Jinja.
        turns: The conversation.
        ask: Whether the generation prompt follows, the opening of the assistant's turn.

    Raises:
        NotRenderable: If the template raises (roles it does not know, say).
        Problem: It does not come to an end.
    """
    try:
        with processor(RENDERING_S):
            text = tokenizer.apply_chat_template(
                turns, chat_template=template, tokenize=False, add_generation_prompt=ask
            )
    except TooMuch as error:
        raise Problem("engines.template_endless", seconds=RENDERING_S, mib=0) from error
    except Exception as error:  # Jinja's own errors and whatever a template's raise_exception is mapped to
        raise NotRenderable(f"{type(error).__name__}: {error}") from error
    return str(text)


def render_pair(tokenizer: Any, template: str, prompt: Turns, answers: list[Turns]) -> tuple[str, list[str]]:
    """Write one prompt and its answers as in training.

    Args:
        tokenizer: See `render`.
        template: See `render`.
        prompt: The turns before the answers.
        answers: The answer turns alone, once per answer.

    Returns:
        The prompt's text with the generation prompt, and each answer's text with its end of turn.

    Raises:
        NotRenderable: See the class; TRL raises a ValueError for the second case.
    """
    head = render(tokenizer, template, prompt, ask=True)
    tails = []
    for answer in answers:
        whole = render(tokenizer, template, prompt + answer)
        if not whole.startswith(head):
            raise NotRenderable("The template writes the prompt differently once an answer follows.")
        tails.append(whole[len(head) :])
    return head, tails


def encode_prompt(tokenizer: Any, text: str) -> list[int]:
    """Return the token ids of a rendered prompt, with exactly one BOS if the tokenizer has one."""
    return _with_bos(tokenizer, tokenizer(text, add_special_tokens=False)["input_ids"])


def encode(tokenizer: Any, prompt: str, answer: str) -> tuple[list[int], list[int]]:
    """Split the tokens of a rendered prompt and answer as TRL 0.13 does.

    Args:
        tokenizer: The model's.
        prompt: Rendered prompt.
        answer: Rendered answer.

    Returns:
        Ids of the prompt with one BOS, ids of the answer with one EOS.
    """
    whole = tokenizer(prompt + answer, add_special_tokens=False)["input_ids"]
    alone = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    # A tokenizer may merge the prompt's last character with the answer's first: that token belongs to the answer.
    start = len(alone) if whole[: len(alone)] == alone else len(alone) - 1
    head, tail = whole[:start], whole[start:]
    tail = tail[: ending.length(tail, tokenizer.eos_token_id, ending.blanks(tokenizer.decode))]
    if tokenizer.eos_token_id is not None and tail[-1:] != [tokenizer.eos_token_id]:
        tail = [*tail, tokenizer.eos_token_id]
    return _with_bos(tokenizer, head), tail


def end_of_turn(tokenizer: Any, template: str) -> int | None:
    """Return the id of the special token with which the template closes an assistant's turn, if it has one.

    Args:
        tokenizer: The model's.
        template: The chat template.
    """
    question, mark = [{"role": "user", "content": "?"}], "answer-ends-here"
    try:
        _, (tail,) = render_pair(tokenizer, template, question, [[{"role": "assistant", "content": mark}]])
    except NotRenderable:
        return None
    ids = tokenizer(tail.partition(mark)[2], add_special_tokens=False)["input_ids"]
    special = set(tokenizer.all_special_ids) | set(tokenizer.get_added_vocab().values())
    return ids[0] if ids and ids[0] in special else None


def _with_bos(tokenizer: Any, ids: list[int]) -> list[int]:
    if tokenizer.bos_token_id is None or ids[:1] == [tokenizer.bos_token_id]:
        return list(ids)
    return [tokenizer.bos_token_id, *ids]
