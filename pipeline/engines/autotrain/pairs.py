"""Pairs as AutoTrain and trl get them: read, and cut to the lengths the user set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ending  # type: ignore[import-not-found]
from protocol import Problem, Reporter  # type: ignore[import-not-found]
from specification import Job  # type: ignore[import-not-found]
from state import State  # type: ignore[import-not-found]

Messages = list[dict[str, str]]
UNMASKED = -100  # the label trl gives to tokens that are not the answer's


class Rewrites(Exception):
    """A chat template opens an answer, by what this says, otherwise than it writes one."""


def read_pairs(path: Path) -> list[dict[str, Messages]]:
    """Return the pairs of a JSONL file, their three columns only.

    Raises:
        Problem: The file is missing or a row is no pair; names the line.
    """
    if not path.is_file():
        raise Problem("engines.no_data", file=path)
    rows = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                rows.append({column: _chat(row[column]) for column in ("prompt", "chosen", "rejected")})
            except (KeyError, TypeError, ValueError) as error:
                raise Problem("engines.no_pair", line=number, file=path.name, detail=repr(error)) from error
    return rows


def _chat(turns: Any) -> Messages:
    if not isinstance(turns, list) or not turns:
        raise ValueError("expected a chat list with at least one turn")
    messages = [{"role": turn["role"], "content": turn["content"]} for turn in turns]
    if not all(isinstance(value, str) for message in messages for value in message.values()):
        raise ValueError("role and content must be text")
    return messages


def fit_rows(rows: list[dict[str, Messages]], tokenizer: Any, job: Job, state: State, reporter: Reporter) -> None:
    """Cut answers to `max_completion_length` in place, and count them and the prompts that will be cut."""
    params = job.params
    for number, row in enumerate(rows, 1):
        try:
            head = tokenizer.apply_chat_template(row["prompt"], tokenize=False, add_generation_prompt=True)
            state.prompts_cut += len(_ids(tokenizer, head)) > params.max_prompt_length
            for side in ("chosen", "rejected"):
                answer = fit_answer(tokenizer, row["prompt"], head, row[side], params.max_completion_length)
                state.completions_cut += answer is not row[side]
                row[side] = answer
        except Problem:
            raise
        except Rewrites as error:
            opening = str(error)[:200]
            raise Problem("engines.template_rewrites", model=job.base_model, pair=number, opening=opening) from error
        except Exception as error:  # a template is a program of the model's author: any error is possible
            raise Problem("engines.template_refuses", model=job.base_model, pair=number, detail=error) from error
        reporter.progress("preparing", number, len(rows), "pairs")
    if state.completions_cut:
        limit, answers = params.max_completion_length, 2 * len(rows)
        reporter.warning("engines.answers_cut", limit=limit, count=state.completions_cut, answers=answers)
    if state.prompts_cut:
        limit = params.max_prompt_length
        reporter.warning("engines.prompts_cut", limit=limit, count=state.prompts_cut, pairs=len(rows))


def fit_answer(tokenizer: Any, prompt: Messages, head: str, answer: Messages, limit: int) -> Messages:
    """Return the answer if it fits, else a copy cut at the end of its last turn.

    Args:
        tokenizer: The model's.
        prompt: The turns before.
        head: The prompt rendered.
        answer: The answer's turns.
        limit: Longest answer in tokens, those of the chat template and the end token counted.
    """
    length = answer_tokens(tokenizer, prompt, head, answer)
    kept = answer
    excess = length - limit
    while length > limit:
        last = answer[len(kept) - 1]["content"]
        tokens = tokenizer(last, add_special_tokens=False, return_offsets_mapping=tokenizer.is_fast)
        keep = len(tokens["input_ids"]) - excess
        if keep > 0:
            share = keep / len(tokens["input_ids"])
            end = tokens["offset_mapping"][keep - 1][1] if tokenizer.is_fast else int(share * len(last))
            kept = [*answer[: len(kept) - 1], {**answer[len(kept) - 1], "content": last[:end]}]
        elif len(kept) > 2:
            kept, excess = kept[:-2], 0  # the turn before is the user's; the answer ends with the one before that
        else:
            raise Problem("engines.no_room_for_text", limit=limit)
        length = answer_tokens(tokenizer, prompt, head, kept)
        excess += max(length - limit, 0)
    return kept


def answer_tokens(tokenizer: Any, prompt: Messages, head: str, answer: Messages) -> int:
    """Return the length of an answer as it is trained on: tokenized after the prompt, with one end token."""
    whole = tokenizer.apply_chat_template(prompt + answer, tokenize=False)
    if not whole.startswith(head):
        raise Rewrites(head.removeprefix(tokenizer.apply_chat_template(prompt, tokenize=False)))
    head_ids, ids = _ids(tokenizer, head), _ids(tokenizer, whole)
    start = len(head_ids)
    if head_ids != ids[:start]:
        start -= 1  # prompt and answer share a merged token, which trl counts with the answer
    end = tokenizer.eos_token_id
    tail = ids[start:]
    tail = tail[: ending.length(tail, end, ending.blanks(tokenizer.decode))]
    return len(tail) + int(tail[-1:] != [end])


def _ids(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def cut_prompt(row: dict[str, Any], limit: int) -> None:
    """Drop the first tokens of a tokenized pair's prompt in place, so that at most `limit` are left."""
    for side in ("chosen", "rejected"):
        labels = row[f"{side}_labels"]
        prompt = next((place for place, label in enumerate(labels) if label != UNMASKED), len(labels))
        if prompt > limit:
            for column in ("input_ids", "attention_mask", "labels"):
                row[f"{side}_{column}"] = row[f"{side}_{column}"][prompt - limit :]
    for column in ("prompt_input_ids", "prompt_attention_mask"):
        row[column] = row[column][-limit:]
