"""What a chat template and a tokenizer make of a pair, and what is wrong with it: the same in app and worker.

Standard library alone: template and tokenizer are handed in as a `Reader`. Lengths and cuts are those of our AutoTrain
worker and of trl 0.13: a completion keeps its beginning and the end of its turn, a prompt keeps its end, and where both
together exceed the block, the completion is cut to what the longest prompt leaves of it, end of turn and all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from os.path import commonprefix
from typing import Protocol

Turns = list[dict[str, str]]

REFUSED, OPENING, CHANGED, MARKUP = "refused", "opening", "changed", "markup"
EQUAL, NO_END, BEGINNINGS, EMPTY = "equal_once_cut", "no_end", "two_beginnings", "prompt_empty"

# Chat markup of common templates, whoever's template it is: in a pair's text it is text that looks like turns.
_FOREIGN = re.compile(
    r"<\|(?:im_start|im_end|im_sep|system|user|assistant|end|endoftext|eot_id|eom_id|begin_of_text|end_of_text"
    r"|start_header_id|end_header_id|start_of_role|end_of_role|start|message|channel|return|return_id|eot|observation)\|>"
    r"|<(?:start|end)_of_turn>|\[/?INST\]|<</?SYS>>|<｜[^｜\n]{1,30}｜>"
)
_SPEAKER = re.compile(
    r"^### ?(?:Instruction|Response|Human|Assistant|User):|^(?:GPT4 Correct )?(?:USER|ASSISTANT|Human|Assistant):\s",
    re.MULTILINE,
)
_SPEAKERS = ("###", "USER:", "ASSISTANT:", "Human:", "Assistant:")  # quicker to look for than lines that begin so
_SPACE = re.compile(r"\s+")
_BYTES = 4  # of a character at most, in UTF-8: a text of n characters has at most 4 n tokens


class Refused(Exception):
    """The template raises for a conversation; what it says is the text."""


class Reader(Protocol):
    """A base model's template and tokenizer.

    Attributes:
        beginning: Text of the token that begins a text; "" where the tokenizer has none.
        end: Text of the token that ends a text; "" where it has none.
        special: Texts that the tokenizer takes for special tokens wherever they stand.
    """

    beginning: str
    end: str
    special: frozenset[str]

    def render(self, turns: Turns, ask: bool = False) -> str:
        """Write a conversation, with the opening of the assistant's turn if `ask`.

        Raises:
            Refused: The template does not take it.
        """

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text, none added."""


@dataclass(frozen=True)
class Limits:
    """Longest prompt, completion and sequence, in tokens."""

    prompt: int
    completion: int
    block: int


@dataclass(frozen=True)
class Seen:
    """What is wrong with one pair.

    Attributes:
        codes: Of `REFUSED` to `EMPTY`, those that are found.
        detail: What shows it, by code: what the template said, the text that is lost, the markup.
        need: Smallest limit at which it is gone, in tokens, by code; only where there is one.
    """

    codes: frozenset[str] = frozenset()
    detail: dict[str, str] = field(default_factory=dict)
    need: dict[str, int] = field(default_factory=dict)


class Examiner:
    """Examines pairs one after the other with one reader."""

    def __init__(self, reader: Reader, limits: Limits) -> None:
        self._reader, self._limits = reader, limits
        self._tails: dict[str, int] = {}
        own = sorted((re.escape(token) for token in reader.special if len(token) > 2), key=len, reverse=True)
        self._own = re.compile("|".join(own)) if own else None
        self._firsts = {token[0] for token in reader.special if len(token) > 2}

    def examine(self, prompt: Turns, chosen: Turns, rejected: Turns) -> Seen:
        """Return what is wrong with a pair.

        Args:
            prompt: The turns both answers share.
            chosen: The answer turns of the preferred completion.
            rejected: Those of the other.
        """
        detail: dict[str, str] = {}
        need: dict[str, int] = {}
        markup = self._markup(prompt, chosen, rejected)
        if markup:
            detail[MARKUP] = markup
        try:
            head = self._reader.render(prompt, ask=True)
            wholes = [self._reader.render(prompt + answer) for answer in (chosen, rejected)]
        except Refused as error:
            return Seen(frozenset({*detail, REFUSED}), {**detail, REFUSED: str(error)})
        if not all(whole.startswith(head) for whole in wholes):
            start = commonprefix([head, *wholes])
            detail[OPENING], head = head[len(start) :], start
        lost = _lost(prompt, head) or next(filter(None, map(_lost, (chosen, rejected), wholes)), "")
        if lost:
            detail[CHANGED] = lost
        tails = [whole[len(head) :] for whole in wholes]
        if self._two_beginnings(wholes):
            detail[BEGINNINGS] = wholes[0][:60]
        self._look_at_cuts(prompt, head, (chosen, rejected), tails, detail, need)
        return Seen(frozenset(detail), detail, need)

    def _markup(self, *parts: Turns) -> str:
        """Return the first chat markup or special token in a pair's own text, "" for none."""
        for turn in (turn for part in parts for turn in part):
            text = turn["content"]
            found = None
            if self._own and any(first in text for first in self._firsts):
                found = self._own.search(text)
            if not found and ("<" in text or "[" in text):
                found = _FOREIGN.search(text)
            if not found and any(speaker in text for speaker in _SPEAKERS):
                found = _SPEAKER.search(text)
            if found:
                return found.group().strip()
        return ""

    @cached_property
    def _beginnings(self) -> tuple[int, int]:
        """How often the template itself writes the beginning of text: in two turns, and in four."""
        talk = [{"role": role, "content": "a"} for role in ("user", "assistant", "user", "assistant")]
        try:
            two, four = (self._reader.render(talk[:turns]) for turns in (2, 4))
        except Refused:
            return 1, 1
        return two.count(self._reader.beginning), four.count(self._reader.beginning)

    def _two_beginnings(self, wholes: list[str]) -> bool:
        """Return whether what is trained begins more than once; trl puts a beginning where there is none in front."""
        mark = self._reader.beginning
        if not mark or mark == self._reader.end:  # of GPT-2's kind: it separates texts, and is what they end with
            return False
        two, four = self._beginnings
        if four > two:  # the template opens every turn with it
            return any(whole.startswith(mark + mark) for whole in wholes)
        return any(whole.count(mark) + (not whole.startswith(mark)) > 1 for whole in wholes)

    def _look_at_cuts(
        self,
        prompt: Turns,
        head: str,
        answers: tuple[Turns, Turns],
        tails: list[str],
        detail: dict[str, str],
        need: dict[str, int],
    ) -> None:
        limits = self._limits
        question = prompt[-1]["content"].strip()
        place = head.rfind(question) if question else -1
        if not question:
            detail[EMPTY] = ""
        elif place >= 0 and (rest := self._length(head[place + len(question) :])) >= limits.prompt:
            detail[EMPTY], need[EMPTY] = question[-60:], rest + 64
        room = limits.completion
        cut = self._cut_by_block(head, tails)
        if cut:
            room = limits.block - limits.prompt
            detail[NO_END] = answers[0][-1]["content"][-60:]
            need[NO_END] = limits.prompt + limits.completion
        same = self._equal(tails, answers, room, with_end=not cut)
        if same:
            detail[EQUAL] = answers[0][-1]["content"][:60]
            need[EQUAL] = same

    def _length(self, text: str) -> int:
        if len(text) > 200:
            return len(self._reader.encode(text))
        if text not in self._tails:
            self._tails[text] = len(self._reader.encode(text))
        return self._tails[text]

    def _cut_by_block(self, head: str, tails: list[str]) -> bool:
        """Return whether an answer loses its end because prompt and answer together exceed the block."""
        limits = self._limits
        left = limits.block - limits.prompt
        most = min(max(map(len, tails)) * _BYTES, limits.completion)
        if most <= left or min(len(head) * _BYTES, limits.prompt) + most <= limits.block:
            return False
        longest = min(max(self._at_most(tail, limits.completion) for tail in tails), limits.completion)
        return longest > left and min(self._at_most(head, limits.prompt), limits.prompt) + longest > limits.block

    def _at_most(self, text: str, limit: int) -> int:
        """Return a text's tokens; of a much longer one than the limit, some number beyond it."""
        return len(self._reader.encode(text[: 40 * limit + 400]))

    def _equal(self, tails: list[str], answers: tuple[Turns, Turns], room: int, *, with_end: bool) -> int:
        """Return 0 where two answers differ in the tokens kept; else the tokens that would tell them apart, at least 1.

        Args:
            tails: Both answers as the template writes them.
            answers: Their turns.
            room: Tokens kept of each.
            with_end: Whether the end of the turn is among them, as it is where our worker has cut.
        """
        if tails[0] == tails[1]:
            return 1
        shared = commonprefix(tails)
        if len(shared) * _BYTES < room - 64 or len(shared.encode("utf-8", "replace")) < room - 64:
            return 0
        close = [self._length(tail[_end_of(tail, answer) :]) + 1 for tail, answer in zip(tails, answers, strict=True)]
        keep = room - max(close) if with_end else room
        ids = [self._reader.encode(tail) for tail in tails]
        bodies = [each[: len(each) - size + 1] for each, size in zip(ids, close, strict=True)]
        if bodies[0][:keep] != bodies[1][:keep]:
            return 0
        return len(commonprefix(bodies)) + max(close) + 16


def _end_of(tail: str, answer: Turns) -> int:
    last = answer[-1]["content"].strip()
    place = tail.rfind(last) if last else -1
    return place + len(last) if place >= 0 else len(tail)


def _lost(turns: Turns, text: str) -> str:
    """Return the beginning of a turn's text that the template has not written, "" for none; space does not count."""
    for turn in turns:
        content = turn["content"].strip()
        if content and content not in text:
            plain, written = _SPACE.sub(" ", content), _SPACE.sub(" ", text)
            if plain not in written:
                return content[:60]
    return ""


def joined(prompt: Turns) -> Turns:
    """Return a prompt whose system turns stand at the beginning of the user's, for templates that refuse them."""
    system = [turn["content"] for turn in prompt if turn["role"] == "system"]
    rest = [dict(turn) for turn in prompt if turn["role"] != "system"]
    if not system or not rest:
        return prompt
    rest[0]["content"] = "\n\n".join([*system, rest[0]["content"]])
    return rest


def without_opening(template: str, opening: str) -> str:
    """Return a template that asks for an answer without text that it does not write before one, `<think>` say.

    Args:
        template: The model's.
        opening: What it writes too much at the end of its generation prompt.
    """
    literal = opening.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return (
        f"{{%- set written -%}}{template}{{%- endset -%}}"
        f"{{%- if add_generation_prompt -%}}{{{{ written.removesuffix('{literal}') }}}}"
        "{%- else -%}{{ written }}{%- endif -%}"
    )
